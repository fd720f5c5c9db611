"""The checks of notebook 10 tell right answers from likely wrong ones."""

from __future__ import annotations

import math

import pytest

from utils.data import Question
from utils.exercises.checks import verdict_on
from utils.preference_plots import dpo_loss
from utils.preferences import SAMPLED, Pair

QUESTION = Question("kitchen-1", "train", "kitchen", "What is cheap?", "SELECT 1", "easy", "written")
PAIRS = [Pair(QUESTION, [], *texts, SAMPLED) for texts in (("ab", "abc"), ("abc", "ab"), ("ab", "ba"), ("a", "abc"))]


def conservative(beta: float, error: float) -> float:
    """The margin with the lowest expected loss, found by trying."""
    margins = [step / 100 for step in range(10_001)]
    return min(margins, key=lambda m: (1 - error) * dpo_loss(beta * m) + error * dpo_loss(-beta * m))


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0])
def test_half_the_loss(beta: float) -> None:
    margin = math.log(math.exp(-math.log(2) / 2) / (1 - math.exp(-math.log(2) / 2))) / beta
    assert dpo_loss(beta * margin) == pytest.approx(math.log(2) / 2)
    assert verdict_on("10.1", margin, beta=beta).is_right
    assert not verdict_on("10.1", 1.1 * margin, beta=beta).is_right
    assert not verdict_on("10.1", -margin, beta=beta).is_right


def test_the_rule_of_lengths() -> None:
    assert verdict_on("10.2", 0.625, pairs=PAIRS).is_right
    assert "opposite" in str(verdict_on("10.2", 0.375, pairs=PAIRS))
    assert "percent" in str(verdict_on("10.2", 62.5, pairs=PAIRS))
    assert not verdict_on("10.2", 0.5, pairs=PAIRS).is_right


def test_the_best_margin() -> None:
    assert verdict_on("10.3", conservative).is_right
    assert not verdict_on("10.3", lambda beta, error: conservative(beta, error) / 2).is_right
    assert not verdict_on("10.3", lambda beta, error: 1 / beta).is_right
    assert not verdict_on("10.3", 3.0).is_right
