"""Which tables does a question need? Asked as pairs of a question and one table, so that it carries over to databases
that nobody trained on: the table is described in words, not known by its number.

The texts are taken from the rows of the dataset stage, so that an encoder reads what the decoder reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from utils.operations import tables_of

GROUP_SIZE = 8  # questions about the same tables that are read together


@dataclass(frozen=True)
class TablePair:
    """A question (with the values that it mentions), a table of its database, and the table's line of the prompt."""

    id: str
    question: str
    table: str
    description: str
    is_needed: bool


def table_pairs(row: Mapping) -> list[TablePair]:
    """A row of the dataset stage as pairs, one for each table of its database, in the schema's order."""
    needed = tables_of(row["completion"][0]["content"])
    question = "; ".join([row["question"], *(line for line in _hints(row) if _is_value(line))])
    lines = row["prompt"][0]["content"].splitlines()[1:]
    names = [line.split(":")[0].lower() for line in lines]
    return [TablePair(row["id"], question, name, line, name in needed) for name, line in zip(names, lines, strict=True)]


def pair_groups(rows: Sequence[Mapping], size: int = GROUP_SIZE) -> list[list[TablePair]]:
    """The pairs of all rows, those of up to `size` questions about the same tables together."""
    by_schema: dict[str, list[Mapping]] = {}
    for row in rows:
        by_schema.setdefault(row["prompt"][0]["content"], []).append(row)
    parts = [found[start : start + size] for found in by_schema.values() for start in range(0, len(found), size)]
    return [[pair for row in part for pair in table_pairs(row)] for part in parts]


def hinted_tables(row: Mapping) -> frozenset[str]:
    """The tables that the prompt's hints name: found by spelling alone (see `utils.linking`)."""
    hints = [[line] if _is_value(line) else line.split(", ") for line in _hints(row)]
    return frozenset(name.split(".")[0].lower() for names in hints for name in names)


def needed_tables(pairs: Sequence[TablePair]) -> dict[str, frozenset[str]]:
    """For each question's id, the tables that it needs."""
    return _sets(pairs, [pair.is_needed for pair in pairs])


def chosen_tables(
    pairs: Sequence[TablePair], probabilities: Sequence[float], threshold: float
) -> dict[str, frozenset[str]]:
    """For each question's id, the tables whose probability reaches the threshold, and always the most probable one."""
    best: dict[str, float] = {}
    for pair, probability in zip(pairs, probabilities, strict=True):
        best[pair.id] = max(probability, best.get(pair.id, 0.0))
    scored = zip(pairs, probabilities, strict=True)
    return _sets(pairs, [probability >= min(threshold, best[pair.id]) for pair, probability in scored])


def _sets(pairs: Sequence[TablePair], is_in: Sequence[bool]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {pair.id: set() for pair in pairs}
    for pair, is_chosen in zip(pairs, is_in, strict=True):
        if is_chosen:
            found[pair.id].add(pair.table)
    return {name: frozenset(tables) for name, tables in found.items()}


def _hints(row: Mapping) -> list[str]:
    """The lines of the user message after the question: values, then names."""
    return row["prompt"][1]["content"].removeprefix(row["question"]).strip().splitlines()


def _is_value(line: str) -> bool:
    return " = '" in line
