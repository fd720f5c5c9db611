"""Rewards: what a query is worth when it is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.instances import make_instances
from utils.rewards import WEIGHTS, Verdict, judge, reward_functions, text_of
from utils.sql import build_database

SQL = """
CREATE TABLE dish (id INTEGER PRIMARY KEY, name TEXT, price REAL, minutes INTEGER);
INSERT INTO dish VALUES (1, 'soup', 4.5, 20), (2, 'stew', 9.0, 90), (3, 'salad', 6.0, 10), (4, 'toast', 3.0, 5);
"""
GOLD = "SELECT name FROM dish WHERE price > 4"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_database(SQL, tmp_path_factory.mktemp("rewards") / "kitchen.sqlite")


def test_the_right_answer_gets_everything(database: Path) -> None:
    verdict = judge("Here you are: SELECT d.name FROM dish AS d WHERE d.price > 4;", GOLD, database)
    assert verdict == Verdict(1, 1, 1, 1, 1, 0)
    assert verdict.total() == pytest.approx(1)


def test_a_right_answer_spelled_otherwise_has_the_right_columns(database: Path) -> None:
    assert judge("SELECT COUNT(id) FROM dish", "SELECT COUNT(*) FROM dish", database).columns == 1


@pytest.mark.parametrize("answer", ["", "I do not know.", "SELECT name FROM dishes", "SELECT ("])
def test_nothing_gets_nothing(database: Path, answer: str) -> None:
    assert judge(answer, GOLD, database) == Verdict()


@pytest.mark.parametrize(
    ("answer", "tables"),
    [
        ("SELECT names FROM dish", 1.0),
        ("SELECT name FROM dish JOIN cook ON", 2 / 3),
        ("SELECT name FROM dish JOIN dish JOIN dish", 1 / 2),
        ("DELETE FROM dish", 1.0),
    ],
)
def test_what_does_not_run_gets_something_for_the_right_tables(database: Path, answer: str, tables: float) -> None:
    assert judge(answer, GOLD, database) == Verdict(tables=pytest.approx(tables))


def test_parts_come_one_after_another(database: Path) -> None:
    answers = [
        "SELECT nothing FROM nowhere",
        "SELECT nothing FROM dish",
        "SELECT 1 FROM dish",
        "SELECT name FROM dish WHERE minutes > 100",
        "SELECT name FROM dish",
        "SELECT name FROM dish WHERE price > 4",
    ]
    totals = [judge(answer, GOLD, database).total() for answer in answers]
    assert totals == sorted(set(totals))
    assert totals[0] == 0
    assert totals[1] == pytest.approx(WEIGHTS["tables"])
    assert totals[2] == pytest.approx(WEIGHTS["tables"] + WEIGHTS["runs"])
    assert max(totals[:-1]) <= 0.5 < totals[-1]


def test_rows_and_columns_are_f1(database: Path) -> None:
    verdict = judge("SELECT name FROM dish", GOLD, database)
    assert verdict.columns == 1
    assert verdict.rows == pytest.approx(2 * 3 / (3 + 4))
    assert judge("SELECT name, price FROM dish", GOLD, database).columns == pytest.approx(2 / 3)


def test_a_number_renamed_is_not_the_column(database: Path) -> None:
    assert judge("SELECT 1 AS name FROM dish", GOLD, database).columns == 0


def test_order_counts_if_the_right_query_has_one(database: Path) -> None:
    gold = "SELECT name FROM dish ORDER BY price"
    assert judge("SELECT name FROM dish ORDER BY price DESC", gold, database).correct == 0
    assert judge("SELECT name FROM dish ORDER BY price ASC", gold, database).correct == 1


def test_other_rows_unmask_what_is_right_by_luck(database: Path, tmp_path: Path) -> None:
    gold, lucky = "SELECT MAX(price) FROM dish", "SELECT price FROM dish WHERE name = 'stew'"
    assert judge(lucky, gold, database).correct == 1
    instances = make_instances(database, tmp_path, [gold], 3)
    assert judge(lucky, gold, instances).correct == 0
    assert judge("SELECT price FROM dish ORDER BY price DESC LIMIT 1", gold, instances).correct == 1


def test_length_costs_beyond_twice_the_right_query(database: Path) -> None:
    padded = GOLD + " AND price > 4" * 2
    assert judge(padded, GOLD, database).length == 0
    long = GOLD + " AND price > 4" * 10
    assert judge(long, GOLD, database).correct == 1
    assert -1 <= judge(long, GOLD, database).length < 0
    assert judge(long, GOLD, database).total() < 1


def test_functions_have_the_form_of_trl(database: Path) -> None:
    functions = reward_functions({"kitchen": database})
    assert list(functions) == list(WEIGHTS) == [function.__name__ for function in functions.values()]
    given = {
        "prompts": [[{"role": "user", "content": "?"}]] * 2,
        "completions": [[{"role": "assistant", "content": GOLD}], [{"role": "assistant", "content": "SELECT 1"}]],
        "completion_ids": [[1], [2]],
        "sql": [GOLD, GOLD],
        "database": ["kitchen", "kitchen"],
        "trainer_state": None,
    }
    assert functions["correct"](**given) == [1, 0]
    assert functions["runs"](**given) == [1, 1]


def test_text_of_a_completion() -> None:
    assert text_of("SELECT 1") == text_of([{"role": "assistant", "content": "SELECT 1"}]) == "SELECT 1"
