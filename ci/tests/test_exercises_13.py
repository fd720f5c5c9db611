"""The checks of notebook 13 tell right answers from the mistakes that are easily made."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from utils.exercises.checks import verdict_on
from utils.exercises.multiple_choice import quiz

BEAMS = {"greedy": ["1", "2", "3", "4"], "beam": ["1", "5", "6", "4"], "values": ["1", "5", "3", "9"]}
PHRASINGS = [name for name in "abcdefgh" for _ in range(10)]
HITS = [name != "b" for name in PHRASINGS]


@pytest.mark.parametrize(("answer", "is_right"), [((2, 1), True), ([2, 1], True), ((3, 1), False), ((2, 2), False)])
def test_changed_answers(answer: object, is_right: bool) -> None:
    assert verdict_on("13.1", answer, **BEAMS).is_right == is_right


def test_changed_answers_are_a_pair() -> None:
    assert "a pair" in verdict_on("13.1", [2], **BEAMS).text


def shifted(labels: list[int]) -> list[int]:
    return [0] + [0 if label == -100 else label for label in labels[:-1]]


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        (shifted, True),
        (lambda labels: labels, False),
        (lambda labels: [0, *labels], False),
        (lambda labels: [0, *labels[:-1]], False),  # -100 is no token
        (lambda labels: None, False),
    ],
)
def test_teacher(answer: Callable, is_right: bool) -> None:
    assert verdict_on("13.2", answer).is_right == is_right


def test_width_by_phrasing() -> None:
    import numpy

    groups, generator, shares = [[name != "b"] * 10 for name in "abcdefgh"], numpy.random.default_rng(0), []
    for _ in range(2000):
        drawn = [groups[place] for place in generator.integers(0, len(groups), len(groups))]
        shares.append(sum(map(sum, drawn)) / sum(map(len, drawn)))
    low, high = numpy.percentile(shares, [2.5, 97.5])
    given = {"phrasings": PHRASINGS, "hits": HITS}
    assert verdict_on("13.3", 100 * (high - low), **given).is_right
    assert "points" in verdict_on("13.3", high - low, **given).text
    by_sentence = 14.0  # what the plain bootstrap gives for 70 of 80
    assert "draw phrasings" in verdict_on("13.3", by_sentence, **given).text


def test_quiz_is_complete() -> None:
    items = quiz("beyond").items
    assert 4 <= len(items) <= 6
    assert all(option.feedback for item in items for option in item.options)
    for item in items:
        assert all(not option.feedback[0].isupper() for option in item.options if not option.is_right)
