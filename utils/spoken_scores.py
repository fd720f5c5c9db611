"""What is wrong with a value that a model wrote, in words that say what it did not understand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from utils.spoken_examples import SpokenExample

FORMS = {
    "date": re.compile(r"(\d{4})-(\d{2})-(\d{2})"),
    "time": re.compile(r"(\d{2}):(\d{2})"),
    "amount": re.compile(r"(\d+)\.(\d{2})"),
}
PARTS = {"date": ("year", "month", "day"), "time": ("hour", "minute")}


def kind_of(value: str) -> str:
    """ "date", "time" or "amount" by the form of a text; empty if it has none of these forms."""
    return next((kind for kind, form in FORMS.items() if form.fullmatch(value)), "")


def error_kind(gold: str, written: str) -> str:
    """Such as "wrong month", "wrong digits" or "wrong size"; empty if the two are the same."""
    if written == gold:
        return ""
    kind = kind_of(gold)
    if kind_of(written) != kind:
        return "another kind of value" if kind_of(written) else "no value"
    if kind == "amount":
        same_figures = _figures(gold) == _figures(written)
        return "wrong size of the amount" if same_figures else "wrong figures of the amount"
    pairs = zip(PARTS[kind], FORMS[kind].fullmatch(gold).groups(), FORMS[kind].fullmatch(written).groups(), strict=True)
    wrong = [part for part, right, guess in pairs if right != guess]
    return f"wrong {wrong[0]}" if len(wrong) == 1 else f"wrong in several parts of the {kind}"


def by_error(examples: Sequence[SpokenExample], answers: Sequence[str]) -> dict[str, list[tuple[SpokenExample, str]]]:
    """Wrong answers with their examples, by kind of error, the most frequent kind first."""
    groups: dict[str, list[tuple[SpokenExample, str]]] = {}
    for example, answer in zip(examples, answers, strict=True):
        if kind := error_kind(example.value, answer):
            groups.setdefault(kind, []).append((example, answer))
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def _figures(amount: str) -> str:
    return amount.replace(".", "").strip("0")
