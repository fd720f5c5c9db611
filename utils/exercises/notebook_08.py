"""Checks of the exercises of notebook 08."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right
from utils.tuning import steps_of

if TYPE_CHECKING:
    from optuna import Study

Curves = Mapping[str, Sequence[float]]


@exercise("08.1", float)
def share_saved(answer: float, *, study: Study, budget: int) -> Verdict:
    """Percent of the steps that pruning saved."""
    trials = [trial for trial in study.trials if trial.state.name in {"COMPLETE", "PRUNED"}]
    taken, whole = sum(steps_of(trial, budget) for trial in trials), budget * len(trials)
    if math.isclose(answer, 100 * (whole - taken) / whole, abs_tol=0.1):
        return right("The search had these steps to spend on other trials.")
    if math.isclose(answer, 100 * taken / whole, abs_tol=0.1):
        return not_yet("this is the share of the steps that were taken.")
    if math.isclose(answer, (whole - taken) / whole, abs_tol=1e-3):
        return not_yet("give it in percent.")
    return not_yet("a pruned trial took `trial.last_step` steps, a complete one all of its budget.")


@exercise("08.2", Callable)
def seeds_needed(answer: Callable[[float, float], int]) -> Verdict:
    """The smallest number of runs for which the interval of a difference is narrower than the difference."""
    for spread, difference in ((0.02, 0.05), (0.02, 0.02), (0.1, 0.02)):
        count, wanted = answer(spread, difference), _seeds_needed(spread, difference)
        if count != wanted:
            how = "few" if count < wanted else "many"
            return not_yet(f"with a spread of {spread} and a difference of {difference}, {count} are too {how}.")
    return right("Half the difference takes four times as many seeds.")


@exercise("08.3", Callable)
def halving(answer: Callable[[Curves], str]) -> Verdict:
    """Successive halving of recorded loss curves."""
    cases: dict[str, Curves] = {
        "four curves that never cross": {"a": [4, 3, 2], "b": [3, 2, 1], "c": [5, 4, 3], "d": [6, 5, 4]},
        "a curve that starts badly and would end best": {
            "a": [2, 2, 2],
            "b": [1, 3, 3],
            "c": [9, 1, 0],
            "d": [8, 7, 6],
        },
        "five curves, of which three go on": {
            "a": [5, 9, 9],
            "b": [4, 8, 1],
            "c": [3, 1, 5],
            "d": [2, 7, 0],
            "e": [1, 2, 4],
        },
        "a single curve": {"only": [3, 2, 1]},
    }
    for name, curves in cases.items():
        if answer(curves) != _halved(curves):
            return not_yet(f"{name}: {answer(curves)!r} is not the one that is left.")
    return right("It is the idea of Hyperband: many short trials, few long ones. What starts slowly can be lost.")


def _seeds_needed(spread: float, difference: float) -> int:
    return math.ceil(2 * (1.96 * spread / difference) ** 2)


def _halved(curves: Curves) -> str:
    left = list(curves)
    for look in range(len(next(iter(curves.values())))):
        left = sorted(left, key=lambda name: curves[name][look])[: math.ceil(len(left) / 2)]
    return left[0]
