"""Answer a file of questions, in its order; an interrupted run continues where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cells import Unusable, cell_text, is_missing
from utils.conversations import read_messages
from utils.errors import CourseError
from utils.formats import NAMES
from utils.reading import read_data
from utils.stages import hash_of, shown
from utils.terminal import StatusLine

if TYPE_CHECKING:
    from utils.chat import Assistant
    from utils.prompts import Message
    from utils.records import Row

ROUND = 4  # batches between two writes: more of them share their schema
KEPT_ROWS = 1_000


def answer_file(assistant: Assistant, file: Path, out: Path, column: str | None = None, *, run: bool = False) -> int:
    """Write a line to `out` for each question of `file`: its line, its fields, and `answer`. Returns how many.

    The answers are gathered beside `out` and take its name when all are there. With `run`, `rows` holds what the query
    gives, or `error`. Lines that hold no question are reported and left out.

    Raises:
        CourseError: the file cannot be read, or `out` exists.
    """
    if out.exists():
        raise CourseError(f"{shown(out)} exists. Remove it, or give the answers another name with --out.")
    data = read_data(file)
    rows = [row for members in data.splits.values() for row in members]
    prompts, faults = _prompts(assistant, rows, data.columns, column)
    for fault in [*map(str, data.rejects), *faults]:
        print(f"Left out: {fault}")
    if not prompts:
        raise CourseError(f"{shown(file)} holds no question.")
    out.parent.mkdir(parents=True, exist_ok=True)
    gathered = out.with_name(f".{out.name}.{_digest(assistant, file, run)}.partial")
    done = _whole_lines(gathered)
    if done:
        print(f"Continuing after {done} of {len(prompts)} answers.")
    size = ROUND * assistant.batch_size
    with StatusLine() as line, gathered.open("a", encoding="utf-8", newline="\n") as target:
        for start in range(done, len(prompts), size):
            part = prompts[start : start + size]
            answers = assistant.answer([prompt for _, prompt in part])
            for (row, _), answer in zip(part, answers, strict=True):
                target.write(json.dumps(_answered(assistant, row, answer, run), ensure_ascii=False, default=str) + "\n")
            target.flush()
            os.fsync(target.fileno())
            line(f"{start + len(part)} of {len(prompts)} answers")
    gathered.replace(out)
    print(f"{len(prompts)} answers are in {shown(out)}.")
    return len(prompts)


def _prompts(
    assistant: Assistant, rows: Sequence[Row], columns: Sequence[str], column: str | None
) -> tuple[list[tuple[Row, list[Message]]], list[str]]:
    """The rows that hold a question, with their prompts, and why the others hold none."""
    found = {part: _known(part, columns) for part in ("messages", "prompt", "input")}
    if column is None and found["messages"]:
        column, below, is_messages = found["messages"], None, True
    else:
        column, below, is_messages = column or found["prompt"] or found["input"], found["input"], False
    if column not in columns:
        raise CourseError(f"Which column holds the questions? Name it with --prompt-column: {', '.join(columns)}.")
    below = None if below == column else below
    prompts, faults = [], []
    for row in rows:
        try:
            prompt = _messages(row, column) if is_messages else _prompt(assistant, row, column, below)
        except Unusable as error:
            faults.append(f"{row.file}, line {row.line}: {error}")
        else:
            prompts.append((row, prompt))
    return prompts, faults


def _prompt(assistant: Assistant, row: Row, column: str, below: str | None) -> list[Message]:
    question = cell_text(row.values.get(column), column)
    if below and not is_missing(row.values.get(below)):
        text = cell_text(row.values[below], below)
        question = text if question == assistant.recipe.system_prompt else f"{question}\n\n{text}"
    return assistant.recipe.ask(question, assistant.database)


def _messages(row: Row, column: str) -> list[Message]:
    """A conversation up to its last question. An answer behind it is left out: it is what is asked for."""
    value = row.values.get(column)
    with contextlib.suppress(ValueError):
        value = json.loads(value) if isinstance(value, str) else value
    if not isinstance(value, list):
        return read_messages(value, column)  # which says what is wrong with it
    while value and isinstance(value[-1], dict) and value[-1].get("role") == "assistant":
        value = value[:-1]
    # The checks are made for conversations that end with an answer.
    return read_messages([*value, {"role": "assistant", "content": "?"}], column)[:-1]


def _answered(assistant: Assistant, row: Row, answer: str, run: bool) -> dict[str, object]:
    line = {"line": row.line} | row.values | {"answer": answer}
    if run and assistant.database is not None:
        result = assistant.query_result(answer)
        line |= {"rows": result.rows[:KEPT_ROWS]} if result.ok else {"error": result.error}
    return line


def _known(part: str, columns: Sequence[str]) -> str | None:
    """The column whose name is the first of the known names of a part."""
    by_name = {column.strip().casefold(): column for column in columns}
    return next((by_name[name] for name in NAMES[part].split() if name in by_name), None)


def _digest(assistant: Assistant, file: Path, run: bool) -> str:
    """Answers of another model, of another file or asked for in another way are not continued."""
    asked = (assistant.name, hash_of(file), assistant.max_new_tokens, str(assistant.database), run)
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:8]


def _whole_lines(path: Path) -> int:
    """How many whole lines a file has; what a killed process left of the next one is cut off."""
    if not path.is_file():
        return 0
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        path.write_bytes(whole)
    return whole.count(b"\n")
