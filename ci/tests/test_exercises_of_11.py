"""The checks of notebook 11 take right answers, and lead on from wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from utils.data import Question
from utils.exercises.checks import verdict_on
from utils.rewards import judge, text_of
from utils.sql import build_database

SQL = """
CREATE TABLE dish (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE serving (id INTEGER PRIMARY KEY, dish_id INTEGER REFERENCES dish (id), day TEXT);
INSERT INTO dish VALUES (1, 'soup'), (2, 'stew');
INSERT INTO serving VALUES (1, 1, 'Monday'), (2, 2, 'Monday'), (3, 1, 'Friday');
"""
GOLDS = (
    "SELECT name FROM dish",
    "SELECT DISTINCT dish.name FROM dish JOIN serving ON serving.dish_id = dish.id WHERE serving.day = 'Friday'",
)
QUESTIONS = [Question(f"k{n}", "train", "kitchen", "?", gold, "easy", "written") for n, gold in enumerate(GOLDS)]
REWARDS = [[0.1, 0.1, 1.0, 0.1], [0.1, 1.0, 0.1, 0.1], [0.0, 0.0, 0.0, 0.0], [0.1, 0.1, 0.1, 1.0]]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_database(SQL, tmp_path_factory.mktemp("kitchen") / "kitchen.sqlite")


@pytest.mark.parametrize(
    ("answer", "is_right", "part"),
    [(22, True, ""), (21, False, "one too few"), (8, False, "0.43"), (1, False, "not defined"), (2.5, False, "whole")],
)
def test_group_size(answer: object, is_right: bool, part: str) -> None:
    verdict = verdict_on("11.1", answer)
    assert (verdict.is_right, part in verdict.text) == (is_right, True), verdict


@pytest.mark.parametrize(
    ("answer", "is_right", "part"), [(0.75, True, ""), (0.25, False, "with a direction"), (0.5, False, "first half")]
)
def test_half_a_group(answer: float, is_right: bool, part: str) -> None:
    verdict = verdict_on("11.2", answer, rewards=REWARDS)
    assert (verdict.is_right, part in verdict.text) == (is_right, True), verdict


def reward(database: Path, price: float, floor: int = 0) -> Callable[..., list[float]]:
    """A reward function with a price for each JOIN too many."""

    def frugal(completions: list, sql: list[str], **_: object) -> list[float]:
        found = []
        for text, gold in zip(map(text_of, completions), sql, strict=True):
            extra = max(floor, text.upper().count("JOIN") - gold.upper().count("JOIN"))
            found.append(judge(text, gold, database).total() - price * extra)
        return found

    return frugal


def test_frugal_reward(database: Path) -> None:
    given = {"questions": QUESTIONS, "databases": {"kitchen": database}}
    assert verdict_on("11.3", reward(database, 0.1), **given).is_right
    free = verdict_on("11.3", reward(database, 0.0), **given)
    assert not free.is_right
    assert "JOIN" in free.text
    assert not verdict_on("11.3", reward(database, 0.1, floor=-9), **given).is_right  # paid for a JOIN too few
    assert "list of 4" in verdict_on("11.3", lambda **_: [0.0], **given).text
    assert "TypeError" in verdict_on("11.3", lambda: [], **given).text
