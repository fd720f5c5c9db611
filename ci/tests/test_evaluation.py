"""Scores, their intervals and the kinds of errors."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from utils.data import Question
from utils.difficulty import LEVELS
from utils.evaluation import (
    METRICS,
    Interval,
    Outcome,
    by_difficulty,
    by_error,
    comparison,
    interval,
    paired_difference,
    score,
    summarise,
)
from utils.sql import build_database, execute

CLINIC = """CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT, town TEXT);
CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, kind TEXT, weight REAL, owner_id INTEGER REFERENCES owners(id));
INSERT INTO owners VALUES (1, 'Ann', 'Ely'), (2, 'Bo', 'Rye');
INSERT INTO pets VALUES (1, 'Rex', 'dog', 9, 1), (2, 'Tom', 'cat', 4, 1), (3, 'Kit', 'cat', 3, 2);
"""
CATS = "SELECT name FROM pets WHERE kind = 'cat'"


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small clinic."""
    return {"clinic": build_database(CLINIC, tmp_path_factory.mktemp("evaluation") / "clinic.sqlite")}


def ask(sql: str, difficulty: str = "easy") -> Question:
    """A question with this gold query."""
    return Question("clinic-w0001", "test", "clinic", "Which?", sql, difficulty, "written")


def outcome(correct: bool, difficulty: str = "easy", error: str = "") -> Outcome:
    """The outcome of an answer that is valid."""
    return Outcome("id", "clinic", difficulty, "Which?", CATS, CATS, CATS, True, False, correct, error)


# --- Intervals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hits", [[True] * 3 + [False] * 7, [True, False], [True] + [False] * 99], ids=len)
def test_interval_holds_the_value(hits: list[bool]) -> None:
    found = interval(hits)
    assert found.value == pytest.approx(sum(hits) / len(hits))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert found == interval(hits)


def test_interval_narrows_with_more_questions() -> None:
    widths = [interval([True, False, False] * n) for n in (10, 100, 1000)]
    assert widths[0].high - widths[0].low > 2 * (widths[1].high - widths[1].low)
    assert widths[1].high - widths[1].low > 2 * (widths[2].high - widths[2].low)
    # The normal approximation: 1.96 standard errors to either side.
    assert widths[2].high - widths[2].low == pytest.approx(2 * 1.96 * math.sqrt(2 / 9 / 3000), rel=0.1)


def test_seed_decides_the_resamples() -> None:
    hits = [True] * 300 + [False] * 700
    assert interval(hits, seed=1) == interval(hits, seed=1)
    assert len({(interval(hits, seed=n).low, interval(hits, seed=n).high) for n in range(8)}) > 1


def test_extremes() -> None:
    # The bootstrap has nothing to vary here: the exact bound is where five hits out of five have a chance of 2.5%.
    assert interval([True] * 5) == Interval(1.0, pytest.approx(0.478, abs=1e-3), 1.0)
    assert interval([False] * 5) == Interval(0.0, 0.0, pytest.approx(0.522, abs=1e-3))
    assert math.isnan(interval([]).value)


def test_interval_is_shown_in_percent() -> None:
    assert str(Interval(0.547, 0.5, 0.5949)) == "54.7% [50.0, 59.5]"


def test_paired_difference() -> None:
    before, after = [False] * 60 + [True] * 40, [True] * 30 + [False] * 30 + [True] * 40
    gain = paired_difference(before, after)
    assert gain.value == pytest.approx(0.3)
    assert 0 < gain.low < 0.3 < gain.high < 0.5
    assert gain == paired_difference(before, after)
    loss = paired_difference(after, before)
    assert loss.value == pytest.approx(-0.3)
    assert loss.high < 0
    # Pairs matter: no question changed, so there is no doubt about the gain.
    assert paired_difference(before, before) == Interval(0.0, 0.0, 0.0)


def test_pairs_must_be_pairs() -> None:
    with pytest.raises(ValueError):
        paired_difference([True, False], [True, False, True])


# --- Scores ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gold", "answer", "correct", "exact"),
    [
        (CATS, CATS, True, True),
        (CATS, "select name from pets where kind = 'cat';", True, True),
        (CATS, "SELECT name FROM pets WHERE weight < 5", True, False),
        (CATS, f"Sure! ```sql\n{CATS}\n```\nThat lists them.", True, True),
        (CATS, f"{CATS} ORDER BY name DESC", True, False),
        (f"{CATS} ORDER BY weight", CATS.replace("name", "name, weight"), False, False),
        (f"{CATS} ORDER BY weight", f"{CATS} ORDER BY weight DESC", False, False),
        ("SELECT name, weight FROM pets", "SELECT weight, name FROM pets", True, False),
        ("SELECT COUNT(*) FROM pets", "SELECT COUNT(id) * 1.0 FROM pets", True, False),
    ],
)
def test_correct_answers(gold: str, answer: str, correct: bool, exact: bool, databases: dict[str, Path]) -> None:
    (found,) = score([ask(gold)], [answer], databases)
    assert (found.correct, found.exact, found.valid) == (correct, exact, True)
    assert bool(found.error) is not correct
    assert found.answer == answer
    assert found.gold == gold


