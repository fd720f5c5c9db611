"""Running notebooks for real, small ones: what is skipped, what is kept, what a failure says, and the results page."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ci import command_line, display, environment
from ci.command_line import continuing, main
from ci.errors import UsageError
from ci.plan import Request
from ci.project import Project
from ci.results import table
from ci.results_page import headline, write_page
from ci.runs import MARK, delete_run, renew_run, take_run
from ci.tests.conftest import ROOT, WriteNotebook

RUN_IN = (
    "import sys; from pathlib import Path; from ci import command_line, environment; from ci.project import Project; "
    "environment.enter = lambda *_: None; sys.exit(command_line.main(sys.argv[2:], Project(Path(sys.argv[1]))))"
)
SUMMARY = {
    "model": "smollm2-135m",
    "questions": 420,
    "base_prompt": "zero-shot",
    "rows": [
        {
            "metric": "execution accuracy",
            "base": {"value": 0.01, "low": 0.002, "high": 0.021},
            "tuned": {"value": 0.547, "low": 0.5, "high": 0.59},
            "gain": {"value": 0.537, "low": 0.49, "high": 0.58},
        }
    ],
    "by_difficulty": {"easy": {"tuned": {"value": 0.7, "low": 0.6, "high": 0.8}}},
}


@pytest.fixture(autouse=True)
def no_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests run in the environment that they are started in."""
    monkeypatch.setattr(environment, "enter", lambda *_: None)


def run(project: Project, *arguments: str) -> int:
    """`course.py run` in this process."""
    return main(["run", *arguments], project)


def executed(project: Project, name: str, run_name: str = "course") -> Path:
    """Where the executed notebook goes."""
    return project.runs / run_name / "notebooks" / f"{name}.ipynb"


