"""How far a trainer is, as a line for the runner. The curves in the notebook are drawn by `utils.live_plot`."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.progress import ProgressLine


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
