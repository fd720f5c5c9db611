"""The training comparison as a table, sentences and a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.bench.ceiling import CUBE
from ci.bench.spread import Spread, ratios
from ci.bench.train import METHODS
from ci.bench.training_run import TrainingRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(result: dict[str, Any]) -> list[dict[str, str]]:
    """A row for each method."""
    runs = training_runs(result)
    ceiling = ceiling_of(result)
    ours = [run.tokens_per_second for run in runs["ours"]]
    rows = []
    for method, measured in runs.items():
        speed = [run.tokens_per_second for run in measured]
        loss = Spread.of([run.validation_loss for run in measured]).median
        rows.append(
            {
                "": METHODS[method],
                "tokens/s": Spread.of(speed).text(",.0f"),
                "examples/s": Spread.of([run.examples_per_second for run in measured]).text(".2f"),
                "the course is faster by": "" if method == "ours" else f"{ratios(ours, speed).text('.1f')} ×",
                "share of the ceiling": Spread.of([run.flops_per_second / ceiling for run in measured]).text(".0%"),
                "peak memory": f"{max(run.peak_memory_bytes for run in measured) / 1e9:.1f} GB",
                "validation loss": f"{loss:.3f}",
                "number format": measured[0].dtype,
            }
        )
    return rows


def sentences(result: dict[str, Any]) -> list[str]:
    """What the table is of, how far the losses are apart, and which method is missing."""
    runs = training_runs(result)
    best = [f"{rates[CUBE] / 1e12:.2f} in {name}" for name, rates in result["ceiling"].items()]
    what = (
        f"{result['steps']} optimizer steps of {result['model']} on the same examples in the same order; padding does "
        f"not count as tokens. The ceiling is the product of two large matrices, in TFLOP/s: {', '.join(best)}."
    )
    said = [what]
    if "plain" in runs:
        gaps = [
            ours.validation_loss - plain.validation_loss
            for ours, plain in zip(*map(runs.get, ("ours", "plain")), strict=True)
        ]
        said.append(
            f"The validation loss of the course's trainer differs from that of TRL's by at most "
            f"{max(map(abs, gaps)):.3f} after the same steps."
        )
    if "bare" in runs:
        said.append(
            "The bare loop trains all weights, and on every token, as tutorials do. After so few steps the losses tell "
            "only whether two programs do the same, not which of them learns better."
        )
    return said + [f"{METHODS[method]} is missing: {why.rstrip('.')}." for method, why in result["skipped"].items()]


def figure(result: dict[str, Any]) -> Figure:
    """Tokens a second of every method."""
    from utils.plots import spread_bars

    speeds = {METHODS[name]: [run.tokens_per_second for run in runs] for name, runs in training_runs(result).items()}
    return spread_bars(speeds, f"Training {result['model']} on a CPU", "tokens a second")


def training_runs(result: dict[str, Any]) -> dict[str, list[TrainingRun]]:
    """The runs of each method, one a round."""
    methods = [method for method in METHODS if method in result["rounds"][0]]
    return {method: [TrainingRun.read(measured[method]) for measured in result["rounds"]] for method in methods}


def ceiling_of(result: dict[str, Any]) -> float:
    """The fastest that this machine multiplies large matrices, in any number format, in operations a second."""
    return max(rates[CUBE] for rates in result["ceiling"].values())
