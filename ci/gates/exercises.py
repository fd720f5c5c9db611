"""The exercises of a notebook: three, each with a hint, a solution that may be run, and a cell that is checked."""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterator

from ci.contents import Cell, Contents
from ci.exercises import PLACE, TAG, Exercise, exercises_of
from ci.gates.code import MOST_LINES, names, parsed
from utils.errors import CourseError

COUNT = 3
TITLE = re.compile(r"^## Exercises$", re.MULTILINE)


def form(page: Contents) -> list[str]:
    """The exercises stand under “## Exercises”; each has its parts, and a check that exists."""
    found = exercises_of(page.cells)
    faults = [fault for number, exercise in enumerate(found, 1) for fault in _faults_of(page, number, exercise)]
    if len(found) != COUNT:
        faults.append(f"It has {len(found)} code cells tagged `{TAG}`; there are to be {COUNT}.")
    titled = [cell.number for cell in page.prose if TITLE.search(cell.source)]
    if len(titled) != 1 or (found and titled[0] >= found[0].task.number):
        faults.append("There is no “## Exercises” before the exercises, or there is more than one.")
    efforts = [exercise.effort for exercise in found]
    if efforts != sorted(efforts):
        faults.append("The exercises do not grow in effort.")
    return faults


def solutions(page: Contents) -> list[str]:
    """The code of each solution is Python, is short, uses only names defined above, and sets the answer."""
    return [
        f"The solution of exercise {exercise.name} {fault}"
        for exercise in exercises_of(page.cells)
        for fault in _faults_of_solution(page, Cell(exercise.task.number, "code", exercise.solution))
    ]


def results(page: Contents) -> list[str]:
    """What came out of the solutions stands with them."""
    again = f"python3 ci/course.py refresh --only {page.path.name[:2]}"
    return [
        f"The solution of exercise {exercise.name} does not tell what came out: {again}"
        for exercise in exercises_of(page.cells)
        if not exercise.has_result
    ]


def _faults_of(page: Contents, number: int, exercise: Exercise) -> Iterator[str]:
    from utils.exercises.checks import find_check

    name, text, code = f"{page.path.name[:2]}.{number}", f"Cell {exercise.task.number}", f"Cell {exercise.cell.number}"
    if exercise.number != str(number):
        yield f"{text} does not begin with “**Exercise {number}** ★ ”, with one to three stars."
    if not exercise.hint or not exercise.solution:
        yield f"{text} lacks a fold “Hint”, or a fold “Solution” with a block of Python."
    if exercise.task.source.count("<details>") != exercise.task.source.count("</details>"):
        yield f"{text} has a fold that is not closed."
    if PLACE not in exercise.cell.source.splitlines():
        yield f"{code} has no line “{PLACE}”."
    if exercise.name != name:
        yield f'{code} does not call check("{name}", answer, …).'
        return
    try:
        find_check(name)
    except CourseError as error:
        yield str(error)


def _faults_of_solution(page: Contents, cell: Cell) -> Iterator[str]:
    """`cell` has the code of the solution, and the number of the cell that it stands in."""
    try:
        table = symtable.symtable(ast.unparse(parsed(cell)), "solution", "exec")
    except SyntaxError as error:
        yield f"is not Python: {error.msg}, line {error.lineno}."
        return
    if not any(symbol.get_name() == "answer" and symbol.is_assigned() for symbol in table.get_symbols()):
        yield "does not set `answer`."
    if len(cell.source.splitlines()) > MOST_LINES:
        yield f"has more than {MOST_LINES} lines."
    above = (*page.cells[: cell.number - 1], cell)
    where = f"Cell {cell.number} "
    for fault in names(Contents(page.path, above, page.metadata)):
        if fault.startswith(where):
            yield fault.removeprefix(where)
