"""Execution decides which samples are chosen and which rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.data import Question
from utils.errors import CourseError
from utils.preferences import GOLD, SAMPLED, Sampled, choose_questions, judge_samples, make_pairs, pass_at
from utils.sql import build_database

SQL = """
CREATE TABLE dish (id INTEGER PRIMARY KEY, name TEXT, price REAL);
INSERT INTO dish VALUES (1, 'soup', 4.5), (2, 'stew', 9.0);
"""
OTHER = SQL.replace("4.5", "9.5")
RIGHT, LONGER, WRONG = "SELECT name FROM dish WHERE price < 5", "SELECT name FROM dish WHERE price < 5 OR 0", "SELECT 1"
LUCKY = "SELECT name FROM dish WHERE id = 1"


def question(number: int = 1, database: str = "kitchen") -> Question:
    """A training question with `RIGHT` as its gold query."""
    return Question(f"{database}-{number}", "train", database, "What is cheap?", RIGHT, "easy", "written")


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two sets of rows; on the first, `LUCKY` is right by luck."""
    folder = tmp_path_factory.mktemp("preferences")
    return {"kitchen": [build_database(SQL, folder / "kitchen.sqlite"), build_database(OTHER, folder / "k.1.sqlite")]}


@pytest.fixture(scope="module")
def sample(instances: dict[str, list[Path]]) -> Sampled:
    """Seven draws, three of them right."""
    answers = [WRONG, f"{RIGHT};", LUCKY, LONGER, WRONG, WRONG, RIGHT]
    return judge_samples([question()], [[{"role": "user", "content": "?"}]], [answers], instances)[0]


def test_samples_are_judged_on_all_sets_of_rows(sample: Sampled) -> None:
    assert sample.queries == {WRONG: 3, RIGHT: 2, LUCKY: 1, LONGER: 1}
    assert sample.right == {RIGHT, LONGER}
    assert (sample.draws, sample.right_draws) == (7, 3)
    assert sample.wrong == [WRONG, LUCKY]
    assert {entry["query"]: entry["right"] for entry in sample.as_record()["queries"]}[LUCKY] is False


def test_frequent_wrong_ones_are_rejected_for_short_right_ones(sample: Sampled) -> None:
    pairs = make_pairs([sample], per_question=1, use_gold=True)
    assert [(pair.chosen, pair.rejected, pair.source) for pair in pairs] == [(RIGHT, WRONG, SAMPLED)]
    pairs = make_pairs([sample], per_question=5, use_gold=False)
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [(RIGHT, WRONG), (LONGER, LUCKY)]
    assert pairs[0].as_row()["rejected"] == [{"role": "assistant", "content": WRONG}]


def test_the_gold_query_is_chosen_only_where_no_sample_is_right(sample: Sampled) -> None:
    never = Sampled(question(2), [], {WRONG: 4}, frozenset())
    always = Sampled(question(3), [], {RIGHT: 4}, frozenset({RIGHT}))
    pairs = make_pairs([sample, never, always], per_question=1, use_gold=True)
    assert [pair.source for pair in pairs] == [SAMPLED, GOLD]
    assert len(make_pairs([sample, never, always], per_question=1, use_gold=False)) == 1
    with pytest.raises(CourseError, match="use_gold"):
        make_pairs([never, always], per_question=1, use_gold=False)


def test_pass_at_k(sample: Sampled) -> None:
    assert pass_at([sample], 1) == pytest.approx(3 / 7)
    assert pass_at([sample], 2) == pytest.approx(1 - (4 * 3) / (7 * 6))
    assert pass_at([sample], 5) == 1
    with pytest.raises(ValueError, match="needs 8 draws"):
        pass_at([sample], 8)


def test_questions_are_spread_over_few_databases() -> None:
    pool = [question(number, name) for name in "abcd" for number in range(5)]
    chosen = choose_questions([*pool, *pool], 6, databases=2, seed=1)
    assert len({q.id for q in chosen}) == 6
    by_name = [q.database for q in chosen]
    assert sorted(by_name) == by_name
    assert {by_name.count(name) for name in set(by_name)} == {3}
    assert len(choose_questions(pool, 100, databases=9, seed=1)) == 20
