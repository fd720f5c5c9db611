"""The figures of the course, in one style. Each function returns the figure; `save` writes it as a compact PNG.

A figure states in its title what it shows (see `utils.figure_titles`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from utils import figure_titles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from utils.calibration import Bin
    from utils.evaluation import Interval
    from utils.load import Load

BASE_COLOUR, TUNED_COLOUR, QUIET_COLOUR = "#8a8f98", "#d9822b", "#c9ccd1"
LEARNING_RATE_COLOUR = "#2b6cb0"
TITLE_LETTERS = 9.5  # of an inch of a title
BAND_COLOURS = (BASE_COLOUR, TUNED_COLOUR, LEARNING_RATE_COLOUR, "#2f855a")

STYLE = {
    "figure.figsize": (7.0, 3.4),
    "figure.dpi": 96,
    "savefig.dpi": 110,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.titlesize": "large",  # as that of axes
    "legend.frameon": False,
}


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as a PNG, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial.png")
    figure.savefig(partial, bbox_inches="tight")
    partial.replace(path)
    return path


def loss_curves(
    log: Sequence[dict[str, float]],
    title: str = "",
    unit: str = "nats per token",
    unseen: str = "databases",
) -> Figure:
    """Training and validation loss, with the learning rate below, from `trainer.state.log_history`.

    `unseen` says what of the validation examples was never trained on. Without a `title` it says how far the loss went.
    """
    figure, (top, bottom) = subplots(2, 1, sharex=True, figsize=(7.0, 4.2), height_ratios=(3, 1))
    training = [(row["step"], row["loss"]) for row in log if "loss" in row]
    validation = [(row["step"], row["eval_loss"]) for row in log if "eval_loss" in row]
    rates = [(row["step"], row["learning_rate"]) for row in log if "learning_rate" in row]
    if training:
        top.plot(*zip(*training, strict=True), color=BASE_COLOUR, linewidth=1.2, label="training batches")
    if validation:
        label = f"validation, unseen {unseen}"
        top.plot(*zip(*validation, strict=True), color=TUNED_COLOUR, marker="o", label=label)
    if rates:
        bottom.plot(*zip(*rates, strict=True), color=LEARNING_RATE_COLOUR, linewidth=1.2)
    logarithmic(top)
    top.set(title=title or _how_far(log), ylabel=f"loss, {unit}")
    top.legend()
    bottom.set(xlabel="optimizer step", ylabel="learning rate")
    return figure


def first_and_last_loss(log: Sequence[dict[str, float]]) -> tuple[str, float, float] | None:
    """The name of a loss, its first and its last value: the validation loss, else the training loss; None if neither
    has two values."""
    for name, key in (("Validation loss", "eval_loss"), ("Training loss", "loss")):
        losses = [row[key] for row in log if key in row]
        if len(losses) > 1:
            return name, losses[0], losses[-1]
    return None


def _how_far(log: Sequence[dict[str, float]]) -> str:
    """How far the loss went, as a title."""
    found = first_and_last_loss(log)
    if found is None:
        return "Loss while training"
    name, first, last = found
    return f"{name} {'fell' if last < first else 'did not fall:'} from {first:.3g} to {last:.3g}"


def length_histogram(lengths: dict[str, Sequence[int]], limit: int) -> Figure:
    """Histograms of token counts, one for each entry, with the training limit marked."""
    figure, axes = subplots()
    for (name, values), colour in zip(lengths.items(), (BASE_COLOUR, TUNED_COLOUR, LEARNING_RATE_COLOUR), strict=False):
        axes.hist(values, bins=40, alpha=0.75, label=name, color=colour)
    axes.axvline(limit, color="black", linestyle=":", linewidth=1, label=f"max_length = {limit}")
    longest = max((length for values in lengths.values() for length in values), default=0)
    title = f"The longest has {longest:,} tokens: {'all fit' if longest <= limit else 'not all fit'}"
    axes.set(title=title, xlabel="tokens", ylabel="examples")
    axes.legend()
    return figure


def compare_bars(groups: dict[str, dict[str, Interval]], title: str = "") -> Figure:
    """Bars with 95% intervals: a group for each outer key (a metric or a level), a bar for each inner key."""
    figure, axes = subplots()
    names = list(next(iter(groups.values())))
    colours = [QUIET_COLOUR, BASE_COLOUR, TUNED_COLOUR][-len(names) :]
    width = 0.8 / len(names)
    for offset, (name, colour) in enumerate(zip(names, colours, strict=True)):
        for position, group in enumerate(groups.values()):
            share = group[name]
            x = position - 0.4 + width * (offset + 0.5)
            error = [[100 * (share.value - share.low)], [100 * (share.high - share.value)]]
            axes.bar(x, 100 * share.value, width * 0.92, color=colour, label=name if position == 0 else None)
            axes.errorbar(x, 100 * share.value, yerr=error, color="black", linewidth=1, capsize=3)
            axes.annotate(
                f"{100 * share.value:.0f}",
                (x, 100 * share.high),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set(ylabel="% of questions", ylim=(0, 108))
    entitle(axes, title or figure_titles.first_group(groups))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def error_bars(kinds: dict[str, int], total: int, unit: str = "questions") -> Figure:
    """How often each kind of error occurs among `total` of a unit, the most frequent on top."""
    figure, axes = subplots(figsize=(7.0, 0.6 + 0.32 * max(1, len(kinds))))
    names = list(kinds)[::-1]
    axes.barh(names, [100 * kinds[name] / total for name in names], color=TUNED_COLOUR)
    for name in names:
        axes.annotate(f" {kinds[name]}", (100 * kinds[name] / total, name), va="center", fontsize=9)
    worst = max(kinds, key=kinds.__getitem__, default=None)
    axes.set(title=f"The most frequent error: {worst}" if worst else "No errors", xlabel=f"% of {unit}")
    return figure


def parameter_bars(counts: dict[str, int]) -> Figure:
    """Where a model's parameters are, in millions."""
    figure, axes = subplots(figsize=(7.0, 0.8 + 0.32 * len(counts)))
    names = list(counts)[::-1]
    axes.barh(names, [counts[name] / 1e6 for name in names], color=BASE_COLOUR)
    for name in names:
        axes.annotate(f" {counts[name] / 1e6:.1f}", (counts[name] / 1e6, name), va="center", fontsize=9)
    largest = max(counts, key=counts.__getitem__)
    title = f"{100 * counts[largest] / sum(counts.values()):.0f}% of the parameters: {largest}"
    axes.set(title=title, xlabel="millions")
    return figure


