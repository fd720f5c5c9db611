"""The text of a schema, and the plain spelling of values."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from utils.schema import Schema, plain, read_schema, schema_text
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
