"""Training: the course's trainer against TRL's own, a bare loop and LitGPT, on the same examples in the same order.

A round trains with each method in turn; the ratio of two methods is taken round by round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from ci.bench import ceiling, peer
from ci.bench.children import ChildFailed, run_child
from ci.bench.setting import Setting, circumstances
from ci.bench.training_run import TrainingRun
from utils.models import find_model
from utils.stages import require_stage, write_json

METHODS = {
    "ours": "this course",
    "plain": "TRL's SFTTrainer",
    "bare": "a bare PyTorch loop",
    "litgpt": "LitGPT",
}
STEPS, ROUNDS = 20, 3
VALIDATION_EXAMPLES = 32


def bench_training(setting: Setting) -> dict[str, Any]:
    """Train by every method in every round. Returns what `runs/bench/train.json` holds."""
    began = circumstances()
    request, path = prepare(setting, setting.steps or STEPS)
    skipped: dict[str, str] = {}
    peer_python = find_peer(setting, request, skipped)
    ceilings, rounds = [], []
    for number in range(1, (setting.rounds or ROUNDS) + 1):
        ceilings.append(run_child("ci.bench.ceiling", request["folder"]))
        rounds.append(measure_round(number, path, peer_python, skipped))
    rounds = [{method: run for method, run in measured.items() if method not in skipped} for measured in rounds]
    what = {name: request[name] for name in ("model", "steps")}
    return began | what | {"ceiling": median_rates(ceilings), "skipped": skipped, "rounds": rounds}


def measure_round(
    number: int, request: Path, peer_python: str | None, skipped: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """A run of every method that is not skipped. The peer is, from now on, if it fails. Raises ChildFailed."""
    measured = {}
    for method in [name for name in METHODS if name not in skipped]:
        try:
            run = train_once(method, request, peer_python)
        except ChildFailed as failure:
            if method != peer.NAME:
                raise
            print(failure, flush=True)
            skipped[method] = f"it failed: {str(failure).splitlines()[-1].strip()}"
            continue
        measured[method] = asdict(run)
        print(f"  round {number}  {METHODS[method]}: {run.tokens_per_second:,.0f} tokens/s", flush=True)
    return measured


def prepare(setting: Setting, steps: int) -> tuple[dict[str, Any], Path]:
    """Write the request that all children read, and the examples; returns the request and its path.

    Raises:
        MissingStage: the run has no dataset.
    """
    values = setting.defaults("03")
    work = setting.folder / "work"
    model = str(values["model"])
    warmup_steps = min(int(str(values["warmup_steps"])), steps // 2)
    shortened = {"method": "full", "max_steps": steps, "warmup_steps": warmup_steps}
    request = {
        "model": model,
        "folder": find_model(model).location,
        "litgpt_name": peer.MODELS.get(model),
        "dataset": str(require_stage(setting.run_name, "dataset")),
        "examples": str(work / "examples.json"),
        "steps": steps,
        "validation": VALIDATION_EXAMPLES,
        "values": values | shortened,
    }
    path = work / "request.json"
    write_json(path, request)
    print(f"Tokenising {steps} steps of examples …", flush=True)
    request["dtype"] = run_child("ci.bench.examples", str(path))["dtype"]
    write_json(path, request)
    return request, path


def find_peer(setting: Setting, request: Mapping[str, Any], skipped: dict[str, str]) -> str | None:
    """The Python that runs LitGPT; None, with the reason in `skipped`, where there is none."""
    if request["litgpt_name"] is None:
        skipped[peer.NAME] = f"it does not know the model {request['model']}"
        return None
    try:
        return str(peer.make_environment(setting.project))
    except ChildFailed as failure:
        skipped[peer.NAME] = str(failure)
        return None


def train_once(method: str, request: Path, peer_python: str | None) -> TrainingRun:
    """One run of a method. Raises ChildFailed."""
    if method == peer.NAME:
        printed = run_child(
            "ci.bench.litgpt_child",
            str(request),
            python=str(peer_python),
            limit=peer.RUN_LIMIT,
            environment=peer.environment(),
        )
    else:
        printed = run_child("ci.bench.train_child", method, str(request))
    return TrainingRun.read(printed)


def median_rates(measured: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Operations a second by number format and shape, the median of the rounds."""
    rates = {dtype: [one[dtype] for one in measured] for dtype in ceiling.FORMATS}
    return {dtype: {shape: median(one[shape] for one in rates[dtype]) for shape in rates[dtype][0]} for dtype in rates}