JOIN = "SELECT owners.name FROM pets JOIN owners ON pets.owner_id = owners.id WHERE pets.kind = 'dog'"


@pytest.mark.parametrize(
    ("gold", "answer", "error", "valid"),
    [
        (CATS, "I do not know.", "no SQL", False),
        (CATS, "", "no SQL", False),
        (CATS, "SELECT name FROM", "not valid SQL", False),
        (CATS, "SELECT name FROM dogs", "unknown table", False),
        (CATS, "SELECT title FROM pets", "unknown column", False),
        (JOIN, JOIN.replace("owners.name", "name"), "ambiguous column", False),
        (CATS, "WITH x AS (SELECT 1) DELETE FROM pets", "refused by the sandbox", False),
        (CATS, "SELECT load_extension('x')", "refused by the sandbox", False),
        (CATS, "SELECT name FROM owners", "wrong tables", True),
        (CATS, "SELECT kind FROM pets WHERE kind = 'cat'", "wrong columns returned", True),
        (CATS, "SELECT name, kind FROM pets WHERE kind = 'cat'", "wrong columns returned", True),
        ("SELECT MAX(weight) FROM pets", "SELECT MIN(weight) FROM pets", "wrong aggregate", True),
        (CATS, "SELECT name FROM pets WHERE kind = 'dog'", "wrong condition", True),
        (CATS, "SELECT name FROM pets", "wrong condition", True),
        (
            "SELECT kind FROM pets GROUP BY kind HAVING COUNT(*) > 1",
            "SELECT kind FROM pets GROUP BY kind HAVING COUNT(*) < 2",
            "wrong condition",
            True,
        ),
        ("SELECT name FROM pets ORDER BY weight", "SELECT name FROM pets", "wrong grouping or order", True),
    ],
)
def test_kinds_of_errors(gold: str, answer: str, error: str, valid: bool, databases: dict[str, Path]) -> None:
    (found,) = score([ask(gold)], [answer], databases)
    assert not found.correct
    assert found.error == error
    assert found.valid is valid
    assert bool(found.message) is not valid


def test_with_is_no_other_table(databases: dict[str, Path]) -> None:
    answer = "WITH dogs AS (SELECT name FROM pets WHERE kind = 'dog') SELECT name FROM dogs"
    assert score([ask(CATS)], [answer], databases)[0].error == "wrong condition"


def test_slow_query_is_a_kind_of_error(databases: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.evaluation.execute", partial(execute, max_seconds=0.5))
    answer = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
    assert score([ask(CATS)], [answer], databases)[0].error == "too slow"


def test_every_question_needs_an_answer(databases: dict[str, Path]) -> None:
    with pytest.raises(ValueError):
        score([ask(CATS)], [], databases)


# --- Tables ------------------------------------------------------------------------------------------------------


def test_summary() -> None:
    outcomes = [outcome(True), replace(outcome(True), exact=True), outcome(False), replace(outcome(False), valid=False)]
    summary = summarise(outcomes)
    assert list(summary) == list(METRICS) == ["execution accuracy", "exact match", "valid SQL"]
    assert [share.value for share in summary.values()] == [0.5, 0.25, 0.75]


def test_levels_come_in_order_and_only_if_they_occur() -> None:
    outcomes = [outcome(True, "extra hard"), outcome(False, "easy"), outcome(True, "easy"), outcome(False, "medium")]
    found = by_difficulty(outcomes)
    assert list(found) == [level for level in LEVELS if level != "hard"]
    assert [share.value for share in found.values()] == [0.5, 0.0, 1.0]


def test_errors_by_frequency() -> None:
    errors = ["too slow", "no SQL", "", "no SQL"]
    found = by_error([outcome(not error, error=error) for error in errors])
    assert [(kind, len(outcomes)) for kind, outcomes in found.items()] == [("no SQL", 2), ("too slow", 1)]


def test_comparison() -> None:
    base = [outcome(False), outcome(False, "hard"), outcome(True), outcome(False)]
    tuned = [outcome(True), outcome(False, "hard"), outcome(True), outcome(True)]
    found = comparison(base, tuned, model="tiny", base_prompt="zero-shot")
    assert found.keys() == {"model", "questions", "base_prompt", "rows", "by_difficulty"}
    assert (found["model"], found["questions"], found["base_prompt"]) == ("tiny", 4, "zero-shot")
    assert [row["metric"] for row in found["rows"]] == list(METRICS)
    first = found["rows"][0]
    assert [first[name]["value"] for name in ("base", "tuned", "gain")] == [0.25, 0.75, 0.5]
    for row in found["rows"]:
        for name in ("base", "tuned", "gain"):
            assert row[name].keys() == {"value", "low", "high"}
    assert list(found["by_difficulty"]) == ["easy", "hard"]
    assert {name: share["value"] for name, share in found["by_difficulty"]["easy"].items()} == {
        "tuned": 1.0,
        "base": pytest.approx(1 / 3),
    }
