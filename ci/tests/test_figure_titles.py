"""Titles say what the numbers of a figure say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import matplotlib
import pytest
from matplotlib.figure import Figure

from utils.calibration import Bin
from utils.candidates import Candidate
from utils.evaluation import Interval
from utils.figure_titles import first_and_last_group, savings
from utils.load import Load
from utils.plots import (
    compare_bars,
    confusion_matrix,
    load_curves,
    measured_and_estimated,
    memory_curve,
    named_and_found,
    panel_lines,
    reliability_diagram,
    scaling_bands,
    spread_bars,
    stacked_bars,
)
from utils.search_plots import best_over_steps, loss_over_rate, seed_scatter
from utils.seq2seq_plots import attention_map, beginnings_over_training

matplotlib.use("agg")
LITTLE, MUCH = Interval(0.02, 0.0, 0.04), Interval(0.351, 0.3, 0.4)
LEVELS = {"easy": {"base": LITTLE, "tuned": MUCH}, "hard": {"base": LITTLE, "tuned": LITTLE}}
WAYS = {
    "one by one": [Load(1, 10.0, [1.0], 100, []), Load(8, 10.0, [1.0], 70, [])],
    "together": [Load(1, 10.0, [1.0], 100, []), Load(8, 10.0, [1.0], 210, [])],
}
BANDS = {"small": ([1, 2, 4], [10, 5, 3], [20, 10, 5]), "large": ([1, 2, 4], [90, 80, 70], [90, 80, 70])}
TITLES = {
    "shares": (lambda: compare_bars(LEVELS), "Easy: base 2%; tuned 35%"),
    "levels": (
        lambda: compare_bars(LEVELS, first_and_last_group(LEVELS, "tuned")),
        "Tuned: 35% of the easy ones, 2% of the hard ones",
    ),
    "estimates": (
        lambda: measured_and_estimated({"x": ([1, 2], [2, 6], [4, 4]), "y": ([1], [3], [3])}, "Seconds", "s"),
        "Seconds: 0.5 to 1.5 times the estimate",
    ),
    "spread": (lambda: spread_bars({"ours": [1, 2, 3], "plain": [9]}, "Answering", "s"), "Answering: ours 2; plain 9"),
    "memory": (lambda: memory_curve([1, 2], {"held": [1, 2.5]}, "Memory"), "Memory: at most 2.5 GB held"),
    "load": (lambda: load_curves(WAYS), "8 at a time: together, 3 times the tokens of one by one"),
    "one way": (lambda: load_curves({"alone": WAYS["together"]}), "Alone: 21 tokens per second, 8 at a time"),
    "confusion": (
        lambda: confusion_matrix([[5, 1, 2], [0, 7, 0], [0, 0, 3]], ["list", "count", "rank"]),
        "15 of 18 are right; most often, list is taken for rank (2)",
    ),
    "nothing confused": (lambda: confusion_matrix([[5, 0], [0, 7]], ["list", "count"]), "12 of 12 are right"),
    "calibration": (
        lambda: reliability_diagram({"as trained": [Bin(3, 0.9, 0.8), Bin(1, 0.5, 0.5)]}),
        "Off the diagonal by 7.5 points as trained",
    ),
    "tables": (
        lambda: named_and_found([(1.0, LITTLE), (2.0, MUCH), (3.0, MUCH)], {"spelling": (1.5, MUCH)}),
        "None missing with as many named: spelling 35%, encoder 2%",
    ),
    "halves": (
        lambda: panel_lines({"reward": {"right": [(1, 0.2), (2, 0.4), (3, 0.5), (4, 0.7)]}, "KL": {"KL": [(1, 0)]}}),
        "Reward, from first to second half: right 0.3 → 0.6",
    ),
    "a single point": (lambda: panel_lines({"reward": {"right": [(1, 0.2)]}}), "Reward"),
    "parts": (
        lambda: stacked_bars({"DDP": {"weights": 16, "rest": 100}, "FSDP": {"weights": 2, "rest": 8}}, axis="GB each"),
        "DDP: 116 GB; FSDP: 10 GB",
    ),
    "speed": (
        lambda: scaling_bands(BANDS, axis="seconds"),
        "4 against 1: at least 4 times as fast with small; at least 1.3 times as fast with large",
    ),
    "limit": (lambda: scaling_bands(BANDS, limit=("a card", 12)), "Fits into a card: small from 2; large never"),
    "rate": (
        lambda: loss_over_rate({1e-4: 2.0, 1e-3: 1.5, 1e-2: float("nan")}),
        "The loss is lowest at a learning rate of 0.001",
    ),
    "searches": (
        lambda: best_over_steps({"grid": [(10, 2.0), (20, 1.5)], "search": [(5, 1.25)]}),
        "Lowest loss: grid 1.5 in 20 steps; search 1.25 in 5 steps",
    ),
    "seeds apart": (
        lambda: seed_scatter({"rate 1": [2.0, 2.1, 2.2], "rate 2": [1.0, 1.1, 1.2]}),
        "Rate 2 is lowest: the intervals are apart",
    ),
    "seeds that overlap": (
        lambda: seed_scatter({"rate 1": [1.0, 2.1, 3.2], "rate 2": [1.0, 2.0, 3.0]}),
        "Rate 2 is lowest: the intervals overlap",
    ),
    "seeds once": (
        lambda: seed_scatter({"rate 1": [1.0], "rate 2": [2.0]}),
        "Rate 1 is lowest; one run has no interval",
    ),
    "no rate": (lambda: loss_over_rate({}), "No loss"),
    "attention": (
        lambda: attention_map([[0.1, 0.9], [0.6, 0.4]], ["7", "8"], ["of", "july"]),
        "Where 7 is written, 90% of the attention is at july",
    ),
    "beginnings": (
        lambda: beginnings_over_training([1, 2], {"after the right beginning": [1, 0.5], "after its own": [2, 2]}),
        "Loss after its own: 4 times as high in the end, 2 times at first",
    ),
}


@pytest.mark.parametrize(("draw", "title"), TITLES.values(), ids=TITLES)
def test_title_states_what_the_numbers_say(draw: Callable[[], Figure], title: str) -> None:
    figure = draw()
    assert (figure.get_suptitle() or figure.axes[0].get_title(loc="left")).replace("\n", " ") == title


def test_savings_name_what_is_compared() -> None:
    full = Candidate("full", None, 2, 1_000_000, 4.0, 1.0, 0.5, [], [], [], [])
    adapter = replace(full, name="LoRA, rank 4", trainable=20_000, peak_memory=3.0)
    assert savings([full, adapter]) == "LoRA, rank 4: 2.0% of the trained weights and 75% of the memory of full"
    assert savings([adapter]) == "LoRA, rank 4: 0.02 million trained weights, 3 GB"


def test_a_long_title_leaves_panels_side_by_side() -> None:
    long = "a panel of so many words that no title with its name can stand above it in a single line"
    figure = panel_lines({name: {"a line": [(1, 0.2), (2, 0.4)]} for name in (long, "b", "c")})
    figure.draw_without_rendering()
    starts = [axes.get_position().x0 for axes in figure.axes]
    assert starts[1] - starts[0] == pytest.approx(starts[2] - starts[1], rel=0.1)
