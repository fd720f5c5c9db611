"""What several processes do with the same training steps, for notebook 14: their losses, seconds, memory and traffic.

    torchrun --nproc_per_node=2 -m ci.bench.parallel runs/course/scale_out/request.json

The same functions run in a notebook, where there is one process. Steps are those of notebook 03 on the real model; the
model split by FSDP2 is trained on whole texts by a plain loop, since TRL's trainer would want a GPU for it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from utils.distributed import is_first, process_count, process_group, process_number, sums, wait_for_all
from utils.hardware import Choice
from utils.scaling import ring_bytes
from utils.stages import read_lines, write_json

RESULT = "result.json"
REDUCTIONS = 3


@dataclass(frozen=True)
class Request:
    """What to measure. `values` are the parameters of the training, as `utils.trainers` wants them."""

    dataset: str
    values: dict[str, Any]
    device: str
    dtype: str
    attention: str
    sharded_texts: int
    sharded_tokens: int

    @property
    def hardware(self) -> Choice:
        return Choice(self.device, self.dtype, self.attention, {})


@dataclass(frozen=True)
class Steps:
    """Optimizer steps: the loss of each, the median of the seconds without the first, and what a step is made of.

    `arithmetic` counts the floating-point operations of a step by all processes, `trained` the trained weights.
    """

    losses: list[float]
    seconds: float
    arithmetic: float
    trained: int


@dataclass(frozen=True)
class Sharded:
    """Steps of a split model: the loss of each, and the share of its weights that a process holds."""

    losses: list[float]
    share: float


@dataclass(frozen=True)
class Measured:
    """What several processes did. `gigabytes_per_second` is what each sent while gradients were summed."""

    steps: Steps
    sharded: Sharded
    gigabytes_per_second: float


def main(path: Path) -> None:
    """Measure what the file of a request says; the first process writes the result beside it."""
    request = Request(**json.loads(path.read_text(encoding="utf-8")))
    with process_group():
        steps = train_steps(request)
        speed = measure_link(steps.trained)
        measured = Measured(steps, train_sharded(request), speed)
        if is_first():
            write_json(path.with_name(RESULT), asdict(measured))


def read_result(folder: Path) -> Measured:
    """What `main` has written."""
    found = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return Measured(Steps(**found["steps"]), Sharded(**found["sharded"]), found["gigabytes_per_second"])


@dataclass(frozen=True)
class Row:
    """An example as `utils.trainers.make_trainer` takes it."""

    row: dict[str, Any]


def train_steps(request: Request) -> Steps:
    """Train for a few steps as notebook 03 does, on the first examples of the dataset."""
    from ci.bench.trl_trainers import UNDISTURBED, CountingCollator
    from utils.costs import training_flops, weights_of
    from utils.models import count_parameters, load_tokenizer
    from utils.trainers import StepClock, load_network, make_trainer, training_arguments
    from utils.training import SharedPrefixTrainer

    values, hardware, clock = request.values, request.hardware, StepClock()
    batch = values["per_device_train_batch_size"]
    wanted = batch * values["gradient_accumulation_steps"] * values["max_steps"]
    rows = [Row({name: row[name] for name in ("prompt", "completion")}) for row in first_rows(request)[:wanted]]
    network, tokenizer = load_network(values, hardware), load_tokenizer(values["model"])
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(values, hardware, Path(folder), **UNDISTURBED)
        trainer = make_trainer(
            network, arguments, hardware, tokenizer, rows, rows[:1], [clock], examples_together=batch
        )
        trainer.data_collator = counter = CountingCollator(
            trainer.data_collator, trained_only=isinstance(trainer, SharedPrefixTrainer)
        )
        trainer.train()
    body, head = weights_of(network)
    flops = sum(training_flops(body, read) + training_flops(head, scored) for read, scored in counter.batches)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return Steps(
        losses=losses,
        seconds=median(clock.seconds[1:] or clock.seconds),
        arithmetic=sums([flops])[0] / len(losses),
        trained=count_parameters(network, trainable_only=True),
    )


def train_sharded(request: Request) -> Sharded:
    """Train on whole texts by a plain loop; several processes split the model by the plan of `utils.sharding`."""
    import torch

    from utils.models import load_model, load_tokenizer
    from utils.sharding import held_share, shard, token_loss

    values = request.values
    model, tokenizer = load_model(values["model"]), load_tokenizer(values["model"])
    rows = first_rows(request)[: request.sharded_texts]
    texts = [tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False) for row in rows]
    batch = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=request.sharded_tokens)
    mine = {name: batch[name][process_number() :: process_count()] for name in ("input_ids", "attention_mask")}
    if process_count() > 1:
        shard(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=values["learning_rate"])
    losses = []
    for _ in range(values["max_steps"]):
        loss = token_loss(model, mine)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(sums([loss.item()])[0] / process_count())
    return Sharded(losses, held_share(model) if process_count() > 1 else 1.0)


def measure_link(weights: int) -> float:
    """GB a second that each process sends while the gradients of so many weights are summed: the best of a few."""
    import torch

    gradients = torch.zeros(weights)
    best = float("inf")
    for _ in range(REDUCTIONS):
        wait_for_all()
        start = perf_counter()
        torch.distributed.all_reduce(gradients)
        best = min(best, perf_counter() - start)
    size = gradients.numel() * gradients.element_size()
    return ring_bytes(size, process_count(), passes=2) / best / 1e9


def first_rows(request: Request) -> list[dict[str, Any]]:
    """The training examples of the dataset."""
    return read_lines(Path(request.dataset) / "train.jsonl")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
