"""What the checks say of each example of a dataset stage: kept, or left out and why.

Notebook 02 and `utils.preparation` write what they leave out to `rejected.jsonl`, a reason with each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.data import SPLITS, Question, Reject
from utils.errors import CourseError
from utils.stages import read_lines, shown

KEPT, LEFT_OUT = "kept", "left out"
# Words of a reason, and the kind of finding that they tell.
KINDS = {"says the same": "duplicate", "nearly the same": "leak", "max_length": "too long"}
FAULTY = "faulty"


@dataclass(frozen=True)
class Entry:
    """An example of a dataset and what became of it. `kind` is "kept", or tells why it was left out.

    `split` is `LEFT_OUT` for those that are in none; `sql` is the answer that is trained on. `reason` says more.
    """

    split: str
    database: str
    difficulty: str
    question: str
    sql: str
    kind: str
    reason: str = ""


def rejects_of(
    repeated: Iterable[Question] = (),
    leaks: Iterable[tuple[Question, Question, float]] = (),
    too_long: Iterable[Question] = (),
) -> list[Reject]:
    """Questions that notebook 02 leaves out, in the form of lines that could not be read: place, reason and text.

    `leaks` as `utils.data.find_leaks` gives them, the most alike first; a question with several is named once.
    """
    rejects = [_reject(question, "It says the same as an earlier question on its database.") for question in repeated]
    first: dict[str, tuple[Question, Question, float]] = {}
    for pair in leaks:
        first.setdefault(pair[0].id, pair)
    for question, other, share in first.values():
        reason = f"It is nearly the same ({share:.0%}) as {other.id} of the {other.split} set."
        rejects.append(_reject(question, reason))
    rejects += [_reject(question, "It has more tokens than max_length.") for question in too_long]
    return rejects


def read_entries(folder: Path) -> list[Entry]:
    """All examples of a dataset stage, split by split, and then what was left out.

    Raises:
        CourseError: the folder holds no dataset.
    """
    missing = [f"{split}.jsonl" for split in SPLITS if not (folder / f"{split}.jsonl").is_file()]
    if missing:
        raise CourseError(f"{shown(folder)} holds no {missing[0]}: make the dataset with notebook 02.")
    kept = [_kept(split, row) for split in SPLITS for row in read_lines(folder / f"{split}.jsonl")]
    rejected = folder / "rejected.jsonl"
    return kept + [_left_out(row) for row in (read_lines(rejected) if rejected.is_file() else [])]


def _reject(question: Question, reason: str) -> Reject:
    kind = "" if question.origin == "written" else f".{question.origin}"
    line = int(question.id.rpartition("-")[2][1:])
    text = json.dumps({"question": question.question, "sql": question.sql}, ensure_ascii=False)
    return Reject(f"{question.split}/{question.database}{kind}.jsonl", line, reason, text)


def _kept(split: str, row: dict) -> Entry:
    trained = row["completion"][0]["content"] if row.get("completion") else row["sql"]
    reason = "" if trained == row["sql"] else "written for a renamed schema"
    return Entry(split, row["database"], row["difficulty"], row["question"], trained, KEPT, reason)


def _left_out(row: dict) -> Entry:
    kind = next((kind for words, kind in KINDS.items() if words in row["reason"]), FAULTY)
    question, sql = _read(row["text"])
    return Entry(LEFT_OUT, "", "", question, sql, kind, f"{row['file']}, line {row['line']}: {row['reason']}")


def _read(text: str) -> tuple[str, str]:
    """Question and query of a rejected line, as far as it can be read."""
    try:
        row = json.loads(text)
    except ValueError:
        return text, ""
    if not isinstance(row, dict):
        return text, ""
    return str(row.get("question", text)), str(row.get("sql", ""))
