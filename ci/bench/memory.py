"""Memory of a long training run: of one made for it, or of the run that made a model of the course."""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

from ci.bench.setting import Setting, circumstances
from ci.bench.train import prepare, train_once
from utils.errors import CourseError
from utils.stages import read_manifest, require_stage

STEPS = 300


class NoMemoryLog(CourseError):
    """The log of a training run says nothing of memory."""


def bench_memory(setting: Setting) -> dict[str, Any]:
    """Watch the memory of the course's trainer. Returns what `runs/bench/memory.json` holds.

    Raises:
        MissingStage: the run has no dataset or, when its own training is to be read, no tuned model.
        NoMemoryLog: its own training is to be read, and did not note the memory.
        ChildFailed: the training made for it failed.
    """
    if setting.from_log:
        return memory_of_course_run(setting)
    began = circumstances()
    request, path = prepare(setting, setting.steps or STEPS)
    run = train_once("ours", path, None)
    memory = [list(row) for row in run.memory]
    return began | {"model": request["model"], "steps": request["steps"], "memory": memory}


def memory_of_course_run(setting: Setting) -> dict[str, Any]:
    """What notebook 03 noted while it trained the run's model: the peak since the line before, and the peak so far."""
    folder = require_stage(setting.run_name, "model")
    rows = json.loads((folder / "training_log.json").read_text(encoding="utf-8"))
    rows = [row for row in rows if "memory_gb" in row]
    if not rows:
        raise NoMemoryLog(
            f"runs/{setting.run_name}/model/training_log.json says nothing of memory. Notebook 03 notes it: run it "
            "again, or leave --from-log out."
        )
    held = [round(row["memory_gb"] * 1e9) for row in rows]
    memory = [list(row) for row in zip((row["step"] for row in rows), held, accumulate(held, max), strict=True)]
    model = str(read_manifest(folder)["parameters"]["model"])
    return circumstances() | {"model": model, "steps": rows[-1]["step"], "memory": memory}
