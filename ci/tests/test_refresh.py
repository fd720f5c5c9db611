"""`course.py refresh` on small notebooks that really run: what is written back, what is refused, what stays."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ci import environment, refresh
from ci.command_line import main
from ci.contents import INJECTED, read_contents
from ci.parameters import read_notebooks
from ci.processor import kind_of_processor
from ci.project import Project
from ci.publish import publish
from ci.record import Record, common_hash, key_of
from ci.tests.conftest import WriteNotebook
from ci.tests.test_runner import SUMMARY
from utils import hardware
from utils.hardware import Machine

REAL_KIND_OF_PROCESSOR = kind_of_processor  # tests replace it
MARKS = "\n".join(f"<!-- {name}:begin -->\nold\n<!-- {name}:end -->" for name in ("result", "times", "bench"))
FOLDER = 'from pathlib import Path\n\nfolder = Path.cwd().parent / "runs" / run_name'
EVALUATE = f"""import json

summary = json.loads({json.dumps(SUMMARY)!r})
(folder / "evaluation" / "plots").mkdir(parents=True, exist_ok=True)
(folder / "evaluation" / "summary.json").write_text(json.dumps(summary))
(folder / "evaluation" / "plots" / "base_against_tuned.png").write_bytes(b"picture")
print("wrote", folder / "evaluation")"""


@pytest.fixture(autouse=True)
def no_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests run in the environment that they are started in, on a processor that is not slow."""
    monkeypatch.setattr(environment, "enter", lambda *_: None)
    monkeypatch.setattr("ci.publish.kind_of_processor", lambda: "")


@pytest.fixture
def course(project: Project, write_notebook: WriteNotebook) -> Project:
    """A course of two notebooks, the second of which evaluates, with a README to write figures into."""
    (project.root / "README.md").write_text(MARKS, encoding="utf-8")
    for name, last in (("00_first", 'print("size", size)\nsize * 2'), ("01_second", EVALUATE)):
        path = write_notebook(name, FOLDER, last, parameters="size: int = 3")
        content = json.loads(path.read_text(encoding="utf-8"))
        content["cells"][0]["source"] += "\n\n**It takes** a time that the last run will write here."
        path.write_text(json.dumps(content), encoding="utf-8")
    return project


def command(project: Project, *arguments: str) -> int:
    """`course.py` in this process."""
    return main(list(arguments), project)


