"""Loading: the embedded model from its cache, the course's data, and every module of `utils` in a fresh interpreter."""

from __future__ import annotations

from typing import Any

from ci.bench.children import run_child
from ci.bench.setting import Setting, circumstances

ROUNDS = 3


def bench_loading(setting: Setting) -> dict[str, Any]:
    """Load the model and the data in every round, then import each module once.

    Returns what `runs/bench/load.json` holds: lists of seconds, one a round. `first` is the model's first load in a
    process, when transformers imports what it needs for it, `model` the second.
    """
    began = circumstances()
    model = str(setting.defaults("03")["model"])
    modules = sorted(path.stem for path in (setting.project.root / "utils").glob("[!_]*.py"))
    loads: dict[str, list[float]] = {"libraries": [], "first": [], "model": [], "data": []}
    imports: dict[str, dict[str, Any]] = {name: {"seconds": [], "without_torch": []} for name in modules}
    for number in range(1, (setting.rounds or ROUNDS) + 1):
        loaded = run_child("ci.bench.load_child", "model", model)
        loads["libraries"].append(loaded["libraries"])
        loads["first"].append(loaded["first"])
        loads["model"].append(loaded["seconds"])
        loads["data"].append(run_child("ci.bench.load_child", "data")["seconds"])
        print(f"  round {number}  model {loads['model'][-1]:.1f} s, data {loads['data'][-1]:.1f} s", flush=True)
    for name, measured in imports.items():
        free = run_child("ci.bench.load_child", "import", name)
        blocked = run_child("ci.bench.load_child", "import_without_torch", name)
        measured["seconds"].append(free["seconds"])
        measured["without_torch"].append(blocked["seconds"])
        measured["brings_torch"] = free["brings_torch"]
        measured["fault_without_torch"] = blocked["fault"]
    return began | {"model": model, "loads": loads, "imports": imports}
