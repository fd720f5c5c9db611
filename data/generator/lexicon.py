"""What the generator knows of a database: its tables, how people speak of them, and the values in the rows."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from data.generator import grammar

PEOPLE = frozenset(
    (
        "owner vet doctor customer mechanic artist courier person firefighter volunteer player referee visitor "
        "journalist subscriber musician composer employee patient puppeteer passenger guest instructor student "
        "author member keeper donor adjuster agent attendant bidder cardholder client contractor dentist developer "
        "engineer expert gardener learner observer planner policyholder runner seller tailor tenant translator umpire "
        "worker"
    ).split()
) | {"staff member", "crew member"}
NUMBER_KINDS = ("money", "count", "measure")
# A title that is shared by many rows does not name a row.
MIN_TITLE_SHARE = 0.35


@dataclass(eq=False)
class Column:
    """A column: its kind, the noun phrases people use for it, its superlatives and its values (NULLs left out).

    `all_says` holds the phrases that are no nouns, too: "date they joined".
    """

    table: str
    name: str
    kind: str
    says: tuple[str, ...]
    all_says: str
    more: str | None
    less: str | None
    yes: str | None
    no: str | None
    values: list[Any]
    nulls: int

    @property
    def ref(self) -> str:
        return f"{self.table}.{self.name}"

    @cached_property
    def distinct(self) -> list[Any]:
        return sorted(set(self.values))

    @property
    def is_number(self) -> bool:
        return self.kind in NUMBER_KINDS and bool(self.values) and all(isinstance(v, int | float) for v in self.values)

    @cached_property
    def unit(self) -> str:
        return grammar.unit_of(self.name, self.all_says)


@dataclass(eq=False)
class Table:
    """A table: what one row and many rows are called, the columns that name a row, and the columns by name."""

    name: str
    one: str
    many: str
    also: tuple[str, ...]
    titles: tuple[Column, ...]
    columns: dict[str, Column]
    key: tuple[str, ...]
    rows: list[dict[str, Any]]
    person: bool
    parents: list[Link] = field(default_factory=list)
    children: list[Link] = field(default_factory=list)

    @property
    def key_ref(self) -> str:
        return f"{self.name}.{self.key[0]}"

    @property
    def title_sql(self) -> str:
        return ", ".join(column.ref for column in self.titles)

    @cached_property
    def title_noun(self) -> str:
        """What the title is called: "name", "title", "plate number"."""
        if len(self.titles) != 1:
            return "name" if self.titles else "number"
        return self.titles[0].says[0]

    @cached_property
    def named_rows(self) -> list[tuple[Any, ...]]:
        """The titles that belong to one row only."""
        found = [tuple(row[column.name] for column in self.titles) for row in self.rows]
        return [title for title in found if found.count(title) == 1 and None not in title and "" not in title]

    @cached_property
    def titles_unique(self) -> bool:
        return len(self.named_rows) == len(self.rows)

    def of_kind(self, *kinds: str) -> list[Column]:
        return [column for column in self.columns.values() if column.kind in kinds and column.values]

    @cached_property
    def numbers(self) -> list[Column]:
        """Columns with numbers that can be compared and averaged."""
        return [c for c in self.columns.values() if c.is_number and not grammar.is_ordinal(c.all_says)]

    @cached_property
    def categories(self) -> list[Column]:
        """Columns with few values, without NULLs, to group by."""
        return [c for c in self.of_kind("category") if not c.nulls and 2 <= len(c.distinct) <= 30]


@dataclass(eq=False)
class Link:
    """A foreign key: rows of `child` that `has` ("belong to") a row of `parent`."""

    child: Table
    column: Column
    parent: Table
    parent_key: str
    has: str
    alone: bool = True

    @property
    def join(self) -> str:
        return f"{self.column.ref} = {self.parent.name}.{self.parent_key}"

    @property
    def to_itself(self) -> bool:
        return self.child is self.parent

    @property
    def role(self) -> str:
        """What the parent is to the child in a table that refers to itself: "mother", "manager"."""
        word = re.split(r"_|(?=[A-Z])", self.column.name)[0].lower()
        return word if word in {"mother", "father", "manager", "boss", "mentor"} else self.parent.one


@dataclass(eq=False)
class Lexicon:
    """A database, ready to be asked about."""

    name: str
    tables: dict[str, Table]
    links: list[Link]
    connection: sqlite3.Connection


def load_lexicon(name: str, folder: Path) -> Lexicon:
    """Read `NAME.sql` and `NAME.yaml` of a folder."""
    connection = sqlite3.connect(":memory:")
    connection.executescript((folder / f"{name}.sql").read_text(encoding="utf-8"))
    connection.row_factory = sqlite3.Row
    words = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))["tables"]
    tables = {table: _table(connection, table, entry, words) for table, entry in words.items()}
    links = [link for table in tables.values() for link in _links(connection, table, words[table.name], tables)]
    for link in links:
        rivals = [other for other in links if other.child is link.child and other.parent is link.parent]
        link.alone = len(rivals) == 1
        link.child.parents.append(link)
        link.parent.children.append(link)
    return Lexicon(name, tables, links, connection)


def _table(connection: sqlite3.Connection, name: str, entry: dict[str, Any], words: dict[str, Any]) -> Table:
    rows = [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
    info = connection.execute(f"PRAGMA table_info({name})").fetchall()
    columns = {column: _column(name, column, about, rows) for column, about in entry["columns"].items()}
    key = tuple(row["name"] for row in sorted(info, key=lambda row: row["pk"]) if row["pk"]) or (info[0]["name"],)
    also = tuple(word for word in entry.get("also") or [] if not _means_another(word, name, words))
    return Table(
        name=name,
        one=entry["one"],
        many=entry["many"],
        also=also,
        titles=_titles(entry, columns, rows),
        columns=columns,
        key=key,
        rows=rows,
        person=entry["one"] in PEOPLE and not {"animals", "pets", "bands"} & set(entry.get("also") or []),
    )


def _column(table: str, name: str, about: dict[str, Any], rows: list[dict[str, Any]]) -> Column:
    found = [row[name] for row in rows]
    values = [value for value in found if value is not None]
    says = tuple(about.get("says") or [name.replace("_", " ")])
    nouns = tuple(phrase for phrase in says if grammar.is_noun_phrase(phrase)) or says[:1]
    return Column(
        table=table,
        name=name,
        kind=about["kind"],
        says=nouns,
        all_says=", ".join(says),
        more=about.get("more"),
        less=about.get("less"),
        # YAML 1.1 reads a bare yes or no as a boolean.
        yes=about.get("yes", about.get(True)),
        no=about.get("no", about.get(False)),
        values=values,
        nulls=len(found) - len(values),
    )


def _titles(entry: dict[str, Any], columns: dict[str, Column], rows: list[dict[str, Any]]) -> tuple[Column, ...]:
    """The column that names a row, with the first name before the last; none if it is shared by many rows."""
    if not entry.get("title"):
        return ()
    title = columns[entry["title"]]
    first = [c for c in columns.values() if c.kind == "name" and re.match(r"(first|given) name", c.says[0])]
    found = (first[0], title) if first and first[0] is not title else (title,)
    different = {tuple(row[column.name] for column in found) for row in rows}
    return found if len(different) >= MIN_TITLE_SHARE * len(rows) and title.kind != "text" else ()


def _means_another(word: str, name: str, words: dict[str, Any]) -> bool:
    others = [entry for table, entry in words.items() if table != name]
    return any(
        word in (other["one"], *(other.get("also") or [])) or set(word.split()) & set(other["many"].split())
        for other in others
    )


def _links(connection: sqlite3.Connection, table: Table, entry: dict[str, Any], tables: dict[str, Table]) -> list[Link]:
    links = []
    for row in connection.execute(f"PRAGMA foreign_key_list({table.name})").fetchall():
        about = entry["columns"].get(row["from"], {})
        parent = tables.get(row["table"])
        if parent and about.get("has"):
            parent_key = row["to"] or parent.key[0]
            links.append(Link(table, table.columns[row["from"]], parent, parent_key, about["has"]))
    order = list(table.columns)
    return sorted(links, key=lambda link: order.index(link.column.name))
