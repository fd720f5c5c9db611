"""What a command shows while it works: a line that changes on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

SECONDS_BETWEEN_LINES = 30


class StatusLine:
    """Shows how far something is; `with` removes the line at the end."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.is_terminal = self.stream.isatty()
        self.shown = time.monotonic()

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if self.is_terminal:
            self._write(f"\r\x1b[K{text}")
        elif now - self.shown >= SECONDS_BETWEEN_LINES:
            self.shown = now
            self._write(text + "\n")

    def keep(self, text: str) -> None:
        """Show a line that stays."""
        self.clear()
        self._write(text + "\n")

    def clear(self) -> None:
        """Remove the line."""
        if self.is_terminal:
            self._write("\r\x1b[K")

    def count(self, what: str) -> Callable[[int, int], None]:
        """A callback (done, total) that shows "answers of the tuned model: 40 of 420"."""
        return lambda done, total: self(f"{what}: {done} of {total}")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of the same length as aligned columns; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def result_rows(rows: Sequence[Mapping[str, object]]) -> list[tuple[str, str, str, str]]:
    """Base against tuned as `utils.metrics.compare_scores` gives it, a row a metric, with a heading."""
    return [("", "base", "tuned", "gain"), *(_result_row(row) for row in rows)]


def _result_row(row: Mapping[str, object]) -> tuple[str, str, str, str]:
    if row["metric"] == "perplexity":
        return ("perplexity", _number(row["base"]), _number(row["tuned"]), _number(row["gain"], "+"))
    return (row["metric"], _share(row["base"]), _share(row["tuned"]), _points(row["gain"]))


def _share(share: Mapping[str, float]) -> str:
    return f"{100 * share['value']:.1f}% [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"


def _points(gain: Mapping[str, float]) -> str:
    return f"{100 * gain['value']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"


def _number(value: Mapping[str, float], sign: str = "") -> str:
    return f"{value['value']:{sign}.2f} [{value['low']:{sign}.2f}, {value['high']:{sign}.2f}]"


def minutes(seconds: float) -> str:
    """ "40 s", "12 min", "1 h 5 min"."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    whole = round(seconds / 60)
    return f"{whole} min" if whole < 60 else f"{whole // 60} h {whole % 60} min"
