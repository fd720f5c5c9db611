"""The databases that the page offers, and what is in them: tables, columns, keys, row counts and a few values."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from utils.data import load_databases
from utils.errors import CourseError
from utils.schema import Column, Schema, Table, quoted, read_schema
from utils.settings import DATA
from utils.sql import Row, Sandbox, open_read_only
from utils.stages import read_lines, shown

SUFFIXES = (".sqlite", ".sqlite3", ".db")
MAX_QUESTIONS = 6
MAX_SECONDS = 3.0  # for counting rows and looking at values
SAMPLED_ROWS = 20
FEW_VALUES = 3
# Questions of the validation split: no model of the course was trained on these databases.
COURSE_QUESTIONS = {
    "cooking_school": (
        "average price for each cuisine",
        "What's the priciest course you run?",
        "What classes do you teach for beginners?",
        "dishes that take under half an hour to prepare",
        "Which course has been scheduled most often?",
        "How many bookings were given five stars?",
    ),
    "bike_share": (
        "number of bicycles per model",
        "Which station has the most docks?",
        "How many docks are there in each part of town?",
        "Average charge per ride for each plan?",
        "Which riders aren't on any plan?",
        "How many trips were taken in July 2024?",
    ),
    "harbour": (
        "arrivals per year, please",
        "Which boats are over 20 metres long?",
        "For each type of boat, how many do we have?",
        "Total mooring fees by flag?",
        "What is the longest vessel called?",
        "Who does the Kittiwake belong to?",
    ),
}


@dataclass(frozen=True)
class Database:
    """A SQLite file under the name that the page shows, with questions that one click asks."""

    name: str
    path: Path
    questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnFacts:
    """A column, whether it is part of the primary key, and a few of its values as SQLite has them."""

    column: Column
    is_key: bool
    values: tuple[object, ...]


@dataclass(frozen=True)
class TableFacts:
    """A table; `rows` is None if counting them took too long."""

    name: str
    rows: int | None
    columns: tuple[ColumnFacts, ...]


def course_databases() -> list[Database]:
    """The course's validation databases, with some of their questions."""
    files = load_databases(DATA / "databases")
    return [Database(name, files[name], questions) for name, questions in COURSE_QUESTIONS.items()]


def find_databases(folder: Path) -> list[Database]:
    """The databases of a folder: NAME.sqlite files, or NAME.sql, which are built.

    The first questions of `NAME.jsonl` beside a database (a `question` in each line) become its examples.

    Raises:
        CourseError: the folder holds no database, or a file in it is none.
    """
    try:
        built = load_databases(folder) if any(folder.glob("*.sql")) else {}
    except ValueError as error:
        raise CourseError(str(error)) from None
    files = built | {path.stem: path for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES}
    if not files:
        raise CourseError(f"{shown(folder)} holds no databases: files that end in .sqlite, .db or .sql.")
    return [_opened(name, files[name], _questions(folder / f"{name}.jsonl")) for name in sorted(files)]


def own_database(path: Path) -> Database:
    """A file of one's own. Raises CourseError if there is none, or if it is no database with tables."""
    if not path.is_file():
        raise CourseError(f"There is no database at {shown(path)}.")
    return _opened(path.name, path, ())


@lru_cache(maxsize=256)
def describe(database: Path) -> tuple[TableFacts, ...]:
    """What is in a database. Takes at most a few seconds; what was not counted by then has no row count."""
    schema = read_schema(database)
    keys = _primary_keys(database, schema)
    end = time.monotonic() + MAX_SECONDS
    with Sandbox(database) as sandbox:
        return tuple(_describe_table(table, keys[table.name], sandbox, end) for table in schema.tables)


def _opened(name: str, path: Path, questions: tuple[str, ...]) -> Database:
    try:
        tables = read_schema(path).tables
    except sqlite3.Error as error:
        raise CourseError(f"{shown(path)} is no SQLite database: {error}.") from None
    if not tables:
        raise CourseError(f"{shown(path)} has no tables, so there is nothing to ask.")
    return Database(name, path, questions)


def _questions(path: Path) -> tuple[str, ...]:
    rows = read_lines(path) if path.is_file() else []
    return tuple(row["question"] for row in rows[:MAX_QUESTIONS])


def _primary_keys(database: Path, schema: Schema) -> dict[str, set[str]]:
    with contextlib.closing(open_read_only(database)) as connection:
        return {
            table.name: {
                name for _, name, _, _, _, key in connection.execute(f"PRAGMA table_info({quoted(table.name)})") if key
            }
            for table in schema.tables
        }


def _describe_table(table: Table, keys: set[str], sandbox: Sandbox, end: float) -> TableFacts:
    counted = sandbox.execute(f"SELECT COUNT(*) FROM {quoted(table.name)}", max_seconds=_left(end))
    # Column by column: where one cannot be read, the others still can.
    columns = tuple(
        ColumnFacts(column, column.name in keys, column.listed or _sample(table.name, column.name, sandbox, end))
        for column in table.columns
    )
    return TableFacts(table.name, counted.rows[0][0] if counted.ok else None, columns)


def _sample(table: str, column: str, sandbox: Sandbox, end: float) -> tuple[object, ...]:
    """The first few different values of a column, NULL left out."""
    query = f"SELECT {quoted(column)} FROM {quoted(table)} LIMIT {SAMPLED_ROWS}"
    rows: list[Row] = sandbox.execute(query, max_seconds=_left(end)).rows
    values = dict.fromkeys(value for (value,) in rows if value is not None)
    return tuple(values)[:FEW_VALUES]


def _left(end: float) -> float:
    return max(0.0, end - time.monotonic())
