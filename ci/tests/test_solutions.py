"""Solutions are tried where notebooks are tested and refreshed, nowhere else; what came out is written with them."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from ci import environment
from ci.command_line import main
from ci.contents import SOLUTION, Contents, cells_of, code_hash, read_contents
from ci.exercises import RESULT, all_code, exercises_of, seconds_of_solutions, with_results, with_solutions
from ci.gates import executed, exercises
from ci.outputs import COURSE, EXECUTED
from ci.project import Project
from ci.record import Record, common_hash, key_of
from ci.tests.conftest import WriteNotebook

TASK = """**Exercise 1** ★ How much is {number} and two?

<details><summary>Hint</summary>

Add them.
</details>

<details><summary>Solution</summary>

```python
{solution}
```

Adding is enough.
</details>"""
ASKED = 'from utils.exercises import check\n\nanswer = ...\ncheck("00.1", answer, number=number)'
# The check of a notebook whose kernel does not know the course.
CHECK = """import sys, types

def check(name, answer, number):
    verdict = "Right. So it is." if answer == number + 2 else "Not yet: add them."
    print("Not answered yet." if answer is ... else verdict)

number = 2
sys.modules["utils"], sys.modules["utils.exercises"] = types.ModuleType("utils"), types.ModuleType("exercises")
sys.modules["utils.exercises"].check = check"""


@pytest.fixture(autouse=True)
def no_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests run in the environment that they are started in."""
    monkeypatch.setattr(environment, "enter", lambda *_: None)


@pytest.fixture
def course(project: Project, write_notebook: WriteNotebook) -> Project:
    """A course of one notebook with one exercise."""
    path = write_notebook("00_first", CHECK, ASKED)
    set_solution(path, "answer = number + 2")
    (project.root / "README.md").write_text("<!-- times:begin -->\n<!-- times:end -->\n", encoding="utf-8")
    return project


