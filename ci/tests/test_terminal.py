"""Lines for a terminal and for a log file, and tables with intervals."""

from __future__ import annotations

import io

import pytest

from utils import terminal
from utils.terminal import StatusLine, minutes, result_rows, text_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_line_changes_on_a_terminal_and_goes() -> None:
    stream = Terminal()
    with StatusLine(stream) as line:
        line.count("answers")(1, 2)
        line.keep("stays")
    assert stream.getvalue() == "\r\x1b[Kanswers: 1 of 2\r\x1b[Kstays\n\r\x1b[K"


def test_log_file_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with StatusLine(stream) as line:
        for second in (1, 31, 40, 62):
            now[0] = second
            line(f"after {second} s")
        line.keep("end")
    assert stream.getvalue() == "after 31 s\nafter 62 s\nend\n"


def test_table_of_results() -> None:
    share = {"value": 0.5, "low": 0.4, "high": 0.6}
    gain = {"value": 0.25, "low": -0.01, "high": 0.5}
    rows = [
        {"metric": "exact match", "base": share, "tuned": share, "gain": gain},
        {"metric": "perplexity", "base": share, "tuned": share, "gain": gain},
    ]
    assert result_rows(rows)[1:] == [
        ("exact match", "50.0% [40.0, 60.0]", "50.0% [40.0, 60.0]", "+25.0 [-1.0, +50.0]"),
        ("perplexity", "0.50 [0.40, 0.60]", "0.50 [0.40, 0.60]", "+0.25 [-0.01, +0.50]"),
    ]
    lines = text_table(result_rows(rows)).splitlines()
    assert lines[0].split() == ["base", "tuned", "gain"]
    assert lines[0].index("base") == lines[1].index("50.0%")


@pytest.mark.parametrize(("seconds", "text"), [(7.4, "7 s"), (89, "89 s"), (600, "10 min"), (3900, "1 h 5 min")])
def test_durations(seconds: float, text: str) -> None:
    assert minutes(seconds) == text
