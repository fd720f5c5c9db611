"""The end of a run: the scores as a small table, and the path of the results page."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ci.parameters import Notebook
from ci.project import Project
from utils.errors import CourseError


def read_summary(run: Path) -> dict | None:
    """`evaluation/summary.json` of a run, or None if it is not there or not whole."""
    try:
        summary = json.loads((run / "evaluation" / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return summary if isinstance(summary, dict) and summary.get("rows") else None


def percent(score: dict) -> str:
    """Such as `54.7% [49.0, 60.1]`: a share with its 95% interval."""
    if not math.isfinite(score["value"]):
        return "–"
    return f"{100 * score['value']:.1f}% [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"


def points(score: dict) -> str:
    """Such as `+53.7 [48.0, 59.3]`: a difference in percentage points with its 95% interval."""
    return f"{100 * score['value']:+.1f} [{100 * score['low']:+.1f}, {100 * score['high']:+.1f}]"


def sentence(summary: dict) -> str:
    """What the scores are of."""
    return (
        f"{summary['model']} on {summary['questions']} test questions, before and after fine-tuning, "
        f"with 95% intervals (before: the better prompt, {summary.get('base_prompt', 'zero-shot')})"
    )


def table(summary: dict) -> str:
    """The scores as text."""
    rows = [("", "base", "tuned", "gain, points")]
    for row in summary["rows"]:
        gain = points(row["gain"]) if row.get("gain") else ""
        rows.append((row["metric"], percent(row["base"]), percent(row["tuned"]), gain))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "─" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def print_results(project: Project, run_name: str, notebooks: list[Notebook]) -> None:
    """Print the table, write the results page and say where it is."""
    from ci.results_page import write_page

    run = project.runs / run_name
    summary = read_summary(run)
    if summary:
        print(f"\n{sentence(summary)}:\n\n{table(summary)}")
    else:
        print("\nThis run has no scores yet: notebook 05 makes them.")
    try:
        page = write_page(project, run_name, notebooks)
    except Exception as error:
        raise CourseError(f"The results page could not be made: {type(error).__name__}: {error}") from error
    print(f"\nResults page: {project.shown(page)}")
