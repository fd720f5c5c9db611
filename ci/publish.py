"""The command `course.py publish`: a run's own figures go into the README and into the notebooks' opening lines."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ci.contents import read_contents
from ci.errors import UsageError
from ci.parameters import Notebook, read_notebooks
from ci.plan import LAST_CORE
from ci.processor import kind_of_processor
from ci.project import Project
from ci.record import Record
from ci.results import percent, points, read_summary, sentence
from utils.stages import MAKERS, read_manifest, write_text

PICTURE = "base_against_tuned.png"
TIME_LINE = re.compile(r"\*\*It takes\*\*[^\n\"\\]*")
PLACE = "with the profile cpu on two cores"
MEASURED = re.compile(
    rf"\*\*It takes\*\* (?P<time>\d+ \w+) {PLACE}(?: of (?P<processor>.*?))?(?: and (?P<memory>[\d.]+ GB) of memory)?\."
)


def publish(project: Project, run_name: str) -> list[str]:
    """Write the figures of a complete run of the cpu profile, and those of the last bench, if there was one.

    Returns the files written.

    Raises:
        UsageError: the run has no scores, or a notebook of it was not done.
    """
    scores_of(project, run_name)
    done = Record.of(project.runs / run_name).done
    notebooks = read_notebooks(project.notebooks)
    missing = [n.number for n in notebooks if n.number <= LAST_CORE and n.name not in done]
    if missing:
        raise UsageError(f"runs/{run_name} lacks the notebooks {', '.join(missing)}: finish the run first.")
    changed = write_time_lines(project, run_name, [notebook for notebook in notebooks if notebook.name in done])
    return sorted({*changed, *write_scores(project, run_name)})


def write_scores(project: Project, run_name: str) -> list[str]:
    """Write the scores of a run, their picture and the last bench, if there was one; returns the files written.

    Raises:
        UsageError: the run has no scores.
    """
    from ci.bench.report import for_readme

    readme = project.root / "README.md"
    text = between(readme.read_text(encoding="utf-8"), "result", _result(scores_of(project, run_name)))
    compared = for_readme(project.runs / "bench")
    if compared:
        text = between(text, "bench", compared)
    write_text(readme, text)
    picture = project.root / "docs" / PICTURE
    picture.parent.mkdir(exist_ok=True)
    shutil.copyfile(project.runs / run_name / "evaluation" / "plots" / PICTURE, picture)
    return ["README.md", f"docs/{PICTURE}"]


def scores_of(project: Project, run_name: str) -> dict:
    """The scores of a run. Raises UsageError if it has none."""
    summary = read_summary(project.runs / run_name)
    if summary is None:
        raise UsageError(f"runs/{run_name} has no scores: finish the run first.")
    return summary


def write_time_lines(project: Project, run_name: str, notebooks: list[Notebook]) -> list[str]:
    """Write what notebooks of a run took into their opening lines and the README; returns the files that changed.

    Raises:
        UsageError: the README has no marks between which the times stand.
    """
    run = project.runs / run_name
    done, kind = Record.of(run).done, kind_of_processor()
    changed = []
    for notebook in notebooks:
        seconds, memory = float(str(done[notebook.name]["seconds"])), _memory(run, notebook)
        patient = " (nothing shortened)" if kind and done[notebook.name].get("patient") else ""
        took = f"**It takes** {_spoken(seconds)} {PLACE}{kind}{patient}"
        if _write_time_line(notebook.path, f"{took} and {memory:.1f} GB of memory." if memory else f"{took}."):
            changed.append(project.shown(notebook.path))
    readme = project.root / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = between(before, "times", table_of_times(read_notebooks(project.notebooks)))
    if after != before:
        write_text(readme, after)
        changed.append("README.md")
    return changed


def table_of_times(notebooks: Sequence[Notebook]) -> str:
    """What the opening lines of the notebooks tell, as a table; a notebook that was never executed is left out."""
    lines = ["| notebook | time | memory | two cores of |", "|---|---|---|---|"]
    for notebook in notebooks:
        prose = "\n".join(cell.source for cell in read_contents(notebook.path).prose)
        if found := MEASURED.search(prose):
            memory, processor = found["memory"] or "", found["processor"] or "a faster processor"
            lines.append(f"| {notebook.number} | {found['time']} | {memory} | {processor} |")
    return "\n".join(lines)


def between(text: str, name: str, content: str) -> str:
    """The text with what stands between the two marks of `name` replaced. Raises UsageError if a mark is missing."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if begin not in text or end not in text:
        raise UsageError(f"README.md has no marks {begin} and {end} to write between.")
    return text[: text.index(begin) + len(begin)] + f"\n{content}\n" + text[text.index(end) :]


def _result(summary: dict) -> str:
    lines = [
        f"![Base against tuned](docs/{PICTURE})",
        "",
        f"{sentence(summary)}:",
        "",
        "| | base | tuned | gain, points |",
        "|---|---|---|---|",
    ]
    for row in summary["rows"]:
        lines.append(f"| {row['metric']} | {percent(row['base'])} | {percent(row['tuned'])} | {points(row['gain'])} |")
    return "\n".join(lines)


def _memory(run: Path, notebook: Notebook) -> float | None:
    """Peak memory in GB, from the manifest of the stage that the notebook makes; None if it makes none."""
    for stage, maker in MAKERS.items():
        if maker == notebook.name:
            try:
                return float(read_manifest(run / stage)["peak_memory_gb"])
            except (OSError, ValueError, KeyError):
                return None
    return None


def _write_time_line(path: Path, line: str) -> bool:
    content = json.loads(path.read_text(encoding="utf-8"))
    changed = False
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            source = "".join(cell["source"])
            renewed = TIME_LINE.sub(line, source)
            changed |= renewed != source
            cell["source"] = renewed.splitlines(keepends=True)
    if changed:
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return changed


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
