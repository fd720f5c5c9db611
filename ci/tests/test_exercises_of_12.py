"""The checks of notebook 12 take right answers, and lead on from wrong ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy
import pytest

from utils.exercises.checks import verdict_on

MATRIX = {"truth": [0, 0, 0, 1, 1, 2], "predicted": [0, 1, 1, 1, 2, 2], "names": ("list", "count", "rank")}
HALVES = {
    "chances": numpy.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.45, 0.55]]),
    "truth": numpy.array([0, 1, 1, 1]),
}


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        (("list", "count"), True, "2 of the 3 mistakes"),
        (["count", "list"], False, "the other way round"),
        (("count", "rank"), False, "a larger number"),
        (("list", "list"), False, "diagonal"),
        (("list", "join"), False, "one of list, count, rank"),
        ("list", False, "should be a list"),
    ],
)
def test_most_frequent_mistake(answer: object, is_right: bool, part: str) -> None:
    verdict = verdict_on("12.1", answer, **MATRIX)
    assert (verdict.is_right, part in verdict.text) == (is_right, True), verdict


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        (1.0, True, "100% on the surer half, 75% on all"),
        (numpy.float64(1.0), True, "surer half"),
        (100.0, False, "in percent"),
        (0.75, False, "on all questions"),
        (0.5, False, "half of them"),
    ],
)
def test_surer_half(answer: object, is_right: bool, part: str) -> None:
    verdict = verdict_on("12.2", answer, **HALVES)
    assert (verdict.is_right, part in verdict.text) == (is_right, True), verdict


def search(steps: range) -> Callable[[Callable[[float], float], float], float]:
    """The function that is asked for, going through the thresholds in this order."""

    def found(share_complete: Callable[[float], float], wanted: float) -> float:
        return next((step / 100 for step in steps if share_complete(step / 100) >= wanted), 0.0)

    return found


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [
        (search(range(99, 0, -1)), True, "risk"),
        (search(range(1, 100)), False, "a higher threshold"),
        (lambda share_complete, wanted: 0.99, False, "too many questions"),
        (lambda share_complete, wanted: search(range(99, 0, -1))(share_complete, wanted) or 0.01, False, "0.0"),
        (lambda share_complete, wanted: None, False, "a number"),
        (lambda: 0.5, False, "TypeError"),
        (0.5, False, "should be a function"),
    ],
)
def test_threshold(answer: object, is_right: bool, part: str) -> None:
    verdict = verdict_on("12.3", answer)
    assert (verdict.is_right, part in verdict.text) == (is_right, True), verdict
