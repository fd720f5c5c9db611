"""Wrong queries made from gold ones: enough of each, changed where it matters, and counted right."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.checks.mutants import FEWEST, all_mutants, columns_swapped, mutants, share_caught, try_mutants
from utils.data import Question, load_databases, read_questions
from utils.schema import read_schema
from utils.settings import DATA
from utils.sql import build_database

COLUMNS = {"pets": ["id", "name", "weight", "owner_id"], "owners": ["id", "surname", "town"]}
PETS = "CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, weight INTEGER);"


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_gold_query_has_enough_mutants(split: str) -> None:
    databases = load_databases(DATA / "databases")
    for file in sorted((DATA / "questions" / split).glob("*.jsonl")):
        tables = read_schema(databases[file.stem]).tables
        columns = {table.name: [column.name for column in table.columns] for table in tables}
        for question in read_questions(file, split, databases)[0]:
            assert len(all_mutants(question.sql, columns)) >= FEWEST, question.sql


@pytest.mark.parametrize(
    ("query", "kind", "expected"),
    [
        ("SELECT name FROM pets WHERE weight IS NULL", "negation", {"SELECT name FROM pets WHERE NOT weight IS NULL"}),
        ("SELECT name FROM pets WHERE id NOT IN (1)", "negation", {"SELECT name FROM pets WHERE id IN (1)"}),
        (
            "SELECT AVG(weight) FROM pets",
            "aggregate",
            {f"SELECT {name}(weight) FROM pets" for name in ("SUM", "MAX", "MIN")},
        ),
        ("SELECT weight / 2 FROM pets", "arithmetic", {"SELECT weight * 2 FROM pets"}),
        ("SELECT COUNT(*) FROM pets GROUP BY name", "GROUP BY", {"SELECT COUNT(*) FROM pets"}),
        (
            "SELECT surname FROM owners LEFT JOIN pets ON owner_id = owners.id",
            "LEFT JOIN",
            {"SELECT surname FROM owners JOIN pets ON owner_id = owners.id"},
        ),
    ],
)
def test_a_kind_of_change(query: str, kind: str, expected: set[str]) -> None:
    assert {mutant.sql for mutant in mutants(query) if mutant.kind == kind} == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT name FROM pets WHERE weight > 3", ["SELECT weight FROM pets WHERE weight > 3"]),
        ("SELECT COUNT(*) FROM pets ORDER BY weight", ["SELECT COUNT(*) FROM pets ORDER BY owner_id"]),
        ("SELECT COUNT(DISTINCT name) FROM pets", ["SELECT COUNT(DISTINCT weight) FROM pets"]),
        (
            "SELECT owners.town FROM owners JOIN pets ON pets.owner_id = owners.id",
            ["SELECT owners.id FROM owners JOIN pets ON pets.owner_id = owners.id"],
        ),
        ("SELECT COUNT(name) FROM pets GROUP BY owner_id", []),
    ],
)
def test_columns_are_swapped_where_it_changes_the_answer(query: str, expected: list[str]) -> None:
    assert [mutant.sql for mutant in columns_swapped(query, COLUMNS)][: len(expected)] == expected
    assert bool(expected) == any(columns_swapped(query, COLUMNS))


def test_a_column_of_the_query_around_is_swapped_within_its_own_table() -> None:
    query = "SELECT surname FROM owners WHERE EXISTS(SELECT 1 FROM pets WHERE pets.owner_id = owners.id)"
    found = {mutant.sql for mutant in columns_swapped(query, COLUMNS)}
    assert query.replace("owners.id", "owners.surname") in found
    assert query.replace("pets.owner_id", "pets.id") in found


def test_further_columns_are_tried_until_there_are_five() -> None:
    wide = {"pets": ["id", *(f"column_{number}" for number in range(9))]}
    assert len(all_mutants("SELECT id FROM pets", wide)) == FEWEST
    assert len(all_mutants("SELECT name FROM pets", COLUMNS)) == len(COLUMNS["pets"]) - 1


def test_trials_tell_where_a_mutant_is_noticed(tmp_path: Path) -> None:
    committed = build_database(f"{PETS} INSERT INTO pets VALUES (1, 'Rex', 9);", tmp_path / "pets.sqlite")
    other = build_database(f"{PETS} INSERT INTO pets VALUES (1, 'Rex', 9), (2, 'Tom', 4);", tmp_path / "other.sqlite")
    gold = Question("1", "test", "pets", "Which pets?", "SELECT name FROM pets WHERE weight > 4", "easy", "written")
    trials = list(try_mutants([gold], {"pets": [committed, other]}))
    found = {trial.mutant.sql: (trial.noticed_at_once, trial.noticed) for trial in trials}
    assert found["SELECT name FROM pets WHERE weight >= 4"] == (False, True)
    assert found["SELECT name FROM pets WHERE weight < 4"] == (True, True)
    assert found["SELECT name FROM pets"] == (False, True)
    assert found["SELECT name FROM pets WHERE weight > 5"] == (False, False)
    assert share_caught(trials)["comparison"] == (1, 2, 2)
