"""What a query does and which tables it reads, taken from its parsed SQL: labels that need no labelling."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

OPERATIONS = ("list", "count", "aggregate", "rank", "group", "nested")


@lru_cache(maxsize=50_000)
def operation(query: str) -> str:
    """One of `OPERATIONS`, the first that holds of these.

    nested: more than one SELECT, or a window function; group: GROUP BY; rank: LIMIT; aggregate: SUM, AVG, MIN or MAX;
    count: COUNT alone; list: rows as they are, filtered or not.

    Raises:
        sqlglot.errors.SqlglotError: it is not SQL.
    """
    from sqlglot import exp

    tree = _parsed(query)
    if sum(1 for _ in tree.find_all(exp.Select)) > 1 or tree.find(exp.Window):
        return "nested"
    if tree.find(exp.Group):
        return "group"
    if tree.find(exp.Limit):
        return "rank"
    aggregates = list(tree.find_all(exp.AggFunc))
    if not aggregates:
        return "list"
    return "count" if all(isinstance(found, exp.Count) for found in aggregates) else "aggregate"


@lru_cache(maxsize=50_000)
def tables_of(query: str) -> frozenset[str]:
    """The tables that a query reads, in lower case; names that it defines itself (WITH) are none.

    Raises:
        sqlglot.errors.SqlglotError: it is not SQL.
    """
    from sqlglot import exp

    tree = _parsed(query)
    own = {found.alias.lower() for found in tree.find_all(exp.CTE)}
    return frozenset(found.name.lower() for found in tree.find_all(exp.Table)) - own


def understood(query: str) -> tuple[str, frozenset[str]]:
    """Operation and tables of a query that a model wrote; ("", nothing) if it is not SQL."""
    from sqlglot.errors import SqlglotError

    try:
        return operation(query), tables_of(query)
    except SqlglotError:
        return "", frozenset()


def _parsed(query: str) -> exp.Expression:
    import sqlglot

    return sqlglot.parse_one(query, read="sqlite")
