"""Figures are drawn and saved as small PNG files."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from utils.evaluation import Interval
from utils.plots import (
    compare_bars,
    error_bars,
    length_histogram,
    loss_curves,
    panel_bars,
    parameter_bars,
    save,
)

matplotlib.use("agg")
LOG = [
    {"step": 0, "eval_loss": 3.1},
    *({"step": 5 * n, "loss": 3 / n, "learning_rate": 5e-4 / n, "grad_norm": 1.0} for n in range(1, 80)),
    {"step": 200, "eval_loss": 0.4},
    {"step": 395, "train_runtime": 900.0, "train_loss": 0.3},
]
SHARES = {"base, zero-shot": Interval(0.01, 0.0, 0.02), "tuned": Interval(0.55, 0.5, 0.6)}
MEASURES = {
    "millions of weights": {"full": 70.8, "LoRA, rank 4": 0.8, "LoRA, rank 64": 13.0},
    "right answers, %": {
        "full": Interval(0.1, 0.04, 0.2),
        "LoRA, rank 4": Interval(0.0, 0.0, 0.05),
        "LoRA, rank 64": Interval(0.15, 0.05, 0.25),
    },
}
FIGURES = {
    "loss curves": lambda: loss_curves(LOG),
    "histogram": lambda: length_histogram({"prompt": list(range(50, 400)), "answer": [20, 30, 40] * 50}, 768),
    "bars": lambda: compare_bars({"execution accuracy": SHARES, "valid SQL": SHARES}, "Better?"),
    "one bar": lambda: compare_bars({"easy": {"tuned": SHARES["tuned"]}}, "By level"),
    "errors": lambda: error_bars({"wrong condition": 40, "wrong tables": 7}, 420),
    "no errors": lambda: error_bars({}, 420),
    "panels": lambda: panel_bars(MEASURES, "Full fine-tuning against LoRA"),
    "five panels": lambda: panel_bars({f"measure {n}": MEASURES["right answers, %"] for n in range(5)}, "x"),
    "parameters": lambda: parameter_bars({"embeddings": 28_311_552, "attention": 26_542_080, "MLP": 79_626_240}),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_figure_is_a_small_png(draw: Callable[[], Figure], tmp_path: Path) -> None:
    path = save(draw(), tmp_path / "plots" / "figure.png")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    assert 400 < width < 1600
    assert 60 < height < 900
    assert 1_000 < len(content) < 100_000
    assert list(path.parent.iterdir()) == [path]
    # The notebook shows the figure that a function returns; pyplot would show it again.
    assert pyplot.get_fignums() == []


def test_loss_curves_show_what_the_log_holds() -> None:
    top, bottom = loss_curves(LOG, "A title").axes
    assert top.get_title(loc="left") == "A title"
    training, validation = top.get_lines()
    assert len(training.get_xdata()) == 79
    assert list(validation.get_xdata()) == [0, 200]
    assert len(bottom.get_lines()) == 1
    assert top.get_yscale() == "log"


@pytest.mark.parametrize(
    ("figure", "title"),
    [
        (lambda: loss_curves([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 0.5}]), "Training loss fell from 2 to 0.5"),
        (
            lambda: loss_curves([{"step": n, "loss": 1.0, "eval_loss": 1.0 + n} for n in (0, 4)]),
            "Validation loss did not fall: from 1 to 5",
        ),
        (lambda: length_histogram({"prompt": [9], "answer": [70]}, 64), "The longest has 70 tokens: not all fit"),
        (lambda: error_bars({"seldom": 3, "often": 30}, 300), "The most frequent error: often"),
        (lambda: parameter_bars({"embeddings": 1, "MLP": 3}), "75% of the parameters: MLP"),
    ],
    ids=["loss", "loss that rises", "lengths", "errors", "parameters"],
)
def test_title_states_what_the_figure_shows(figure: Callable[[], Figure], title: str) -> None:
    assert figure().axes[0].get_title(loc="left") == title


@pytest.mark.parametrize("log", [[], [{"step": 3, "train_runtime": 1.0}]], ids=["empty", "without losses"])
def test_log_without_losses_can_be_drawn(log: list[dict], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert save(loss_curves(log), tmp_path / "figure.png").stat().st_size > 1_000


def test_only_validation_losses(tmp_path: Path) -> None:
    figure = loss_curves([{"step": 0, "eval_loss": 3.0}])
    assert len(figure.axes[0].get_lines()) == 1
    save(figure, tmp_path / "figure.png")


def test_bars_have_the_height_of_their_share() -> None:
    axes = compare_bars({"execution accuracy": SHARES, "valid SQL": SHARES}, "x").axes[0]
    assert sorted(round(bar.get_height(), 6) for bar in axes.patches) == [1, 1, 55, 55]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["execution accuracy", "valid SQL"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["base, zero-shot", "tuned"]


def test_most_frequent_error_is_on_top() -> None:
    axes = error_bars({"often": 30, "seldom": 3}, 300).axes[0]
    widths = {
        label.get_text(): bar.get_width() for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)
    }
    assert widths == {"often": pytest.approx(10), "seldom": pytest.approx(1)}
    assert axes.get_yticklabels()[-1].get_text() == "often"


def test_panels_share_their_rows_and_the_first_entry_is_on_top_and_marked() -> None:
    weights, answers = panel_bars(MEASURES, "x").axes
    assert [label.get_text() for label in weights.get_yticklabels()] == list(MEASURES["millions of weights"])[::-1]
    assert [bar.get_width() for bar in weights.patches] == [13.0, 0.8, 70.8]
    assert [bar.get_width() for bar in answers.patches] == pytest.approx([15, 0, 10])
    assert [bool(bar.get_hatch()) for bar in weights.patches] == [False, False, True]  # tells them apart in grey
    assert len(weights.containers) == 3
    assert len(answers.containers) == 6  # each bar with its bounds
    assert [text.get_text().strip() for text in weights.texts] == ["13", "0.800", "71"]
    assert [text.get_text().strip() for text in answers.texts] == ["15", "0", "10"]


def test_failed_saving_keeps_the_old_figure(tmp_path: Path) -> None:
    path = save(error_bars({"a": 1}, 2), tmp_path / "figure.png")
    before = path.read_bytes()

    class Broken:
        def savefig(self, target: Path, **_: object) -> None:
            Path(target).write_bytes(b"half")
            raise OSError("The disk is full.")

    with pytest.raises(OSError, match="full"):
        save(Broken(), path)
    assert path.read_bytes() == before
