"""Would a wrong query be noticed? Changes gold queries a little and counts how many changes the instances tell apart.

`python -m ci.checks.mutants` prints the share for each kind of change, on one instance and on all;
`python -m ci.checks.card --part mutants` writes it into the data card.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlglot import exp, parse_one

from ci.checks.questions import Layout, table_of
from utils.data import Question, load_databases, read_questions
from utils.evaluation import agrees
from utils.instances import make_instances
from utils.schema import read_schema
from utils.settings import DATA

COMPARISONS = {
    exp.GT: (exp.GTE, exp.LT),
    exp.GTE: (exp.GT, exp.LTE),
    exp.LT: (exp.LTE, exp.GT),
    exp.LTE: (exp.LT, exp.GTE),
    exp.EQ: (exp.NEQ,),
    exp.NEQ: (exp.EQ,),
}
AGGREGATES = (exp.Sum, exp.Avg, exp.Max, exp.Min)
ARITHMETIC = {exp.Add: exp.Sub, exp.Sub: exp.Add, exp.Mul: exp.Div, exp.Div: exp.Mul}
NEGATED = (exp.In, exp.Is, exp.Like, exp.Between, exp.Exists)
# A column here can often be exchanged without changing the answer: for a key of the group, or another one without NULL.
SAME_FOR_OTHERS = (exp.Join, exp.Group, exp.Count)
FEWEST = 5


@dataclass(frozen=True)
class Mutant:
    """A changed query and the kind of change."""

    kind: str
    sql: str


@dataclass(frozen=True)
class Trial:
    """A mutant of a gold query, and whether the committed rows notice it, or at least some instance does.

    A mutant that fails or is stopped counts as noticed.
    """

    question: Question
    mutant: Mutant
    noticed_at_once: bool
    noticed: bool


def all_mutants(query: str, columns: dict[str, list[str]]) -> list[Mutant]:
    """Every change of the known kinds; columns exchanged for further ones until there are five, as far as possible."""
    found = {mutant.sql: mutant for mutant in mutants(query)}
    for distance in range(1, max(map(len, columns.values()))):
        if distance > 1 and len(found) >= FEWEST:
            break
        for mutant in columns_swapped(query, columns, distance):
            found.setdefault(mutant.sql, mutant)
    return list(found.values())


def mutants(query: str) -> list[Mutant]:
    """Every single change that needs no schema, each a valid query that differs from the original."""
    tree = parse_one(query, read="sqlite")
    original = tree.sql(dialect="sqlite")
    changes = (
        Mutant(kind, _changed(tree, number, replacement))
        for number, node in enumerate(tree.walk())
        for kind, replacement in _replacements(node)
    )
    return list({mutant.sql: mutant for mutant in changes if mutant.sql != original}.values())


def columns_swapped(query: str, columns: dict[str, list[str]], distance: int = 1) -> Iterator[Mutant]:
    """The query with one column exchanged for the next one of its table, or the one at a distance.

    `columns` has those of each table in order. Columns whose exchange often changes nothing are left as they are.
    """
    tree = parse_one(query, read="sqlite")
    layout = Layout(columns, {}, {})
    for number, node in enumerate(tree.walk()):
        if not isinstance(node, exp.Column) or _same_for_others(node):
            continue
        table, name = table_of(node, layout)
        names = columns.get(table, [])
        if name in names and distance < len(names):
            other = node.copy()
            other.set("this", exp.to_identifier(names[(names.index(name) + distance) % len(names)]))
            yield Mutant("column", _changed(tree, number, other))


def _same_for_others(column: exp.Column) -> bool:
    around = column.find_ancestor(exp.Select, exp.Distinct, *SAME_FOR_OTHERS)
    return isinstance(around, SAME_FOR_OTHERS)


def _changed(tree: exp.Expression, number: int, replacement: exp.Expression) -> str:
    """The SQL of a tree with another node in the place of one, which is given by its number in the walk."""
    if number == 0:
        return replacement.sql(dialect="sqlite")
    changed = tree.copy()
    next(node for index, node in enumerate(changed.walk()) if index == number).replace(replacement)
    return changed.sql(dialect="sqlite")


def _replacements(node: exp.Expression) -> Iterator[tuple[str, exp.Expression]]:
    for other in COMPARISONS.get(type(node), ()):
        if not isinstance(node.parent, exp.Join):
            yield "comparison", other(this=node.this.copy(), expression=node.expression.copy())
    if isinstance(node, exp.And):
        yield "condition dropped", node.this.copy()
        yield "condition dropped", node.expression.copy()
        yield "AND for OR", exp.Or(this=node.this.copy(), expression=node.expression.copy())
    elif isinstance(node, exp.Or):
        yield "AND for OR", exp.And(this=node.this.copy(), expression=node.expression.copy())
    elif isinstance(node, exp.Not):
        yield "negation", node.this.copy()
    elif isinstance(node, NEGATED) and not isinstance(node.parent, exp.Not):
        yield "negation", exp.Not(this=node.copy())
    elif isinstance(node, AGGREGATES):
        yield from (("aggregate", other(this=node.this.copy())) for other in AGGREGATES if type(node) is not other)
    elif type(node) in ARITHMETIC:
        other = ARITHMETIC[type(node)]
        yield "arithmetic", other(this=node.this.copy(), expression=node.expression.copy())
    elif isinstance(node, exp.Count) and isinstance(node.this, exp.Distinct):
        yield "DISTINCT", exp.Count(this=node.this.expressions[0].copy())
    elif isinstance(node, exp.Join) and node.side == "LEFT":
        inner = node.copy()
        inner.set("side", None)
        yield "LEFT JOIN", inner
    elif isinstance(node, exp.Ordered):
        yield "order", exp.Ordered(this=node.this.copy(), desc=not node.args.get("desc"))
    elif isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
        yield "number", exp.Literal.number(int(node.name) + 1)
    elif isinstance(node, exp.Select):
        yield from _without_parts(node)


def _without_parts(select: exp.Select) -> Iterator[tuple[str, exp.Expression]]:
    kinds = {"where": "condition dropped", "having": "condition dropped", "distinct": "DISTINCT", "group": "GROUP BY"}
    for part, kind in kinds.items():
        if select.args.get(part):
            changed = select.copy()
            changed.set(part, None)
            yield kind, changed


def try_mutants(questions: Sequence[Question], instances: dict[str, list[Path]]) -> Iterator[Trial]:
    """Every mutant of the gold queries, run on the instances of their databases."""
    for question in questions:
        files = instances[question.database]
        columns = {table.name: [column.name for column in table.columns] for table in read_schema(files[0]).tables}
        for mutant in all_mutants(question.sql, columns):
            at_once = not agrees(question.sql, mutant.sql, files[:1])
            yield Trial(question, mutant, at_once, at_once or not agrees(question.sql, mutant.sql, files))


def share_caught(trials: Iterable[Trial]) -> dict[str, tuple[int, int, int]]:
    """For each kind of change: how many mutants the committed rows notice, how many all instances do, of how many."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for trial in trials:
        for place, hit in enumerate((trial.noticed_at_once, trial.noticed, True)):
            counts[trial.mutant.kind][place] += hit
    return {kind: (first, everywhere, of) for kind, (first, everywhere, of) in sorted(counts.items())}


