"""Checks of the exercises of notebook 09: a metric that is fooled, senders that are known, and copied answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right

if TYPE_CHECKING:
    from utils.formats import Example
    from utils.preparation import Prepared
    from utils.records import Row

ANSWERS = {
    "When is the bakery open?": "Mo-Sa",
    "What does a loaf of bread cost?": "3.20",
    "Who bakes?": "Ida",
}
ASKED = {"When is the old bakery open?": "Mo-Sa", "How much does a loaf of bread cost?": "3.20"}


@exercise("09.1", str)
def wrong_and_perfect(answer: str, *, reference: str) -> Verdict:
    """A wrong answer that token F1 calls perfect."""
    from utils.metrics import normalised_match, token_f1

    found = token_f1(answer, reference)
    if found < 1:
        return not_yet(f"its token F1 is {found:.2f}. Take all words of the right answer, and no others.")
    if normalised_match(answer, reference):
        return not_yet("it says the same as the right answer. What does the metric not look at?")
    hours, wanted = (sorted(part.strip(" .") for part in text.casefold().split(";")) for text in (answer, reference))
    if hours == wanted:
        return not_yet("these are the same hours in another order. Which hours belong to which days?")
    return right("Token F1 counts words and does not know where they stand.")


@exercise("09.2", float)
def known_senders(answer: float, *, by_row: Prepared, rows: Sequence[Row]) -> Verdict:
    """The share of test orders whose sender also wrote a training order, where rows were split."""
    sender = {(row.file, row.line): row.values["sender"] for row in rows}

    def senders(split: str) -> list[str]:
        return [sender[example.file, example.line] for example in by_row.splits[split]]

    known, tested = set(senders("train")), senders("test")
    share = sum(name in known for name in tested) / len(tested)
    if math.isclose(answer, share, abs_tol=0.005):
        return right("Split by group, the share is zero: then the test asks what happens with new customers.")
    if math.isclose(answer, 100 * share, abs_tol=0.5):
        return not_yet("that looks like a percentage. Give the share, between 0 and 1.")
    return not_yet("count test orders, not senders: of how many did the sender write a training order, too?")


@exercise("09.3", Callable)
def copied(answer: Callable[[str, Sequence[Example]], str]) -> Verdict:
    """A function that answers a question with the answer of the example that asks nearly the same."""
    from utils.formats import Example

    examples = [
        Example(str(line), "check.csv", line, "", [], completion, question)
        for line, (question, completion) in enumerate(ANSWERS.items())
    ]
    for question, wanted in (ANSWERS | ASKED).items():
        found = answer(question, examples)
        if not isinstance(found, str):
            return not_yet(f"it gives a {type(found).__name__}. Give the text of the answer, `example.completion`.")
        if found != wanted:
            return not_yet(f"“{question}” gets the answer “{found}”, not that of the example most like it.")
    return right("What a model scores beyond this, it has not merely looked up.")