def set_solution(path: Path, solution: str) -> None:
    """Let the notebook's last cell be an exercise with this solution."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["cells"][-1]["metadata"]["tags"] = ["exercise"]
    task = {"id": "task", "cell_type": "markdown", "metadata": {}}
    before = [cell for cell in content["cells"][:-1] if cell["id"] != "task"]
    task["source"] = TASK.format(number="number", solution=solution)
    content["cells"] = [*before, task, content["cells"][-1]]
    path.write_text(json.dumps(content), encoding="utf-8")


def refresh(project: Project) -> tuple[int, Contents]:
    """`course.py refresh --only 00`: its exit status, and the notebook after it."""
    status = main(["refresh", "--only", "00"], project)
    return status, read_contents(project.notebooks / "00_first.ipynb")


def shown(page: Contents) -> str:
    """What the fold says that came out."""
    (found,) = RESULT.findall(page.cells[-2].source)
    return found.split("````text\n")[1].removesuffix("\n````\n")


def test_refresh_writes_what_came_out_and_leaves_the_cell_unanswered(course: Project) -> None:
    before = read_contents(course.notebooks / "00_first.ipynb")
    status, page = refresh(course)
    assert status == 0
    assert shown(page) == "4"
    assert page.cells[-1].outputs[0]["text"] == ["Not answered yet.\n"]
    assert [cell.execution_count for cell in page.code] == [1, 2, 3]
    assert not [cell for cell in page.cells if SOLUTION in cell.tags]
    assert RESULT.sub("", page.cells[-2].source) == before.cells[-2].source
    assert page.metadata[COURSE][EXECUTED] == code_hash(all_code(page.cells))
    assert executed.code_is_executed(page) == exercises.results(page) == []
    assert refresh(course)[1].cells[-2] == page.cells[-2]


@pytest.mark.parametrize(
    ("solution", "came_out"),
    [
        ("print('two and two')\nanswer = 4", "two and two"),
        ("print('```sql\\n```\\n')\nanswer = 4", "```sql\n```"),
        ("answer = number + 2.0", "4.0"),
        ("class Four(int):\n    __repr__ = object.__repr__\n\nanswer = Four(4)", "So it is."),
    ],
)
def test_what_came_out_is_what_was_printed_else_the_answer_else_the_verdict(
    course: Project, solution: str, came_out: str
) -> None:
    set_solution(course.notebooks / "00_first.ipynb", solution)
    assert shown(refresh(course)[1]) == came_out


@pytest.mark.parametrize(("solution", "why"), [("answer = 5", "Not yet: add them."), ("answer = four", "NameError")])
def test_a_wrong_solution_is_a_failure(
    course: Project, solution: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = course.notebooks / "00_first.ipynb"
    set_solution(path, solution)
    before = path.read_text(encoding="utf-8")
    assert refresh(course)[0] == 1
    said = capsys.readouterr().out
    assert "Notebook 00 · The first failed in cell [" in said
    assert why in said
    assert path.read_text(encoding="utf-8") == before


def test_a_run_tries_solutions_only_when_asked(course: Project) -> None:
    set_solution(course.notebooks / "00_first.ipynb", "answer = 5")
    assert main(["run"], course) == 0
    assert main(["run", "--solutions"], course) == 1
    assert main(["run"], course) == 0


def test_the_time_of_solutions_is_not_counted(course: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = with_solutions(nbformat.read(course.notebooks / "00_first.ipynb", as_version=4))
    for number, cell in enumerate(notebook.cells):
        cell.metadata["papermill"] = {"duration": 10.0**number}
    last_two = 10.0 ** (len(notebook.cells) - 2) * 11
    assert seconds_of_solutions(notebook) == last_two
    monkeypatch.setattr("ci.runner.seconds_of_solutions", lambda _: 1e6)
    assert main(["run", "--solutions"], course) == 0
    done = Record(course.runs / "course" / "notebooks" / "progress.json").done
    assert float(str(done["00_first"]["seconds"])) < 0


def test_a_changed_solution_makes_outputs_stale(course: Project) -> None:
    refresh(course)
    path = course.notebooks / "00_first.ipynb"
    text = path.read_text(encoding="utf-8")
    keys = [key_of(path, {}, common_hash(course), solved=solved) for solved in (True, False)]
    path.write_text(text.replace("answer = number + 2", "answer = 2 + number"), encoding="utf-8")
    assert executed.code_is_executed(read_contents(path))
    changed = [key_of(path, {}, common_hash(course), solved=solved) for solved in (True, False)]
    assert [new == old for new, old in zip(changed, keys, strict=True)] == [False, True]


def test_a_run_without_solutions_tells_no_result(course: Project) -> None:
    refresh(course)
    assert main(["run", "--name", "mine"], course) == 0
    assert main(["refresh", "--only", "00", "--from-run", "mine"], course) == 0
    page = read_contents(course.notebooks / "00_first.ipynb")
    assert not RESULT.search(page.cells[-2].source)
    assert exercises.results(page) == [
        "The solution of exercise 00.1 does not tell what came out: python3 ci/course.py refresh --only 00"
    ]


def test_solutions_are_put_in_behind_their_exercise(course: Project) -> None:
    notebook = nbformat.read(course.notebooks / "00_first.ipynb", as_version=4)
    solved = with_solutions(notebook)
    assert solved.cells[:-2] == notebook.cells
    assert [cell.source for cell in solved.cells[-2:]] == [
        "answer = number + 2\nanswer",
        'from utils.exercises import check\n\ncheck("00.1", answer, number=number)',
    ]
    with_results(notebook, {"00.1": "a \\1 and\nb\n"})
    (found,) = exercises_of(cells_of(notebook.cells))
    assert found.solution == "answer = number + 2"
    assert found.hint == "Add them."
    assert "On the run shown here:\n\n````text\na \\1 and\nb\n````\n" in found.task.source
