"""The generator of training questions: many shapes, many phrasings, always the same files, and SQL that answers."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from data.generator.__main__ import TRAINING, as_text, generate, training_databases
from data.generator.grammar import a, inverted, plural, singular_verb, tidy
from data.generator.shapes import SHAPES
from data.generator.shapes.base import slots_of
from utils.data import load_databases
from utils.settings import DATA
from utils.sql import execute

DATABASE = "veterinary_clinic"
PER_DATABASE, SEED = 330, 0


@pytest.fixture(scope="module")
def text() -> str:
    return as_text(generate(DATABASE, PER_DATABASE, SEED))


@pytest.fixture(scope="module")
def rows(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


def test_there_are_many_shapes() -> None:
    assert len(SHAPES) >= 50
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)


def test_every_shape_has_many_phrasings() -> None:
    assert [shape.name for shape in SHAPES if len(set(shape.phrasings)) < 8] == []


def test_every_phrasing_has_something_to_fill_in() -> None:
    assert [text for shape in SHAPES for text in shape.phrasings if not slots_of(text)] == []


def test_the_same_seed_gives_the_same_bytes_as_the_file(text: str) -> None:
    assert as_text(generate(DATABASE, PER_DATABASE, SEED)) == text
    assert (TRAINING / f"{DATABASE}.generated.jsonl").read_text(encoding="utf-8") == text, (
        "The generator or its data changed: run python -m data.generator"
    )


def test_another_seed_gives_other_questions(text: str) -> None:
    assert as_text(generate(DATABASE, 20, SEED + 1)) not in text


def test_questions_are_as_many_as_asked_for_and_all_different(rows: list[dict[str, str]]) -> None:
    assert len(rows) == PER_DATABASE
    assert len({row["question"].lower() for row in rows}) == PER_DATABASE


def test_no_query_occurs_more_than_three_times(rows: list[dict[str, str]]) -> None:
    queries = [row["sql"] for row in rows]
    assert max(queries.count(query) for query in queries) <= 3


def test_every_query_runs_and_returns_something(rows: list[dict[str, str]]) -> None:
    database = load_databases(DATA / "databases")[DATABASE]
    for row in rows:
        result = execute(database, row["sql"])
        assert result.ok, f"{row['sql']}: {result.error}"
        assert 1 <= len(result.rows) <= 300, row["sql"]
        assert any(value is not None for found in result.rows for value in found), row["sql"]


def test_queries_follow_the_house_style(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert not re.search(r'[;"`@{}]|!=|\bROUND\b|\bWITH\b|\bUSING\b|\bRIGHT\b', row["sql"]), row["sql"]


def test_questions_are_tidy(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert not re.search(r"[{}@]|  |\bNone\b|\b(\w+) \1\b|\ba [aeio]", row["question"]), row["question"]


def test_only_training_databases_have_generated_questions() -> None:
    made = sorted(path.name for path in (DATA / "questions").rglob("*.generated.jsonl"))
    assert made == [f"{name}.generated.jsonl" for name in training_databases()]
    assert {path.parent.name for path in (DATA / "questions").rglob("*.generated.jsonl")} == {"train"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (plural("kind of animal"), "kinds of animal"),
        (plural("city"), "cities"),
        (plural("date posted"), "dates posted"),
        (a("hourly rate"), "an hourly rate"),
        (a("unit price"), "a unit price"),
        (singular_verb("belong to Ann"), "belongs to Ann"),
        (singular_verb("were hired in 2020"), "was hired in 2020"),
        (singular_verb("are not VIPs"), "is not a VIP"),
        (singular_verb("are indoors"), "is indoors"),
        (inverted("belong to", "Bella"), "does Bella belong to"),
        (inverted("were made by", "it"), "was it made by"),
        (tidy("an list of of  visits ."), "An list of visits."),
    ],
)
def test_grammar(found: str, expected: str) -> None:
    assert found == expected


def test_a_query_with_a_tie_at_its_limit_is_refused() -> None:
    from data.generator.building import well_defined

    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE t (n TEXT, v INTEGER); INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 2);")
    assert not well_defined(connection, "SELECT n FROM t ORDER BY v DESC LIMIT 1")
    assert well_defined(connection, "SELECT n FROM t ORDER BY v LIMIT 1")
    assert not well_defined(connection, "SELECT n FROM t WHERE v > 9")


def test_files_are_lines_of_two_fields() -> None:
    for path in sorted(Path(TRAINING).glob("*.generated.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert list(json.loads(line)) == ["question", "sql"], path.name
