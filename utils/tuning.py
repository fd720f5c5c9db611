"""Reading the trials of a search: what they cost, how good the best was by then, and what is noise between seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class MeanInterval:
    """The mean of a few measurements with the bounds of its 95% interval.

    Of one measurement there are no bounds (nan); of none, as when all runs of a setting failed, no mean either.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if not self.count:
            return "no run came to its end"
        if self.count < 2:
            return f"{self.value:.3f} (one run has no interval)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_interval(values: Sequence[float]) -> MeanInterval:
    """Mean and 95% interval of measurements that scatter like a bell, from the t distribution (Student, 1908)."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return MeanInterval(mean(values) if values else math.nan, math.nan, math.nan, count)
    half = float(t.ppf(0.975, count - 1)) * stdev(values) / math.sqrt(count)
    return MeanInterval(mean(values), mean(values) - half, mean(values) + half, count)


def steps_of(trial: FrozenTrial, budget: int) -> int:
    """Optimizer steps that a trial took: all of its budget, or as far as it came before it was pruned."""
    return budget if trial.state.name == "COMPLETE" else trial.last_step or 0


def best_so_far(outcomes: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """From (steps, loss) of each trial, in order: steps spent altogether, and the lowest loss by then."""
    spent, best, curve = 0, math.inf, []
    for steps, loss in outcomes:
        spent, best = spent + steps, min(best, loss)
        curve.append((spent, best))
    return curve


def spent_and_found(study: Study, budget: int) -> list[tuple[int, float]]:
    """(steps, loss) of each trial, in the order in which they ended; a pruned one has no loss that counts (inf)."""
    trials = sorted((t for t in study.trials if t.state.is_finished()), key=lambda trial: trial.datetime_complete)
    return [
        (steps_of(trial, budget), trial.value if trial.state.name == "COMPLETE" else math.inf)  # type: ignore[misc]
        for trial in trials
    ]


def trial_rows(study: Study) -> list[dict[str, str]]:
    """A row for each trial: its values, how it ended, and the last validation loss that was seen."""
    rows = []
    for trial in study.trials:
        values = {
            name: f"{value:.2g}" if isinstance(value, float) else str(value) for name, value in trial.params.items()
        }
        loss = trial.intermediate_values.get(trial.last_step) if trial.last_step else trial.value
        seen = f"{loss:.3f} at step {trial.last_step}" if loss is not None else "none"
        rows.append({"trial": str(trial.number)} | values | {"ended": trial.state.name.lower(), "loss": seen})
    return rows
