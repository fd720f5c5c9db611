"""The figures of the data card: `python -m ci.checks.card` counts, measures, and writes them between the marks in
`data/README.md`; `--part NAME` only that part.

A row of the ablation table is a line of `data/ablation.jsonl`, as `Recipe` has it. It holds numbers of correct answers;
shares and intervals follow from them.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean, median

from ci.checks.mutants import shares_of_split
from ci.checks.questions import names_column, opened, read_layout
from ci.errors import UsageError
from ci.publish import between
from data.generator.shapes import SHAPES
from utils.data import SPLITS, Question, find_leaks, load_databases, load_questions
from utils.difficulty import LEVELS
from utils.errors import CourseError
from utils.evaluation import interval
from utils.settings import DATA
from utils.stages import read_lines, shown, write_text

CARD = DATA / "README.md"
ABLATION = DATA / "ablation.jsonl"
INSTANCES = 4
FAMILIES = {
    "rows": "rows of a table",
    "aggregates": "figures over a table",
    "groups": "figures for each group",
    "joins": "several tables",
    "subqueries": "subqueries",
    "sets": "sets",
}


@dataclass(frozen=True)
class Recipe:
    """One training run: what was changed, and how it did on the validation questions.

    `free` and `constrained` are the questions answered correctly with either kind of decoding, on all `row_sets` sets
    of rows of each database; None for what was not measured.
    """

    recipe: str
    examples: int
    validation_loss: float | None
    free: int | None
    constrained: int | None
    row_sets: int
    questions: int


def main() -> int:
    """Write the parts; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ci.checks.card", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="write only this one; may be repeated")
    names = parser.parse_args().part or PARTS
    try:
        text = CARD.read_text(encoding="utf-8")
        for name in names:
            text = between(text, name, PARTS[name]())
        write_text(CARD, text)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{shown(CARD)}: wrote {', '.join(names)}.")
    return 0


def counts() -> str:
    """How many questions of each split, origin and level there are, and how large the databases are."""
    questions, databases = _shipped()
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for question in questions:
        found[question.split, question.origin][question.difficulty] += 1
    names = {split: len({q.database for q in questions if q.split == split}) for split in SPLITS}
    rows = [
        [split, f"{names[split]}", origin, *(f"{levels[name]:,}" for name in LEVELS), f"{levels.total():,}"]
        for (split, origin), levels in found.items()
    ]
    return f"{_table(('split', 'databases', 'questions', *LEVELS, 'all'), rows)}\n\n{_sizes(databases)}"


def _sizes(databases: dict[str, Path]) -> str:
    tables, rows = [], []
    for database in databases.values():
        with opened(database) as connection:
            layout = read_layout(connection)
        tables.append(len(layout.rows))
        rows.append(list(layout.rows.values()))
    largest = [max(found) for found in rows]
    return (
        f"{len(databases)} databases, {sum(tables)} tables ({min(tables)} to {max(tables)} in a database), "
        f"{sum(map(sum, rows)):,} rows ({min(largest)} to {max(largest):,} in the largest table of each)."
    )


def shapes() -> str:
    """The shapes that the generator has, and how many phrasings."""
    phrasings = [len(set(shape.phrasings)) for shape in SHAPES]
    families: dict[str, list[str]] = defaultdict(list)
    for shape in SHAPES:
        families[shape.make.__module__.rpartition(".")[2]].append(shape.name)
    lines = [
        f"The generator has {len(SHAPES)} shapes, each with at least {min(phrasings)} phrasings "
        f"({median(phrasings):.0f} at the median).",
        "",
        "<details><summary>All shapes</summary>",
        "",
        *(f"- **{FAMILIES[key]}** ({len(families[key])}): {'; '.join(families[key])}" for key in FAMILIES),
        "",
        "</details>",
    ]
    return "\n".join(lines)


def wording() -> str:
    """How near training comes to what is held out, and how many questions name a column as the schema spells it."""
    questions, _ = _shipped()
    train = [question for question in questions if question.split == "train"]
    held_out = [question for question in questions if question.split != "train"]
    trained, held, similarity = find_leaks(train, held_out, threshold=0.5)[0]
    named: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for question in questions:
        named[question.origin][question.database].append(names_column(question))
    shares = [
        f"{fmean(hit for hits in found.values() for hit in hits):.0%} of the {origin} questions "
        f"(at most {max(map(fmean, found.values())):.0%} in a database)"
        for origin, found in sorted(named.items(), reverse=True)
    ]
    pair = f"“{trained.question}” (training) and “{held.question}” ({held.split})"
    return f"The closest pair has {similarity:.2f}: {pair}.\nA column is named verbatim in {' and in '.join(shares)}."


def ablation() -> str:
    """The recipes of `ABLATION`, one row a training run."""
    try:
        recipes = [Recipe(**row) for row in read_lines(ABLATION)]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{shown(ABLATION)}: a line is no recipe ({error}); write it like the others.") from error
    header = ("recipe", "examples", "validation loss", "sets of rows", "free decoding", "constrained decoding")
    rows = [
        [
            recipe.recipe,
            f"{recipe.examples:,}",
            "–" if recipe.validation_loss is None else f"{recipe.validation_loss:.3f}",
            f"{recipe.row_sets}",
            _share(recipe.free, recipe.questions),
            _share(recipe.constrained, recipe.questions),
        ]
        for recipe in recipes
    ]
    return _table(header, rows)


def mutants() -> str:
    """How many wrong queries there are to each split's gold queries, and the shares that are noticed."""
    splits = ("test", "validation")
    shares = [shares_of_split(split, INSTANCES) for split in splits]
    totals = [tuple(map(sum, zip(*found.values(), strict=True))) for found in shares]
    rows = [
        [kind, *(text for found in shares for text in _noticed(found.get(kind, (0, 0, 0))))]
        for kind in sorted(set().union(*shares))
    ]
    rows.append(["all", *(text for total in totals for text in _noticed(total))])
    return _table(("change", *(text for split in splits for text in (split, "committed rows", "all five"))), rows)


def _noticed(found: tuple[int, ...]) -> tuple[str, str, str]:
    first, everywhere, count = found
    return (f"{count:,}", f"{first / count:.1%}", f"{everywhere / count:.1%}") if count else ("–", "–", "–")


PARTS: dict[str, Callable[[], str]] = {
    "counts": counts,
    "shapes": shapes,
    "wording": wording,
    "mutants": mutants,
    "ablation": ablation,
}


@lru_cache(maxsize=1)
def _shipped() -> tuple[list[Question], dict[str, Path]]:
    databases = load_databases(DATA / "databases")
    return load_questions(DATA / "questions", databases)[0], databases


def _share(correct: int | None, questions: int) -> str:
    return "–" if correct is None else f"{interval([True] * correct + [False] * (questions - correct))}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
