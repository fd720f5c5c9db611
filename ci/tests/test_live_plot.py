"""The live plot costs little, tells the truth about speed and time, and leaves one figure; trackers are optional."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from utils import live_plot
from utils.errors import CourseError
from utils.live_plot import LARGEST_SHARE, LivePlot, loss_figure, summary
from utils.tracking import TRACKIO_VERSION, trackers

matplotlib.use("agg")
torch.set_num_threads(1)
VOCABULARY = 32
FAKE_TRACKIO = """
import contextvars, types
__version__ = "0.0"
logged, finished = [], []
class Config(dict):
    def update(self, values, allow_val_change): super().update(values)
config = Config()
context_vars = types.SimpleNamespace(
    current_space_id=contextvars.ContextVar("space", default=None),
    current_project=contextvars.ContextVar("project", default=None),
)
def init(**settings): config["init"] = settings
def log(row): logged.append(row)
def finish(): finished.append(True)
"""


class Screen:
    """A clock, and the titles of what is displayed; drawing takes `cost` seconds."""

    def __init__(self, cost: float) -> None:
        self.now, self.cost = 1000.0, cost
        self.titles: list[str] = []
        self.outputs = 0

    def display(self, title: str, display_id: bool) -> SimpleNamespace:
        assert display_id
        self.outputs += 1
        self.update(title)
        return SimpleNamespace(update=self.update)

    def update(self, title: str) -> None:
        self.now += self.cost
        self.titles.append(title)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Somebody looks; a drawing, of which only the title is made, takes 0.2 seconds."""
    screen = Screen(0.2)
    monkeypatch.setattr(live_plot, "loss_figure", lambda log, speeds, title: title)
    monkeypatch.setattr(live_plot, "time", SimpleNamespace(monotonic=lambda: screen.now))
    monkeypatch.setattr(live_plot, "is_interactive", lambda: True)
    monkeypatch.setattr("IPython.display.display", screen.display)
    return screen


def train(plot: LivePlot, screen: Screen, steps: int, *, seconds: float = 3.0, every: int = 100) -> SimpleNamespace:
    """Pretend to train: each step takes so many seconds and 600 tokens, each evaluation 20 seconds."""
    state = SimpleNamespace(global_step=0, max_steps=steps, log_history=[])
    plot.on_train_begin(None, state, None)
    for step in range(1, steps + 1):
        screen.now += seconds
        state.global_step = step
        state.log_history.append({"step": step, "loss": 3 / step, "learning_rate": 1e-4, "num_tokens": 600.0 * step})
        plot.on_log(None, state, None)
        if step % every == 0:
            screen.now += 20
            state.log_history.append({"step": step, "eval_loss": 2 / step, "eval_runtime": 20.0})
            plot.on_log(None, state, None)
    state.log_history.append({"step": steps, "train_runtime": 1.0})
    plot.on_log(None, state, None)
    plot.on_train_end(None, state, None)
    return state


def test_it_is_drawn_a_few_times_a_minute_and_costs_less_than_a_hundredth(screen: Screen) -> None:
    plot = LivePlot()
    train(plot, screen, 400)
    took = screen.now - 1000.0
    live = len(screen.titles) - 1
    assert 1 <= live / (took / 60) <= 4
    assert screen.cost * live < LARGEST_SHARE * took
    assert screen.outputs == 1


def test_slow_drawing_is_done_seldom(screen: Screen) -> None:
    screen.cost = 2.0
    train(LivePlot(), screen, 400)
    took = screen.now - 1000.0
    assert len(screen.titles) > 3
    assert screen.cost * (len(screen.titles) - 2) < LARGEST_SHARE * took  # the first one could not be foreseen


def test_titles_tell_speed_and_time_left_and_at_the_end_the_finding(screen: Screen) -> None:
    train(LivePlot(), screen, 400)
    *live, last = screen.titles
    assert all(" · 200 tokens/s · about " in title and title.endswith(" left") for title in live)  # 600 in 3 s
    steps = [int(title.split()[1]) for title in live]
    assert steps == sorted(steps)
    assert last.startswith("Validation loss 0.02 → 0.01 in ")


def test_evaluations_do_not_count_as_slow_training(screen: Screen) -> None:
    plot = LivePlot()
    train(plot, screen, 40, every=10)
    assert [step for step, _ in plot.speeds] == list(range(1, 41))
    assert all(speed == pytest.approx(200) for _, speed in plot.speeds)


def test_a_continued_run_counts_tokens_anew(screen: Screen) -> None:
    plot = LivePlot()
    train(plot, screen, 5)
    train(plot, screen, 5)
    assert [step for step, _ in plot.speeds] == [1, 2, 3, 4, 5]
    assert screen.outputs == 2  # the second cell has an output of its own


