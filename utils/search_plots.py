"""The figures of a search, in the style of the course."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from utils.plots import BASE_COLOUR, LEARNING_RATE_COLOUR, TUNED_COLOUR, subplots
from utils.tuning import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study


def loss_over_rate(losses: Mapping[float, float], title: str) -> Figure:
    """Validation loss over the learning rate, which has a logarithmic axis."""
    figure, axes = subplots()
    axes.plot(losses.keys(), losses.values(), color=TUNED_COLOUR, marker="o", linewidth=1.2)
    axes.set(title=title, xscale="log", xlabel="learning rate", ylabel="validation loss")
    return figure


def best_over_steps(curves: Mapping[str, Sequence[tuple[int, float]]], title: str) -> Figure:
    """The lowest loss so far over the optimizer steps spent, a line for each way of searching."""
    figure, axes = subplots()
    for (name, curve), colour in zip(curves.items(), (BASE_COLOUR, TUNED_COLOUR), strict=False):
        known = [(steps, loss) for steps, loss in curve if math.isfinite(loss)]
        axes.step(*zip(*known, strict=True), where="post", color=colour, marker="o", linewidth=1.2, label=name)
    axes.set(title=title, xlabel="optimizer steps spent", ylabel="lowest validation loss so far", xlim=(0, None))
    axes.legend()
    return figure


def parallel_coordinates(study: Study, title: str) -> Figure:
    """A line for each complete trial through all its values; the darker, the better. Drawn by Optuna."""
    from matplotlib import pyplot
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    figure = plot_parallel_coordinate(study, target_name="validation loss").figure
    figure.set_size_inches(7.0, 3.4)
    figure.axes[0].set_title("", loc="center")  # Optuna's own
    figure.axes[0].set_title(title, loc="left", fontweight="bold")
    pyplot.close(figure)  # so that a notebook shows it only once
    return figure


def importance_bars(study: Study, title: str) -> Figure:
    """The share of the losses' variance that each parameter explains, by fANOVA (Hutter et al., 2014)."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    figure, axes = subplots(figsize=(7.0, 0.9 + 0.38 * len(shares)))
    names = list(shares)[::-1]
    axes.barh(names, [100 * shares[name] for name in names], color=TUNED_COLOUR)
    axes.set(title=title, xlabel="% of the variance", xlim=(0, 100))
    return figure


def seed_scatter(groups: Mapping[str, Sequence[float]], title: str) -> Figure:
    """For each setting a dot for every seed, and the mean with its 95% interval."""
    figure, axes = subplots(figsize=(7.0, 1.0 + 0.5 * len(groups)))
    for position, values in enumerate(reversed(groups.values())):
        found = mean_interval(values)
        axes.plot(values, [position] * len(values), "o", color=BASE_COLOUR, alpha=0.7)
        if found.count > 1:
            error = [[found.value - found.low], [found.high - found.value]]
            axes.errorbar(found.value, position, xerr=error, color=LEARNING_RATE_COLOUR, marker="|", capsize=4)
    axes.set_yticks(range(len(groups)), list(groups)[::-1])
    axes.set(title=title, xlabel="validation loss", ylim=(-0.6, len(groups) - 0.4))
    return figure
