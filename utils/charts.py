"""Which chart fits the rows of a query, by rules that a sentence can tell.

Rows are drawn if they are two columns, one of numbers and one of names or dates, each named once: dates as a line,
names as bars. Anything else is better read as a table.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from utils.sql import Result, Row

FEWEST_ROWS = 2
MAX_BARS = 24
FEWEST_POINTS = 3
MAX_POINTS = 500
DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[ T]\d{2}:\d{2}.*)?)?)?")
IDENTIFIER = re.compile(r"(.*_)?id", re.IGNORECASE)
YEAR = re.compile(r"(.*_)?year", re.IGNORECASE)


@dataclass(frozen=True)
class Chart:
    """What to draw: a value over each label. `places` are the labels' positions on the line, from 0 to 1."""

    kind: Literal["bars", "line"]
    labels: tuple[str, ...]
    values: tuple[float, ...]
    label_title: str
    value_title: str
    places: tuple[float, ...] = ()

    @property
    def reason(self) -> str:
        """Why it is drawn like this."""
        if self.kind == "line":
            return "A line, because one column holds dates and the other numbers."
        return "Bars, because one column holds names and the other numbers."


def choose_chart(result: Result) -> Chart | None:
    """The chart of a result, None if a table says it better."""
    if not result.ok or result.truncated or len(result.columns) != 2 or len(result.rows) < FEWEST_ROWS:
        return None
    numbers = _number_column(result)
    if numbers is None:
        return None
    names = 1 - numbers
    labels = ["NULL" if row[names] is None else str(row[names]) for row in result.rows]
    if len(set(labels)) < len(labels):
        return None
    values = [float(row[numbers]) for row in result.rows]
    titles = (result.columns[names], result.columns[numbers])
    days = [_day(label) for label in labels]
    if all(day is not None for day in days) and FEWEST_POINTS <= len(days) <= MAX_POINTS:
        return _line(days, labels, values, titles)
    return Chart("bars", tuple(labels), tuple(values), *titles) if len(labels) <= MAX_BARS else None


def _line(days: list[int], labels: list[str], values: list[float], titles: tuple[str, str]) -> Chart | None:
    ordered = sorted(zip(days, labels, values, strict=True))
    first, last = ordered[0][0], ordered[-1][0]
    if first == last:
        return None
    places = tuple((day - first) / (last - first) for day, _, _ in ordered)
    return Chart(
        "line", tuple(label for _, label, _ in ordered), tuple(value for _, _, value in ordered), *titles, places
    )


def _number_column(result: Result) -> int | None:
    """Which of two columns to draw: the one of numbers, or the other if both are and one is a year."""
    found = [column for column in (0, 1) if _is_measure(result.columns[column], result.rows, column)]
    if len(found) == 2:
        found = [column for column in found if not YEAR.fullmatch(result.columns[column])]
    return found[0] if len(found) == 1 else None


def _is_measure(name: str, rows: list[Row], column: int) -> bool:
    """True if every value is a finite number, and the column does not number things, as `id` does."""
    values = [row[column] for row in rows]
    return not IDENTIFIER.fullmatch(name) and all(
        isinstance(value, int | float) and math.isfinite(value) for value in values
    )


def _day(label: str) -> int | None:
    """The day on which a date, a month or a year begins, None for any other text."""
    found = DATE.fullmatch(label)
    if not found:
        return None
    year, month, day = (int(part) if part else 1 for part in found.groups())
    try:
        return date(year, month, day).toordinal()
    except ValueError:
        return None
