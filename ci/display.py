"""How far a notebook is, for whoever waits: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

BAR_WIDTH = 20
SECONDS_BETWEEN_LINES = 30


def clock(seconds: float) -> str:
    """0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class NotebookProgress:
    """Shows one notebook while it runs: `with NotebookProgress(...) as progress: progress.start_cell(3)`.

    `note` is a file whose one line, written by the notebook, is shown too. `began` is when the whole command began.
    """

    def __init__(self, title: str, cells: int, note: Path, began: float, stream: TextIO | None = None) -> None:
        self.title, self.cells, self.note, self.began = title, cells, note, began
        self.stream = stream or sys.stdout
        self.is_terminal = self.stream.isatty()
        self.cell = 0
        self.started = self.last_line = time.monotonic()
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._keep_showing, daemon=True)

    def __enter__(self) -> NotebookProgress:
        self.note.unlink(missing_ok=True)
        if not self.is_terminal:
            self._write(f"{self.title} …\n")
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.thread.join()
        if self.is_terminal:
            self._write("\r\x1b[K")
        mark = "✓" if kind is None else "✗"
        state = f"{self.cells} cells" if kind is None else "failed" if issubclass(kind, Exception) else "stopped"
        self._write(f"{mark} {self.title}  {state}, {clock(self.seconds)}\n")

    @property
    def seconds(self) -> float:
        """Since this notebook started."""
        return time.monotonic() - self.started

    def start_cell(self, number: int) -> None:
        """Cell `number` (from 1) begins."""
        self.cell = number
        if self.is_terminal:
            self._redraw()

    def line(self) -> str:
        """Bar, cell, time and what the notebook says of itself, no longer than the terminal is wide."""
        filled = BAR_WIDTH * max(0, self.cell - 1) // max(1, self.cells)
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        parts = [f"{self.title}  {bar} cell {self.cell} of {self.cells}  {clock(self.seconds)}", self._said()]
        text = "  ".join(part for part in parts if part)
        return text[: shutil.get_terminal_size().columns - 1]

    def _keep_showing(self) -> None:
        while not self.ended.wait(1):
            if self.is_terminal:
                self._redraw()
            elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
                self.last_line = time.monotonic()
                so_far = f"    cell {self.cell} of {self.cells}, {clock(self.seconds)}"
                total = f" ({clock(time.monotonic() - self.began)} in all)"
                said = self._said()
                self._write(so_far + total + (f": {said}" if said else "") + "\n")

    def _said(self) -> str:
        try:
            return " ".join(self.note.read_text(encoding="utf-8", errors="replace").split())[:200]
        except OSError:
            return ""

    def _redraw(self) -> None:
        self._write(f"\r{self.line()}\x1b[K")

    def _write(self, text: str) -> None:
        with self.lock:
            self.stream.write(text)
            self.stream.flush()
