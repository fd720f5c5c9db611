"""The comparison of generation as a table, a sentence and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.bench.generate import METHODS
from ci.bench.spread import Spread, ratios

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(result: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each method."""
    rounds = result["rounds"]
    seconds = {method: [measured[method]["seconds"] for measured in rounds] for method in METHODS}
    return [
        {
            "": name,
            "seconds": Spread.of(seconds[method]).text(",.0f"),
            "the course is faster by": ""
            if method == "ours"
            else f"{ratios(seconds[method], seconds['ours']).text('.1f')} ×",
            "execution accuracy": f"{rounds[0][method]['correct'] / result['questions']:.1%}",
            "peak memory": f"{max(measured[method]['peak_memory_bytes'] for measured in rounds) / 1e9:.1f} GB",
            "number format": rounds[0][method]["dtype"],
        }
        for method, name in METHODS.items()
    ]


def sentences(result: dict[str, Any]) -> list[str]:
    """The comparison in a sentence."""
    ours, other = table(result)
    identical = min(measured["ours"]["identical"] for measured in result["rounds"]) / result["questions"]
    return [
        f"The answers to {result['questions']} test questions take {ours['seconds']} s, and {other['seconds']} s when "
        f"they are written one by one in float32: {other['the course is faster by']} as long. {identical:.1%} of them "
        f"are identical; execution accuracy, without the constraint of notebook 05, is {ours['execution accuracy']} "
        f"and {other['execution accuracy']}."
    ]


def figure(result: dict[str, Any]) -> Figure:
    """Seconds of both methods."""
    from utils.plots import spread_bars

    seconds = {name: [r[method]["seconds"] for r in result["rounds"]] for method, name in METHODS.items()}
    return spread_bars(seconds, f"Answering {result['questions']} questions", "seconds")