def spread_bars(values: dict[str, Sequence[float]], subject: str, axis: str) -> Figure:
    """A bar for the median of each entry's values, with a line from the smallest to the largest; first entry on top."""
    figure, axes = subplots(figsize=(7.0, 0.9 + 0.38 * len(values)))
    for position, (name, measured) in enumerate(reversed(values.items())):
        middle, low, high = median(measured), min(measured), max(measured)
        is_first = position == len(values) - 1
        axes.barh(name, middle, color=TUNED_COLOUR if is_first else BASE_COLOUR)
        axes.errorbar(middle, name, xerr=[[middle - low], [high - middle]], color="black", linewidth=1, capsize=3)
        axes.annotate(f" {middle:,.3g}" if middle < 100 else f" {middle:,.0f}", (high, name), va="center", fontsize=9)
    axes.margins(x=0.12, y=0.02)
    axes.set(xlabel=axis, xlim=(0, None))
    entitle(axes, figure_titles.first_and_last_median(subject, values))
    return figure


def memory_curve(steps: Sequence[int], gigabytes: dict[str, Sequence[float]], subject: str = "Memory") -> Figure:
    """Memory after so many steps, a line for each entry."""
    figure, axes = subplots()
    for (name, values), colour in zip(gigabytes.items(), (TUNED_COLOUR, BASE_COLOUR), strict=False):
        axes.plot(steps, values, color=colour, linewidth=1.2, label=name)
    axes.set(xlabel="optimizer step", ylabel="GB", ylim=(0, None))
    entitle(axes, figure_titles.peaks(subject, gigabytes))
    axes.legend()
    return figure


def measured_and_estimated(
    series: dict[str, tuple[Sequence[float], Sequence[float], Sequence[float]]], subject: str, axis: str
) -> Figure:
    """A panel for each entry: its name below, and over x the measured values as dots, the estimated ones as a line."""
    figure, panels = subplots(1, len(series), figsize=(3.0 * len(series), 3.0), sharey=True, squeeze=False)
    for (name, (x, measured, estimated)), axes in zip(series.items(), panels[0], strict=True):
        axes.plot(x, estimated, color=BASE_COLOUR, linewidth=1.2, label="estimated")
        axes.plot(x, measured, "o", color=TUNED_COLOUR, label="measured")
        axes.set(xlabel=name, ylim=(0, None), xlim=(0, 1.05 * max(x)))
    panels[0][0].set(ylabel=axis)
    entitle(panels[0][0], figure_titles.error_of_estimates(subject, series))
    panels[0][-1].legend()
    return figure


