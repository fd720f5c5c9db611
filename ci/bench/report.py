"""Results as Markdown and figures: beside their JSON in `runs/bench`, on the screen, and for the README."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ci.bench import generation_report, loading_report, memory_report, training_report
from ci.bench.setting import BUSY
from utils.stages import write_json, write_text

# Each has `table`, `sentences` and `figure`, functions of the part's result.
REPORTS = {
    "train": training_report,
    "memory": memory_report,
    "generate": generation_report,
    "load": loading_report,
}


def write_result(folder: Path, part: str, result: dict[str, Any]) -> list[Path]:
    """Write PART.json, PART.md and PART.png. Returns their paths."""
    from utils.plots import save

    paths = [folder / f"{part}.{ending}" for ending in ("json", "md", "png")]
    write_json(paths[0], result)
    write_text(paths[1], f"# {part.capitalize()}\n\n{text(part, result)}\n\n![{part}]({part}.png)\n")
    save(REPORTS[part].figure(result), paths[2])
    return paths


def read_result(folder: Path, part: str) -> dict[str, Any] | None:
    """What an earlier run of the part wrote; None if there is none."""
    try:
        return json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def for_readme(folder: Path) -> str | None:
    """The training comparison in full and the sentences of the other parts; None if training was not compared."""
    training = read_result(folder, "train")
    if training is None:
        return None
    paragraphs = [text("train", training)]
    for part, report in REPORTS.items():
        result = read_result(folder, part) if part != "train" else None
        if result:
            paragraphs += report.sentences(result)
    return "\n\n".join(paragraphs)


def text(part: str, result: dict[str, Any]) -> str:
    """Where it was measured, the table, and what it says."""
    report = REPORTS[part]
    return "\n\n".join([about(result), markdown(report.table(result)), *report.sentences(result)])


def about(result: dict[str, Any]) -> str:
    """The machine, and how often it was measured."""
    rounds = len(result.get("rounds", []))
    often = f" Median of {rounds} rounds, in brackets the smallest and the largest." if rounds > 1 else ""
    load = result["load_average"]
    busy = f" Something else was running: the load average was {load} at the start." if load > BUSY else ""
    return f"Measured on {result['machine']}.{often}{busy}"


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Rows with the same keys as a table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
