"""Would a wrong query be caught? Changes gold queries a little and counts how many changes the instances tell apart.

`python -m ci.checks.mutants` prints the share for each kind of change, on one instance and on all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlglot import exp, parse_one

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
AGGREGATES = {exp.Sum: exp.Avg, exp.Avg: exp.Sum, exp.Max: exp.Min, exp.Min: exp.Max}


@dataclass(frozen=True)
class Mutant:
    """A changed query and the kind of change."""

    kind: str
    sql: str


def mutants(query: str) -> list[Mutant]:
    """Every single change of the known kinds, each a valid query that differs from the original."""
    tree = parse_one(query, read="sqlite")
    original = tree.sql(dialect="sqlite")
    return list({mutant.sql: mutant for mutant in _changes(tree) if mutant.sql != original}.values())


def _changes(tree: exp.Expression) -> Iterator[Mutant]:
    for number, node in enumerate(tree.walk()):
        for kind, replacement in _replacements(node):
            changed = tree.copy()
            target = next(other for index, other in enumerate(changed.walk()) if index == number)
            if target is changed:
                changed = replacement
            else:
                target.replace(replacement)
            yield Mutant(kind, changed.sql(dialect="sqlite"))


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
    elif type(node) in AGGREGATES:
        yield "aggregate", AGGREGATES[type(node)](this=node.this.copy())
    elif isinstance(node, exp.Count) and isinstance(node.this, exp.Distinct):
        yield "DISTINCT", exp.Count(this=node.this.expressions[0].copy())
    elif isinstance(node, exp.Ordered):
        yield "order", exp.Ordered(this=node.this.copy(), desc=not node.args.get("desc"))
    elif isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
        yield "number", exp.Literal.number(int(node.name) + 1)
    elif isinstance(node, exp.Select):
        yield from _without_parts(node)


def _without_parts(select: exp.Select) -> Iterator[tuple[str, exp.Expression]]:
    for part, kind in (("where", "condition dropped"), ("having", "condition dropped"), ("distinct", "DISTINCT")):
        if select.args.get(part):
            changed = select.copy()
            changed.set(part, None)
            yield kind, changed


def columns_swapped(query: str, columns: dict[str, list[str]]) -> Iterator[Mutant]:
    """The query with one selected column exchanged for the next one of its table."""
    tree = parse_one(query, read="sqlite")
    tables = [table.name for table in tree.find_all(exp.Table)]
    for number, column in enumerate(tree.selects):
        if not isinstance(column, exp.Column):
            continue
        table = column.table if column.table in columns else tables[0]
        names = columns.get(table, [])
        if column.name not in names or len(names) < 2:
            continue
        changed = tree.copy()
        other = names[(names.index(column.name) + 1) % len(names)]
        changed.selects[number].set("this", exp.to_identifier(other))
        yield Mutant("column", changed.sql(dialect="sqlite"))


def share_caught(questions: Sequence[Question], instances: dict[str, list[Path]]) -> dict[str, tuple[int, int, int]]:
    """For each kind of change: how many mutants the committed rows catch, how many all instances catch, of how many.

    A mutant that fails or is stopped counts as caught.
    """
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for question in questions:
        files = instances[question.database]
        columns = {table.name: [column.name for column in table.columns] for table in read_schema(files[0]).tables}
        for mutant in [*mutants(question.sql), *columns_swapped(question.sql, columns)]:
            on_first = not agrees(question.sql, mutant.sql, files[:1])
            on_all = on_first or not agrees(question.sql, mutant.sql, files)
            for place, hit in enumerate((on_first, on_all, True)):
                counts[mutant.kind][place] += hit
    return {kind: (first, everywhere, of) for kind, (first, everywhere, of) in counts.items()}


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
        return share_caught(questions, instances)


def main() -> int:
    """Print the shares."""
    parser = argparse.ArgumentParser(prog="python -m ci.checks.mutants", description=__doc__)
    parser.add_argument("--instances", type=int, default=4, help="mutated copies of each database")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    arguments = parser.parse_args()
    shares = shares_of_split(arguments.split, arguments.instances)
    total = tuple(map(sum, zip(*shares.values(), strict=True)))
    print(f"{'change':<18}{'mutants':>9}{'committed rows':>16}{'all instances':>15}")
    for kind, (first, everywhere, count) in [*sorted(shares.items()), ("all", total)]:
        print(f"{kind:<18}{count:>9}{first / count:>16.1%}{everywhere / count:>15.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