def panel_bars(measures: dict[str, dict[str, float | Interval]], title: str) -> Figure:
    """A panel for each measure, its name below, with a bar for each entry: the first, on top, is what is compared with.

    An `Interval` is drawn in percent, with its bounds.
    """
    from utils.evaluation import Interval

    names = list(next(iter(measures.values())))[::-1]
    size = (2.2 * len(measures), 1.3 + 0.38 * len(names))
    figure, panels = subplots(1, len(measures), figsize=size, sharey=True, squeeze=False)
    for (measure, values), axes in zip(measures.items(), panels[0], strict=True):
        for name in names:
            found = values[name]
            is_share, is_first = isinstance(found, Interval), name == names[-1]
            value, low, high = (
                (100 * found.value, 100 * found.low, 100 * found.high) if is_share else (found, found, found)
            )
            # The hatch tells the first one apart in grey print too.
            look = {"color": BASE_COLOUR, "hatch": "//"} if is_first else {"color": TUNED_COLOUR}
            axes.barh(name, value, edgecolor="white", **look)
            if is_share:
                axes.errorbar(value, name, xerr=[[value - low], [high - value]], color="black", linewidth=1, capsize=3)
            text = f"{value:.0f}" if is_share or value >= 10 else f"{value:#.3g}"
            axes.annotate(f" {text}", (high, name), va="center", fontsize=9)
        axes.margins(x=0.3, y=0.03)
        axes.set(xlabel=measure, xlim=(0, None))
    entitle(panels[0][0], title)
    return figure


def load_curves(ways: dict[str, Sequence[Load]]) -> Figure:
    """Against the number of requests at a time: how long they take, and beside it what is answered altogether.

    A colour for each way of answering.
    """
    figure, (left, right) = subplots(1, 2)
    for (name, loads), colour in zip(ways.items(), (BASE_COLOUR, TUNED_COLOUR, LEARNING_RATE_COLOUR), strict=False):
        clients, style = [load.concurrency for load in loads], {"color": colour, "linewidth": 1.2, "marker": "o"}
        left.plot(clients, [load.p95 for load in loads], linestyle="--", label=f"{name}: 95% of requests", **style)
        left.plot(clients, [load.p50 for load in loads], label=f"{name}: half of them", **style)
        right.plot(clients, [load.tokens_per_second for load in loads], label=name, **style)
    for axes, unit in ((left, "answered within, seconds"), (right, "tokens per second, all together")):
        axes.set(xlabel="requests at a time", ylabel=unit, xticks=clients, ylim=(0, None))
    entitle(left, figure_titles.throughput(ways))
    left.legend(fontsize=8)
    return figure


def confusion_matrix(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Figure:
    """How often each true class (rows) was taken for each class (columns); darker: a larger share of its row."""
    figure, axes = subplots(figsize=(1.6 + 0.62 * len(names), 1.2 + 0.5 * len(names)))
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            colour = "white" if shares[row][column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    entitle(axes, figure_titles.most_confused(counts, names))
    return figure


def reliability_diagram(curves: dict[str, Sequence[Bin]]) -> Figure:
    """Accuracy over confidence, a line for each entry; on the dotted diagonal the two are equal."""
    figure, axes = subplots(figsize=(4.6, 3.6))
    axes.plot((0, 1), (0, 1), color="black", linestyle=":", linewidth=1)
    for (name, bins), colour in zip(curves.items(), (BASE_COLOUR, TUNED_COLOUR), strict=False):
        confidence, accuracy = [one.confidence for one in bins], [one.accuracy for one in bins]
        axes.plot(confidence, accuracy, color=colour, linewidth=1.2, label=name)
        axes.scatter(confidence, accuracy, [4 + one.count for one in bins], color=colour)
    axes.set(xlabel="confidence (larger dot: more questions)", ylabel="share that is right")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.05))
    entitle(axes, figure_titles.calibration(curves))
    axes.legend(loc="upper left")
    return figure


def named_and_found(curve: Sequence[tuple[float, Interval]], points: dict[str, tuple[float, Interval]]) -> Figure:
    """How often no table is missing, in percent, over how many tables are named: a curve of thresholds, and points."""
    figure, axes = subplots()
    named, shares = zip(*curve, strict=True)
    axes.plot(named, [100 * share.value for share in shares], color=TUNED_COLOUR, label="encoder, all thresholds")
    colours = (BASE_COLOUR, LEARNING_RATE_COLOUR)
    for (name, (x, share)), colour in zip(points.items(), colours, strict=False):
        error = [[100 * (share.value - share.low)], [100 * (share.high - share.value)]]
        axes.errorbar(x, 100 * share.value, yerr=error, fmt="o", color=colour, capsize=3, label=name)
    axes.set(xlabel="tables named for a question", ylabel="% of questions, none missing", ylim=(0, 104))
    axes.set_xlim(0, None)
    entitle(axes, figure_titles.as_many_named(curve, points, "encoder"))
    axes.legend(loc="lower right")
    return figure


