"""Queries that have more than one right answer: a LIMIT that cuts between equal rows."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def is_decided(query: str, connection: sqlite3.Connection) -> bool:
    """True if no LIMIT in the query cuts between rows that are equal in the ORDER BY but read differently.

    A LIMIT without ORDER BY, after a set operation or in a correlated subquery is not looked into.
    """
    from sqlglot import exp, parse_one

    return not any(
        has_tie(select, connection)
        for select in parse_one(query, read="sqlite").find_all(exp.Select)
        if select.args.get("limit") and select.args.get("order") and not is_correlated(select)
    )


def has_tie(select: exp.Select, connection: sqlite3.Connection) -> bool:
    """True if the LIMIT of a SELECT with ORDER BY cuts between rows that sort equal and read differently."""
    keys = len(select.args["order"].expressions)
    offset = int(select.args["offset"].expression.name) if select.args.get("offset") else 0
    ends = (offset, offset + int(select.args["limit"].expression.name))
    rows = _rows_with_sort_keys(select, connection)
    for end in ends:
        if not 0 < end < len(rows) or rows[end - 1][-keys:] != rows[end][-keys:]:
            continue
        tied = {row[:-keys] for row in rows if row[-keys:] == rows[end][-keys:]}
        if len(tied) > 1:
            return True
    return False


def is_correlated(query: exp.Query) -> bool:
    """True if a subquery names a table that only the query around it has."""
    from sqlglot import exp

    own = {name for select in query.find_all(exp.Select) for name in tables_of(select)}
    return any(column.table and column.table not in own for column in query.find_all(exp.Column))


def tables_of(select: exp.Select) -> dict[str, str]:
    """The tables in the FROM and JOINs of a SELECT: name in the query → name in the database."""
    start = select.args.get("from_") or select.args.get("from")
    sources = [start.this] if start else []
    sources += [join.this for join in select.args.get("joins") or []]
    return {source.alias_or_name: source.name for source in sources}


def _rows_with_sort_keys(select: exp.Select, connection: sqlite3.Connection) -> list[tuple]:
    """All rows of a query that has a LIMIT, without it, each followed by the values it is sorted by."""
    query = select.copy()
    query.set("limit", None)
    query.set("offset", None)
    query = query.select(*(ordered.this.copy() for ordered in select.args["order"].expressions))
    rows = connection.execute(query.sql(dialect="sqlite")).fetchall()
    return [tuple(round(value, 9) if isinstance(value, float) else value for value in row) for row in rows]
