"""Other rows for the same tables, so that a wrong query is not right by luck.

On one set of rows a query with a condition too few, or `>` for `>=`, often gives the right answer. On several sets it
rarely does. Each instance here keeps the tables and keys of a database and changes the rest: values move between
rows, values at the edge of what the gold queries compare with come in, children change parents, rows go and rows
double. This is the test suite of Zhong, Yu and Klein ("Semantic Evaluation for Text-to-SQL with Distilled Test
Suites", 2020), without the distillation.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.schema import primary_key, quoted

MOVE, EDGE, NEW_PARENT, REMOVE, DOUBLE = 0.5, 0.3, 0.6, 0.15, 0.2
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Value = str | int | float | None


@dataclass(frozen=True)
class _Column:
    name: str
    is_key: bool
    parent: tuple[str, str] | None


def make_instances(database: Path, folder: Path, queries: Sequence[str], count: int, seed: int = 0) -> list[Path]:
    """The database itself and `count` mutated copies of it, `NAME.1.sqlite` and so on, in `folder`."""
    targets = [folder / f"{database.stem}.{number}.sqlite" for number in range(1, count + 1)]
    return [database, *(make_instance(database, target, queries, seed + n) for n, target in enumerate(targets))]


def make_instance(database: Path, target: Path, queries: Sequence[str], seed: int) -> Path:
    """Write a mutated copy of a SQLite file to `target`. The same seed gives the same rows.

    `queries` are the gold queries about the database; the constants that they compare with, and their neighbours,
    are put into the rows. Keys stay unique and foreign keys valid.

    Raises:
        sqlite3.Error: `database` is no SQLite file.
    """
    generator = random.Random(f"{database.stem}-{seed}")
    edges = _edges(queries)
    shutil.copyfile(database, target)
    with contextlib.closing(sqlite3.connect(target)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {table: _columns(connection, table, tables) for table in tables}
        for table in tables:
            for column in columns[table]:
                if column.parent:
                    _change_parents(connection, table, column, generator)
                elif not column.is_key:
                    _change_values(connection, table, column.name, edges.get(column.name.lower(), []), generator)
        for table in tables:
            _double_rows(connection, table, columns[table], generator)
            _remove_rows(connection, table, columns, generator)
        connection.commit()
        connection.execute("VACUUM")
    return target


def _columns(connection: sqlite3.Connection, table: str, tables: Sequence[str]) -> list[_Column]:
    parents = _parents(connection, table)
    referenced = {key for other in tables for parent, key in _parents(connection, other).values() if parent == table}
    keys = {name for _, name, _, _, _, part in connection.execute(f"PRAGMA table_info({quoted(table)})") if part}
    for _, index, unique, *_ in connection.execute(f"PRAGMA index_list({quoted(table)})").fetchall():
        if unique:
            keys |= {name for _, _, name in connection.execute(f"PRAGMA index_info({quoted(index)})") if name}
    names = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({quoted(table)})")]
    return [_Column(name, name in keys | referenced, parents.get(name)) for name in names]


def _parents(connection: sqlite3.Connection, table: str) -> dict[str, tuple[str, str]]:
    """Column → (table, column) for each foreign key of one column."""
    rows = connection.execute(f"PRAGMA foreign_key_list({quoted(table)})").fetchall()
    counts = [row[0] for row in rows]
    found = {}
    for number, _, parent, child, key, *_ in rows:
        if counts.count(number) == 1:
            found[child] = (parent, key or primary_key(connection, parent))
    return found


def _change_parents(connection: sqlite3.Connection, table: str, column: _Column, generator: random.Random) -> None:
    """Give a part of the rows another parent, some parents getting many children and some none."""
    parent, key = column.parent or ("", "")
    keys = [row[0] for row in connection.execute(f"SELECT {quoted(key)} FROM {quoted(parent)} ORDER BY 1")]
    if not keys:
        return
    favoured = generator.sample(keys, max(1, len(keys) * 2 // 3))
    for rowid, value in _cells(connection, table, column.name):
        if value is not None and generator.random() < NEW_PARENT:
            _set(connection, table, column.name, rowid, generator.choice(favoured))


def _change_values(
    connection: sqlite3.Connection, table: str, column: str, edges: Sequence[Value], generator: random.Random
) -> None:
    """Move values between rows; put values from the edges of conditions in, as far as they suit the column."""
    cells = list(_cells(connection, table, column))
    pool = [value for _, value in cells]
    if _names_rows(pool):
        for (rowid, _), value in zip(cells, generator.sample(pool, len(pool)), strict=True):
            _set(connection, table, column, rowid, value)
        return
    suited = [edge for edge in edges if _suits(edge, pool)]
    for rowid, _ in cells:
        if suited and generator.random() < EDGE:
            _set(connection, table, column, rowid, generator.choice(suited))
        elif generator.random() < MOVE:
            _set(connection, table, column, rowid, generator.choice(pool))


def _names_rows(pool: Sequence[Value]) -> bool:
    """True if no text occurs twice: such a column names its rows, and questions rely on that."""
    return len(pool) > 1 and len(set(pool)) == len(pool) and all(isinstance(value, str) for value in pool)


def _double_rows(
    connection: sqlite3.Connection, table: str, columns: Sequence[_Column], generator: random.Random
) -> None:
    """Insert some rows again under a new key, where the key is a number; equal rows tell DISTINCT from its absence."""
    pools = ([value for _, value in _cells(connection, table, c.name)] for c in columns if not c.is_key)
    if any(_names_rows(pool) for pool in pools):
        return
    key = next((column.name for column in columns if column.is_key and not column.parent), None)
    names = ", ".join(quoted(column.name) for column in columns)
    for rowid, value in list(_cells(connection, table, key)) if key else []:
        if not isinstance(value, int) or generator.random() >= DOUBLE:
            continue
        fresh = ", ".join(
            f"(SELECT MAX({quoted(key)}) + 1 FROM {quoted(table)})" if column.name == key else quoted(column.name)
            for column in columns
        )
        connection.execute(
            f"INSERT OR IGNORE INTO {quoted(table)} ({names}) SELECT {fresh} FROM {quoted(table)} WHERE rowid = ?",
            (rowid,),
        )


def _remove_rows(
    connection: sqlite3.Connection, table: str, columns: dict[str, list[_Column]], generator: random.Random
) -> None:
    """Remove some rows that no other row refers to."""
    free = " AND ".join(
        f"{quoted(column.parent[1])} NOT IN "
        f"(SELECT {quoted(column.name)} FROM {quoted(other)} WHERE {quoted(column.name)} IS NOT NULL)"
        for other, found in columns.items()
        for column in found
        if column.parent and column.parent[0] == table
    )
    condition = f" WHERE {free}" if free else ""
    rowids = [row[0] for row in connection.execute(f"SELECT rowid FROM {quoted(table)}{condition} ORDER BY rowid")]
    for rowid in rowids:
        if generator.random() < REMOVE:
            connection.execute(f"DELETE FROM {quoted(table)} WHERE rowid = ?", (rowid,))


def _edges(queries: Sequence[str]) -> dict[str, list[Value]]:
    """For each column name the constants that some query compares it with, and their nearest neighbours."""
    from sqlglot import exp, parse_one

    found: dict[str, set[Value]] = {}
    for query in queries:
        for comparison in parse_one(query, read="sqlite").find_all(exp.Predicate):
            columns = [column.name.lower() for column in comparison.find_all(exp.Column)]
            for literal in comparison.find_all(exp.Literal):
                for column in columns:
                    found.setdefault(column, set()).update(_neighbours(literal.name, literal.is_string))
    return {column: sorted(values, key=lambda value: (str(type(value)), value)) for column, values in found.items()}


def _neighbours(text: str, is_string: bool) -> Iterator[Value]:
    if not is_string:
        number = float(text)
        yield from (int(n) if n.is_integer() else n for n in (number - 1, number, number + 1))
    elif DAY.fullmatch(text):
        with contextlib.suppress(ValueError):
            day = datetime.date.fromisoformat(text)
            yield from ((day + datetime.timedelta(days=days)).isoformat() for days in (-1, 0, 1))
    elif re.fullmatch(r"\d{4}", text):  # a year, compared with strftime
        yield from (f"{int(text) - 1}-12-31", f"{text}-01-01", f"{text}-12-31", f"{int(text) + 1}-01-01")
    elif re.fullmatch(r"\d{4}-\d{2}", text):
        yield from (f"{text}-01", f"{text}-28")
    elif not text.startswith("%"):
        yield text


def _suits(edge: Value, pool: Sequence[Value]) -> bool:
    """True if the value could stand in the column: a number within its range, a date among dates, text among text."""
    if isinstance(edge, str):
        texts = [value for value in pool if isinstance(value, str)]
        return bool(texts) and bool(DAY.fullmatch(edge)) == bool(DAY.fullmatch(texts[0]))
    numbers = [value for value in pool if isinstance(value, int | float)]
    return bool(numbers) and min(numbers) <= edge <= max(numbers)


def _cells(connection: sqlite3.Connection, table: str, column: str) -> Iterator[tuple[int, Value]]:
    yield from connection.execute(f"SELECT rowid, {quoted(column)} FROM {quoted(table)} ORDER BY rowid").fetchall()


def _set(connection: sqlite3.Connection, table: str, column: str, rowid: int, value: Value) -> None:
    # OR IGNORE: a value that a constraint forbids leaves the row as it was.
    connection.execute(f"UPDATE OR IGNORE {quoted(table)} SET {quoted(column)} = ? WHERE rowid = ?", (value, rowid))
