"""What a trainer tells whoever waits: the loss as a curve in the notebook, and how far it is as a line for the runner.

A callback is a subclass of a class of transformers, so this module needs torch; what it draws and writes does not.
"""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.plots import loss_curves
from utils.progress import ProgressLine


class LiveLoss(TrainerCallback):
    """Draws the loss while training runs, and leaves the last figure in the notebook."""

    def __init__(self) -> None:
        self.display: Any = None

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if len(state.log_history) < 2 or "train_runtime" in state.log_history[-1]:
            return
        from IPython.display import display

        figure = loss_curves(state.log_history, f"Step {state.global_step} of {state.max_steps}")
        if self.display is None:
            self.display = display(figure, display_id=True)
        else:
            self.display.update(figure)


class TrainingProgress(TrainerCallback):
    """Writes step, loss and the time left after each optimizer step."""

    def __init__(self, run_name: str) -> None:
        self.line = ProgressLine(run_name)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started, self.first_step = time.monotonic(), state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        seconds = (time.monotonic() - self.started) / max(1, state.global_step - self.first_step)
        left = seconds * (state.max_steps - state.global_step)
        loss = next((f", loss {row['loss']:.2f}" for row in reversed(state.log_history) if "loss" in row), "")
        self.line(f"step {state.global_step} of {state.max_steps}{loss}, about {left / 60:.0f} min left")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.line.path.unlink(missing_ok=True)
