"""The exercises of a notebook: a text with hint and solution folded, then the cell that takes the learner's answer.

`course.py test` and `course.py refresh` try the solutions. Behind each exercise cell, which runs as it stands, two
cells are put in: the solution, and the check of the answer that it gives. They are tagged, and never written back.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ci.contents import SOLUTION, Cell, cells_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

TAG = "exercise"
PLACE = "answer = ..."  # the line that a learner completes
HEADING = re.compile(r"\*\*Exercise (?P<number>\d)\*\* (?P<effort>★{1,3}) \S")
FOLD = "<details><summary>{}</summary>\n\n(?P<body>.*?)\n</details>"
CODE = re.compile(r"```python\n(?P<code>.*?)\n```\n", re.DOTALL)
# What is printed may have a block of three backticks in it, as answers of chat models do.
RESULT = re.compile(r"\nOn the run shown here:\n\n````text\n.*?\n````\n", re.DOTALL)
CHECKED = re.compile(r'^check\(\s*"(?P<name>[\d.]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """An exercise as it stands. What was not found is empty.

    `name` is that which its cell asks the check for, `number` and `effort` (one to three stars) those of its text.
    """

    task: Cell
    cell: Cell

    @property
    def name(self) -> str:
        found = CHECKED.search(self.cell.source)
        return found["name"] if found else ""

    @property
    def number(self) -> str:
        return self._heading("number")

    @property
    def effort(self) -> str:
        return self._heading("effort")

    @property
    def hint(self) -> str:
        return self._fold("Hint")

    @property
    def solution(self) -> str:
        """The code of the solution."""
        found = CODE.search(self._fold("Solution") + "\n")
        return found["code"] if found else ""

    @property
    def has_result(self) -> bool:
        """True if the solution tells what came out."""
        return bool(RESULT.search(self.task.source))

    @property
    def check(self) -> str:
        """The code of the exercise cell without the line that a learner completes."""
        return "\n".join(line for line in self.cell.source.splitlines() if line != PLACE)

    def _heading(self, part: str) -> str:
        found = HEADING.match(self.task.source)
        return found[part] if found else ""

    def _fold(self, name: str) -> str:
        found = re.search(FOLD.format(name), self.task.source, re.DOTALL)
        return found["body"] if found else ""


def exercises_of(cells: Sequence[Cell]) -> list[Exercise]:
    """The exercises among the cells of a notebook, in order."""
    return [Exercise(task, cell) for task, cell in pairwise(cells) if TAG in cell.tags]


def all_code(cells: Sequence[Cell]) -> list[str]:
    """The code of a notebook: that of its cells, and that of the solutions."""
    return [cell.source for cell in cells if cell.is_code] + [found.solution for found in exercises_of(cells)]


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """The notebook with two cells behind each exercise: its solution, which ends with the answer, and its check."""
    from nbformat.v4 import new_code_cell

    found = {exercise.cell.number: exercise for exercise in exercises_of(cells_of(notebook.cells))}
    result = copy.copy(notebook)
    result.cells = []
    for number, cell in enumerate(notebook.cells, 1):
        result.cells.append(cell)
        if number in found:
            sources = (f"{found[number].solution}\nanswer", found[number].check)
            result.cells += [new_code_cell(source, metadata={"tags": [SOLUTION]}) for source in sources]
    return result


def tried(executed: NotebookNode) -> Iterator[tuple[str, Cell, Cell]]:
    """(name of the exercise, its solution, its check) for each solution that was executed in a notebook."""
    added = [cell for cell in cells_of(executed.cells) if SOLUTION in cell.tags]
    for solution, check in zip(added[::2], added[1::2], strict=True):
        yield CHECKED.search(check.source)["name"], solution, check  # type: ignore[index]


def refused(executed: NotebookNode) -> list[tuple[Cell, str]]:
    """The checks that a solution did not pass, with what they said."""
    from utils.exercises.verdicts import RIGHT  # needs packages that `course.py publish` does without

    said = [(check, printed(check)) for _, _, check in tried(executed)]
    return [(check, text) for check, text in said if not text.startswith(RIGHT)]


def printed(cell: Cell) -> str:
    """What a cell wrote."""
    return "".join("".join(output["text"]) for output in cell.outputs if output["output_type"] == "stream")


def seconds_of_solutions(executed: NotebookNode) -> float:
    """What papermill measured for the cells that were put in; a learner does not wait for them."""
    added = [cell for cell in executed.cells if SOLUTION in cell.metadata.get("tags", ())]
    return sum(cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in added)


def with_results(notebook: NotebookNode, results: Mapping[str, str]) -> None:
    """Write what came out, by the names of the exercises, behind the code of their solutions, in place.

    A solution that was not tried tells nothing: what stood there was that of another run.
    """
    for exercise in exercises_of(cells_of(notebook.cells)):
        text = RESULT.sub("", exercise.task.source)
        if result := results.get(exercise.name, "").strip("\n"):
            block = f"\nOn the run shown here:\n\n````text\n{result}\n````\n"
            text = CODE.sub(lambda match, block=block: match[0] + block, text, count=1)
        notebook.cells[exercise.task.number - 1].source = text
