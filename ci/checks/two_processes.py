"""Steps on a tiny model in all ways of training, on however many processes run this: for the tests of several.

    torchrun --nproc_per_node=2 -m ci.checks.two_processes FOLDER

FOLDER holds the model `tiny` and `colours.csv`; the losses go to FOLDER/found.json.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.distributed import by_first, is_first, process_count, process_group, process_number, sums
from utils.stages import write_json

if TYPE_CHECKING:
    from utils.formats import Example

FLOAT_NOISE, BFLOAT16_NOISE = 1e-5, 2e-2
CASES = {
    "full": FLOAT_NOISE,
    "lora": FLOAT_NOISE,
    "bfloat16": BFLOAT16_NOISE,
    "recomputed in bfloat16": BFLOAT16_NOISE,
    "plain trl": FLOAT_NOISE,
    "fsdp2": FLOAT_NOISE,
}
VALUES = {
    "learning_rate": 1e-2,
    "num_train_epochs": 2.0,
    "max_steps": -1,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "max_length": 128,
    "warmup_steps": 1,
    "eval_steps": 2,
    "save_steps": 99,
    "logging_steps": 1,
    "train_embeddings": True,
    "frozen_layers": 0,
    "lora_rank": 4,
    "lora_alpha": 8,
    "seed": 3,
}
UNDISTURBED = {"eval_on_start": False, "save_strategy": "no", "metric_for_best_model": None}


def main(folder: Path) -> None:
    """Train all cases and write what was found."""
    with process_group():
        found: dict[str, Any] = {name: train_case(folder, name) for name in CASES}
        found["nan"] = broken_loss(folder)
        if is_first():
            write_json(folder / "found.json", found)


def train_case(folder: Path, name: str) -> dict[str, Any]:
    """The training losses of one case, and for FSDP2 the share of the weights that a process holds."""
    if name == "fsdp2":
        return train_sharded(folder)
    trainer = make_case(folder, name)
    trainer.train()
    rows = trainer.state.log_history
    return {"losses": [row[key] for row in rows for key in ("loss", "eval_loss") if key in row and "step" in row]}


def make_case(folder: Path, name: str) -> Any:
    """The trainer of a case."""
    from unittest.mock import patch

    from trl import SFTTrainer

    from utils.hardware import Choice
    from utils.models import load_tokenizer
    from utils.trainers import load_network, make_trainer, training_arguments
    from utils.training import trainer_class

    hardware = Choice("cpu", "bfloat16" if "bfloat16" in name else "float32", "sdpa", {})
    values = VALUES | {"model": str(folder / "tiny"), "method": "lora" if name == "lora" else "full"}
    changes = UNDISTURBED | {"activation_checkpointing": "recomputed" in name}
    arguments = training_arguments(values, hardware, folder / "checkpoints", **changes)
    network, tokenizer = load_network(values, hardware), load_tokenizer(values["model"])
    kind = SFTTrainer if name == "plain trl" else trainer_class(hardware, network)
    rows = examples(folder)
    with patch("utils.trainers.trainer_class", return_value=kind):
        return make_trainer(network, arguments, hardware, tokenizer, rows[5:], rows[:5], examples_together=4)


def examples(folder: Path) -> list[Example]:
    """The questions and answers of the CSV."""
    from utils.formats import Example

    with (folder / "colours.csv").open(encoding="utf-8") as file:
        return [
            Example(
                id=str(line),
                file=file.name,
                line=line,
                group=str(line),
                prompt=[{"role": "user", "content": row["instruction"]}],
                completion=row["output"],
                question=row["instruction"],
            )
            for line, row in enumerate(csv.DictReader(file))
        ]


def train_sharded(folder: Path) -> dict[str, Any]:
    """Six steps with the weights split by FSDP2, as `cluster/accelerate/fsdp2.yaml` says; whole for one process."""
    import torch

    from utils.models import load_model, load_tokenizer
    from utils.sharding import held_share, shard, token_loss

    tokenizer = load_tokenizer(str(folder / "tiny"))
    texts = [f"{example.prompt[0]['content']} {example.completion}" for example in examples(folder)[:16]]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    model = load_model(str(folder / "tiny"))
    share = 1.0
    if process_count() > 1:
        shard(model)
        share = held_share(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    mine = slice(process_number(), None, process_count())
    losses = []
    for _ in range(6):
        loss = token_loss(model, {name: rows[mine] for name, rows in batch.items()})
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(sums([loss.item()])[0] / process_count())
    return {"losses": losses, "share": share}


def broken_loss(folder: Path) -> str | None:
    """What the first process says when the loss of another one is no number; None if nothing stops it."""
    import torch

    from utils.errors import CourseError
    from utils.losses import LossWatch

    trainer = make_case(folder, "full")
    watch = LossWatch(trainer, folder)
    loss = torch.tensor(math.nan if process_number() == 1 else 1.0)
    watch.batches = [(loss, {"input_ids": torch.tensor([[5]]), "labels": torch.tensor([[5]])})]
    said = None
    try:
        watch.on_pre_optimizer_step(trainer.args, trainer.state, trainer.control)
    except CourseError as error:
        said = str(error)
    return by_first(lambda: said)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
