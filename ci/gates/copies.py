"""No code is copied from one notebook to another: what two of them need is a function of `utils`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from ci.contents import Contents
from ci.gates.code import parsed
from ci.gates.structure import SETUP
from ci.parameters import TAG

# Loading a model or a dataset takes three or four lines anywhere; more in the same words is a copy.
FEWEST_LINES = 5


@dataclass(frozen=True)
class Statement:
    """A statement, or the head of one that has a body, in one spelling. `lines` is how many lines it takes."""

    text: str
    lines: int
    cell: int


def copies(pages: Sequence[Contents]) -> list[str]:
    """Runs of equal statements in two notebooks. The setup cell, parameters and imports cannot be shared otherwise."""
    found = {page.path.name: statements(page) for page in pages}
    return [
        f"{left}, cell {run[0][0].cell}, and {right}, cell {run[0][1].cell}, share {length_of(run)} lines from "
        f"“{run[0][0].text[:80]}” on. Make them a function of utils."
        for left, right in combinations(found, 2)
        for run in common_runs(found[left], found[right])
        if length_of(run) >= FEWEST_LINES
    ]


def statements(page: Contents) -> list[Statement]:
    """The statements of a notebook in order, those of bodies too."""
    cells = [cell for cell in page.code if not {SETUP, TAG} & set(cell.tags)]
    return [statement for cell in cells for statement in _flat(parsed(cell).body, cell.number)]


def common_runs(left: Sequence[Statement], right: Sequence[Statement]) -> Iterator[list[tuple[Statement, Statement]]]:
    """The longest runs of statements that stand in both, one after the other, as pairs."""
    equal = {(i, j) for i, one in enumerate(left) for j, other in enumerate(right) if one.text == other.text}
    for i, j in sorted(equal):
        if (i - 1, j - 1) not in equal:
            run = []
            while (i, j) in equal:
                run.append((left[i], right[j]))
                i, j = i + 1, j + 1
            yield run


def length_of(run: Sequence[tuple[Statement, Statement]]) -> int:
    """Lines of a run of pairs."""
    return sum(min(left.lines, right.lines) for left, right in run)


def _flat(body: Sequence[ast.stmt], cell: int) -> Iterator[Statement]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        text = ast.unparse(node)
        bodies = [getattr(node, name) for name in ("body", "orelse", "finalbody") if getattr(node, name, None)]
        bodies += [handler.body for handler in getattr(node, "handlers", ())]
        if not bodies:
            yield Statement(text, (node.end_lineno or node.lineno) - node.lineno + 1, cell)
            continue
        yield Statement(text.splitlines()[0], max(1, bodies[0][0].lineno - node.lineno), cell)
        for inner in bodies:
            yield from _flat(inner, cell)
