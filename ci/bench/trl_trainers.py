"""Training with TRL, as notebook 03 does it: with the course's trainer, and with TRL's own in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
import torch
from datasets import Dataset
from torch.utils.data import Sampler, SequentialSampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

from ci.bench.training_run import by_step
from ci.bench.validation import clean_copy, mean_loss
from utils.costs import training_flops, weights_of
from utils.hardware import choose_here, peak_memory_bytes
from utils.models import count_parameters, load_tokenizer
from utils.settings import set_seed
from utils.trainers import load_network, training_arguments
from utils.training import IGNORED, trainer_class

MEMORY_STEPS = 10
# No evaluation and no checkpoints: only training is measured.
UNDISTURBED = {
    "eval_strategy": "no",
    "eval_on_start": False,
    "save_strategy": "no",
    "metric_for_best_model": None,
    "logging_steps": 1,
}


def make_trainer(method: str, request: dict[str, Any], train: Dataset, **arguments: Any) -> SFTTrainer:
    """The trainer of notebook 03 (`ours`), or an `SFTTrainer` with the same settings (`plain`)."""
    values, hardware = request["values"], choose_here()
    set_seed(values["seed"])
    network = load_network(values, hardware)
    kind = trainer_class(hardware, network) if method == "ours" else SFTTrainer
    return kind(
        model=network,
        args=training_arguments(values, hardware, Path(request["examples"]).parent / "trainer", **UNDISTURBED),
        train_dataset=train,
        processing_class=load_tokenizer(request["model"]),
        **arguments,
    )


def train(method: str, request: dict[str, Any], examples: dict[str, list[dict]]) -> dict[str, Any]:
    """Train on the examples in their order, and measure every step."""
    watch = Watch()
    trainer = make_trainer(method, request, Dataset.from_list(examples["train"]), callbacks=[watch])
    keep_order(trainer)
    # TRL's own trainer scores every position; the course's only those that predict a trained token.
    counter = CountingCollator(trainer.data_collator, trained_only=type(trainer) is not SFTTrainer)
    trainer.data_collator = counter
    body, head = weights_of(trainer.model)
    trainer.train()
    peak = peak_memory_bytes()
    accumulation = trainer.args.gradient_accumulation_steps
    flops = [training_flops(body, read) + training_flops(head, scored) for read, scored in counter.batches]
    lengths = [len(row["input_ids"]) for row in examples["train"]]
    return {
        "method": method,
        "dtype": "bfloat16" if trainer.args.bf16 else "float32",
        "trainable": count_parameters(trainer.model, trainable_only=True),
        "seconds": watch.seconds,
        "tokens": by_step(lengths, trainer.args.per_device_train_batch_size * accumulation),
        "flops": by_step(flops, accumulation),
        "losses": [row["loss"] for row in trainer.state.log_history if "loss" in row],
        "examples": len(lengths),
        "validation_loss": mean_loss(clean_copy(trainer.model), examples["validation"]),
        "peak_memory_bytes": peak,
        "memory": watch.memory,
    }


def keep_order(trainer: SFTTrainer) -> None:
    """Take the examples as they come: they have been put in the order of the course's sampler already."""

    def in_order(train_dataset: Dataset | None = None) -> Sampler:
        return SequentialSampler(trainer.train_dataset if train_dataset is None else train_dataset)

    trainer._get_train_sampler = in_order


class Watch(TrainerCallback):
    """Notes how long each optimizer step takes, and now and then the memory."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.memory: list[tuple[int, int, int]] = []

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.last = perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        now = perf_counter()
        self.seconds.append(now - self.last)
        self.last = now
        if state.global_step % MEMORY_STEPS == 0:
            self.memory.append((state.global_step, psutil.Process().memory_info().rss, peak_memory_bytes()))


class CountingCollator:
    """Passes batches on and notes of each how many positions it has, and how many of them the head scores."""

    def __init__(self, collator: Callable[[list[dict]], dict[str, Any]], *, trained_only: bool) -> None:
        self.collator, self.trained_only = collator, trained_only
        self.batches: list[tuple[int, int]] = []

    def __call__(self, examples: list[dict]) -> dict[str, Any]:
        batch = self.collator(examples)
        read, labels = batch["input_ids"].numel(), batch["labels"]
        trained = int(torch.count_nonzero(labels[:, 1:] != IGNORED))
        self.batches.append((read, trained if self.trained_only else read))
        return batch
