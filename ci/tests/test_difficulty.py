"""Difficulty points follow the rule that stands in the module."""

from __future__ import annotations

import pytest
from sqlglot.errors import ParseError

from utils.difficulty import LEVELS, level, points


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT a FROM t", 0),
        ("SELECT COUNT(*) FROM t WHERE a = 1", 0),
        ("SELECT a FROM t WHERE a = 1 AND b = 2", 1),
        ("SELECT a FROM t WHERE a = 1 OR b = 2 AND NOT c = 3", 2),
        ("SELECT a FROM t WHERE a BETWEEN 1 AND 2", 0),
        ("SELECT MIN(a), MAX(a), AVG(a) FROM t", 2),
        ("SELECT a FROM t JOIN u ON t.id = u.id LEFT JOIN v ON v.id = u.id", 2),
        ("SELECT a, COUNT(*) FROM t GROUP BY a", 1),
        ("SELECT a FROM t GROUP BY a HAVING COUNT(*) > 2 ORDER BY a LIMIT 3", 3),
        ("SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END FROM t", 1),
        ("SELECT a + b - c * d FROM t", 1),
        ("SELECT a FROM t WHERE b = (SELECT MAX(b) FROM t)", 2),
        ("SELECT a FROM t UNION SELECT a FROM u", 2),
        ("WITH x AS (SELECT a FROM t) SELECT a FROM x", 2),
        ("SELECT RANK() OVER (ORDER BY a) FROM t", 2),
    ],
)
def test_points(query: str, expected: int) -> None:
    assert points(query) == expected


def test_condition_in_a_subquery_counts_for_both() -> None:
    # Two for the second SELECT; two conditions for each WHERE (the outer one sees the inner AND), one of them free.
    assert points("SELECT a FROM t WHERE x = (SELECT MAX(x) FROM t WHERE y = 1 AND z = 2)") == 5


def test_levels_in_order() -> None:
    joins = [f"SELECT a FROM t {' '.join(f'JOIN u{n} ON t.id = u{n}.id' for n in range(count))}" for count in range(9)]
    assert [points(query) for query in joins] == list(range(9))
    easy, medium, hard, extra = LEVELS
    assert [level(query) for query in joins] == [easy, easy, medium, medium, hard, hard, extra, extra, extra]


def test_what_is_no_sql_raises() -> None:
    with pytest.raises(ParseError):
        level("SELECT FROM WHERE")
