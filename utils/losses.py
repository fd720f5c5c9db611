"""Watch the loss of every step: stop when it is no number any more, with the batch saved, or when it runs away."""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.distributed import OtherProcessFailed, is_first, process_count, sums
from utils.errors import CourseError
from utils.prompts import IGNORED
from utils.stages import shown, write_lines

if TYPE_CHECKING:
    from trl import SFTTrainer

BAD_BATCH = "bad_batch.jsonl"
FIRST, LAST = 6, 12  # steps
RISE = 1.5


class TrainingDiverged(CourseError):
    """The loss rises instead of falling, or is no finite number; the message says at which step and what to change."""


@dataclass
class RisingLoss:
    """Tells a loss that runs away from one that is only noisy.

    A learning rate that is too high drives the loss up within a few steps, to several times the start, and it stays
    there. So it has run away when each of the last 12 steps lies above the highest of the first 6, in which warm-up
    holds the rate down, and their mean half as high again. Were the loss only fluctuating, whatever its noise is like,
    the chance that the twelve highest of eighteen values all come last is 1 in 18,564.
    """

    first: list[float] = field(default_factory=list)
    last: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))

    @property
    def start(self) -> float:
        return statistics.fmean(self.first)

    @property
    def now(self) -> float:
        return statistics.fmean(self.last)

    def add(self, loss: float) -> bool:
        """Take the loss of the next step. True if it has run away."""
        if len(self.first) < FIRST:
            self.first.append(loss)
            return False
        self.last.append(loss)
        is_full = len(self.last) == LAST
        return is_full and min(self.last) > max(self.first) and self.now > RISE * self.start


class LossWatch(TrainerCallback):
    """Looks at the loss of every optimizer step before the weights change by it.

    It puts itself between the trainer and its `training_step`, to know the batch that a loss came from.
    """

    def __init__(self, trainer: SFTTrainer, folder: Path) -> None:
        self.trainer, self.folder = trainer, folder
        self.rising = RisingLoss()
        self.batches: list[tuple[torch.Tensor, dict[str, Any]]] = []
        self.plain_step = trainer.training_step
        trainer.training_step = self.training_step

    def training_step(self, model: torch.nn.Module, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        """The trainer's own step, with its batch and loss noted."""
        batch = dict(inputs)  # the trainer takes entries out
        loss = self.plain_step(model, inputs, *rest)
        self.batches.append((loss, batch))
        return loss

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        batches, self.batches = self.batches, []
        losses = [loss.item() for loss, _ in batches]
        step = state.global_step + 1
        # All processes decide by the same number: one that went on alone would wait for the others for ever.
        together = sums([sum(losses)])[0] / process_count()
        for loss, (_, batch) in zip(losses, batches, strict=True):
            if not math.isfinite(loss):
                self._stop_for(loss, batch, step, args)
        if not math.isfinite(together):
            raise OtherProcessFailed(f"The loss became {together} at step {step} in another process, which says more.")
        if self.rising.add(together):
            if not is_first():
                raise OtherProcessFailed("The loss has run away; the first process says more.")
            raise TrainingDiverged(
                f"The loss has risen from {self.rising.start:.2f} (mean of the first {FIRST} steps) to "
                f"{self.rising.now:.2f} (mean of the last {LAST}) at step {step}: the learning rate of "
                f"{args.learning_rate:g} is too high here. Try learning_rate = {args.learning_rate / 3:.1g}."
            )

    def _stop_for(self, loss: float, batch: dict[str, Any], step: int, args: TrainingArguments) -> None:
        path = self.folder / BAD_BATCH
        write_lines(path, batch_rows(batch, self.trainer.processing_class))
        if all(torch.isfinite(weight).all() for weight in self.trainer.model.parameters()):
            reason = "The weights are still finite, so look at these examples first"
        else:
            reason = "The weights are not finite any more: an earlier step was too large"
        raise TrainingDiverged(
            f"The loss became {loss} at step {step}. The batch is in {shown(path)}. {reason}; else lower the learning "
            f"rate (it is {args.learning_rate:g}), and keep gradient clipping on (max_grad_norm = 1.0)."
        )


def batch_rows(batch: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> list[dict[str, object]]:
    """The examples of a batch, for a reader: what was read and what was trained, as text, and the token ids.

    Takes a padded batch of shape (examples, length), or the single row of `utils.training.SharedPrefixCollator`.
    """
    ids, labels = batch["input_ids"], batch["labels"]
    if "trees" in batch:
        places = [place for tree in batch["trees"] for place in _branches(tree)]
        examples = [(ids[0][place].tolist(), labels[0][place].tolist()) for place in places]
    else:
        masks = batch.get("attention_mask", torch.ones_like(ids)).bool()
        examples = [(i[m].tolist(), n[m].tolist()) for i, n, m in zip(ids, labels, masks, strict=True)]
    return [
        {
            "read": tokenizer.decode([i for i, label in zip(*example, strict=True) if label == IGNORED]),
            "trained": tokenizer.decode([i for i, label in zip(*example, strict=True) if label != IGNORED]),
            "input_ids": example[0],
            "labels": example[1],
        }
        for example in examples
    ]


def _branches(tree: Any) -> list[torch.Tensor]:
    """For each branch of a `utils.attention.Tree` the positions of the shared start and then its own."""
    longest = tree.branches.shape[1]
    start = torch.arange(tree.start, tree.start + tree.shared)
    return [
        torch.cat([start, branch[tree.order[tree.order // longest == number] % longest]])
        for number, branch in enumerate(tree.branches)
    ]
