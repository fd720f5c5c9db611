"""Tell whoever waits how far a long cell is: one line in `runs/NAME/progress.txt`, shown by the runner.

Beside it, `LOSSES` has the validation losses of a training under way, a line of JSON for each, for whoever may stop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from utils.settings import run_folder

LOSSES = "validation_losses.jsonl"


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

    def count(self, what: str) -> Callable[[int, int], None]:
        """A callback (done, total) that writes "answers of the tuned model: 40 of 420"."""
        return lambda done, total: self(f"{what}: {done} of {total}")
