"""The figures of preference tuning: how often samples are right, the loss for several betas, and what training did."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from utils.figure_titles import halves
from utils.plots import BASE_COLOUR, LEARNING_RATE_COLOUR, QUIET_COLOUR, TUNED_COLOUR, entitle, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_MARGIN = 30  # nats


def right_draws(counts: Sequence[int], draws: int) -> Figure:
    """How many questions had 0, 1, … of their `draws` samples right."""
    figure, axes = subplots()
    found = Counter(counts)
    places = range(draws + 1)
    colours = [QUIET_COLOUR, *[TUNED_COLOUR] * (draws - 1), BASE_COLOUR]
    bars = axes.bar(places, [found[place] for place in places], color=colours)
    axes.bar_label(bars, fontsize=9)
    axes.set_xticks(places)
    mixed = sum(found[place] for place in range(1, draws))
    title = f"{mixed} of {len(counts)} questions have right and wrong samples"
    axes.set(title=title, xlabel=f"right queries among {draws}", ylabel="questions")
    return figure


def loss_by_margin(betas: Sequence[float]) -> Figure:
    """The DPO loss over the margin between chosen and rejected, a curve for each beta."""
    figure, axes = subplots()
    margins = [step / 4 for step in range(-4 * LARGEST_MARGIN, 4 * LARGEST_MARGIN + 1)]
    for beta, colour in zip(betas, (BASE_COLOUR, TUNED_COLOUR, LEARNING_RATE_COLOUR), strict=False):
        axes.plot(margins, [dpo_loss(beta * m) for m in margins], color=colour, linewidth=1.5, label=f"beta = {beta:g}")
    axes.plot(0, math.log(2), "o", color="black")
    axes.annotate("  start: log 2", (0, math.log(2)), va="bottom", fontsize=9)
    title = "The larger beta, the smaller the margin that suffices"
    axes.set(title=title, xlabel="margin, nats", ylabel="loss", ylim=(0, 4))
    axes.legend()
    return figure


def dpo_loss(reward_margin: float) -> float:
    """−log σ(reward margin), for margins of any size (Rafailov et al., 2023)."""
    return max(0.0, -reward_margin) + math.log1p(math.exp(-abs(reward_margin)))


def margins_by_step(logs: Mapping[str, tuple[Sequence[dict[str, float]], float]]) -> Figure:
    """The margin of each step's pairs in nats, a line for each entry: a trainer's log, and the beta in its rewards."""
    figure, axes = subplots(figsize=(7.0, 2.9))
    for (name, (log, beta)), colour in zip(logs.items(), (BASE_COLOUR, TUNED_COLOUR), strict=False):
        steps, margins = [row["step"] for row in log], [row["rewards/margins"] / beta for row in log]
        axes.plot(steps, margins, color=colour, linewidth=1.2, marker=".", label=name)
    axes.axhline(0, color="black", linewidth=0.6)
    shared = min(len(log) for log, _ in logs.values())
    means = {name: fmean(row["rewards/margins"] for row in log[:shared]) / beta for name, (log, beta) in logs.items()}
    found = ", ".join(f"{name} {margin:.2g}" for name, margin in means.items())
    axes.set(xlabel="optimizer step", ylabel="margin, nats")
    entitle(axes, f"Mean margin of the first {shared} steps: {found} nats")
    axes.legend()
    return figure


def reward_curves(log: Sequence[dict[str, float]]) -> Figure:
    """Rewards of chosen and rejected answers, their margin, and the share of pairs in the right order, by step."""
    rows = [row for row in log if "rewards/margins" in row]
    figure, panels = subplots(1, 3, figsize=(9.0, 2.9))
    lines = (
        ("rewards/chosen", 0, TUNED_COLOUR, "chosen"),
        ("rewards/rejected", 0, BASE_COLOUR, "rejected"),
        ("rewards/margins", 1, TUNED_COLOUR, "margin"),
        ("rewards/accuracies", 2, TUNED_COLOUR, "accuracy"),
    )
    for key, panel, colour, label in lines:
        steps, values = [row["step"] for row in rows], [row[key] for row in rows]
        panels[panel].plot(steps, values, color=colour, linewidth=1.2, marker=".", label=label)
    for axes, name in zip(panels, ("reward", "margin of the rewards", "pairs in the right order"), strict=True):
        axes.set(xlabel="optimizer step", ylabel=name)
    panels[0].axhline(0, color="black", linewidth=0.6)
    panels[0].legend()
    margins = [(row["step"], row["rewards/margins"]) for row in rows]
    entitle(panels[0], halves("margin", {"mean": margins}))
    panels[2].set(ylim=(-0.05, 1.05))
    return figure
