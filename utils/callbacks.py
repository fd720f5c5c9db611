"""How far a trainer is, as a line for the runner, and what memory it takes. `utils.live_plot` draws the curves."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.peak_memory import PeakMemory
from utils.progress import LOSSES, ProgressLine


class TrainingProgress(TrainerCallback):
    """Writes step, loss and the time left after each optimizer step, and keeps a list of the validation losses."""

    def __init__(self, run_name: str) -> None:
        self.line = ProgressLine(run_name)
        self.losses = self.line.path.with_name(LOSSES)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started, self.first_step = time.monotonic(), state.global_step
        if not self.first_step:
            self.losses.unlink(missing_ok=True)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        row = {"step": state.global_step, "eval_loss": metrics.get("eval_loss", math.nan)}
        with self.losses.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        seconds = (time.monotonic() - self.started) / max(1, state.global_step - self.first_step)
        left = seconds * (state.max_steps - state.global_step)
        loss = next((f", loss {row['loss']:.2f}" for row in reversed(state.log_history) if "loss" in row), "")
        self.line(f"step {state.global_step} of {state.max_steps}{loss}, about {left / 60:.0f} min left")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.line.path.unlink(missing_ok=True)


class MemoryLog(TrainerCallback):
    """Adds to each line of training losses, as `memory_gb`, the most memory held since the line before, in GB."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.memory = PeakMemory(args.device.type)
        self.memory.__enter__()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if "loss" in state.log_history[-1]:
            state.log_history[-1]["memory_gb"] = self.memory.of_late()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.memory.__exit__(None, None, None)
