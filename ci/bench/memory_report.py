"""Memory over a long training run as a table, a sentence and a figure."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEADY_STEP = 50


def table(result: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each step at which the memory was read."""
    return [
        {"step": str(step), "held, GB": f"{held / 1e9:.2f}", "peak so far, GB": f"{peak / 1e9:.2f}"}
        for step, held, peak in result["memory"]
    ]


def sentences(result: dict[str, Any]) -> list[str]:
    """Whether memory still grows after the first steps: its peak, which one long batch makes, and what is usual."""
    memory = result["memory"]
    steady = [row for row in memory if row[0] >= STEADY_STEP]
    if len(steady) < 2:
        return [f"Too short a run to tell whether its memory grows: {result['steps']} steps."]
    (first, _, early), (last, _, late) = steady[0], steady[-1]
    return [
        f"The course's trainer had taken at most {early / 1e9:.2f} GB by step {first} and {late / 1e9:.2f} GB by step "
        f"{last}, {late / early - 1:.1%} more. {_usual(memory)}"
    ]


def _usual(memory: list[list[int]]) -> str:
    """What was held at the beginning and at the end, medians over as many steps."""
    last = memory[-1][0]
    first = median(held for step, held, _ in memory if step <= STEADY_STEP)
    end = median(held for step, held, _ in memory if step > last - STEADY_STEP)
    return (
        f"Its median was {first / 1e9:.2f} GB in the first {STEADY_STEP} steps and {end / 1e9:.2f} GB in the last "
        f"{STEADY_STEP} ({end / first - 1:+.1%})."
    )


def figure(result: dict[str, Any]) -> Figure:
    """Memory over the steps."""
    from utils.plots import memory_curve

    steps, held, peak = zip(*result["memory"], strict=True) if result["memory"] else ((), (), ())
    curves = {"peak so far": [b / 1e9 for b in peak], "held": [b / 1e9 for b in held]}
    return memory_curve(steps, curves, f"Memory while training {result['model']}")
