"""The value of a cell as text, or the reason why it has none."""

from __future__ import annotations

import datetime
import decimal
import math

from utils.records import kind_of, text_fault

MAX_CHARACTERS = 1_000_000


class Unusable(Exception):
    """A row cannot be used; the message is the reason, a sentence."""


def is_missing(value: object) -> bool:
    """True for what files use where there is no value: nothing, white space, NaN."""
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and math.isnan(value))
    )


def cell_text(value: object, column: str) -> str:
    """A value as text, without white space around it. Numbers, truth values and dates are written out.

    Raises:
        Unusable: the cell is empty, or holds something that is no text.
    """
    if is_missing(value):
        raise Unusable(f"The column {column!r} is empty.")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | decimal.Decimal | datetime.date | datetime.time) or _is_finite(value):
        return str(value)
    if not isinstance(value, str):
        hint = " Write it as text, for instance as JSON." if isinstance(value, dict | list) else ""
        raise Unusable(f"The column {column!r} holds {_described(value)}, where text is expected.{hint}")
    return sound_text(value, f"The column {column!r}")


def sound_text(text: str, where: str) -> str:
    """A text without white space around it. Raises Unusable if it is damaged or absurdly long."""
    fault = text_fault(text)
    if fault:
        raise Unusable(f"{where}: {fault}")
    if len(text) > MAX_CHARACTERS:
        raise Unusable(f"{where} holds a text of more than {MAX_CHARACTERS:,} characters.")
    return text.strip()


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _described(value: object) -> str:
    return "an infinite number" if isinstance(value, float) else kind_of(value)
