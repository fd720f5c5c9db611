"""The page's HTML: schemas, rows, charts and messages.

Names and values come from databases that anybody may have made. All of them pass through `text`, which leaves nothing
that a browser takes for HTML.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence

from utils.charts import Chart, choose_chart
from utils.databases import ColumnFacts, TableFacts
from utils.sql import Result

MAX_SHOWN_ROWS = 200
MAX_SHOWN_TABLES = 300
MAX_SHOWN_COLUMNS = 100
MAX_CELL = 300  # characters
LONG_CELL = 40  # more is broken into lines
MAX_NAME = 80
MAX_SAMPLE = 30
# Control characters, and those that turn the direction of what follows them.
INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
HEIGHT = 200  # of a line's drawing, in its own units; the width is 1000


def text(value: object, most: int = MAX_CELL) -> str:
    """A value as HTML that shows it as it is, shortened to so many characters."""
    shown = INVISIBLE.sub("�", str(value))
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    return html.escape(shown)


def cell_text(value: object) -> str:
    """A value of a row, as a person reads it: numbers to four decimals, what is no text by its size."""
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return str(value)


def number_text(value: float) -> str:
    """A number to four decimals, or to four digits if it is smaller than that."""
    if not math.isfinite(value) or abs(value) >= 1e15:
        return str(value)
    if value and abs(value) < 0.001:
        return f"{value:.4g}"
    return f"{value:.4f}".rstrip("0").rstrip(".")


def schema_html(tables: Sequence[TableFacts]) -> str:
    """Every table as a fold with its columns; the first stands open."""
    shown = tables[:MAX_SHOWN_TABLES]
    folds = "".join(_table_fold(table, is_open=number == 0) for number, table in enumerate(shown))
    more = len(tables) - len(shown)
    rest = f'<p class="soft">… and {more:,} more tables</p>' if more else ""
    return f'<div class="schema"><p class="soft">{_counted(len(tables), "table")}</p>{folds}{rest}</div>'


def result_html(result: Result, advice: str = "") -> str:
    """The rows with their chart, or why there are none and what to try."""
    if not result.ok:
        tried = f"<p>{text(advice)}</p>" if advice else ""
        return f'<div class="message error" role="alert"><p><strong>{text(result.error)}</strong></p>{tried}</div>'
    chart = choose_chart(result)
    return f'<div class="result">{chart_html(chart) if chart else ""}{_rows_html(result)}</div>'


def message_html(message: str, kind: str = "notice") -> str:
    """A message in a box: "notice", "error" or "working", which moves while something is under way."""
    if not message:
        return ""
    dots = '<span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>' if kind == "working" else ""
    return f'<div class="message {kind}" role="status"><p>{text(message, 1_000)}{dots}</p></div>'


def chart_html(chart: Chart) -> str:
    """A chart with its reason below. It is drawn with boxes and lines only, and needs no script."""
    drawing = _bars(chart) if chart.kind == "bars" else _line(chart)
    titles = f"{text(chart.value_title, MAX_NAME)} for each {text(chart.label_title, MAX_NAME)}"
    return f'<figure class="chart">{drawing}<figcaption>{titles}. {chart.reason}</figcaption></figure>'


def _table_fold(table: TableFacts, *, is_open: bool) -> str:
    rows = "many rows" if table.rows is None else _counted(table.rows, "row")
    shown = table.columns[:MAX_SHOWN_COLUMNS]
    more = len(table.columns) - len(shown)
    columns = "".join(map(_column_item, shown))
    columns += f'<li class="soft">… and {more:,} more columns</li>' if more else ""
    return (
        f"<details{' open' if is_open else ''}><summary><bdi>{text(table.name, MAX_NAME)}</bdi>"
        f"<span>{rows}</span></summary><ul>{columns}</ul></details>"
    )


def _column_item(facts: ColumnFacts) -> str:
    column = facts.column
    marks = f'<span class="type">{text(column.type or "any", MAX_SAMPLE)}</span>'
    marks += '<span class="key">key</span>' if facts.is_key else ""
    marks += f'<span class="link">→ {text(column.references, MAX_NAME)}</span>' if column.references else ""
    values = ", ".join(text(cell_text(value), MAX_SAMPLE) for value in facts.values)
    values = f'<span class="values"><bdi>{values}</bdi></span>' if values else ""
    return f'<li><span class="name"><bdi>{text(column.name, MAX_NAME)}</bdi>{marks}</span>{values}</li>'


def _rows_html(result: Result) -> str:
    count = len(result.rows)
    counted = f"More than {_counted(count, 'row')}" if result.truncated else _counted(count, "row")
    shown = result.rows[:MAX_SHOWN_ROWS]
    counted += f", the first {len(shown)} of them shown" if len(shown) < count else ""
    if not count:
        return '<p class="soft count">No rows: nothing in the database fits the conditions of the query.</p>'
    numeric = [all(isinstance(row[i], int | float | None) for row in shown) for i in range(len(result.columns))]
    marks = [' class="number"' if is_numeric else "" for is_numeric in numeric]
    names = zip(result.columns, marks, strict=True)
    heads = "".join(f'<th scope="col"{mark}><bdi>{text(name, MAX_NAME)}</bdi></th>' for name, mark in names)
    body = "".join(
        "<tr>" + "".join(_cell(value, mark) for value, mark in zip(row, marks, strict=True)) + "</tr>" for row in shown
    )
    return (
        f'<p class="soft count">{counted}</p><div class="rows" tabindex="0" role="region" aria-label="Rows">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: object, mark: str) -> str:
    if value is None:
        return f'<td{mark}><span class="null">NULL</span></td>'
    shown = cell_text(value)
    mark = mark or (' class="long"' if len(shown) > LONG_CELL else "")
    return f"<td{mark}><bdi>{text(shown)}</bdi></td>"


def _bars(chart: Chart) -> str:
    low, high = min(0.0, *chart.values), max(0.0, *chart.values)
    width = (high - low) or 1.0
    bars = []
    for label, value in zip(chart.labels, chart.values, strict=True):
        start, length = 100 * (min(0.0, value) - low) / width, 100 * abs(value) / width
        bars.append(
            f"<li><bdi>{text(label, MAX_NAME)}</bdi>"
            f'<span class="track"><i style="margin-left:{start:.2f}%;width:{length:.2f}%"></i></span>'
            f"<b>{_grouped(value)}</b></li>"
        )
    return f'<ul class="bars">{"".join(bars)}</ul>'


def _line(chart: Chart) -> str:
    low, high = _axis(chart.values)
    points = [
        (1000 * place, HEIGHT * (1 - (value - low) / (high - low)))
        for place, value in zip(chart.places, chart.values, strict=True)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    # A line of no length with round ends: a dot that stays round however wide the drawing is.
    dots = "".join(
        f'<path class="dot" d="M{x:.1f},{y:.1f}h0"><title>{text(label, MAX_NAME)}: {_grouped(value)}</title></path>'
        for (x, y), label, value in zip(points, chart.labels, chart.values, strict=True)
    )
    scale = f"<span>{_grouped(high)}</span><span>{_grouped(low)}</span>"
    return (
        f'<div class="line"><div class="scale">{scale}</div>'
        f'<svg viewBox="0 0 1000 {HEIGHT}" preserveAspectRatio="none" role="img">'
        f'<path class="grid" d="M0,0H1000M0,{HEIGHT / 2}H1000M0,{HEIGHT}H1000"/><polyline points="{path}"/>{dots}</svg>'
        f'<div class="dates"><span>{text(chart.labels[0], MAX_NAME)}</span>'
        f"<span>{text(chart.labels[-1], MAX_NAME)}</span></div></div>"
    )


def _grouped(value: float) -> str:
    """A number of a chart: with commas between thousands."""
    whole, point, part = number_text(value).partition(".")
    return f"{int(whole):,}{point}{part}" if re.fullmatch(r"-?\d{4,}", whole) else whole + point + part


def _axis(values: Sequence[float]) -> tuple[float, float]:
    """Where the scale begins and ends: at zero or below, and at a round number."""
    low, high = min(0.0, *values), max(0.0, *values)
    return 0.0 - _round_up(-low), _round_up(high) or (0.0 if low else 1.0)


def _round_up(value: float) -> float:
    """The next number with one digit, or 2.5, in front of zeros; 0 stays 0."""
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9))


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
