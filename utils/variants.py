"""The same questions on tables that are named otherwise: schema augmentation.

A small model that sees the same few schemas again and again learns their column names by heart, and then writes them
for any database. So training shows each group of questions with a schema of its own: tables and columns renamed to
what people call them, in another naming style and order, and some of those that the questions do not need left out.
The gold queries are rewritten to match. What remains to be learned is to read the schema.
"""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from utils.data import Question
from utils.linking import name_words
from utils.prompts import training_row
from utils.schema import Column, Schema, Table, plain, read_schema

Words = dict[str, dict[str, list[str]]]
"""For each table: what people call it (under "") and each of its columns."""

TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_]\w*|\d+(?:\.\d+)?|\S")
RESERVED = frozenset(
    "add all alter and as asc between by case check collate column commit constraint create cross current default "
    "delete desc distinct drop each else end escape except exists for foreign from full group having if in index "
    "inner insert intersect into is isnull join key left like limit match natural not notnull null of offset on or "
    "order outer over plan primary references replace right row rows select set table temp then to transaction "
    "trigger union unique update using values view when where window with".split()
)
ABBREVIATIONS = {
    "number": "no", "quantity": "qty", "description": "descr", "amount": "amt", "date": "dt", "name": "nm",
    "department": "dept", "address": "addr", "average": "avg", "maximum": "max", "minimum": "min", "count": "cnt",
    "category": "cat", "percentage": "pct", "year": "yr", "weight": "wt", "length": "len", "telephone": "tel",
}  # fmt: skip
HIDE_TABLE, HIDE_COLUMN, KEEP_WORDS, ABBREVIATE = 0.5, 0.3, 0.35, 0.15
STYLES = ("snake", "snake", "snake", "camel", "pascal", "joined")


@dataclass(frozen=True)
class Variant:
    """A renamed schema, and the new name of each table (under "") and column of the old one."""

    schema: Schema
    names: dict[str, dict[str, str]]

    def rewrite(self, query: str) -> str:
        """The query with the new names, otherwise to the letter as it was."""
        return _rename(query, self.names)


def read_words(yaml_file: Path, schema: Schema) -> Words:
    """What people call tables and columns: from the database's YAML file, or their own names if there is none."""
    described: dict = {}
    if yaml_file.is_file():
        import yaml

        described = yaml.safe_load(yaml_file.read_text(encoding="utf-8"))["tables"]
    words: Words = {}
    for table in schema.tables:
        entry = described.get(table.name, {})
        called = [entry[key] for key in ("one", "many") if key in entry] + entry.get("also", [])
        words[table.name] = {"": called or [_spoken(table.name)]}
        for column in table.columns:
            says = entry.get("columns", {}).get(column.name, {}).get("says", [])
            words[table.name][column.name] = [*says, _spoken(column.name)]
    return words


def make_variant(schema: Schema, words: Words, queries: Sequence[str], generator: random.Random) -> Variant:
    """A variant that still has every table and column that the queries use."""
    used = {word for query in queries for word in TOKEN.findall(query)}
    style = generator.choice(STYLES)
    plural = generator.random() < 0.5
    names = _new_table_names(schema, words, style, plural, generator)
    for table in schema.tables:
        names[table.name] |= _new_column_names(table, names, words, style, generator)
    tables = []
    for table in _shuffled(schema.tables, generator):
        if table.name in used or generator.random() >= HIDE_TABLE:
            tables.append(_renamed_table(table, names, used, generator))
    kept = {table.name for table in tables}
    tables = [_without_lost_references(table, kept) for table in tables]
    columns = {(table.name, column.name) for table in tables for column in table.columns}
    values = {}
    for text, places in schema.values.items():
        renamed = [(names[t][""], names[t][c], value) for t, c, value in places]
        values[text] = tuple(place for place in renamed if place[:2] in columns)
    return Variant(Schema(tuple(tables), values), names)