def shares_of_split(split: str, copies: int) -> dict[str, tuple[int, int, int]]:
    """`share_caught` for the shipped questions of a split, with that many mutated copies of each database."""
    databases = load_databases(DATA / "databases")
    files = sorted((DATA / "questions" / split).glob("*.jsonl"))
    questions = [question for file in files for question in read_questions(file, split, databases)[0]]
    with tempfile.TemporaryDirectory() as folder:
        instances = {}
        for name in sorted({question.database for question in questions}):
            queries = [question.sql for question in questions if question.database == name]
            instances[name] = make_instances(databases[name], Path(folder), queries, copies)
        return share_caught(try_mutants(questions, instances))


def main() -> int:
    """Print the shares."""
    parser = argparse.ArgumentParser(prog="python -m ci.checks.mutants", description=__doc__)
    parser.add_argument("--instances", type=int, default=4, help="mutated copies of each database")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    arguments = parser.parse_args()
    shares = shares_of_split(arguments.split, arguments.instances)
    total = tuple(map(sum, zip(*shares.values(), strict=True)))
    print(f"{'change':<18}{'mutants':>9}{'committed rows':>16}{'all instances':>15}")
    for kind, (first, everywhere, count) in [*shares.items(), ("all", total)]:
        print(f"{kind:<18}{count:>9}{first / count:>16.1%}{everywhere / count:>15.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
