"""Tell whoever waits how far a long cell is: one line in `runs/NAME/progress.txt`, shown by the runner."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.settings import run_folder


class ProgressLine:
    """Writes the line, at most once a second, and removes it when the `with` block ends."""

    def __init__(self, run_name: str) -> None:
        self.path = run_folder(run_name) / "progress.txt"
        self.written = 0.0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self.written >= 1 and self.path.parent.is_dir():
            self.path.write_text(text + "\n", encoding="utf-8")
            self.written = now

    def count(self, what: str) -> Any:
        """A callback (done, total) that writes "answers of the tuned model: 40 of 420"."""
        return lambda done, total: self(f"{what}: {done} of {total}")


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
