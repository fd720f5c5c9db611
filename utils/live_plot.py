"""The training so far, drawn while it runs: loss, validation loss, learning rate, tokens a second and the time left.

`LivePlot` is a subclass of a class of transformers, so this module needs torch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.front_end import is_interactive
from utils.plots import TUNED_COLOUR, first_and_last_loss, loss_curves
from utils.terminal import minutes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_SHARE = 0.01  # of the training time may go into drawing
SECONDS_BETWEEN, FIRST_DRAWING = 15.0, 0.3


class LivePlot(TrainerCallback):
    """Draws into one output of the notebook a few times a minute, and leaves one finished figure there.

    Drawing takes less than a hundredth of the time: the slower it is, the rarer. Where nobody looks, only the finished
    figure is drawn. Tokens a second need a trainer that logs `num_tokens`, as TRL's do.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.display: Any = None
        self.speeds: list[tuple[int, float]] = []
        self.is_watched = is_interactive()
        self.started = self.counted_at = self.last_drawn = time.monotonic()
        self.first_step, self.tokens = state.global_step, 0.0
        self.spent, self.expected = 0.0, FIRST_DRAWING

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        row = state.log_history[-1]
        if "eval_runtime" in row:
            self.counted_at += row["eval_runtime"]  # this time was not spent on training
        elif "num_tokens" in row:
            self._count(state.global_step, row["num_tokens"])
        if self.is_watched and self._is_due():
            self._draw(state.log_history, self._progress(state))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        took = time.monotonic() - self.started
        self._draw(state.log_history, summary(state.log_history, took))

    def _count(self, step: int, tokens: float) -> None:
        """Note the speed since the last count. A run that is continued begins to count from nothing."""
        now = time.monotonic()
        if tokens > self.tokens and now > self.counted_at:
            self.speeds.append((step, (tokens - self.tokens) / (now - self.counted_at)))
        self.tokens, self.counted_at = tokens, now

    def _is_due(self) -> bool:
        now = time.monotonic()
        would_be_spent = self.spent + self.expected
        return now - self.last_drawn >= SECONDS_BETWEEN and would_be_spent <= LARGEST_SHARE * (now - self.started)

    def _progress(self, state: TrainerState) -> str:
        """How far it is, how fast, and how long it will take."""
        done = state.global_step - self.first_step
        parts = [f"Step {state.global_step} of {state.max_steps}"]
        parts += [f"{self.speeds[-1][1]:,.0f} tokens/s"] if self.speeds else []
        if done:
            left = (time.monotonic() - self.started) / done * (state.max_steps - state.global_step)
            parts.append(f"about {minutes(left)} left")
        return " · ".join(parts)

    def _draw(self, log: Sequence[dict[str, float]], title: str) -> None:
        from IPython.display import display

        began = time.monotonic()
        figure = loss_figure(log, self.speeds, title)
        if self.display is None:
            self.display = display(figure, display_id=True)
        else:
            self.display.update(figure)
        self.last_drawn = time.monotonic()
        self.expected = self.last_drawn - began
        self.spent += self.expected
        self.counted_at += self.expected  # nor was this time


def loss_figure(log: Sequence[dict[str, float]], speeds: Sequence[tuple[int, float]], title: str) -> Figure:
    """The loss curves, with tokens a second (dashed) beside the learning rate."""
    figure = loss_curves(log, title)
    if speeds:
        beside = figure.axes[-1].twinx()
        beside.plot(*zip(*speeds, strict=True), color=TUNED_COLOUR, linestyle="--", linewidth=1.2)
        beside.set(ylabel="tokens/s,\ndashed", ylim=(0, None))
        beside.spines["right"].set_visible(True)
    return figure


def summary(log: Sequence[dict[str, float]], seconds: float) -> str:
    """What came of the training: how the validation loss went, else the training loss, and how long it took."""
    found = first_and_last_loss(log)
    if found:
        name, first, last = found
        return f"{name} {first:.2f} → {last:.2f} in {minutes(seconds)}"
    return f"Training took {minutes(seconds)}"
