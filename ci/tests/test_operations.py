"""Operation and tables of a query follow from its parsed SQL."""

from __future__ import annotations

import pytest
from sqlglot.errors import SqlglotError

from utils.operations import OPERATIONS, operation, tables_of, understood


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a FROM t", "list"),
        ("SELECT DISTINCT a FROM t JOIN u ON t.id = u.id WHERE b = 1 ORDER BY a", "list"),
        ("SELECT COUNT(*) FROM t WHERE a = 1", "count"),
        ("SELECT COUNT(DISTINCT a) FROM t", "count"),
        ("SELECT AVG(a) FROM t", "aggregate"),
        ("SELECT COUNT(*), MAX(a) FROM t", "aggregate"),
        ("SELECT a FROM t ORDER BY b DESC LIMIT 1", "rank"),
        ("SELECT a, COUNT(*) FROM t GROUP BY a", "group"),
        ("SELECT a FROM t GROUP BY a ORDER BY COUNT(*) DESC LIMIT 1", "group"),
        ("SELECT a FROM t WHERE b = (SELECT MAX(b) FROM t)", "nested"),
        ("SELECT a FROM t UNION SELECT a FROM u", "nested"),
        ("SELECT a, RANK() OVER (ORDER BY b) FROM t", "nested"),
    ],
)
def test_operation(query: str, expected: str) -> None:
    assert operation(query) == expected
    assert expected in OPERATIONS


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a FROM Owners", {"owners"}),
        ("SELECT x.a FROM owners AS x JOIN pets ON pets.owner = x.id", {"owners", "pets"}),
        ("SELECT a FROM t WHERE b IN (SELECT b FROM u)", {"t", "u"}),
        ("WITH busy AS (SELECT a FROM t) SELECT a FROM busy JOIN u ON u.a = busy.a", {"t", "u"}),
        ("SELECT 1", set()),
    ],
)
def test_tables(query: str, expected: set[str]) -> None:
    assert tables_of(query) == expected


def test_what_is_no_sql_has_neither() -> None:
    with pytest.raises(SqlglotError):
        operation("SELECT FROM WHERE")
    assert understood("SELECT FROM WHERE") == ("", frozenset())
    assert understood("SELECT COUNT(*) FROM t") == ("count", {"t"})
