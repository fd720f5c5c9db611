"""Generation: the course's batches with shared starts against one answer after another in float32.

Both write the answers of a tuned model to the same test questions, without constraints.
"""

from __future__ import annotations

from typing import Any

from ci.bench.children import run_child
from ci.bench.setting import Setting, circumstances
from utils.stages import require_stage, write_json

METHODS = {"ours": "this course", "one_by_one": "one by one, float32"}
ROUNDS = 2


def bench_generation(setting: Setting) -> dict[str, Any]:
    """Answer the questions by both methods in every round. Returns what `runs/bench/generate.json` holds.

    Raises:
        MissingStage: the run has no dataset or no tuned model.
    """
    from utils.data import read_dataset, stage_instances
    from utils.evaluation import score

    began = circumstances()
    values = setting.defaults("05")
    model, dataset = require_stage(setting.run_name, "model"), require_stage(setting.run_name, "dataset")
    questions, rows = read_dataset(dataset, "test")
    every = max(1, len(rows) // (setting.questions or len(rows)))
    questions, rows = questions[::every][: setting.questions], rows[::every][: setting.questions]
    path = setting.folder / "work" / "prompts.json"
    request = {name: values[name] for name in ("max_new_tokens", "batch_size")} | {"model": str(model)}
    write_json(path, request | {"prompts": [row["prompt"] for row in rows]})
    instances = stage_instances(dataset)
    rounds: list[dict[str, dict[str, Any]]] = []
    for number in range(1, (setting.rounds or ROUNDS) + 1):
        measured = {}
        for method, name in METHODS.items():
            run = run_child("ci.bench.generate_child", method, str(path))
            run["correct"] = sum(outcome.correct for outcome in score(questions, run["answers"], instances))
            measured[method] = run
            print(f"  round {number}  {name}: {run['seconds']:,.0f} s, {run['correct']} right answers", flush=True)
        identical = same(*(run.pop("answers") for run in measured.values()))
        rounds.append({method: run | {"identical": identical} for method, run in measured.items()})
    return began | {"run": setting.run_name, "questions": len(rows), "rounds": rounds}


def same(answers: list[str], others: list[str]) -> int:
    """How many answers are the same, letter for letter."""
    return sum(answer == other for answer, other in zip(answers, others, strict=True))
