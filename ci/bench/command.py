"""The command `course.py bench`: run the parts asked for, one after another, and print what they found."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from ci.bench.generate import bench_generation
from ci.bench.load import bench_loading
from ci.bench.memory import bench_memory
from ci.bench.report import text, write_result
from ci.bench.setting import Setting, warn_if_busy
from ci.bench.train import bench_training
from ci.display import clock

PARTS: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "train": bench_training,
    "memory": bench_memory,
    "generate": bench_generation,
    "load": bench_loading,
}


def run_bench(setting: Setting, part: str) -> None:
    """Run one part, or `all`. Each part's results are on disk before the next one begins.

    Raises:
        MissingStage: the run that is named has no dataset or, for `generate`, no tuned model.
        NoMemoryLog: `memory` is to be read from the run's own training, which did not note it.
        ChildFailed: a measurement failed.
    """
    warn_if_busy()
    for name in PARTS if part == "all" else [part]:
        began = monotonic()
        print(f"\n── {name}", flush=True)
        result = PARTS[name](setting)
        paths = write_result(setting.folder, name, result)
        written = ", ".join(setting.project.shown(path) for path in paths)
        print(f"\n{text(name, result)}")
        print(f"\n{clock(monotonic() - began)}. Written: {written}", flush=True)
