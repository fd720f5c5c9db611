"""The values and names that a question mentions."""

from __future__ import annotations

import pytest

from utils.linking import likeness, linked_names, linked_values, name_words
from utils.schema import Schema, read_schema
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
        ("How long are rivers?", ["book.title = 'River'"]),
        ("poem?", ["book.kind = 'poems'"]),
        ("Novels by authors from FR", ["book.kind = 'novel'", "author.country = 'FR'"]),
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


def test_limit(library: Schema) -> None:
    question = "Dawn, noon, dusk, river, Ann Lee"
    assert len(linked_values(library, question)) == 4
    assert len(linked_values(library, question, limit=2)) == 2
    assert len(linked_values(library, question, limit=99)) == 6


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many pages has the longest book?", ["book.pages"]),
        ("titles, please", ["book.title"]),
        ("Which books?", ["book"]),
        ("When was Dawn published?", ["book.published"]),
        ("authors by country", ["author.country", "book.author_id"]),
        ("What is it?", []),
        ("", []),
    ],
)
def test_linked_names(library: Schema, question: str, expected: list[str]) -> None:
    assert linked_names(library, question)[: len(expected)] == expected


def test_names_are_limited(library: Schema) -> None:
    assert len(linked_names(library, "author name country, book title kind published pages", limit=3)) == 3


@pytest.mark.parametrize(
    ("words", "name", "alike"),
    [
        (["docks"], "dock_cnt", True),
        (["stations"], "stns", True),
        (["quantity"], "qty", True),
        (["minutes"], "mins", True),
        (["countries"], "countryCode", True),
        (["inspected"], "inspections", True),
        (["description"], "descr", True),
        (["at"], "atrium", False),
        (["on"], "opened_on", True),
        (["donate"], "date", False),
        (["bus"], "business_id", True),
        ([], "name", False),
    ],
)
def test_likeness(words: list[str], name: str, alike: bool) -> None:
    assert (likeness(words, name) > 0) is alike


def test_words_of_a_name() -> None:
    assert name_words("dateOfBirth") == name_words("date_of_birth") == ("date", "of", "birth")
    assert name_words("HTTPStatus") == ("httpstatus",)
    assert name_words("___") == ("___",)