def test_a_clean_run_is_written_back_and_nothing_is_stale(course: Project, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sorted(course.notebooks.glob("*.ipynb"))
    keys = [key_of(path, {}, common_hash(course)) for path in (first, second)]
    ids = [cell["id"] for cell in json.loads(first.read_text(encoding="utf-8"))["cells"]]
    assert command(course, "refresh") == 0
    assert "README.md, docs/base_against_tuned.png, notebooks/00_first.ipynb" in capsys.readouterr().out
    page = read_contents(first)
    assert [cell.execution_count for cell in page.code] == [1, 2, 3]
    assert [cell["id"] for cell in json.loads(first.read_text(encoding="utf-8"))["cells"]] == ids
    assert not [cell for cell in page.cells if INJECTED in cell.tags]
    stream, result = page.code[2].outputs
    assert stream["text"] == ["size 3\n"]
    assert result["data"]["text/plain"] == ["6"]
    assert read_contents(second).code[2].outputs[0]["text"] == ["wrote runs/course/evaluation\n"]
    assert "with the profile cpu on two cores." in page.cells[0].source
    readme = (course.root / "README.md").read_text(encoding="utf-8")
    assert "54.7%" in readme
    assert re.search(r"^\| 00 \| \d+ s \|  \| a faster processor \|$", readme, re.MULTILINE)
    assert keys == [key_of(path, {}, common_hash(course)) for path in (first, second)]

    # Papermill and ruff take notebooks with outputs as they take others.
    assert command(course, "run", "--only", "00") == 0
    executed = read_contents(course.runs / "course" / "notebooks" / first.name)
    assert [cell.execution_count for cell in executed.code] == [1, 2, 3]
    assert len(executed.code[2].outputs) == 2
    formatted = subprocess.run([sys.executable, "-m", "ruff", "format", "--check", "--isolated", str(first)])
    assert formatted.returncode == 0

    # Again, from clean: the same notebooks, but for what is measured.
    before = first.read_text(encoding="utf-8")
    (course.runs / "refresh" / "left_over").touch()
    assert command(course, "refresh") == 0
    assert not (course.runs / "refresh" / "left_over").exists()
    assert without_times(first.read_text(encoding="utf-8")) == without_times(before)


def without_times(text: str) -> str:
    """A notebook's text without its line of times."""
    return "\n".join(line for line in text.splitlines() if "It takes" not in line)


def test_one_notebook_alone_leaves_others_and_scores(course: Project, capsys: pytest.CaptureFixture[str]) -> None:
    other = course.notebooks / "01_second.ipynb"
    before = other.read_text(encoding="utf-8")
    assert command(course, "refresh", "--only", "00") == 0
    assert capsys.readouterr().out.endswith("are in README.md, notebooks/00_first.ipynb\n")
    assert any(cell.outputs for cell in read_contents(course.notebooks / "00_first.ipynb").code)
    assert other.read_text(encoding="utf-8") == before
    readme = (course.root / "README.md").read_text(encoding="utf-8")
    assert "| 00 |" in readme
    assert "| 01 |" not in readme
    assert "<!-- result:begin -->\nold\n<!-- result:end -->" in readme


def test_a_run_is_taken_only_if_it_is_that_of_the_notebooks(
    course: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    first = course.notebooks / "00_first.ipynb"
    before = first.read_text(encoding="utf-8")

    def refused(why: str) -> None:
        found = first.read_text(encoding="utf-8")
        assert command(course, "refresh", "--from-run", "mine") == 2
        assert why in capsys.readouterr().err
        assert first.read_text(encoding="utf-8") == found

    assert command(course, "run", "--name", "mine", "--only", "00", "-p", "size=4") == 0
    refused("ran notebook 00 with size = 4")
    assert command(course, "run", "--name", "mine", "--only", "00") == 0
    refused("has no notebook 01")
    assert command(course, "run", "--name", "mine", "--only", "01") == 0
    first.write_text(before.replace("size * 2", "size * 3"), encoding="utf-8")
    refused("Its code cell 3 is not the one that was executed.")
    first.write_text(before.replace("# 00", "# 00 again"), encoding="utf-8")
    assert command(course, "refresh", "--from-run", "mine") == 0
    assert read_contents(first).code[2].outputs[1]["data"]["text/plain"] == ["6"]
    assert "# 00 again" in read_contents(first).cells[0].source
    assert read_contents(course.notebooks / "01_second.ipynb").code[2].outputs[0]["text"] == [
        "wrote runs/course/evaluation\n"
    ]


def test_too_large_a_notebook_is_refused_with_the_cell_to_blame(
    course: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = course.notebooks / "00_first.ipynb"
    text = first.read_text(encoding="utf-8").replace("size * 2", "print('x' * 5000)")
    first.write_text(text, encoding="utf-8")
    monkeypatch.setattr(refresh, "MOST_BYTES", 4000)
    assert command(course, "refresh", "--only", "00") == 2
    assert "Its largest outputs are those of cell 4 (5 kB)" in capsys.readouterr().err
    assert first.read_text(encoding="utf-8") == text


def test_a_failure_leaves_the_notebooks_and_is_continued(
    course: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    second = course.notebooks / "01_second.ipynb"
    content = json.loads(second.read_text(encoding="utf-8"))
    content["cells"][3]["source"] += f"\nassert Path({str(gate)!r}).exists()"
    second.write_text(json.dumps(content), encoding="utf-8")
    assert command(course, "refresh") == 1
    assert "Run the same command again to continue." in capsys.readouterr().out
    assert not any(cell.outputs for cell in read_contents(course.notebooks / "00_first.ipynb").code)
    gate.touch()
    assert command(course, "refresh") == 0
    assert "✓ 00 · The first  done before, skipped" in capsys.readouterr().out
    done = Record(course.runs / "refresh" / "notebooks" / "progress.json").done
    assert list(done) == [notebook.name for notebook in read_notebooks(course.notebooks)]


def test_the_readme_gives_the_times_that_the_notebooks_tell(
    course: Project, write_notebook: WriteNotebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_notebook("09_own")
    evaluation = course.runs / "mine" / "evaluation"
    (evaluation / "plots").mkdir(parents=True)
    (evaluation / "plots" / "base_against_tuned.png").touch()
    (evaluation / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    record = Record(course.runs / "mine" / "notebooks" / "progress.json")
    monkeypatch.setattr("ci.publish.kind_of_processor", lambda: " of a slow processor")
    for name, seconds, patient in (("00_first", 30, "1"), ("01_second", 620, ""), ("09_own", 900, "")):
        monkeypatch.setenv(hardware.PATIENT, patient)
        record.add(name, "key", seconds, {})
    monkeypatch.setenv(hardware.PATIENT, "1")
    written = publish(course, "mine")
    assert written == [
        "README.md",
        "docs/base_against_tuned.png",
        "notebooks/00_first.ipynb",
        "notebooks/01_second.ipynb",
    ]
    readme = (course.root / "README.md").read_text(encoding="utf-8")
    assert "| 00 | 30 s |  | a slow processor (nothing shortened) |" in readme  # each as it was told when it ran
    assert "| 01 | 10 min |  | a slow processor |" in readme
    assert (
        "**It takes** 10 min with the profile cpu"
        in read_contents(course.notebooks / "01_second.ipynb").cells[0].source
    )


def test_times_of_a_slow_processor_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = (Machine(cores=2, memory_gb=8.0, tflops={"float32": rate}) for rate in (0.1, 2.0))
    monkeypatch.setattr(hardware, "detect", lambda: slow)
    assert REAL_KIND_OF_PROCESSOR() == " of a slow processor"
    monkeypatch.setattr(hardware, "detect", lambda: fast)
    assert REAL_KIND_OF_PROCESSOR() == ""