def training_rows(
    questions: Sequence[Question],
    databases: dict[str, Path],
    descriptions: Path,
    *,
    group_size: int,
    share: float,
    seed: int,
) -> tuple[list[Question], list[dict]]:
    """Training rows in groups of `group_size` questions about one database, a `share` of the groups on a variant of it.

    A question that occurs several times gets into different groups. `descriptions` is the folder of the NAME.yaml
    files. Returns the questions in the order of the rows, and the rows with prompt and completion.
    """
    generator = random.Random(seed)
    ordered, rows = [], []
    for name in sorted({question.database for question in questions}):
        schema = read_schema(databases[name])
        words = read_words(descriptions / f"{name}.yaml", schema)
        for group in _groups([question for question in questions if question.database == name], group_size, generator):
            variant = None
            if generator.random() < share:
                queries = [question.sql for question in group]
                variant = make_variant(schema, words, queries, generator)
                variant = variant if _all_run(variant, queries) else None
            for question in group:
                sql = variant.rewrite(question.sql) if variant else question.sql
                ordered.append(question)
                rows.append(training_row(question.question, sql, variant.schema if variant else schema))
    return ordered, rows


def _all_run(variant: Variant, queries: Sequence[str]) -> bool:
    """True if every rewritten query fits the renamed tables; one in an unusual spelling may not."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for table in variant.schema.tables:
            connection.execute(f"CREATE TABLE {table.name} ({', '.join(column.name for column in table.columns)})")
        try:
            for query in queries:
                connection.execute(f"EXPLAIN {variant.rewrite(query)}")
        except sqlite3.Error:
            return False
    return True


def _groups(questions: Sequence[Question], size: int, generator: random.Random) -> list[list[Question]]:
    """The questions shuffled and cut into groups; the occurrences of a repeated question come in separate rounds."""
    rounds: list[list[Question]] = []
    seen: Counter[str] = Counter()
    for question in questions:
        if seen[question.id] == len(rounds):
            rounds.append([])
        rounds[seen[question.id]].append(question)
        seen[question.id] += 1
    groups = []
    for members in rounds:
        members = _shuffled(members, generator)
        groups += [members[start : start + size] for start in range(0, len(members), size)]
    return groups


def _new_table_names(
    schema: Schema, words: Words, style: str, plural: bool, generator: random.Random
) -> dict[str, dict[str, str]]:
    names: dict[str, dict[str, str]] = {}
    taken: set[str] = set()
    for table in schema.tables:
        called = words[table.name][""]
        usual = called[min(int(plural), len(called) - 1)]
        spoken = generator.choice(called) if generator.random() < 0.3 else usual
        name = _free(_styled(spoken, style, generator), taken, _styled(_spoken(table.name), style, generator))
        names[table.name] = {"": name}
    return names


def _new_column_names(
    table: Table, tables: dict[str, dict[str, str]], words: Words, style: str, generator: random.Random
) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: set[str] = set()
    own = tables[table.name][""]
    for column in table.columns:
        says = words[table.name][column.name]
        spoken = says[-1] if generator.random() < KEEP_WORDS else generator.choice(says)
        if column.references:
            parent = tables[column.references.split(".")[0]][""]
            spoken = generator.choice([f"{_spoken(parent)} id", spoken, _spoken(column.name)])
        elif _spoken(column.name) in {"id", f"{_spoken(table.name)} id"}:
            spoken = generator.choice(["id", "id", f"{_spoken(own)} id", "code", "number"])
        fallback = _styled(f"{_spoken(table.name)} {_spoken(column.name)}", style, generator)
        names[column.name] = _free(_styled(spoken, style, generator), taken, fallback)
    return names


def _renamed_table(table: Table, names: dict[str, dict[str, str]], used: set[str], generator: random.Random) -> Table:
    own = names[table.name]
    columns: list[Column] = []
    for column in table.columns:
        needed = column.name in used or column.references or not columns
        if not needed and generator.random() < HIDE_COLUMN:
            continue
        references = column.references
        if references:
            parent, key = references.split(".")
            references = f"{names[parent]['']}.{names[parent].get(key, key)}"
        columns.append(replace(column, name=own[column.name], references=references))
    return Table(own[""], (columns[0], *_shuffled(columns[1:], generator)))


def _without_lost_references(table: Table, kept: set[str]) -> Table:
    columns = (
        replace(column, references=None)
        if column.references and column.references.split(".")[0] not in kept
        else column
        for column in table.columns
    )
    return replace(table, columns=tuple(columns))


def _rename(query: str, names: dict[str, dict[str, str]]) -> str:
    tokens = list(TOKEN.finditer(query))
    texts = [token.group() for token in tokens]
    scopes, sources, parents = _scopes(texts, names)
    renamed = []
    for index, text in enumerate(texts):
        before = texts[index - 1] if index else ""
        after = texts[index + 1] if index + 1 < len(texts) else ""
        if before == ".":
            table = _table_of(texts[index - 2], scopes[index], sources, parents)
            text = names.get(table or "", {}).get(text, text)
        elif before.upper() in {"FROM", "JOIN"} or (after == "." and text in names):
            text = names[text][""] if text in names else text
        elif after not in {"(", "."} and before.upper() != "AS":
            table = _table_with(text, scopes[index], sources, parents, names)
            text = names[table][text] if table else text
        renamed.append(text)
    pieces, end = [], 0
    for token, text in zip(tokens, renamed, strict=True):
        pieces += [query[end : token.start()], text]
        end = token.end()
    return "".join(pieces) + query[end:]


def _scopes(
    texts: list[str], names: dict[str, dict[str, str]]
) -> tuple[list[int], list[dict[str, str]], list[int | None]]:
    """For each token the SELECT it stands in; for each SELECT its tables by alias, and the SELECT around it."""
    scopes: list[int] = []
    sources: list[dict[str, str]] = [{}]
    parents: list[int | None] = [None]
    stack = [0]
    for index, text in enumerate(texts):
        if text == "(":
            stack.append(stack[-1])
        elif text == ")" and len(stack) > 1:
            scopes.append(stack.pop())
            continue
        elif text.upper() == "SELECT":
            sources.append({})
            parents.append(stack[-2] if len(stack) > 1 else None)
            stack[-1] = len(sources) - 1
        elif index and texts[index - 1].upper() in {"FROM", "JOIN"} and text in names:
            follows = [word.upper() for word in texts[index + 1 : index + 2]]
            alias = texts[index + 2] if follows == ["AS"] else text
            sources[stack[-1]][alias] = text
        scopes.append(stack[-1])
    return scopes, sources, parents


def _table_of(alias: str, scope: int | None, sources: list[dict[str, str]], parents: list[int | None]) -> str | None:
    while scope is not None:
        if alias in sources[scope]:
            return sources[scope][alias]
        scope = parents[scope]
    return None


def _table_with(
    column: str,
    scope: int | None,
    sources: list[dict[str, str]],
    parents: list[int | None],
    names: dict[str, dict[str, str]],
) -> str | None:
    while scope is not None:
        for table in sources[scope].values():
            if column in names[table]:
                return table
        scope = parents[scope]
    return None


def _spoken(name: str) -> str:
    """An identifier as one says it: `dateOfBirth` and `date_of_birth` become "date of birth"."""
    return " ".join(name_words(name))


def _styled(spoken: str, style: str, generator: random.Random) -> str:
    words = [word for word in plain(spoken).split() if word not in {"the", "a", "an", "their", "it"}] or ["item"]
    words = words[:4]
    if generator.random() < ABBREVIATE:
        words = [ABBREVIATIONS.get(word, word[:4] if len(word) > 8 else word) for word in words]
    if style == "camel":
        return words[0] + "".join(word.capitalize() for word in words[1:])
    if style == "pascal":
        return "".join(word.capitalize() for word in words)
    return ("" if style == "joined" else "_").join(words)


def _free(name: str, taken: set[str], fallback: str) -> str:
    """`name`, or the fallback, or either with a number, so that it is no keyword, no number and not taken."""
    for candidate in (name, fallback, *(f"{name}_{number}" for number in range(2, 20))):
        key = candidate.lower()
        if key not in taken and key not in RESERVED and not key[0].isdigit():
            taken.add(key)
            return candidate
    raise ValueError(f"No free name for {name!r}.")


def _shuffled(items: Sequence, generator: random.Random) -> list:
    return generator.sample(list(items), len(items))
