"""What goes out with a model: the card, written from the run's own figures."""

from __future__ import annotations

import json
from pathlib import Path

from utils.models import EMBEDDED
from utils.stages import read_manifest


def model_card(base_model: str, dataset: Path, model: Path, evaluation: Path) -> str:
    """A model card in the Hub's format (Mitchell et al., 2019), every figure read from the stages' files."""
    summary = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))
    embedded = EMBEDDED.get(base_model)
    base = embedded.hub_id if embedded else base_model
    base = Path(base).name if Path(base).is_absolute() or base.startswith((".", "~")) else base
    licence = embedded.licence.lower() if embedded else "other"
    data, training = read_manifest(dataset), read_manifest(model)
    recipe, results = training["parameters"], training["results"]
    scores = "\n".join(
        f"| {row['metric']} | {_share(row['base'])} | {_share(row['tuned'])} | {_share(row['gain'])} |"
        for row in summary["rows"]
    )
    levels = "\n".join(
        f"| {name} | {_share(shares['base'])} | {_share(shares['tuned'])} |"
        for name, shares in summary["by_difficulty"].items()
    )
    packages = ", ".join(f"{name} {version}" for name, version in training["packages"].items())
    return f"""---
base_model: {base}
license: {licence}
language: en
pipeline_tag: text-generation
tags: [text-to-sql, sft, trl]
---
# {Path(base).name}, fine-tuned to answer questions about SQLite databases

It reads a database schema and a question in English and writes one SQLite query.

## Scores
{summary["questions"]} hand-written questions on databases that training never saw, greedy decoding,
base model with its better prompt ({summary["base_prompt"]}). In brackets the 95% bootstrap interval.

| metric | base | tuned | gain |
|---|---|---|---|
{scores}

Execution accuracy by difficulty:

| level | base | tuned |
|---|---|---|
{levels}

## Training
{data["results"]["train"]} examples (dataset {data["results"]["dataset_hash"]}), {results["steps"]} optimizer steps
of supervised fine-tuning with TRL, seed {recipe["seed"]}, learning rate {recipe["learning_rate"]:g},
on {training["device"]}. Last validation loss {results["validation_loss"]:.3f}. Packages: {packages}.

## Limits
- It was trained and tested on small SQLite databases with 3 to 7 tables and English names; on others it will do worse.
- It needs the prompt it was trained on: the instruction, one line a table, the question, and the values of the
  database that the question mentions.
- Its queries can be wrong and still run. Show the query to whoever relies on the answer, and run it read-only.
"""


def _share(share: dict[str, float]) -> str:
    return f"{100 * share['value']:.1f}% [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"
