"""What is in a database: tables, columns, keys, and an index of its values."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from utils.sql import open_read_only

MAX_LISTED_VALUES = 6
MAX_LISTED_CHARACTERS = 80
MAX_INDEXED_VALUES = 5_000
# Letters that Unicode does not take apart into a plain letter and a mark.
PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "ß": "ss", "ı": "i", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th"}
)


@dataclass(frozen=True)
class Column:
    """A column. `references` is "table.column" for a foreign key; `listed` holds its values if they are few."""

    name: str
    type: str
    references: str | None = None
    listed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table and its columns in order."""

    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Schema:
    """The tables of a database, and an index of its short text values: plain spelling → (table, column, value)."""

    tables: tuple[Table, ...]
    values: dict[str, tuple[tuple[str, str, str], ...]]


@lru_cache(maxsize=256)
def read_schema(database: Path) -> Schema:
    """Read the schema and the value index of a SQLite file. Raises sqlite3.Error if it is none."""
    connection = open_read_only(database)
    try:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
        ]
        tables, index = [], {}
        for name in (name for name in names if not name.startswith("sqlite_")):
            texts = _text_values(connection, name)
            tables.append(Table(name, _columns(connection, name, texts)))
            for column, values in texts.items():
                for value in values:
                    index.setdefault(plain(value), []).append((name, column, value))
        return Schema(tuple(tables), {key: tuple(places) for key, places in index.items() if key})
    finally:
        connection.close()


def schema_text(schema: Schema) -> str:
    """One line a table, foreign keys as `owner_id = owners.id`, the values of columns that have only a few."""
    lines = []
    for table in schema.tables:
        columns = []
        for column in table.columns:
            text = column.name
            if column.references:
                text += f" = {column.references}"
            elif column.listed:
                text += " (" + ", ".join(column.listed) + ")"
            columns.append(text)
        lines.append(f"{table.name}: {', '.join(columns)}")
    return "\n".join(lines)


@lru_cache(maxsize=100_000)
def plain(text: str) -> str:
    """Lower case, without accents, possessives and punctuation: how a hurried person types it."""
    text = unicodedata.normalize("NFKD", text.lower().replace("’", "'").translate(PLAIN_LETTERS))
    text = "".join(character for character in text if not unicodedata.combining(character))
    text = re.sub(r"'s\b", "", text)
    text = text.replace("'", "")
    return " ".join(re.findall(r"[a-z0-9]+", text))


def _columns(connection: sqlite3.Connection, table: str, texts: dict[str, list[str]]) -> tuple[Column, ...]:
    references = {}
    for _, _, parent, child_column, parent_column, *_ in connection.execute(
        f"PRAGMA foreign_key_list({quoted(table)})"
    ):
        references[child_column] = f"{parent}.{parent_column or primary_key(connection, parent)}"
    columns = []
    for _, name, declared, *_ in connection.execute(f"PRAGMA table_info({quoted(table)})"):
        values = texts.get(name, [])
        few = 0 < len(values) <= MAX_LISTED_VALUES and sum(map(len, values)) <= MAX_LISTED_CHARACTERS
        columns.append(Column(name, declared, references.get(name), tuple(values) if few else ()))
    return tuple(columns)


def _text_values(connection: sqlite3.Connection, table: str) -> dict[str, list[str]]:
    """Distinct text values of each column, sorted; dates are left out, since questions rarely spell them like that."""
    texts = {}
    for _, name, *_ in connection.execute(f"PRAGMA table_info({quoted(table)})").fetchall():
        column = quoted(name)
        rows = connection.execute(
            f"SELECT DISTINCT {column} FROM {quoted(table)} WHERE typeof({column}) = 'text' "
            f"AND length({column}) <= 60 ORDER BY {column} LIMIT {MAX_INDEXED_VALUES}"
        )
        values = [value for (value,) in rows]
        if values and not all(re.fullmatch(r"\d{4}-\d{2}.*|\d{1,2}:\d{2}.*", value) for value in values):
            texts[name] = values
    return texts


def primary_key(connection: sqlite3.Connection, table: str) -> str:
    """The first column of a table's primary key; "rowid" if it declares none."""
    for _, name, _, _, _, key in connection.execute(f"PRAGMA table_info({quoted(table)})"):
        if key:
            return name
    return "rowid"


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'
