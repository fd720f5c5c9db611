"""Keep the weights that answer best on validation data, and stop when more training brings no gain.

The loss alone misleads: on a small set it rises again while answers still get better, because the model becomes too
sure of the few that it gets wrong. So at each evaluation the model answers validation questions, and the share that is
right decides; between equal shares the lower loss does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.distributed import by_first

if TYPE_CHECKING:
    from trl import SFTTrainer

SCORE = "eval_score"
ACCURACY = "eval_accuracy"
# Small enough that any loss weighs less than one answer of ten thousand.
LOSS_WEIGHT, LARGEST_LOSS = 1e-6, 99.0


class KeepBest(TrainerCallback):
    """Scores each evaluation, asks for a checkpoint of the best one, and ends training after `patience` without a gain.

    `measure` gives the accuracy of a model, between 0 and 1; None for plain text, where the loss decides alone. The
    trainer's `metric_for_best_model` must be `SCORE`. All that it knows is in `state.log_history`, so that a continued
    run decides as an uninterrupted one.
    """

    def __init__(self, trainer: SFTTrainer, measure: Callable[[PreTrainedModel], float] | None, patience: int) -> None:
        self.trainer, self.measure, self.patience = trainer, measure, patience

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        if state.global_step == 0:  # the untuned model, for the curve
            return
        found = {}
        if self.measure is not None:
            # Weights that are split among processes answer only if all of these take part.
            found[ACCURACY] = self._accuracy() if is_split(self.trainer) else by_first(self._accuracy)
        found[SCORE] = score(metrics["eval_loss"], found.get(ACCURACY))
        metrics |= found
        state.log_history[-1] |= found
        if without_gain(state.log_history) >= self.patience:
            control.should_training_stop = True
        if state.best_metric is None or found[SCORE] > state.best_metric:
            control.should_save = True

    def _accuracy(self) -> float:
        with computing_network(self.trainer) as network:
            return self.measure(network)


def score(loss: float, accuracy: float | None) -> float:
    """What the best weights have most of: accuracy, and between equal ones a low loss."""
    return (accuracy or 0.0) - LOSS_WEIGHT * min(loss, LARGEST_LOSS)


def without_gain(log: Sequence[dict[str, float]]) -> int:
    """How many evaluations have passed since one of them gained, in accuracy or in loss.

    Both count: at first a model gets nothing right, though its loss falls.
    """
    best_accuracy, best_loss, passed = 0.0, float("inf"), 0
    for row in log:
        if SCORE in row:
            gained = row.get(ACCURACY, 0.0) > best_accuracy or row["eval_loss"] < best_loss
            passed = 0 if gained else passed + 1
            best_accuracy = max(best_accuracy, row.get(ACCURACY, 0.0))
            best_loss = min(best_loss, row["eval_loss"])
    return passed


def is_over(state: TrainerState, patience: int) -> bool:
    """True if a run in this state has nothing left to do: all steps are done, or patience has run out."""
    done = 0 < state.max_steps <= state.global_step
    return done or without_gain(state.log_history) >= patience


def best_row(log: Sequence[dict[str, float]]) -> dict[str, float]:
    """The first evaluation with the best score."""
    return max((row for row in log if SCORE in row), key=lambda row: row[SCORE])


def is_split(trainer: SFTTrainer) -> bool:
    """True if each process holds a part of the weights only (FSDP, DeepSpeed)."""
    return getattr(trainer, "is_fsdp_enabled", False) or getattr(trainer, "is_deepspeed_enabled", False)


@contextlib.contextmanager
def computing_network(trainer: SFTTrainer) -> Iterator[PreTrainedModel]:
    """The network that does the trainer's arithmetic, in its number format.

    That is the 16-bit copy where there is one (see `utils.training`), else the model with automatic conversion.
    """
    copy = getattr(trainer, "working_copy", None)
    with contextlib.nullcontext() if copy else trainer.compute_loss_context_manager():
        yield copy.updated() if copy else trainer.model
