"""The figures of a search, in the style of the course. The title of each states what it shows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from utils import figure_titles
from utils.plots import BASE_COLOUR, LEARNING_RATE_COLOUR, TUNED_COLOUR, entitle, in_lines, subplots
from utils.tuning import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study


def loss_over_rate(losses: Mapping[float, float]) -> Figure:
    """Validation loss over the learning rate, which has a logarithmic axis."""
    figure, axes = subplots()
    axes.plot(losses.keys(), losses.values(), color=TUNED_COLOUR, marker="o", linewidth=1.2)
    axes.set(xscale="log", xlabel="learning rate", ylabel="validation loss")
    known = {rate: loss for rate, loss in losses.items() if math.isfinite(loss)}
    lowest = f"The loss is lowest at a learning rate of {min(known, key=known.__getitem__):g}" if known else "No loss"
    entitle(axes, lowest)
    return figure


def best_over_steps(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """The lowest loss so far over the optimizer steps spent, a line for each way of searching."""
    figure, axes = subplots()
    for (name, curve), colour in zip(curves.items(), (BASE_COLOUR, TUNED_COLOUR), strict=False):
        known = [(steps, loss) for steps, loss in curve if math.isfinite(loss)]
        if not known:  # no trial came to its end
            continue
        axes.step(*zip(*known, strict=True), where="post", color=colour, marker="o", linewidth=1.2, label=name)
    axes.set(xlabel="optimizer steps spent", ylabel="lowest validation loss so far", xlim=(0, None))
    entitle(axes, figure_titles.best_of_each(curves))
    axes.legend()
    return figure


def parallel_coordinates(study: Study) -> Figure:
    """A line for each complete trial through all its values; the darker, the better. Drawn by Optuna."""
    from matplotlib import pyplot
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    with warnings.catch_warnings():  # the function is experimental, and a value that all trials share has no range
        warnings.simplefilter("ignore")
        figure = plot_parallel_coordinate(study, target_name="validation loss").figure
    for lines in figure.axes[0].collections:
        lines.set_cmap(pyplot.get_cmap("viridis"))  # of Optuna's own map the light end cannot be seen
    figure.set_size_inches(7.0, 3.4)
    figure.axes[0].set_title("", loc="center")  # Optuna's own
    # Optuna's axes stand beside those of its colours; so this is not for `entitle`.
    figure.axes[0].set_title(in_lines(figure, best_settings(study)), loc="left", fontweight="bold")
    pyplot.close(figure)  # so that a notebook shows it only once
    return figure


def best_settings(study: Study) -> str:
    """The values of the best trial, as a title."""
    best = study.best_trial
    values = (f"{name} {f'{value:.2g}' if isinstance(value, float) else value}" for name, value in best.params.items())
    return f"Trial {best.number} is the best of {len(complete_losses(study))} that are complete: " + ", ".join(values)


def complete_losses(study: Study) -> list[float]:
    """The losses of the trials that were neither pruned nor failed."""
    return [trial.value for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]


def importance_bars(study: Study) -> Figure:
    """The share of the losses' variance that each parameter explains, by fANOVA (Hutter et al., 2014).

    There is nothing to explain without two complete trials whose losses differ; then the figure says so.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    losses = complete_losses(study)
    differ = len(set(losses)) > 1
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0)) if differ else {}
    figure, axes = subplots(figsize=(7.0, 0.9 + 0.38 * max(1, len(shares))))
    names = list(shares)[::-1]
    axes.barh(names, [100 * shares[name] for name in names], color=TUNED_COLOUR)
    axes.set(xlabel="% of the variance", xlim=(0, 100))
    entitle(axes, _most_important(shares, len(losses)))
    return figure


def _most_important(shares: Mapping[str, float], trials: int) -> str:
    if not shares:
        return f"Nothing to explain: {trials} complete trial{'s' * (trials != 1)}, no two with different losses"
    largest = max(shares, key=shares.__getitem__)
    return f"{largest} explains {shares[largest]:.0%} of the variance of {trials} trials"


def seed_scatter(groups: Mapping[str, Sequence[float]]) -> Figure:
    """For each setting a dot for every seed, and the mean with its 95% interval."""
    figure, axes = subplots(figsize=(7.0, 1.0 + 0.5 * len(groups)))
    for position, values in enumerate(reversed(groups.values())):
        found = mean_interval(values)
        axes.plot(values, [position] * len(values), "o", color=BASE_COLOUR, alpha=0.7)
        if found.count > 1:
            error = [[found.value - found.low], [found.high - found.value]]
            axes.errorbar(found.value, position, xerr=error, color=LEARNING_RATE_COLOUR, marker="|", capsize=4)
    axes.set_yticks(range(len(groups)), list(groups)[::-1])
    axes.set(xlabel="validation loss", ylim=(-0.6, len(groups) - 0.4))
    means = {name: mean_interval(values) for name, values in groups.items()}
    entitle(axes, figure_titles.difference_of_means(means))
    return figure
