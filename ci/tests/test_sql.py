"""The sandbox refuses, bounds and reports; answers are compared by what they say, not by how they are written."""

from __future__ import annotations

import math
import sqlite3
import time
from pathlib import Path

import pytest

from utils.sql import (
    MAX_VALUE_BYTES,
    Result,
    build_database,
    execute,
    extract_query,
    is_ordered,
    normalised,
    same_result,
)

PETS = """CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, weight REAL);
INSERT INTO pets VALUES (1, 'Rex', 9.5), (2, 'Tom; the cat', 4.0), (3, 'O''Hara', NULL);
"""
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three pets."""
    return build_database(PETS, tmp_path_factory.mktemp("sql") / "pets.sqlite")


def result(*rows: tuple, columns: int | None = None) -> Result:
    """A result with these rows."""
    width = columns if columns is not None else len(rows[0])
    return Result(list(rows), [f"c{number}" for number in range(width)])


# --- The sandbox -------------------------------------------------------------------------------------------------


def test_query_gives_rows_and_columns(database: Path) -> None:
    answer = execute(str(database), "SELECT name, weight FROM pets ORDER BY id;")
    assert answer.ok
    assert answer.columns == ["name", "weight"]
    assert answer.rows == [("Rex", 9.5), ("Tom; the cat", 4.0), ("O'Hara", None)]
    assert not answer.truncated


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO pets VALUES (4, 'Zed', 1)",
        "INSERT INTO pets VALUES (4, 'Zed', 1) RETURNING id",
        "UPDATE pets SET name = 'x'",
        "DELETE FROM pets",
        "WITH x AS (SELECT 1) DELETE FROM pets",
        "DROP TABLE pets",
        "CREATE TABLE t (a)",
        "CREATE TEMP TABLE t (a)",
        "ALTER TABLE pets RENAME TO dogs",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM INTO 'copy.sqlite'",
        "PRAGMA table_info(pets)",
        "PRAGMA query_only = 0",
        "SELECT * FROM pragma_table_info('pets')",
        "SELECT load_extension('x')",
        "SELECT LOAD_EXTENSION('x')",
        "BEGIN",
        "SAVEPOINT s",
    ],
)
def test_all_but_reading_is_refused(
    database: Path, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = database.read_bytes()
    answer = execute(database, query)
    assert answer.error is not None
    assert answer.error.startswith("Refused: only reading is allowed here")
    assert answer.rows == []
    assert database.read_bytes() == before
    assert list(tmp_path.iterdir()) == []
    assert list(database.parent.iterdir()) == [database]


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELECT 1; DROP TABLE pets", "one statement"),
        ("", "not a query"),
        ("-- nothing", "not a query"),
        ("Sorry, I cannot.", "syntax error"),
        ("SELECT name FROM dogs", "no such table: dogs"),
        ("SELECT age FROM pets", "no such column: age"),
        ("SELECT ?", "bindings"),
        ("SELECT '\0'", "null character"),
        ("SELECT '\ud800'", "surrogates"),
        ("SELECT " + "(" * 5000 + "1" + ")" * 5000, "overflow"),
        ("SELECT 9223372036854775807 + abs(-9223372036854775807 - 1)", "overflow"),
        ("SELECT writefile('a', 'b')", "writefile"),
    ],
)
def test_faulty_query_becomes_a_sentence(database: Path, query: str, part: str) -> None:
    answer = execute(database, query)
    assert not answer.ok
    assert part in answer.error.lower()
    assert answer.error[0].isupper() or not answer.error[0].isalpha()
    assert answer.error.endswith(".")


def test_sentence_has_one_full_stop(database: Path) -> None:
    assert not execute(database, "SELECT 1; SELECT 2").error.endswith("..")


@pytest.mark.parametrize("select", ["SELECT COUNT(*) FROM n", "SELECT i FROM n WHERE i < 0", "SELECT i FROM n"])
def test_query_that_never_ends_is_stopped(database: Path, select: str) -> None:
    began = time.monotonic()
    answer = execute(database, NUMBERS + select, max_seconds=0.2, max_rows=10**9)
    assert 0.15 < time.monotonic() - began < 5  # on a busy machine
    assert answer.error == "Stopped: the query took longer than 0.2 s."
    assert answer.rows == []


def test_result_of_a_slow_function_is_refused(database: Path) -> None:
    answer = execute(database, "SELECT length(printf('%.*c', 50000000, 'x'))", max_seconds=0.0)
    assert not answer.ok


def test_rows_beyond_the_limit_are_cut_off(database: Path) -> None:
    answer = execute(database, NUMBERS + "SELECT i FROM n", max_rows=10)
    assert answer.rows == [(number,) for number in range(1, 11)]
    assert answer.truncated
    assert not execute(database, "SELECT id FROM pets", max_rows=3).truncated
    assert execute(database, "SELECT id FROM pets", max_rows=2).truncated


@pytest.mark.parametrize(
    "query",
    [
        "SELECT zeroblob(2000000000)",
        "SELECT randomblob(2000000000)",
        "SELECT hex(zeroblob(900000))",
        "SELECT replace(hex(zeroblob(400000)), '0', 'xxxx')",
        "SELECT group_concat(printf('%.*c', 60000, 'x')) FROM pets",
    ],
)
def test_huge_value_is_refused(database: Path, query: str) -> None:
    assert "too big" in execute(database, query).error


def test_no_value_is_longer_than_the_limit(database: Path) -> None:
    answer = execute(database, "SELECT printf('%.*c', 3000000, 'x'), printf('%3000000d', 1)")
    assert not answer.ok or all(len(value or "") <= MAX_VALUE_BYTES for value in answer.rows[0])


def test_many_large_values_are_bounded(database: Path) -> None:
    answer = execute(database, NUMBERS + "SELECT zeroblob(90000) FROM n", max_rows=800, max_seconds=30)
    assert answer.error == "The result is too big."
    answer = execute(database, NUMBERS + "SELECT zeroblob(90000) FROM n", max_rows=20, max_seconds=30)
    assert sum(len(value) for (value,) in answer.rows) == 20 * 90_000


@pytest.mark.parametrize(
    "query",
    [
        "SELECT " + ", ".join(["abs(1)"] * 101),
        "SELECT " + ", ".join(["instr(name, 'a')"] * 9) + " FROM pets",
        "SELECT " + "replace(" * 9 + "name" + ", 'a', 'b')" * 9 + " FROM pets",
    ],
)
def test_too_many_function_calls_are_refused(database: Path, query: str) -> None:
    assert execute(database, query).error.startswith("Refused: the query calls too many functions")


def test_usual_numbers_of_function_calls_pass(database: Path) -> None:
    assert execute(database, "SELECT " + "replace(" * 8 + "'aa'" + ", 'a', 'b')" * 8).rows == [("bb",)]
    assert execute(database, "SELECT " + ", ".join(["abs(1)"] * 100)).rows == [(1,) * 100]


def test_query_that_multiplies_while_it_is_prepared_runs_out_of_memory(database: Path) -> None:
    doubled = ", ".join(f"t{i} AS (SELECT a.x FROM t{i - 1} a, t{i - 1} b)" for i in range(1, 25))
    answer = execute(database, f"WITH t0 AS (SELECT 1 AS x), {doubled} SELECT COUNT(*) FROM t24")
    assert answer.error == "Stopped: the query needed too much memory."
    assert execute(database, "SELECT COUNT(*) FROM pets").rows == [(3,)]


def test_text_that_is_not_utf8_is_shown_somehow(database: Path) -> None:
    assert execute(database, "SELECT CAST(x'ff41' AS TEXT)").rows == [("\ufffdA",)]


def test_missing_database(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no database"):
        execute(tmp_path / "none.sqlite", "SELECT 1")
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "a #?% file.sqlite"
    path.write_text("no database " * 100, encoding="utf-8")
    assert "not a database" in execute(path, "SELECT name FROM sqlite_master").error


# --- Comparing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        (result((3,)), result((3.0,))),
        (result((0.3,)), result((0.1 + 0.2,))),
        (result((1234567.89,)), result((1234567.8900000001,))),
        (result((None, "a")), result((None, "a"))),
        (result((1, "a"), (2, "b")), result(("a", 1), ("b", 2))),
        (result((1, 1, 2)), result((2, 1, 1))),
        (result(columns=2), result(columns=2)),
        (result((math.inf,)), result((math.inf,))),
        (result((b"x",)), result((b"x",))),
    ],
)
def test_equal_answers(gold: Result, predicted: Result, ordered: bool) -> None:
    assert same_result(gold, predicted, ordered=ordered)
    assert same_result(predicted, gold, ordered=ordered)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        (result((3,)), result(("3",))),
        (result((None,)), result((0,))),
        (result((None,)), result(("",))),
        (result((None,)), result(("None",))),
        (result(("Rex",)), result(("rex",))),
        (result((10.01,)), result((10.02,))),
        (result((1,), (1,)), result((1,))),
        (result((1,), (1,), (2,)), result((1,), (2,), (2,))),
        (result((1, "a"), (2, "b")), result((1, "b"), (2, "a"))),
        (result((1, 2), (2, 1)), result((1, 1), (2, 2))),
        (result((1, 2)), result((1,))),
        (result(columns=1), result(columns=2)),
        (result((1,)), result(columns=1)),
        (result((b"x",)), result(("x",))),
    ],
)
def test_different_answers(gold: Result, predicted: Result, ordered: bool) -> None:
    assert not same_result(gold, predicted, ordered=ordered)
    assert not same_result(predicted, gold, ordered=ordered)


def test_order_of_rows_counts_only_if_asked() -> None:
    gold, reversed_rows = result((1, "a"), (2, "b")), result(("b", 2), ("a", 1))
    assert same_result(gold, reversed_rows, ordered=False)
    assert not same_result(gold, reversed_rows, ordered=True)


def test_failed_or_cut_off_results_never_equal_anything() -> None:
    good, failed, cut = result((1,)), Result(error="No."), Result([(1,)], ["a"], truncated=True)
    for other in (good, failed, cut):
        assert not same_result(failed, other, ordered=False)
        assert not same_result(other, failed, ordered=False)
        assert not same_result(cut, other, ordered=False)
        assert not same_result(other, cut, ordered=False)


def test_long_whole_numbers_are_compared_to_the_last_digit() -> None:
    assert not same_result(result((4006381333931,)), result((4006381333932,)), ordered=False)


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("SELECT a FROM t", False),
        ("SELECT a FROM t ORDER BY a", True),
        ("SELECT a FROM t ORDER BY a LIMIT 10", True),
        ("SELECT a FROM t ORDER BY a LIMIT 1", False),
        ("SELECT a FROM t ORDER BY a LIMIT 1 OFFSET 2", False),
        ("SELECT a FROM t WHERE a IN (SELECT a FROM t ORDER BY a LIMIT 3)", False),
        ("SELECT a, RANK() OVER (ORDER BY a) FROM t", False),
        ("SELECT a FROM t UNION SELECT b FROM t ORDER BY a", True),
        ("WITH x AS (SELECT a FROM t ORDER BY a) SELECT a FROM x", False),
        ("WITH x AS (SELECT a FROM t) SELECT a FROM x ORDER BY a", True),
    ],
)
def test_is_ordered(query: str, ordered: bool) -> None:
    assert is_ordered(query) is ordered


@pytest.mark.parametrize("unparsed", ["CAST(a AS UNSIGNED BIG INT)", "(" * 900 + "a" + ")" * 900])
def test_order_of_a_query_that_sqlglot_cannot_parse(unparsed: str) -> None:
    assert is_ordered(f"SELECT {unparsed} FROM t ORDER BY a")
    assert not is_ordered(f"SELECT {unparsed} FROM (SELECT a FROM t ORDER BY a)")


# --- Reading answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "SELECT a FROM t",
        "  SELECT a FROM t;\n",
        "SELECT a FROM t; SELECT b FROM t;",
        "SELECT a FROM t; This lists every a.",
        "Sure! Here is the query: SELECT a FROM t; I hope it's useful.",
        "Here you go:\n```sql\nSELECT a FROM t;\n```\nIt selects a.",
        "```\nSELECT a FROM t\n```",
        "```SQL\nSELECT a FROM t",
        "```sqlite\n-- all of them\nSELECT a FROM t\n```",
        "I'd write\n```sql\nSELECT a FROM t\n```\nor\n```sql\nSELECT b FROM t\n```",
    ],
)
def test_query_is_found_in_an_answer(answer: str) -> None:
    assert extract_query(answer) == "SELECT a FROM t"


def test_query_on_the_line_of_its_fence() -> None:
    assert extract_query("```SELECT a FROM t```") == "SELECT a FROM t"


@pytest.mark.parametrize("answer", ["With pleasure! SELECT a FROM t", "A query with one column: SELECT a FROM t"])
def test_english_with_does_not_begin_a_query(answer: str) -> None:
    assert extract_query(answer) == "SELECT a FROM t"


def test_query_in_single_backticks() -> None:
    assert extract_query("The query is `SELECT a FROM t`.") == "SELECT a FROM t"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a FROM t WHERE b = 'x; y'",
        "SELECT a FROM t WHERE b = 'it''s; so'",
        "WITH x AS (SELECT a FROM t) SELECT a FROM x",
        "select a\nfrom t",
    ],
)
def test_query_survives_being_read(query: str) -> None:
    assert extract_query(query) == query
    assert extract_query(f"```sql\n{query};\n```") == query


def test_answer_without_sql_comes_back() -> None:
    assert extract_query("  I do not know. ") == "I do not know."
    assert extract_query("") == ""


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SELECT a FROM t", "select  a\nfrom T"),
        ("SELECT count( * ) FROM t", "SELECT COUNT(*) FROM t"),
        ("SELECT a FROM t WHERE a != 1", "SELECT a FROM t WHERE a <> 1 -- not one"),
        ('SELECT "a" FROM t', "SELECT [a] FROM t"),
        ("this is ( no SQL", "THIS  is ( no sql"),
        ("SELECT " + "(" * 900 + "1", "select " + "(" * 900 + "1"),
        ("SELECT 1" + " + 1" * 10_000, "select  1" + " + 1" * 10_000),
    ],
)
def test_same_spelling(left: str, right: str) -> None:
    assert normalised(left) == normalised(right)


def test_quotes_around_names_do_not_count() -> None:
    assert normalised('SELECT "a" FROM t') == normalised("SELECT a FROM t")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("SELECT a FROM t WHERE b = 'Dog'", "SELECT a FROM t WHERE b = 'dog'"),
        ("SELECT a, b FROM t", "SELECT b, a FROM t"),
        ("SELECT a FROM t", "SELECT DISTINCT a FROM t"),
    ],
)
def test_other_query_is_spelled_otherwise(left: str, right: str) -> None:
    assert normalised(left) != normalised(right)


# --- Building ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (PETS + "INSERT INTO nowhere VALUES (1);", "no such table"),
        (PETS + "INSERT INTO pets VALUES (1, 'twice', 0);", "UNIQUE"),
        ("CREATE TABLE (;", "syntax error"),
        ("-- nothing", "creates no table"),
        (PETS + "CREATE TABLE a (b REFERENCES pets(id)); INSERT INTO a VALUES (77);", "points to no row in pets"),
    ],
)
def test_faulty_text_leaves_no_file_and_keeps_the_old_one(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "folder" / "x.sqlite"
    with pytest.raises(ValueError, match=fault):
        build_database(text, path)
    assert list(path.parent.iterdir()) == []
    build_database(PETS, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=fault):
        build_database(text, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_interrupted_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def interrupted(path: Path) -> sqlite3.Connection:
        connect(path).execute("CREATE TABLE half (a)").connection.close()
        raise KeyboardInterrupt

    monkeypatch.setattr("utils.sql.sqlite3.connect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_database(PETS, tmp_path / "x.sqlite")
    assert list(tmp_path.iterdir()) == []
