"""Is this data fit to train on? What is left out and why, and what to look at before training: the report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from utils.cells import Unusable
from utils.data import SPECIAL_TOKENS, Reject
from utils.formats import Example
from utils.likeness import plain_text
from utils.metrics import find_labels
from utils.mojibake import is_damaged
from utils.records import reject

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DOMINANT_SHARE = 0.8
FEW_EXAMPLES = 200
SHOWN_PLACES = 4
PLACEHOLDERS = {"nan", "none", "null", "n/a", "na", "#n/a", "-", "?", "todo", "tbd", "undefined"}


@dataclass(frozen=True)
class Finding:
    """Something in the data to look at: how many examples, where, and what to do. Nothing was left out for it."""

    what: str
    count: int
    places: tuple[str, ...] = ()
    advice: str = ""


@dataclass
class Report:
    """What became of the rows of a source, and what to look at. `lengths` are tokens of examples, if counted."""

    source: str
    rows: int
    format: str
    counts: dict[str, int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def add(self, what: str, examples: Sequence[Example], advice: str) -> None:
        """Note a finding, if there are examples of it."""
        finding = _finding(what, examples, advice)
        self.findings += [finding] if finding else []

    def __str__(self) -> str:
        splits = ", ".join(f"{count:,} {split}" for split, count in self.counts.items())
        lines = [f"{self.source}: {self.rows:,} rows, read as {self.format}", f"  examples: {splits}"]
        if self.lengths:
            lines.append(f"  tokens: {median(self.lengths):,.0f} at the median, {max(self.lengths):,} at most")
        lines += [f"  {note}" for note in self.notes]
        reasons = self.reasons()
        if reasons:
            lines.append(f"Left out, {len(self.rejects):,} in all:")
            lines += [f"  {len(places):>6,}  {reason}  [{_some(places)}]" for reason, places in reasons.items()]
        if self.findings:
            lines.append("Worth a look:")
            for finding in self.findings:
                where = f"  [{_some(finding.places)}]" if finding.places else ""
                lines.append(f"  {finding.count:>6,}  {finding.what}. {finding.advice}{where}")
        return "\n".join(lines)

    def reasons(self) -> dict[str, list[str]]:
        """The places of the rejects for each reason, most frequent first. Reasons that differ in numbers are one."""
        groups: dict[str, list[Reject]] = {}
        for fault in self.rejects:
            groups.setdefault(re.sub(r"\d[\d.,]*\d|\d", "…", fault.reason), []).append(fault)
        ordered = sorted(groups.values(), key=lambda faults: -len(faults))
        return {faults[0].reason: [f"{fault.file}, line {fault.line}" for fault in faults] for faults in ordered}


Checked = tuple[list[Example], list[Reject]]


def leave_out_marks(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase | None) -> Checked:
    """Keep examples without special tokens of the model in their text: such a token ends a turn wherever it stands."""
    marks = list(SPECIAL_TOKENS if tokenizer is None else tokenizer.all_special_tokens)
    pattern = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or "(?!)")

    def fault(example: Example) -> str | None:
        found = pattern.search("\n".join([*(message["content"] for message in example.prompt), example.completion]))
        return f"The text contains {found[0]}, which the model reads as a mark of its own." if found else None

    return leave_out(examples, fault)


def leave_out_long(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[list[Example], list[Reject], list[int]]:
    """Keep examples of at most `max_length` tokens. Returns them, the others, and the lengths of those kept.

    Plain text is kept at any length: training reads its beginning.
    """
    kept, rejects, lengths = [], [], []
    for example in examples:
        try:
            length = count_tokens(example, tokenizer)
        except Unusable as error:
            rejects.append(reject_example(example, str(error)))
            continue
        if length > max_length and not example.is_text:
            reason = f"It has {length:,} tokens, more than max_length = {max_length:,}."
            rejects.append(reject_example(example, reason))
        else:
            kept.append(example)
            lengths.append(length)
    return kept, rejects, lengths


def count_tokens(example: Example, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of prompt and answer, with the marks of the chat template.

    Raises:
        Unusable: the model's chat template refuses the conversation.
    """
    if example.is_text:
        return len(tokenizer(example.completion)["input_ids"])
    from jinja2 import TemplateError

    messages = [*example.prompt, {"role": "assistant", "content": example.completion}]
    try:
        return len(tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"])
    except TemplateError as error:
        raise Unusable(f"The model's chat template refuses this conversation: {str(error).rstrip('.')}.") from None


def leave_out_failing_queries(examples: Sequence[Example], database: Path) -> tuple[list[Example], list[Reject], list]:
    """Keep examples whose answer runs on the database. Returns them, the others, and those that return no row."""
    from utils.sql import Sandbox

    silent = []
    with Sandbox(database) as sandbox:

        def fault(example: Example) -> str | None:
            result = sandbox.execute(example.completion)
            if result.ok and not result.rows:
                silent.append(example)
            return None if result.ok else f"The query in the answer fails: {result.error}"

        kept, rejects = leave_out(examples, fault)
    return kept, rejects, silent


def leave_out(examples: Sequence[Example], fault: Callable[[Example], str | None]) -> Checked:
    """The examples without a fault, and the others with the reason that `fault` gives."""
    kept, rejects = [], []
    for example in examples:
        reason = fault(example)
        if reason is None:
            kept.append(example)
        else:
            rejects.append(reject_example(example, reason))
    return kept, rejects


def reject_example(example: Example, reason: str) -> Reject:
    """A reject with the question and the answer as its text."""
    return reject(example.file, example.line, reason, f"{example.question}\n{example.completion}".strip())


def find_faults(splits: dict[str, list[Example]], lengths: Sequence[int], max_length: int) -> list[Finding]:
    """What to look at in examples that are used, most important first. `lengths` are in tokens, [] if not counted."""
    examples = [example for members in splits.values() for example in members]
    conflicts = _conflicts(examples)
    damaged = [e for e in examples if is_damaged(e.asked) or is_damaged(e.completion)]
    empty = [e for e in examples if not e.is_text and plain_text(e.completion) in PLACEHOLDERS]
    found = [
        *_label_faults(splits),
        _finding("Same question, different answers", conflicts, "One of them may be wrong."),
        _finding("Damaged letters, such as Ã© or �", damaged, "Read the file in its own encoding, or repair the text."),
        _finding("Answers such as nan or n/a", empty, "If they stand for a missing answer, remove these rows."),
    ]
    beginnings = sum(length > max_length for length in lengths)
    if beginnings:
        advice = "Training reads their beginning; cut them into parts to use all."
        found.append(Finding(f"Texts longer than max_length = {max_length:,} tokens", beginnings, (), advice))
    if len(splits["train"]) < FEW_EXAMPLES:
        advice = f"Fewer than {FEW_EXAMPLES} teach little more than the form of the answer."
        found.append(Finding("Few training examples", len(splits["train"]), (), advice))
    return [finding for finding in found if finding is not None]


def _finding(what: str, examples: Sequence[Example], advice: str) -> Finding | None:
    return Finding(what, len(examples), tuple(e.place for e in examples), advice) if examples else None


def _conflicts(examples: Iterable[Example]) -> list[Example]:
    """Examples that ask the same as another one and answer otherwise."""
    groups: dict[tuple[str, ...], list[Example]] = {}
    for example in examples:
        if not example.is_text:
            groups.setdefault(tuple(plain_text(message["content"]) for message in example.prompt), []).append(example)
    return [example for group in groups.values() if len({e.completion for e in group}) > 1 for example in group]


def _label_faults(splits: dict[str, list[Example]]) -> list[Finding | None]:
    labels = find_labels([example.completion for members in splits.values() for example in members])
    if not labels:
        return []
    (label, count), total = labels.most_common(1)[0], sum(labels.values())
    found: list[Finding | None] = []
    if len(labels) == 1:
        found.append(Finding(f"Every answer is {label!r}", count, (), "There is nothing to learn."))
    elif count >= DOMINANT_SHARE * total:
        advice = f"Always saying it would score {count / total:.0%}. Add examples of the others."
        found.append(Finding(f"Very uneven labels: most are {label!r}", count, (), advice))
    trained = Counter(example.completion for example in splits["train"])
    unseen = [e for split, members in splits.items() if split != "train" for e in members if not trained[e.completion]]
    found.append(_finding("Held-out labels that training never shows", unseen, "Add examples of them."))
    return found


def _some(places: Sequence[str]) -> str:
    """The first few places; lines of one file are put together."""
    shown = places[:SHOWN_PLACES]
    files = {place.rpartition(", line ")[0] for place in shown}
    if len(files) == 1 and len(shown) > 1:
        text = f"{files.pop()}, lines {', '.join(place.rpartition(' ')[2] for place in shown)}"
    else:
        text = "; ".join(shown)
    return text + (" …" if len(places) > len(shown) else "")
