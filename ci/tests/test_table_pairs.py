"""Pairs of a question and a table, taken from the rows of the dataset stage."""

from __future__ import annotations

from utils.prompts import training_row
from utils.schema import Column, Schema, Table
from utils.table_pairs import (
    TablePair,
    chosen_tables,
    hinted_tables,
    needed_tables,
    pair_groups,
    table_pairs,
)

SCHEMA = Schema(
    (
        Table("Author", (Column("id", "INTEGER"), Column("name", "TEXT"))),
        Table("book", (Column("title", "TEXT"), Column("author_id", "INTEGER", "Author.id"))),
        Table("loan", (Column("day", "TEXT"),)),
    ),
    {"ann lee": (("Author", "name", "Ann Lee"),)},
)
QUESTION = "Which books did Ann Lee write?"
GOLD = "SELECT title FROM book JOIN author ON author.id = book.author_id WHERE name = 'Ann Lee'"
ROW = {"id": "q1", "question": QUESTION} | training_row(QUESTION, GOLD, SCHEMA)


def pair(question: str, table: str, *, is_needed: bool = False) -> TablePair:
    return TablePair(question, "", table, "", is_needed)


def test_a_row_becomes_a_pair_for_each_table() -> None:
    author, book, loan = table_pairs(ROW)
    assert [one.is_needed for one in (author, book, loan)] == [True, True, False]
    assert author == TablePair("q1", f"{QUESTION}; Author.name = 'Ann Lee'", "author", "Author: id, name", True)
    assert book.description == "book: title, author_id = Author.id"


def test_questions_about_the_same_tables_form_a_group() -> None:
    other = Schema(SCHEMA.tables[:1], {})
    rows = [{"id": f"q{n}", "question": "Who?"} | training_row("Who?", GOLD, SCHEMA) for n in range(3)]
    rows.insert(1, {"id": "x", "question": "Who?"} | training_row("Who?", "SELECT name FROM author", other))
    groups = pair_groups(rows, size=2)
    assert [sorted({one.id for one in group}) for group in groups] == [["q0", "q1"], ["q2"], ["x"]]
    assert [len(group) for group in groups] == [6, 3, 1]


def test_hints_are_what_the_prompt_says_after_the_question() -> None:
    assert hinted_tables(ROW) == {"author", "book"}
    plain = "How late is it?"
    assert hinted_tables({"id": "q2", "question": plain} | training_row(plain, "SELECT 1", SCHEMA)) == set()


def test_chosen_tables_reach_the_threshold_or_are_the_best() -> None:
    pairs = [pair("a", "t", is_needed=True), pair("a", "u"), pair("b", "t"), pair("b", "u", is_needed=True)]
    assert needed_tables(pairs) == {"a": {"t"}, "b": {"u"}}
    assert chosen_tables(pairs, [0.9, 0.5, 0.1, 0.2], 0.5) == {"a": {"t", "u"}, "b": {"u"}}
    assert chosen_tables(pairs, [0.9, 0.5, 0.1, 0.2], 0.0) == {"a": {"t", "u"}, "b": {"t", "u"}}


def test_a_question_that_needs_no_table_is_not_forgotten() -> None:
    assert needed_tables([pair("a", "t")]) == {"a": frozenset()}
