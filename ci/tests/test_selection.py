"""The best weights are those that answer best, and training stops only when nothing improves any more."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from utils.selection import ACCURACY, SCORE, KeepBest, best_row, is_over, score, without_gain


def log(*evaluations: tuple[float, float]) -> list[dict[str, float]]:
    """The log of evaluations (accuracy, loss), with rows of training between."""
    rows: list[dict[str, float]] = []
    for step, (accuracy, loss) in enumerate(evaluations, start=1):
        rows += [{"loss": 1.0, "step": step}]
        rows += [{"eval_loss": loss, ACCURACY: accuracy, SCORE: score(loss, accuracy), "step": step}]
    return rows


def test_accuracy_decides_and_loss_between_equals() -> None:
    assert score(9.0, 0.31) > score(0.1, 0.30)
    assert score(0.2, 0.3) > score(0.3, 0.3)
    assert score(float("inf"), 0.0001) > score(0.0, 0.0)
    assert score(0.5, None) > score(0.6, None)
    assert best_row(log((0.1, 0.5), (0.3, 0.9), (0.3, 0.8), (0.2, 0.1)))["step"] == 3


@pytest.mark.parametrize(
    ("evaluations", "passed"),
    [
        ([], 0),
        ([(0.0, 2.0)], 0),
        ([(0.0, 2.0), (0.0, 1.5), (0.0, 1.0)], 0),  # nothing right yet, but it learns
        ([(0.1, 1.0), (0.2, 1.1), (0.3, 1.2)], 0),  # the loss rises, but answers get better
        ([(0.3, 1.0), (0.3, 1.0), (0.2, 1.1)], 2),
        ([(0.3, 1.0), (0.2, 1.1), (0.4, 1.2), (0.4, 1.2)], 1),
    ],
)
def test_patience_counts_evaluations_that_gain_nothing(evaluations: list[tuple[float, float]], passed: int) -> None:
    assert without_gain(log(*evaluations)) == passed


def test_run_is_over_when_patience_or_steps_have_run_out() -> None:
    state = TrainerState(max_steps=10, global_step=4, log_history=log((0.3, 1.0), (0.3, 1.0), (0.3, 1.0)))
    assert is_over(state, patience=2)
    assert not is_over(state, patience=3)
    assert is_over(TrainerState(max_steps=10, global_step=10), patience=3)
    assert not is_over(TrainerState(), patience=3)


def test_callback_scores_saves_and_stops() -> None:
    answers = iter([0.2, 0.4, 0.4])
    trainer = SimpleNamespace(compute_loss_context_manager=contextlib.nullcontext, model="m")
    seen = []

    def measure(model: object) -> float:
        seen.append(model)
        return next(answers)

    callback = KeepBest(trainer, measure, patience=1)
    state, control = TrainerState(), TrainerControl()

    def evaluate(step: int, loss: float) -> dict[str, float]:
        control.should_save = False
        state.global_step = step
        metrics = {"eval_loss": loss}
        state.log_history.append(dict(metrics, step=step))
        callback.on_evaluate(None, state, control, metrics)
        if SCORE in metrics and (state.best_metric is None or metrics[SCORE] > state.best_metric):
            state.best_metric = metrics[SCORE]
        return metrics

    assert SCORE not in evaluate(0, 3.0)  # the untuned model is not asked
    assert evaluate(1, 1.0)[ACCURACY] == 0.2
    assert control.should_save
    evaluate(2, 1.1)
    assert control.should_save
    assert not control.should_training_stop
    evaluate(3, 1.2)
    assert not control.should_save
    assert control.should_training_stop
    assert seen == ["m"] * 3
    assert [row[ACCURACY] for row in state.log_history if ACCURACY in row] == [0.2, 0.4, 0.4]
