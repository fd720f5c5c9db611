"""How hard a question is, read off its gold SQL by one rule, so that levels are comparable across databases.

Points: one for each join, GROUP BY, HAVING, LIMIT, CASE, arithmetic (once), condition beyond the
first and aggregate beyond the first; two for each SELECT beyond the first (subqueries and set
operations) and for each window function. A condition inside a subquery counts for its own WHERE and
for the one around it, since nesting is what makes it hard. 0-1 easy, 2-3 medium, 4-5 hard, 6 and more extra hard.
The four names are Spider's (Yu et al., 2018); the rule is our own.
"""

from __future__ import annotations

from functools import lru_cache

LEVELS = ("easy", "medium", "hard", "extra hard")


def points(query: str) -> int:
    """Difficulty points of a query. Raises sqlglot.errors.ParseError if it is not SQL."""
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(query, read="sqlite")

    def count(*kinds: type[exp.Expression]) -> int:
        return sum(1 for _ in tree.find_all(*kinds))

    conditions = sum(1 + sum(1 for _ in where.find_all(exp.And, exp.Or)) for where in tree.find_all(exp.Where))
    return (
        count(exp.Join, exp.Group, exp.Having, exp.Limit, exp.Case)
        + 2 * (count(exp.Select) - 1)
        + 2 * count(exp.Window)
        + max(0, conditions - 1)
        + max(0, count(exp.AggFunc) - 1)
        + int(tree.find(exp.Add, exp.Sub, exp.Mul, exp.Div) is not None)
    )


@lru_cache(maxsize=50_000)
def level(query: str) -> str:
    """One of `LEVELS`."""
    return LEVELS[min(points(query) // 2, 3)]
