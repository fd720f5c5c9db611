"""Child: tokenise the dataset once, in the order in which the course's trainer takes it, for all methods alike."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.bench.children import input_of, report
from utils.stages import read_lines, write_text

if TYPE_CHECKING:
    from trl import SFTTrainer

IGNORED = -100


def write_examples(request: dict[str, Any]) -> None:
    """Write what `read_examples` reads to the path `examples` of the request, and print the number format chosen here.

    The request has `model`, `dataset` (a folder), `values` (by the names of
    notebook 03's parameters), `steps` and `validation`, the
    number of validation examples.
    """
    from datasets import Dataset

    from ci.bench.trl_trainers import make_trainer
    from utils.hardware import choose_here

    rows = {split: read_lines(Path(request["dataset"]) / f"{split}.jsonl") for split in ("train", "validation")}
    # As notebook 03 takes a few of the validation examples: at equal distances.
    every = max(1, len(rows["validation"]) // request["validation"])
    rows["validation"] = rows["validation"][::every][: request["validation"]]
    columns = ("prompt", "completion")
    train, validation = (
        Dataset.from_list([{name: row[name] for name in columns} for row in rows[split]]) for split in rows
    )
    trainer = make_trainer("ours", request, train, eval_dataset=validation)
    batch = request["values"]["per_device_train_batch_size"]
    count = request["steps"] * batch * request["values"]["gradient_accumulation_steps"]
    order = in_training_order(trainer, count, batch)
    content = {
        "train": [_short(row) for row in trainer.train_dataset.select(order)],
        "validation": [_short(row) for row in trainer.eval_dataset],
    }
    write_text(Path(request["examples"]), json.dumps(content))
    report(dtype=choose_here().dtype)


def in_training_order(trainer: SFTTrainer, count: int, batch: int) -> list[int]:
    """Indices of the first `count` examples, epoch after epoch. An epoch's last batch is left out if it is short."""
    sampler = trainer._get_train_sampler()
    order: list[int] = []
    epoch = 0
    while len(order) < count:
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        indices = list(sampler)
        order += indices[: len(indices) - len(indices) % batch]
        epoch += 1
    return order[:count]


def read_examples(path: str) -> dict[str, list[dict[str, list[int]]]]:
    """The examples of the splits `train` and `validation`, with `input_ids` and `labels`."""
    return {
        split: [{"input_ids": row["ids"], "labels": labels_of(row["ids"], row["prompt"])} for row in rows]
        for split, rows in input_of(path).items()
    }


def labels_of(ids: list[int], prompt: int) -> list[int]:
    """The ids behind the prompt, which alone are trained."""
    return [IGNORED] * prompt + ids[prompt:]


def _short(row: dict[str, list[int]]) -> dict[str, Any]:
    return {"ids": row["input_ids"], "prompt": sum(label == IGNORED for label in row["labels"])}


if __name__ == "__main__":
    write_examples(input_of(sys.argv[1]))