def panel_lines(panels: dict[str, dict[str, Sequence[tuple[float, float]]]], *, axis: str = "optimizer step") -> Figure:
    """A panel for each entry, its name beside it, with a line of (x, y) for each of its entries; `axis` names x.

    The title says what became of the first panel's lines.
    """
    figure, found = subplots(1, len(panels), figsize=(3.1 * len(panels), 3.0), squeeze=False)
    for (name, lines), axes in zip(panels.items(), found[0], strict=True):
        for (label, points), colour in zip(
            lines.items(), (TUNED_COLOUR, BASE_COLOUR, LEARNING_RATE_COLOUR), strict=False
        ):
            axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.2, marker=".", label=label)
        axes.set(xlabel=axis, ylabel=name)
        if len(lines) > 1:
            axes.legend(fontsize=8)
    entitle(found[0][0], figure_titles.halves(*next(iter(panels.items()))))
    return figure


def stacked_bars(parts: dict[str, dict[str, float]], *, axis: str = "GB") -> Figure:
    """A bar for each outer key, the first on top, of the values of its inner keys; `axis` begins with a unit."""
    figure, axes = subplots(figsize=(7.0, 1.1 + 0.42 * len(parts)))
    names = list(parts)[::-1]
    left = [0.0] * len(names)
    for part, colour in zip(parts[names[0]], (BASE_COLOUR, TUNED_COLOUR, LEARNING_RATE_COLOUR), strict=False):
        widths = [parts[name][part] for name in names]
        axes.barh(names, widths, left=left, color=colour, edgecolor="white", label=part)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for name, total in zip(names, left, strict=True):
        axes.annotate(f" {total:.3g}", (total, name), va="center", fontsize=9)
    axes.margins(x=0.12)
    axes.set(xlabel=axis)
    entitle(axes, figure_titles.totals_of_ends(parts, axis.partition(" ")[0]))
    axes.legend(loc="lower right")
    return figure


def scaling_bands(
    bands: dict[str, tuple[Sequence[int], Sequence[float], Sequence[float]]],
    *,
    axis: str = "GB",
    limit: tuple[str, float] | None = None,
) -> Figure:
    """Over the number of accelerators, both axes logarithmic, a band from the lower to the upper values of each entry.

    Equal values give a line; `limit` is a name and a height to be marked. The title says from where on each
    band stays below the limit, or where there is none, how much faster the most accelerators are than one.
    """
    figure, axes = subplots()
    for (name, (counts, low, high)), colour in zip(bands.items(), BAND_COLOURS, strict=False):
        axes.fill_between(counts, low, high, color=colour, alpha=0.3, linewidth=0)
        axes.plot(counts, low, color=colour, linewidth=1.2, marker=".", label=name)
    if limit:
        axes.axhline(limit[1], color="black", linestyle=":", linewidth=1, label=limit[0])
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    logarithmic(axes)
    axes.set(xlabel="accelerators", ylabel=axis)
    entitle(axes, figure_titles.fits_from(bands, limit) if limit else figure_titles.speedups(bands))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return figure


def entitle(axes: Any, title: str) -> None:
    """A title in as many lines as it takes. Of panels it is the figure's, since a long one would move them apart."""
    place = axes.get_subplotspec()
    if place is not None and place.get_gridspec().ncols > 1:
        axes.figure.suptitle(in_lines(axes.figure, title), x=0.01, ha="left", fontweight="bold")
    else:
        axes.set_title(in_lines(axes.figure, title), loc="left", fontweight="bold")


def in_lines(figure: Figure, title: str) -> str:
    """A title, broken where the figure ends."""
    return "\n".join(textwrap.wrap(title, int((figure.get_figwidth() - 0.7) * TITLE_LETTERS)))


def logarithmic(axes: Any) -> None:
    """A logarithmic vertical axis with a few labels to each power of ten, or one where there are many powers."""
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5) if high < 1000 * low else (1,)))
    axes.yaxis.set_major_formatter("{x:.4g}")
    axes.yaxis.set_minor_formatter("")


def subplots(*arguments: int, **settings: Any) -> tuple[Figure, Any]:
    """A figure in the style of the course, and its axes; closed for pyplot, so that a notebook shows it only once.

    matplotlib is imported here, on demand: that takes a second.
    """
    from matplotlib import pyplot

    pyplot.rcParams.update(STYLE)
    figure, axes = pyplot.subplots(*arguments, constrained_layout=True, **settings)
    pyplot.close(figure)
    return figure, axes
