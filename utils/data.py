"""The course's data: databases as SQL text, questions as JSON Lines, and the checks that they must pass.

    data/databases/NAME.sql               schema and rows
    data/questions/SPLIT/NAME.jsonl       {"question": …, "sql": …} a line; SPLIT is train, validation or test
    data/questions/SPLIT/NAME.generated.jsonl   the same, written by the generator

A line that fails a check is left out and reported with its file, line and reason; the others are used. The shipped
files passed their checks and carry a seal that says so (see `utils.seal`), which makes loading them quick.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from itertools import zip_longest
from pathlib import Path

from utils.difficulty import level
from utils.instances import make_instances
from utils.likeness import find_alike
from utils.schema import plain
from utils.seal import sealed_levels
from utils.settings import CACHE
from utils.sql import Result, Sandbox, build_database
from utils.stages import hash_of, read_lines, shown, write_lines

SPLITS = ("train", "validation", "test")
SPECIAL_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<s>", "</s>")


@dataclass(frozen=True)
class Question:
    """A question in English, the database it is about and the SQL that answers it."""

    id: str
    split: str
    database: str
    question: str
    sql: str
    difficulty: str
    origin: str


@dataclass(frozen=True)
class Reject:
    """A line that was left out: where it stands, why, and what it says."""

    file: str
    line: int
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


def load_databases(folder: Path) -> dict[str, Path]:
    """Build every `NAME.sql` of a folder into a SQLite file (once; kept in `.cache`) and return name → file.

    Raises:
        FileNotFoundError: the folder holds no .sql file.
        ValueError: a file does not build; the message names it.
    """
    databases = {}
    for source in sorted(Path(folder).glob("*.sql")):
        text = source.read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        target = CACHE / "databases" / f"{source.stem}-{digest}.sqlite"
        try:
            databases[source.stem] = target if target.is_file() else build_database(text, target)
        except ValueError as error:
            raise ValueError(f"{shown(source)}: {error}") from error
    if not databases:
        raise FileNotFoundError(f"{shown(Path(folder))} holds no .sql file: expected one for each database.")
    return databases


def load_questions(folder: Path, databases: dict[str, Path]) -> tuple[list[Question], list[Reject]]:
    """Read and check all questions below `folder`. Returns the good ones, in a fixed order, and the rejected lines.

    Raises:
        FileNotFoundError: a split has no question file.
    """
    questions: list[Question] = []
    rejects: list[Reject] = []
    for split in SPLITS:
        files = sorted((Path(folder) / split).glob("*.jsonl"))
        if not files:
            raise FileNotFoundError(f"{shown(Path(folder) / split)} holds no .jsonl file with questions.")
        for file in files:
            good, bad = read_questions(file, split, databases)
            questions += good
            rejects += bad
    return questions, rejects


def read_questions(file: Path, split: str, databases: dict[str, Path]) -> tuple[list[Question], list[Reject]]:
    """Read one question file; the database is the one that the file is named after.

    A file with a seal that fits has passed its checks before; any other is checked.
    """
    database = databases.get(_database_of(file))
    lines = file.read_bytes().splitlines()
    levels = sealed_levels(f"{split}/{file.name}", lines, database) if database else None
    if levels is None:
        return check_questions(file, split, databases)
    rows = [json.loads(line) for line in lines]
    graded = zip(rows, levels, strict=True)
    return [_question(file, split, number, *pair) for number, pair in enumerate(graded, start=1)], []


def check_questions(file: Path, split: str, databases: dict[str, Path]) -> tuple[list[Question], list[Reject]]:
    """Read one question file and check every line, whether or not it has a seal."""
    name = _database_of(file)
    questions, rejects = [], []
    with Sandbox(databases[name]) if name in databases else nullcontext() as sandbox:
        for number, raw in enumerate(file.read_bytes().splitlines(), start=1):
            if not raw.strip():
                continue
            reason = _fault(raw, sandbox, name)
            if reason:
                rejects.append(Reject(shown(file), number, reason, raw.decode("utf-8", errors="replace")))
            else:
                row = json.loads(raw)
                questions.append(_question(file, split, number, row, level(row["sql"])))
    return questions, rejects


def deduplicate(questions: Iterable[Question]) -> tuple[list[Question], list[Question]]:
    """Keep the first of the questions that read the same on the same database. Returns (kept, dropped)."""
    seen, kept, dropped = set(), [], []
    for question in questions:
        key = (question.database, plain(question.question))
        (dropped if key in seen else kept).append(question)
        seen.add(key)
    return kept, dropped


def find_leaks(
    train: list[Question], held_out: list[Question], threshold: float = 0.8
) -> list[tuple[Question, Question, float]]:
    """Pairs (training question, held-out question, similarity) that read nearly the same, the most alike first.

    Similarity is that of `utils.likeness`.
    """
    pairs = find_alike([q.question for q in train], [q.question for q in held_out], threshold)
    return [(train[left], held_out[right], similarity) for left, right, similarity in pairs]


def select_evenly(questions: list[Question], count: int, seed: int) -> list[Question]:
    """At most `count` questions, as many of each database, hand-written before generated ones, levels as they occur.

    The order of the result is that of the input, so it does not depend on how the choice was made.
    """
    generator = random.Random(seed)
    by_database: dict[str, list[Question]] = {}
    for question in questions:
        by_database.setdefault(question.database, []).append(question)
    for group in by_database.values():
        generator.shuffle(group)
        group.sort(key=lambda question: question.origin != "written")
    rounds = zip_longest(*by_database.values())
    chosen = [question for turn in rounds for question in turn if question is not None]
    wanted = {question.id for question in chosen[:count]}
    return [question for question in questions if question.id in wanted]


def write_dataset(
    folder: Path,
    splits: dict[str, list[Question]],
    rows: dict[str, list[dict]],
    fits: dict[str, list[bool]],
    databases: dict[str, Path],
    *,
    instances: int = 0,
    seed: int = 0,
) -> dict[str, object]:
    """Write SPLIT.jsonl (question fields, prompt and completion) and the SQLite files into `folder`.

    Databases that are not trained on get as many mutated copies as `instances` says (see `utils.instances`). Examples
    that do not fit the length limit are left out. Returns counts and the dataset's hash.
    """
    used: set[str] = set()
    for split, questions in splits.items():
        kept = [(q, row) for q, row, fit in zip(questions, rows[split], fits[split], strict=True) if fit]
        write_lines(folder / f"{split}.jsonl", [asdict(question) | row for question, row in kept])
        used |= {question.database for question, _ in kept}
    hashes = "".join(hash_of(folder / f"{split}.jsonl") for split in splits)
    (folder / "databases").mkdir()
    for name in sorted(used):
        own = Path(shutil.copyfile(databases[name], folder / "databases" / f"{name}.sqlite"))
        queries = [q.sql for split, chosen in splits.items() if split != "train" for q in chosen if q.database == name]
        if queries:
            make_instances(own, own.parent, queries, instances, seed)
    counts = {split: sum(fits[split]) for split in splits}
    return counts | {"dataset_hash": hashlib.sha256(hashes.encode()).hexdigest()[:16]}


def read_dataset(folder: Path, split: str) -> tuple[list[Question], list[dict]]:
    """The questions of a split of the dataset stage, and their rows with prompt and completion."""
    names = [field.name for field in fields(Question)]
    rows = read_lines(Path(folder) / f"{split}.jsonl")
    return [Question(**{name: row[name] for name in names}) for row in rows], rows


def stage_databases(folder: Path) -> dict[str, Path]:
    """The SQLite files of the dataset stage, by name."""
    return {name: files[0] for name, files in stage_instances(folder).items()}


def stage_instances(folder: Path) -> dict[str, list[Path]]:
    """For each database of the dataset stage its SQLite file and then the mutated copies of it."""
    found: dict[str, list[Path]] = {}
    for path in sorted((Path(folder) / "databases").glob("*.sqlite"), key=lambda path: path.stem):
        found.setdefault(path.stem.split(".")[0], []).append(path)
    return found


def as_rows(items: Iterable[Question | Reject]) -> list[dict]:
    """Plain dictionaries, ready for JSON Lines."""
    return [asdict(item) for item in items]


def _database_of(file: Path) -> str:
    return file.stem.split(".")[0]


def _question(file: Path, split: str, number: int, row: dict[str, str], difficulty: str) -> Question:
    name, *kind = file.stem.split(".")
    origin = kind[0] if kind else "written"
    identifier = f"{name}-{origin[0]}{number:04d}"
    return Question(identifier, split, name, row["question"].strip(), row["sql"].strip(), difficulty, origin)


def _fault(raw: bytes, sandbox: Sandbox | None, name: str) -> str | None:
    """Why a line cannot be used, as a sentence, or None if it can."""
    if sandbox is None:
        return f"There is no database {name!r}: the question file is named after its database."
    try:
        row = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return "The line is not UTF-8 text."
    except json.JSONDecodeError as error:
        return f"The line is not JSON: {error.msg} at character {error.pos}."
    if not isinstance(row, dict):
        return "The line is JSON, but not an object with the fields question and sql."
    for field in ("question", "sql"):
        if not isinstance(row.get(field), str) or not row[field].strip():
            return f"The field {field!r} is missing or empty."
        token = next((token for token in SPECIAL_TOKENS if token in row[field]), None)
        if token:
            return f"The field {field!r} contains {token}, which a model reads as the end of a turn."
    from sqlglot.errors import SqlglotError

    try:
        level(row["sql"])
    except SqlglotError:
        return "The gold query cannot be read by sqlglot, which grades its difficulty: write it in plainer SQL."
    return _fault_of_answer(sandbox.execute(row["sql"]))


def _fault_of_answer(result: Result) -> str | None:
    if not result.ok:
        return f"The gold query fails: {result.error}"
    if not result.rows:
        return "The gold query returns no row, so a wrong query could pass for right."
    if result.truncated:
        return "The gold query returns too many rows to compare."
    return None
