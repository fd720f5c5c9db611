"""The card of a model that was tuned on data of one's own, every figure read from the run's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from utils.models import EMBEDDED
from utils.stages import read_manifest
from utils.terminal import result_rows


def own_data_card(summary: dict[str, Any], dataset: Path, model: Path) -> str:
    """A model card in the Hub's format (Mitchell et al., 2019)."""
    base = summary["model"]
    embedded = EMBEDDED.get(base)
    base = embedded.hub_id if embedded else Path(base).name if Path(base).is_dir() else base
    licence = embedded.licence.lower() if embedded else "other"
    data, training = read_manifest(dataset), read_manifest(model)
    values, results = training["parameters"], training["results"]
    heading, *rows = (f"| {' | '.join(row)} |" for row in result_rows(summary["rows"]))
    scores = "\n".join([heading, "|---|---|---|---|", *rows])
    packages = ", ".join(f"{name} {version}" for name, version in training["packages"].items())
    return f"""---
base_model: {base}
license: {licence}
pipeline_tag: text-generation
tags: [sft, trl]
---
# {Path(base).name}, fine-tuned on data of one's own

## Scores
{summary["questions"]} test examples that training never saw, greedy decoding, the same prompts for both models. In
brackets the 95% bootstrap interval; gains are in points, question by question. {summary["reason"]}

{scores}

## Training
{data["results"]["train"]} examples (dataset {data["results"]["dataset_hash"]}), {values["method"]} fine-tuning with
TRL, seed {values["seed"]}, learning rate {values["learning_rate"]:g}. Kept are the weights after {results["steps"]}
optimizer steps, the best on validation data (loss {results["validation_loss"]:.3f}). Packages: {packages}.

## Use
    python -m utils.inference --model FOLDER "a question"

`recipe.json` says how a question becomes the prompt that the model was trained on.

## Limits
- The scores hold for data like the test set. On other data it will do worse; measure it there.
- It needs the prompt that it was trained on, and its answers can be wrong.
"""
