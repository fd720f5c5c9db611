"""What is read out of a search: intervals, costs, rows and figures; and the exercises of notebook 08."""

from __future__ import annotations

import math
from collections.abc import Callable

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from ci.sweep.study import quiet
from utils.exercises.checks import verdict_on
from utils.search_plots import best_over_steps, importance_bars, loss_over_rate, parallel_coordinates, seed_scatter
from utils.tuning import best_so_far, mean_interval, spent_and_found, steps_of, trial_rows

BUDGET = 12


@pytest.fixture
def study() -> optuna.Study:
    """Three complete trials, one pruned after 4 of 12 steps, one failed."""
    quiet()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ranges = {
        "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-2, log=True),
        "frozen_layers": optuna.distributions.CategoricalDistribution([10, 20]),
    }
    found = optuna.create_study()
    for rate, frozen, loss, state in (
        (1e-4, 10, 0.9, TrialState.COMPLETE),
        (1e-3, 20, 0.5, TrialState.COMPLETE),
        (9e-3, 20, 3.0, TrialState.PRUNED),
        (5e-3, 10, None, TrialState.FAIL),
        (5e-4, 20, 0.6, TrialState.COMPLETE),
    ):
        looks = {4: loss} if state == TrialState.PRUNED else {4: loss + 1, 12: loss} if loss else {}
        values = {"learning_rate": rate, "frozen_layers": frozen}
        found.add_trial(
            create_trial(state=state, value=loss, params=values, distributions=ranges, intermediate_values=looks)
        )
    return found


def test_interval_of_a_few_runs_is_wide() -> None:
    found = mean_interval([0.50, 0.52, 0.54])
    assert found.value == pytest.approx(0.52)
    # Student's t with two degrees of freedom: 4.303 standard errors, where many runs have 1.96.
    assert found.high - found.value == pytest.approx(4.303 * 0.02 / math.sqrt(3), rel=1e-3)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert "no interval" in str(mean_interval([0.5]))
    assert str(mean_interval([])) == "no run came to its end"


def test_cost_counts_the_steps_that_were_taken(study: optuna.Study) -> None:
    assert [steps_of(trial, BUDGET) for trial in study.trials] == [12, 12, 4, 0, 12]
    assert best_so_far(spent_and_found(study, BUDGET)) == [(12, 0.9), (24, 0.5), (28, 0.5), (28, 0.5), (40, 0.5)]
    assert best_so_far([(4, math.inf), (12, 0.7)]) == [(4, math.inf), (16, 0.7)]


def test_rows_tell_how_each_trial_ended(study: optuna.Study) -> None:
    rows = trial_rows(study)
    assert [row["ended"] for row in rows] == ["complete", "complete", "pruned", "fail", "complete"]
    assert rows[2]["loss"] == "3.000 at step 4"
    assert rows[3]["loss"] == "none"
    assert rows[1]["learning_rate"] == "0.001"


def test_figures_show_what_they_are_given(study: optuna.Study) -> None:
    (axes,) = loss_over_rate({1e-4: 0.9, 1e-3: 0.5}).axes
    assert axes.get_xscale() == "log"
    curve = best_so_far([(4, math.inf), (12, 0.7), (12, 0.6)])
    (axes,) = best_over_steps({"grid": curve, "TPE": curve}).axes
    assert list(axes.lines[0].get_ydata()) == [0.7, 0.6]
    figure = parallel_coordinates(study)
    assert figure.axes[0].get_title("left").startswith("Trial 1 is the best of 3")  # in place of Optuna's own
    assert not figure.get_suptitle()
    (axes,) = importance_bars(study).axes
    assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(100)
    (axes,) = seed_scatter({"one": [0.5], "three": [0.5, 0.6, 0.7]}).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["three", "one"]


def test_figures_of_a_search_in_which_trials_failed(study: optuna.Study) -> None:
    (axes,) = seed_scatter({"failed": [], "three": [0.5, 0.6, 0.7]}).axes
    assert axes.get_title("left") == "Three: 0.6"
    (axes,) = seed_scatter({"failed": [], "too": []}).axes
    assert axes.get_title("left") == "No run came to its end"
    (axes,) = best_over_steps({"grid by hand": [], "TPE": [(12, 0.7)]}).axes
    assert axes.get_title("left") == "Lowest loss: TPE 0.7 in 12 steps"
    alone = optuna.create_study()
    alone.add_trial(study.trials[0])
    assert importance_bars(alone).axes[0].get_title("left").startswith("Nothing to explain: 1 complete trial,")


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        (100 * 8 / 48, True, "other trials"),
        (100 * 40 / 48, False, "steps that were taken"),
        (8 / 48, False, "in percent"),
        (50.0, False, "all of its budget"),
        ("16", False, "should be a number"),
    ],
)
def test_steps_that_pruning_saved(study: optuna.Study, answer: object, is_right: bool, part: str) -> None:
    verdict = verdict_on("08.1", answer, study=study, budget=BUDGET)
    assert (verdict.is_right, part in verdict.text) == (is_right, True), verdict


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        (lambda spread, difference: math.ceil(2 * (1.96 * spread / difference) ** 2), True, "four times"),
        (lambda spread, difference: math.ceil((1.96 * spread / difference) ** 2), False, "too few"),
        (lambda spread, difference: 1000, False, "too many"),
    ],
)
def test_seeds_that_are_needed(answer: Callable, is_right: bool, part: str) -> None:
    verdict = verdict_on("08.2", answer)
    assert (verdict.is_right, part in verdict.text) == (is_right, True), verdict


def halving(curves: dict[str, list[float]]) -> str:
    left = list(curves)
    for look in range(len(next(iter(curves.values())))):
        left = sorted(left, key=lambda name: curves[name][look])[: math.ceil(len(left) / 2)]
    return left[0]


def test_successive_halving() -> None:
    assert verdict_on("08.3", halving).is_right
    last = verdict_on("08.3", lambda curves: min(curves, key=lambda name: curves[name][-1]))
    assert "starts badly" in last.text
    first = verdict_on("08.3", lambda curves: min(curves, key=lambda name: curves[name][0]))
    assert not first.is_right
