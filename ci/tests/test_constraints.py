"""What constrained decoding lets through and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.constraints import SchemaConstraint, constraints_for
from utils.data import load_databases, read_questions
from utils.schema import read_schema
from utils.settings import DATA
from utils.sql import build_database

CLINIC = """
CREATE TABLE owners (id INTEGER PRIMARY KEY, full_name TEXT, town TEXT);
CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, born TEXT, owner_id INTEGER REFERENCES owners(id));
CREATE TABLE visits (pet_id INTEGER REFERENCES pets(id), day TEXT, fee REAL);
"""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> SchemaConstraint:
    path = build_database(CLINIC, tmp_path_factory.mktemp("constraints") / "clinic.sqlite")
    return SchemaConstraint(read_schema(path))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT name FROM pets",
        "SELECT COUNT(*) FROM pets WHERE born >= '2020-01-01' AND name LIKE 'B%'",
        "SELECT owners.full_name, COUNT(*) FROM pets JOIN owners ON pets.owner_id = owners.id GROUP BY owners.id",
        "SELECT full_name FROM owners WHERE id NOT IN (SELECT owner_id FROM pets)",
        "SELECT a.name FROM pets AS a JOIN pets AS b ON a.born = b.born WHERE a.id <> b.id",
        "SELECT strftime('%Y', day), SUM(fee) FROM visits GROUP BY strftime('%Y', day) ORDER BY SUM(fee) DESC LIMIT 3",
        "SELECT name FROM pets UNION SELECT full_name FROM owners",
        "SELECT name FROM pets WHERE name = 'SELECT nothing FROM nowhere'",
    ],
)
def test_query_on_the_schema_is_allowed_at_every_letter(clinic: SchemaConstraint, query: str) -> None:
    assert clinic.can_end(query)
    assert all(clinic.can_continue(query[:length]) for length in range(1, len(query)))


def test_nothing_follows_a_semicolon(clinic: SchemaConstraint) -> None:
    query = "SELECT name FROM pets"
    assert clinic.can_continue(query + ";") and clinic.can_end(query + ";")
    assert not any(clinic.can_continue(query + rest) for rest in ("; ", ";;", ";\n", "; SELECT town FROM owners"))
    assert not clinic.can_continue("SELECT COUNT(;")
    assert clinic.can_continue(query + " WHERE name = ';' AND born")


@pytest.mark.parametrize(
    "text",
    [
        "The pets are",
        "SELECT colour",
        "SELECT name FROM animals",
        "SELECT name FROM owners ",  # name stands in pets
        "SELECT name, town FROM",  # no table has both
        "SELECT pets.town",
        "SELECT name FROM pets WHERE town ",
        "SELECT owners.town FROM pets WHERE",  # owners is not in reach
        "SELECT owners.town FROM owners JOIN visits",  # no foreign key between them
        "SELECT pets.name FROM pets JOIN owners ON pets.id = owners.id ",
        "SELECT name FROM pets JOIN",  # bare columns, then a join
        "SELECT name FROM pets WHERE MAX(",
        "SELECT name FROM ‘pets’",
        "SELECT a.name FROM pets AS a JOIN ‘NULL’",
        "SELECT CAST(name AS (",
        "SELECT name FROM pets ORDER BY name DESC(",
        "SELECT name FROM pets)",
        "DELETE",
    ],
)
def test_what_cannot_become_a_query_is_refused(clinic: SchemaConstraint, text: str) -> None:
    assert not clinic.can_continue(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT name",
        "SELECT name FROM",
        "SELECT name FROM pet",
        "SELECT name FROM pets WHERE",
        "SELECT name FROM pets WHERE name = 'Bo",
        "SELECT COUNT(",
        "SELECT name FROM pets WHERE id IN (SELECT id FROM pets",
        "SELECT owners.town FROM pets",
    ],
)
def test_unfinished_query_may_not_end(clinic: SchemaConstraint, text: str) -> None:
    assert not clinic.can_end(text)


def test_nearly_all_gold_queries_are_within_reach() -> None:
    databases = load_databases(DATA / "databases")
    refused, asked = [], 0
    for split in ("validation", "test"):
        for file in sorted((DATA / "questions" / split).glob("*.jsonl")):
            questions, _ = read_questions(file, split, databases)
            rules = constraints_for([question.database for question in questions], databases)
            refused += [q.sql for q, rule in zip(questions, rules, strict=True) if not rule.can_end(q.sql)]
            asked += len(questions)
    assert len(refused) <= 0.01 * asked, refused


def test_databases_share_a_constraint(tmp_path: Path) -> None:
    path = build_database(CLINIC, tmp_path / "clinic.sqlite")
    first, second = constraints_for(["clinic", "clinic"], {"clinic": path})
    assert first is second
