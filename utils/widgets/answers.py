"""Base against tuned, question by question: what was gained, what was lost, and how the queries differ."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import Any

from markupsafe import Markup

from utils.difficulty import LEVELS
from utils.errors import CourseError
from utils.stages import read_lines, shown
from utils.widgets.controls import ALL, Choice, Control, Page, Words, contains, page_of
from utils.widgets.markup import bold, code, joined, paragraph, shortened, table, text
from utils.widgets.view import Explorer

TUNED = "answers_tuned.jsonl"
GAINED, LOST, BOTH, NEITHER = "gained", "lost", "both right", "both wrong"
VERDICTS = (GAINED, LOST, BOTH, NEITHER)
PIECE = re.compile(r"'(?:[^']|'')*'|\w+|\s+|.", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What a model wrote to a question, and whether it is right. `error` is "" or the kind of the fault."""

    query: str
    correct: bool
    error: str = ""
    message: str = ""


@dataclass(frozen=True)
class Pair:
    """A question with its right answer and what the two models wrote."""

    question: str
    database: str
    difficulty: str
    gold: str
    base: Answer
    tuned: Answer

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        if self.base.correct == self.tuned.correct:
            return BOTH if self.tuned.correct else NEITHER
        return GAINED if self.tuned.correct else LOST


def compare_answers(folder: Path, *, page_size: int = 4) -> Explorer:
    """The answers of an evaluation stage, base beside tuned. Words that the gold answer does not have are underlined.

    Where the answers carry no mark, as in the runs of `utils.finetune`, right means word for word.

    Raises:
        CourseError: the folder holds no answers, or those of plain text, which has none.
    """
    tuned = _read(folder / TUNED)
    bases = {_base_name(path): _read(path) for path in sorted(folder.glob("answers_base*.jsonl"))}
    if not bases:
        raise CourseError(f"{shown(folder)} holds no answers of the untuned model: make them with notebook 05.")
    pairs = {name: _pairs(rows, tuned) for name, rows in bases.items()}
    first = next(iter(pairs.values()))
    levels = [level for level in LEVELS if level in {pair.difficulty for pair in first}]
    kinds = [kind for kind, _ in Counter(pair.tuned.error for pair in first).most_common() if kind]
    menus = {
        "base": Choice("base prompt", list(pairs), next(iter(pairs))),
        "verdict": Choice("verdict", [ALL, *VERDICTS], ALL),
        "difficulty": Choice("difficulty", [ALL, *levels], ALL),
        "error": Choice("error of the tuned model", [ALL, *kinds], ALL),
    }
    controls: dict[str, Control] = {
        name: menu for name, menu in menus.items() if len(set(menu.options) - {ALL}) > 1 or name == "verdict"
    }
    controls |= {"words": Words("words"), "page": Page("page", math.ceil(len(first) / page_size))}

    def draw(words: str, page: int, base: str = next(iter(pairs)), **wanted: str) -> Markup:
        return pairs_view(matching(pairs[base], words, wanted), page, page_size)

    return Explorer("Base against tuned, question by question", controls, draw)


def matching(pairs: Sequence[Pair], words: str, wanted: dict[str, str]) -> list[Pair]:
    """Pairs with the wanted verdict, difficulty and error of the tuned model, and with all of the words in them."""

    def holds(pair: Pair) -> bool:
        values = {"verdict": pair.verdict, "difficulty": pair.difficulty, "error": pair.tuned.error}
        return all(value in {ALL, values[name]} for name, value in wanted.items()) and contains(
            f"{pair.question}\n{pair.database}\n{pair.gold}\n{pair.tuned.query}", words
        )

    return [pair for pair in pairs if holds(pair)]


def pairs_view(pairs: Sequence[Pair], page: int, page_size: int) -> Markup:
    """How many of each verdict, and one page of them."""
    counts = Counter(pair.verdict for pair in pairs)
    summary = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in VERDICTS)
    shown, number = page_of(pairs, page, page_size)
    heading = paragraph(Markup("{} · {}").format(bold(summary), number))
    return joined([heading, *map(_pair_view, shown)])


def marked(answer: str, gold: str) -> Markup:
    """An answer in which whatever the gold answer does not have in this place is bold and underlined."""
    written, wanted = PIECE.findall(answer), PIECE.findall(gold)
    matcher = SequenceMatcher(None, [piece.lower() for piece in wanted], [piece.lower() for piece in written], False)
    parts = []
    for tag, _, _, begin, end in matcher.get_opcodes():
        part = text("".join(written[begin:end]))
        parts.append(part if tag == "equal" or not part.strip() else Markup("<u><b>{}</b></u>").format(part))
    return code(joined(parts))


def _pair_view(pair: Pair) -> Markup:
    about = " · ".join(filter(None, (pair.database, pair.difficulty, pair.verdict)))
    rows: list[tuple[object, ...]] = [("gold", code(pair.gold), "")]
    for name, answer in (("base", pair.base), ("tuned", pair.tuned)):
        fault = " · ".join(filter(None, (answer.error, shortened(answer.message, 120))))
        mark = "✓ right" if answer.correct else f"✗ {fault or 'wrong'}"
        rows.append((name, marked(shortened(answer.query), pair.gold), bold(mark)))
    heading = Markup("{} ({})").format(bold(pair.question), about)
    return joined([paragraph(heading), table(("", "answer", "mark"), rows)])


def _read(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        raise CourseError(f"{shown(path.parent)} holds no {path.name}: make it with notebook 05.")
    rows = {row["id"]: row for row in read_lines(path)}
    if any("answer" not in row for row in rows.values()):
        raise CourseError(f"{shown(path)} holds losses, not answers: plain text has no questions to compare.")
    return rows


def _pairs(base: dict[str, dict[str, Any]], tuned: dict[str, dict[str, Any]]) -> list[Pair]:
    """Questions that both models were asked: a gained one, a lost one and so on in turn, so that a page has of each."""
    pairs = [
        Pair(
            question=row["question"],
            database=row.get("database", ""),
            difficulty=row.get("difficulty", ""),
            gold=_gold(row),
            base=_answer(base[name]),
            tuned=_answer(row),
        )
        for name, row in tuned.items()
        if name in base
    ]
    turns = zip_longest(*([pair for pair in pairs if pair.verdict == verdict] for verdict in VERDICTS))
    return [pair for turn in turns for pair in turn if pair is not None]


def _answer(row: dict[str, Any]) -> Answer:
    same = row["answer"].strip() == _gold(row).strip()
    # A model that wrote no query wrote something all the same, which tells more than nothing.
    query = row.get("query") or row["answer"]
    return Answer(query, row.get("correct", same), row.get("error", ""), row.get("message", ""))


def _gold(row: dict[str, Any]) -> str:
    return row["gold"] if "gold" in row else row["reference"]


def _base_name(path: Path) -> str:
    """answers_base_few_shot.jsonl: "few-shot"; answers_base.jsonl: "base"."""
    return path.stem.removeprefix("answers_base").strip("_").replace("_", "-") or "base"