def text_of(path: Path) -> str:
    """All that the cells of a notebook printed."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join("".join(output.get("text", "")) for output in outputs)


def test_done_notebooks_are_skipped(
    project: Project, write_notebook: WriteNotebook, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook("00_first", "print('first')")
    second = write_notebook("01_second", "print('number', size)", parameters="size: int = 3")
    assert run(project, "-p", "size=4") == 0
    assert text_of(executed(project, "01_second")) == "number 4\n"
    capsys.readouterr()

    assert run(project, "-p", "size=4") == 0
    shown = capsys.readouterr().out
    assert shown.count("done before, skipped") == 2
    assert "--fresh" in shown
    assert "index.html" in shown

    assert run(project, "-p", "size=5") == 0
    assert capsys.readouterr().out.count("done before, skipped") == 1
    assert text_of(executed(project, "01_second")) == "number 5\n"

    second.write_text(second.read_text(encoding="utf-8").replace("number", "figure"), encoding="utf-8")
    assert run(project, "-p", "size=5") == 0
    assert text_of(executed(project, "01_second")) == "figure 5\n"
    capsys.readouterr()

    (project.root / "utils" / "module.py").write_text("VALUE = 2\n", encoding="utf-8")
    assert run(project, "--only", "00") == 0
    assert "skipped" not in capsys.readouterr().out


def test_failure_is_reported_and_continued(
    project: Project, write_notebook: WriteNotebook, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook("00_first", "1 + 1")
    write_notebook("01_second", "flag = 'a flag'", "value = 1 / divisor  # the cell", parameters="divisor: int = 0")
    write_notebook("02_third", "print('third')")
    assert run(project, "--name", "mine", "-p", "seed=2") == 1
    shown, errors = capsys.readouterr()
    for part in (
        "Notebook 01 · The second failed in cell [4]",
        "value = 1 / divisor  # the cell",
        "ZeroDivisionError: division by zero",
        "runs/mine/notebooks/01_second.failed.ipynb",
        "python3 ci/course.py run --from 01 --name mine -p seed=2",
    ):
        assert part in shown
    assert "papermill" not in shown + errors
    folder = executed(project, "01_second", "mine").parent
    assert not executed(project, "01_second", "mine").exists()
    assert not executed(project, "02_third", "mine").exists()
    assert not list(folder.glob(".*partial*"))
    assert (folder / "01_second.failed.ipynb").is_file()

    assert run(project, "--name", "mine", "-p", "seed=2", "-p", "divisor=1") == 0
    shown = capsys.readouterr().out
    assert shown.count("done before, skipped") == 1
    assert not (folder / "01_second.failed.ipynb").exists()
    assert text_of(executed(project, "02_third", "mine")) == "third\n"


def test_errors_of_the_course_are_shown_as_sentences(
    project: Project, write_notebook: WriteNotebook, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom utils import errors\nerrors.show_errors_as_sentences()"
    )
    write_notebook("00_first", handler, "raise errors.CourseError('Do this instead.')")
    assert run(project) == 1
    shown = capsys.readouterr().out
    assert "    Do this instead.\n" in shown
    assert "Traceback" not in shown


def test_dead_kernel_is_reported(
    project: Project, write_notebook: WriteNotebook, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook("00_first", "import os; os._exit(1)")
    assert run(project) == 1
    shown = capsys.readouterr().out
    assert "import os; os._exit(1)" in shown
    assert "memory" in shown


def test_killed_run_continues(project: Project, write_notebook: WriteNotebook) -> None:
    write_notebook("00_first", "print('first')")
    gate = project.root / "gate"
    write_notebook("01_second", f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.05)")
    command = [sys.executable, "-c", RUN_IN, str(project.root), "run"]
    partial = executed(project, "01_second").with_name(".01_second.partial.ipynb")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not partial.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    assert partial.exists()
    assert executed(project, "00_first").is_file()
    assert not executed(project, "01_second").exists()

    gate.touch()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "✓ 00 · The first  done before, skipped" in again.stdout
    assert executed(project, "01_second").is_file()
    assert not partial.exists()


def test_half_a_record_or_a_missing_result_is_not_taken_for_done(
    project: Project, write_notebook: WriteNotebook, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook("00_first", "print('first')")
    assert run(project) == 0
    capsys.readouterr()
    executed(project, "00_first").unlink()
    assert run(project) == 0
    assert "skipped" not in capsys.readouterr().out
    record = executed(project, "00_first").with_name("progress.json")
    record.write_text(record.read_text(encoding="utf-8")[:40], encoding="utf-8")
    assert run(project) == 0
    assert "skipped" not in capsys.readouterr().out


def test_a_stage_made_again_makes_later_notebooks_run_again(
    project: Project, write_notebook: WriteNotebook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ci.runner.MAKERS", {"dataset": "02_prepare"})
    for name in ("01_choose", "02_prepare", "03_train"):
        write_notebook(name)
    assert run(project) == 0
    assert run(project, "--only", "01") == 0
    capsys.readouterr()
    assert run(project) == 0
    assert capsys.readouterr().out.count("skipped") == 3
    assert run(project, "--only", "02") == 0
    capsys.readouterr()
    assert run(project) == 0
    shown = capsys.readouterr().out
    assert shown.count("skipped") == 2
    assert "✓ 03 · The train  2 cells" in shown


def test_fresh_deletes_only_the_run(project: Project, write_notebook: WriteNotebook) -> None:
    write_notebook("00_first")
    for folder in (project.runs / "course", project.runs / "other", project.root / "outside"):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (project.runs / "linked").symlink_to(project.root / "outside")
    assert run(project, "--fresh") == 0
    assert not (project.runs / "course" / "file").exists()
    delete_run(project, "linked")
    assert not (project.runs / "linked").exists()
    assert (project.root / "outside" / "file").exists()
    assert (project.runs / "other" / "file").exists()
    for name in ("..", "../outside", ""):
        with pytest.raises(UsageError):
            delete_run(project, name)


def test_command_takes_no_run_that_somebody_made(project: Project) -> None:
    take_run(project, "test")
    (project.runs / "test" / "left_over").touch()
    take_run(project, "test")
    renew_run(project, "test")
    assert [path.name for path in (project.runs / "test").iterdir()] == [MARK]
    (project.runs / "refresh-own-data").mkdir()
    with pytest.raises(UsageError, match="runs/refresh-own-data is not from this command"):
        take_run(project, "refresh")
    assert not (project.runs / "refresh").exists()


def test_kernel_is_this_python_offline_and_without_paths_of_this_machine(
    project: Project, write_notebook: WriteNotebook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    kernel = {"argv": ["/nonexistent/python", "{connection_file}"], "display_name": "x", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM", "PYTHONHASHSEED")
    write_notebook("00_first", f"import os, sys\nprint(sys.executable, *map(os.environ.get, {names!r}))")
    assert run(project) == 0
    result = executed(project, "00_first")
    assert text_of(result).split() == [sys.executable, "1", "1", "false", "0"]
    assert str(project.root) not in result.read_text(encoding="utf-8").replace(sys.executable, "")
    assert run(project, "-p", "model=Qwen/Qwen3-0.6B") == 0
    assert text_of(result).split() == [sys.executable, "None", "None", "false", "0"]
    assert "HF_HUB_OFFLINE" not in os.environ


def test_path_with_braces(project: Project, write_notebook: WriteNotebook, tmp_path: Path) -> None:
    moved = tmp_path / "a {place}"
    write_notebook("00_first", "print('here')")
    for part in ("notebooks", "ci", "utils", "data"):
        moved.mkdir(exist_ok=True)
        (project.root / part).rename(moved / part)
    assert run(Project(moved)) == 0
    assert text_of(executed(Project(moved), "00_first")) == "here\n"


def test_refusals_are_one_line_with_status_2(
    project: Project, write_notebook: WriteNotebook, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook("00_first")
    for arguments in (["-p", "sed=1"], ["--profile", "x"], ["--only", "12"], ["--unknown"], ["-p", "seed=a"]):
        assert run(project, *arguments) == 2
        shown, errors = capsys.readouterr()
        assert not shown
        assert len(errors.strip().splitlines()) == 1
    assert not project.runs.exists()


def test_interruption_is_one_line_with_status_130(
    project: Project, write_notebook: WriteNotebook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    write_notebook("00_first")
    monkeypatch.setattr(command_line, "run_course", interrupt)
    assert run(project) == 130
    assert capsys.readouterr().err.startswith("Interrupted.")


def test_command_that_continues_keeps_the_options() -> None:
    given = ["run", "--profile", "smoke", "--from", "02", "-p", "name=a b", "--fresh"]
    assert continuing(given, "03", Request(start="02")) == (
        "python3 ci/course.py run --from 03 --profile smoke -p 'name=a b'"
    )
    assert continuing(["run", "--only=05"], "05", Request(only="05")) == "python3 ci/course.py run --only 05"


def test_log_gets_a_line_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "SECONDS_BETWEEN_LINES", 0)
    stream, note = io.StringIO(), tmp_path / "progress.txt"
    with display.NotebookProgress("03 · Train", 9, note, time.monotonic(), stream) as progress:
        progress.start_cell(4)
        note.write_text("step 120 of 300, loss 0.41\n", encoding="utf-8")
        time.sleep(1.3)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "03 · Train …"
    assert lines[1].startswith("    cell 4 of 9, 0:01")
    assert lines[1].endswith(": step 120 of 300, loss 0.41")
    assert lines[-1].startswith("✓ 03 · Train  9 cells")


class Tags(HTMLParser):
    """Collects what a page loads and links to, and checks that tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)
        if tag == "a":
            self.links.append(values["href"] or "")
        if tag in {"img", "script", "link"}:
            self.images.append(values.get("src") or values.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_results_page_of_a_full_run(
    project: Project, write_notebook: WriteNotebook, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("00_first", "05_evaluate"):
        write_notebook(name, "print('done')")
    folder = project.runs / "course"
    (folder / "model" / "plots").mkdir(parents=True)
    (folder / "evaluation").mkdir()
    (folder / "model" / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model" / "plots" / "loss_curves.png").write_bytes(b"\x89PNG one")
    (folder / "evaluation" / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    assert run(project) == 0
    shown = capsys.readouterr().out
    assert "execution accuracy  1.0% [0.2, 2.1]  54.7% [50.0, 59.0]  +53.7 [+49.0, +58.0]" in shown
    page = Tags((folder / "index.html").read_text(encoding="utf-8"))
    assert not page.open
    assert page.links == ["notebooks/00_first.html", "notebooks/05_evaluate.html"]
    assert all((folder / link).is_file() for link in page.links)
    assert len(page.images) == 1
    assert page.images[0].startswith("data:image/png;base64,")
    text = (folder / "index.html").read_text(encoding="utf-8")
    for part in ("rose from 1.0% to", "Loss curves", "Easy", "runs/course/model", "questions_folder=PATH"):
        assert part in text
    assert "smoke run" not in text
    assert str(project.root) not in text


def test_results_page_of_an_empty_run_says_what_is_missing(project: Project) -> None:
    text = write_page(project, "nothing", []).read_text(encoding="utf-8")
    assert not Tags(text).open
    for part in ("no scores yet", "no plots", "no notebooks", "no tuned model"):
        assert part in text


def test_headline_claims_no_more_than_the_interval() -> None:
    row = SUMMARY["rows"][0]
    unsure = SUMMARY | {"rows": [row | {"gain": {"value": 0.01, "low": -0.02, "high": 0.04}}]}
    assert "no difference that these questions can prove" in headline(unsure)
    worse = SUMMARY | {"rows": [row | {"gain": {"value": -0.1, "low": -0.2, "high": -0.01}}]}
    assert "fell" in headline(worse)


def test_table_with_a_metric_that_has_no_gain() -> None:
    row = {name: value for name, value in SUMMARY["rows"][0].items() if name != "gain"}
    assert table(SUMMARY | {"rows": [row]}).splitlines()[2].endswith("54.7% [50.0, 59.0]")
