"""The figures of encoder-decoders: who sees whom, what a loss is after which beginning, where a decoder looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from utils.plots import BASE_COLOUR, TUNED_COLOUR, entitle, logarithmic, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Mask = list[list[bool]]
"""A row for each token that looks, a column for each that may be looked at."""


def full_mask(looking: int, seen: int) -> Mask:
    """Each token sees every other."""
    return [[True] * seen for _ in range(looking)]


def causal_mask(length: int) -> Mask:
    """Each token sees itself and what stands before it."""
    return [[column <= row for column in range(length)] for row in range(length)]


def mask_panels(read: Sequence[str], written: Sequence[str]) -> Figure:
    """Who sees whom: in an encoder-decoder, and in a decoder that has the same text in one row."""
    every = [*read, *written]
    panels = {
        "encoder": (read, read, full_mask(len(read), len(read))),
        "decoder": (written, written, causal_mask(len(written))),
        "decoder to encoder": (written, read, full_mask(len(written), len(read))),
        "decoder-only": (every, every, causal_mask(len(every))),
    }
    figure, axes = subplots(1, 4, figsize=(11.0, 3.6), width_ratios=(1, 1, 1, 1.5))
    for (title, (rows, columns, mask)), panel in zip(panels.items(), axes, strict=True):
        panel.imshow(mask, cmap="Oranges", vmin=0, vmax=1.6, aspect="auto")
        _name(panel, rows, columns)
        panel.set_title(title, fontweight="normal")
    figure.suptitle("Only a decoder is kept from seeing what comes later", x=0.01, ha="left", fontweight="bold")
    axes[0].set_ylabel("looks …")
    axes[0].set_xlabel("… at")
    return figure


def attention_map(weights: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str]) -> Figure:
    """Shares of attention, each row with the sum 1: rows look at columns; darker is more.

    The title says who looks most firmly at one place.
    """
    figure, axes = subplots(figsize=(1.5 + 0.32 * len(columns), 1.3 + 0.24 * len(rows)))
    axes.imshow(weights, cmap="Oranges", vmin=0, aspect="auto")
    _name(axes, rows, columns)
    share, row, column = max(
        (s, row, column)
        for row, line in zip(rows, weights, strict=True)
        for s, column in zip(line, columns, strict=True)
    )
    entitle(axes, f"Where {row} is written, {share:.0%} of the attention is at {column}")
    return figure


def beginnings_over_training(steps: Sequence[int], losses: Mapping[str, Sequence[float]]) -> Figure:
    """Mean loss over optimizer steps, a line for each of two kinds of beginnings.

    The title says how many times as high the second line is.
    """
    figure, axes = subplots()
    for (name, values), colour in zip(losses.items(), (BASE_COLOUR, TUNED_COLOUR), strict=False):
        axes.plot(steps, values, marker="o", linewidth=1.2, color=colour, label=name)
    axes.set(xlabel="optimizer step", ylabel="loss, nats per token")
    logarithmic(axes)
    (_, lower), (name, higher) = losses.items()
    times = [above / below for above, below in zip(higher, lower, strict=True)]
    found = f"Loss {name}: {times[-1]:.2g} times as high in the end, {times[0]:.2g} times at first"
    entitle(axes, found)
    axes.legend()
    return figure


def _name(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
