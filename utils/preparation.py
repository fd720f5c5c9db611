"""From a file of one's own to a dataset that can be trained on: read, recognised, checked, split, written.

    prepared = prepare(DataSettings("tickets.csv"), tokenizer)
    print(prepared.report)

A stage folder written by `write_prepared` can be read by `read_split`, and by notebook 03 like that of notebook 02.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from utils.conversations import Turns, choose_turns
from utils.data import Reject, as_rows
from utils.data_settings import DataSettings
from utils.errors import CourseError
from utils.formats import (
    Conversation,
    Example,
    Format,
    PromptRecipe,
    detect_format,
    make_examples,
    make_recipe,
    read_conversations,
    usual_system_prompt,
)
from utils.likeness import find_alike
from utils.metrics import MetricChoice, choose_metrics
from utils.reading import ALL, RawData, read_data
from utils.records import Row
from utils.splitting import drop_duplicates, is_copied, split_examples
from utils.sql import execute, open_read_only
from utils.stages import hash_of, read_lines, shown, write_json, write_lines, write_text
from utils.validation import (
    Report,
    find_faults,
    leave_out_failing_queries,
    leave_out_long,
    leave_out_marks,
    reject_example,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPLITS = ("train", "validation", "test")
REJECTED, RECIPE, REPORT = "rejected.jsonl", "recipe.json", "report.txt"
SCHEMA_TABLES = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'"


@dataclass(frozen=True)
class Prepared:
    """Examples by split, what was left out, the report, how prompts are built, and the metrics that fit."""

    kind: str
    splits: dict[str, list[Example]]
    rejects: list[Reject]
    report: Report
    recipe: PromptRecipe
    metrics: MetricChoice
    database: Path | None = None


def prepare(settings: DataSettings, tokenizer: PreTrainedTokenizerBase | None = None) -> Prepared:
    """Read, check and split data of one's own. Single faulty rows become rejects.

    Without a tokenizer, lengths are not checked, and special tokens are those of the usual models.

    Raises:
        CourseError: the data cannot be read or recognised, or too little of it is usable.
    """
    database = _check_database(settings.database)
    raw = _read_all(settings)
    rows = [row for members in raw.splits.values() for row in members]
    form = detect_format(raw.name, raw.columns, rows, settings)
    recipe = make_recipe(form, rows, settings)
    report = Report(raw.name, len(rows) + len(raw.rejects), form.reason, rejects=raw.rejects, notes=raw.notes)
    checks = _Checks(settings, tokenizer, database if form.text is None else None, report)
    examples = _examples(raw, form, recipe, settings, report)
    by_split = {split: checks.apply(members) for split, members in examples.items()}
    _refuse_nothing(raw.name, by_split, report.rejects)
    splits = _split(by_split, settings)
    references = [example.completion for members in splits.values() for example in members]
    metrics = choose_metrics(references, is_text=form.text is not None, database=database, metric=settings.metric)
    free_text = metrics.task in ("free text", "plain text")
    splits["train"] = _without_leaks(splits, settings.leak_threshold, free_text, report)
    report.counts = {split: len(examples) for split, examples in splits.items()}
    report.findings = find_faults(splits, report.lengths, settings.max_length) + report.findings
    if not recipe.uses_database:
        recipe = replace(recipe, system_prompt=recipe.system_prompt or usual_system_prompt(splits["train"]))
    return Prepared(form.kind, splits, report.rejects, report, recipe, metrics, database)


def write_prepared(folder: Path, prepared: Prepared) -> dict[str, object]:
    """Write SPLIT.jsonl, the rejects, the report, the recipe and a copy of the database. Returns counts and a hash.

    The rows have the fields of `utils.data.Question` as well, so that what reads the course's dataset reads this.
    """
    for split, examples in prepared.splits.items():
        write_lines(folder / f"{split}.jsonl", [as_row(example, split, prepared.database) for example in examples])
    write_lines(folder / REJECTED, as_rows(prepared.rejects))
    write_text(folder / REPORT, f"{prepared.report}\n")
    write_json(folder / RECIPE, prepared.recipe.as_dict())
    if prepared.database is not None:
        (folder / "databases").mkdir(exist_ok=True)
        _copy_database(prepared.database, folder / "databases" / f"{_database_name(prepared.database)}.sqlite")
    hashes = "".join(hash_of(folder / f"{split}.jsonl") for split in prepared.splits)
    digest = hashlib.sha256(hashes.encode()).hexdigest()[:16]
    return prepared.report.counts | {"rejected": len(prepared.rejects), "dataset_hash": digest}


def read_split(folder: Path, split: str) -> list[Example]:
    """The examples of a split that `write_prepared` wrote."""
    return [
        Example(
            id=row["id"],
            file=row["file"],
            line=row["line"],
            group=row["group"],
            prompt=row.get("prompt", []),
            completion=row["sql"],
            question=row["question"],
            is_text="text" in row,
        )
        for row in read_lines(Path(folder) / f"{split}.jsonl")
    ]


def read_recipe(folder: Path) -> PromptRecipe:
    """How prompts are built, as `write_prepared` wrote it.

    Raises:
        CourseError: the folder has no recipe, or a damaged one.
    """
    path = Path(folder) / RECIPE
    try:
        return PromptRecipe.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError:
        raise CourseError(f"{shown(path)} is missing: it says how prompts are built.") from None
    except (ValueError, TypeError):
        raise CourseError(f"{shown(path)} is damaged: it does not say how prompts are built.") from None


def _read_all(settings: DataSettings) -> RawData:
    """The data and the test and validation sets of their own, by split."""
    raw = read_data(settings.data, encoding=settings.encoding, hub_config=settings.hub_config)
    for split in ("validation", "test"):
        own = getattr(settings, split)
        if own is None:
            continue
        other = read_data(own, encoding=settings.encoding, hub_config=settings.hub_config)
        rows = [row for members in other.splits.values() for row in members]
        if split in raw.splits:
            raw.notes.append(f"{other.name} takes the place of the {split} rows of {raw.name}.")
        raw.splits[split] = [Row(f"{split}/{row.file}", row.line, row.values) for row in rows]
        raw.rejects += [replace(fault, file=f"{split}/{fault.file}") for fault in other.rejects]
        raw.notes += other.notes
    if ALL in raw.splits:
        raw.splits = {"train": raw.splits.pop(ALL)} | raw.splits
    if not raw.splits.get("train"):
        raise CourseError(f"{raw.name} has no training rows, only {', '.join(raw.splits)}.")
    return raw


def _examples(
    raw: RawData, form: Format, recipe: PromptRecipe, settings: DataSettings, report: Report
) -> dict[str, list[Example]]:
    conversations: dict[str, list[Conversation]] = {}
    for split, rows in raw.splits.items():
        conversations[split], rejects = read_conversations(rows, form, recipe)
        report.rejects += rejects
    turns = Turns(every=True)
    if form.messages:
        found = [messages for members in conversations.values() for _, messages in members]
        turns = choose_turns(found, settings.trained_turns)
    if turns.reason:
        which = "every answer" if turns.every else "the last answer"
        report.notes.append(f"trained on {which} of a conversation: {turns.reason}")
    database = Path(settings.database).expanduser() if settings.database else None
    return {
        split: make_examples(members, form, recipe, every=turns.every, database=database)
        for split, members in conversations.items()
    }


@dataclass
class _Checks:
    """The checks that every example must pass; what fails goes into the report."""

    settings: DataSettings
    tokenizer: PreTrainedTokenizerBase | None
    database: Path | None
    report: Report

    def apply(self, examples: list[Example]) -> list[Example]:
        """The examples that pass."""
        report = self.report
        examples, rejects = leave_out_marks(examples, self.tokenizer)
        report.rejects += rejects
        if self.tokenizer is not None:
            examples, rejects, lengths = leave_out_long(examples, self.tokenizer, self.settings.max_length)
            report.rejects += rejects
            report.lengths += lengths
        if self.database is not None:
            examples, rejects, silent = leave_out_failing_queries(examples, self.database)
            report.rejects += rejects
            report.add(
                "Queries that return no row", silent, "A wrong query that returns none either would count as right."
            )
        examples, repeated = drop_duplicates(examples)
        report.rejects += [reject_example(e, f"It says the same as {first.place}.") for e, first in repeated]
        return examples


def _split(by_split: dict[str, list[Example]], settings: DataSettings) -> dict[str, list[Example]]:
    """The splits that the data brings, and the missing ones drawn from the training examples."""
    shares = {"test": settings.test_share, "validation": settings.validation_share}
    missing = {split: share for split, share in shares.items() if split not in by_split}
    drawn = split_examples(by_split["train"], missing, settings.seed)
    return {split: drawn.get(split) or by_split[split] for split in SPLITS}


def _without_leaks(
    splits: dict[str, list[Example]], threshold: float, free_text: bool, report: Report
) -> list[Example]:
    """The training examples whose answers cannot be copied for a held-out one. The others go into the report."""
    train = splits["train"]
    held_out = [(split, example) for split in ("validation", "test") for example in splits[split]]
    pairs = find_alike([e.asked for e in train], [example.asked for _, example in held_out], threshold)
    leaks: dict[int, Reject] = {}
    alike: dict[str, Example] = {}
    for number, other, similarity in pairs:
        split, example = held_out[other]
        if is_copied(train[number], example, threshold, free_text=free_text):
            reason = f"It is nearly the same ({similarity:.0%}) as {example.place} of the {split} set, answer included."
            leaks.setdefault(number, reject_example(train[number], reason))
        else:
            alike[example.id] = example
    if len(leaks) == len(train):
        raise CourseError("Every training example is nearly the same as a held-out one. Pass a test set that is new.")
    report.rejects += leaks.values()
    what = "Held-out questions that read nearly like a training one, with another answer"
    report.add(what, list(alike.values()), "Fine if the difference decides the answer.")
    return [example for number, example in enumerate(train) if number not in leaks]


def _check_database(database: str | None) -> Path | None:
    """The database as a path. Raises CourseError if it is none, or empty."""
    if database is None:
        return None
    path = Path(database).expanduser()
    if not path.is_file():
        raise CourseError(f"There is no database at {shown(path)}.")
    try:
        result = execute(path, SCHEMA_TABLES)
    except (OSError, sqlite3.Error) as error:
        raise CourseError(f"The database {shown(path)} cannot be opened: {error}.") from None
    if not result.ok:
        raise CourseError(f"{shown(path)} is no SQLite database: {result.error}")
    if result.rows == [(0,)]:
        raise CourseError(f"The database {shown(path)} has no tables.")
    return path


def _refuse_nothing(name: str, by_split: dict[str, list[Example]], rejects: Sequence[Reject]) -> None:
    for split, examples in by_split.items():
        if not examples:
            first = f" The first fault: {rejects[0]}" if rejects else ""
            where = name if len(by_split) == 1 else f"the {split} set of {name}"
            raise CourseError(f"No row of {where} can be used.{first}")


def as_row(example: Example, split: str, database: Path | None = None) -> dict[str, object]:
    """A line of SPLIT.jsonl, as `read_split` reads it."""
    question = {
        "id": example.id,
        "split": split,
        "database": _database_name(database) if database else "",
        "question": example.question,
        "sql": example.completion,
        "difficulty": _difficulty(example.completion) if database else "",
        "origin": "own",
    }
    return question | {"file": example.file, "line": example.line, "group": example.group} | example.row


def _database_name(database: Path) -> str:
    """The name of a database; a dot in it would be taken for a mutated copy (see `utils.data.stage_instances`)."""
    return database.stem.replace(".", "_")


def _copy_database(database: Path, target: Path) -> None:
    """Copy a database as it is now, whatever its journal still holds."""
    with (
        contextlib.closing(open_read_only(database)) as source,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


def _difficulty(query: str) -> str:
    from sqlglot.errors import SqlglotError

    from utils.difficulty import LEVELS, level

    try:
        return level(query)
    except (RecursionError, SqlglotError):
        return LEVELS[-1]
