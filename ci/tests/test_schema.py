"""The text of a schema, and the values that a question mentions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from utils.schema import Schema, linked_values, plain, read_schema, schema_text
from utils.sql import build_database

LIBRARY = """CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT, country TEXT);
CREATE TABLE book (
  isbn TEXT PRIMARY KEY, title TEXT, author_id INTEGER REFERENCES author, kind TEXT, published TEXT, pages INTEGER
);
CREATE TABLE "odd ""name" ("two words" TEXT);
CREATE VIEW titles AS SELECT title FROM book;
INSERT INTO author VALUES (1, 'Colette d''Arbois', 'FR'), (2, 'José Núñez', 'ES'), (3, 'Ann Lee', 'GB');
INSERT INTO author VALUES (4, 'Ann', 'GB'), (5, 'Bo O''Brien', 'IE'), (6, 'X', 'US'), (7, 'Lee Young', 'US');
INSERT INTO book VALUES
('1', 'The River', 1, 'novel', '1999-05-01', 100), ('2', 'River', 2, 'poems', '2001-01-31', 90),
('3', 'The River Sings', 1, 'novel', '2010-10-10', 80), ('4', 'Ann Lee', 3, NULL, NULL, NULL),
('5', 'Dawn', 3, 'poems', '2011-10-10', 1), ('6', 'Noon', 3, 'poems', '2012-10-10', 1),
('7', 'Dusk', 4, 'poems', '2013-10-10', 1);
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    """Authors and their books."""
    return read_schema(build_database(LIBRARY, tmp_path_factory.mktemp("schema") / "library.sqlite"))


def test_schema_text(library: Schema) -> None:
    assert schema_text(library).splitlines() == [
        "author: id, name, country (ES, FR, GB, IE, US)",
        "book: isbn, title, author_id = author.id, kind (novel, poems), published, pages",
        'odd "name: two words',
    ]


def test_columns_keep_their_types(library: Schema) -> None:
    book = library.tables[1]
    assert [column.type for column in book.columns] == ["TEXT", "TEXT", "INTEGER", "TEXT", "TEXT", "INTEGER"]
    assert book.columns[2].references == "author.id"


def test_long_values_are_not_listed(tmp_path: Path) -> None:
    text = "CREATE TABLE t (a TEXT, b TEXT); INSERT INTO t VALUES ('{}', 'x'), ('{}', 'y');"
    database = build_database(text.format("p" * 41, "q" * 41), tmp_path / "t.sqlite")
    assert schema_text(read_schema(database)) == "t: a, b (x, y)"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("books by jose nunez", ["author.name = 'José Núñez'"]),
        ("Which are JOSÉ NÚÑEZ's books?", ["author.name = 'José Núñez'"]),
        ("What did Colette d'Arbois write?", ["author.name = 'Colette d''Arbois'"]),
        ("What did colette d’arbois write?", ["author.name = 'Colette d''Arbois'"]),
        ("Bo OBrien?", ["author.name = 'Bo O''Brien'"]),
        ("Who wrote 'The River'?", ["book.title = 'The River'"]),
        ("Who wrote The River Sings?", ["book.title = 'The River Sings'"]),
        ("Who wrote River?", ["book.title = 'River'"]),
        ("How long are rivers?", []),
        ("Novels by authors from FR", []),
        ("What was published on 1999-05-01?", []),
        ("Is X there?", []),
        ("", []),
        ("?!", []),
    ],
)
def test_linked_values(library: Schema, question: str, expected: list[str]) -> None:
    assert linked_values(library, question) == expected


def test_value_in_two_columns_is_given_twice(library: Schema) -> None:
    assert linked_values(library, "Ann Lee") == ["author.name = 'Ann Lee'", "book.title = 'Ann Lee'"]


def test_longest_mention_comes_first_and_hides_what_it_overlaps(library: Schema) -> None:
    found = linked_values(library, "Did Ann or Ann Lee Young or the river sings inspire Dawn?")
    assert found[0] == "book.title = 'The River Sings'"
    # "Ann Lee" stands before "Lee Young" and takes its word.
    assert "author.name = 'Lee Young'" not in found
    assert "book.title = 'River'" not in found
    assert found[-1] in {"author.name = 'Ann'", "book.title = 'Dawn'"}


def test_limit(library: Schema) -> None:
    question = "Dawn, noon, dusk, river, Ann Lee"
    assert len(linked_values(library, question)) == 4
    assert len(linked_values(library, question, limit=2)) == 2
    assert len(linked_values(library, question, limit=99)) == 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Zoë's  Café—Bar", "zoe cafe bar"),
        ("O’Hara & Sons", "ohara sons"),
        ("No. 12, A/B", "no 12 a b"),
        ("ﬁne", "fine"),
        ("…", ""),
    ],
)
def test_plain(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.xfail(strict=True, reason="letters that Unicode does not decompose are dropped, and split the word")
@pytest.mark.parametrize(
    ("text", "expected"), [("Søren", "soren"), ("Wisła", "wisla"), ("Weißsee", "weisssee"), ("Yıldız", "yildiz")]
)
def test_plain_letters_with_strokes(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error):
        read_schema(tmp_path / "none.sqlite")
    (tmp_path / "text.sqlite").write_text("no database " * 100, encoding="utf-8")
    with pytest.raises(sqlite3.Error):
        read_schema(tmp_path / "text.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