def test_where_nobody_looks_only_the_finished_figure_is_drawn(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_plot, "is_interactive", lambda: False)
    train(LivePlot(), screen, 400)
    assert len(screen.titles) == 1
    assert "left" not in screen.titles[0]


def test_figure_is_compact_and_reads_in_grey() -> None:
    log = [{"step": n, "loss": 3 / n, "learning_rate": 5e-4 / n} for n in range(1, 400)]
    log += [{"step": n, "eval_loss": 4 / n} for n in (100, 200, 300)]
    figure = loss_figure(log, [(n, 800 + n % 7) for n in range(1, 400)], "A title")
    assert [len(line.get_xdata()) for line in figure.axes[0].get_lines()] == [399, 3]
    rates, speeds = figure.axes[1].get_lines()[0], figure.axes[2].get_lines()[0]
    assert rates.get_linestyle() != speeds.get_linestyle()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=96)
    assert 5_000 < len(buffer.getvalue()) < 80_000


def test_summary_of_what_there_is() -> None:
    assert summary([{"loss": 2.0}, {"loss": 1.0}], 60) == "Training loss 2.00 → 1.00 in 60 s"
    assert summary([{"loss": 2.0}, {"eval_loss": 3.0}, {"eval_loss": 1.5}], 600) == (
        "Validation loss 3.00 → 1.50 in 10 min"
    )
    assert summary([], 60) == "Training took 60 s"


# --- A real trainer, and a tracker -------------------------------------------------------------------------------


@pytest.fixture
def fake_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of this name that notes what it is told. Returns the folder that it should log to."""
    (tmp_path / "packages" / "trackio").mkdir(parents=True)
    (tmp_path / "packages" / "trackio" / "__init__.py").write_text(FAKE_TRACKIO, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("TRACKIO_DIR", "")
    monkeypatch.delenv("TRACKIO_DIR")
    yield tmp_path / "tracked"
    sys.modules.pop("trackio", None)


def make_trainer(folder: Path, report_to: list[str], plot: LivePlot) -> SFTTrainer:
    """A trainer of a tiny model that makes three steps and looks at the validation loss."""
    words = {"<pad>": 0, "<eos>": 1} | {f"w{number}": number for number in range(2, VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<eos>")), eos_token="<eos>", pad_token="<pad>"
    )
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    model = LlamaForCausalLM(LlamaConfig(**sizes, **ends, num_attention_heads=2, num_key_value_heads=2))
    examples = [{"input_ids": [2, 3, 4, 5 + n, 1], "labels": [-100, -100, 4, 5 + n, 1]} for n in range(8)]
    settings = SFTConfig(
        output_dir=str(folder / "checkpoints"),
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        per_device_train_batch_size=2,
        max_steps=3,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="no",
        report_to=report_to,
        disable_tqdm=True,
    )
    data = Dataset.from_list(examples)
    return SFTTrainer(
        model=model, args=settings, train_dataset=data, eval_dataset=data, processing_class=tokenizer, callbacks=[plot]
    )


def test_a_real_training_is_plotted_and_reported_to_trackio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_trackio: Path
) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda figure, display_id: shown.append(figure))
    plot = LivePlot()
    make_trainer(tmp_path, trackers("trackio", fake_trackio), plot).train()
    (figure,) = shown
    assert figure.axes[0].get_title(loc="left").startswith("Validation loss ")
    assert len(figure.axes[0].get_lines()[0].get_xdata()) == 3
    assert [step for step, _ in plot.speeds] == [1, 2, 3]
    assert all(speed > 0 for _, speed in plot.speeds)
    import trackio

    assert os.environ["TRACKIO_DIR"] == str(fake_trackio)
    assert trackio.finished == [True]
    drawn = figure.axes[0].get_lines()[0].get_ydata()
    assert [row["train/loss"] for row in trackio.logged if "train/loss" in row] == list(drawn)
    assert sum("eval/loss" in row for row in trackio.logged) == 3


def test_no_tracker_is_needed(tmp_path: Path) -> None:
    assert trackers("", tmp_path) == []


def test_unknown_or_missing_trackers_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CourseError, match="'wandb' is not known"):
        trackers("wandb", tmp_path)
    monkeypatch.setattr("utils.tracking.find_spec", lambda name: None)
    with pytest.raises(CourseError, match=f"pip install trackio=={TRACKIO_VERSION}"):
        trackers("trackio", tmp_path)


def test_a_folder_that_is_set_already_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_trackio: Path
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", "elsewhere")
    assert trackers("trackio", tmp_path) == ["trackio"]
    assert os.environ["TRACKIO_DIR"] == "elsewhere"
