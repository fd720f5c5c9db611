"""Checks of the exercises of notebook 05: fewer questions, what to mend first, and credit for a part of the rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from utils.evaluation import Interval, Outcome, interval
from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right

ONE, TWO, THREE = (1, "Rex"), (2, "Tom"), (3, "Ada")
# Rows of the gold query, rows of the answer, and the overlap of the two.
OVERLAPS = (
    ([ONE, TWO], [TWO, ONE], 1.0),
    ([ONE, TWO], [ONE, THREE], 1 / 3),
    ([ONE], [TWO], 0.0),
    ([ONE, ONE], [ONE], 0.5),
    ([ONE], [], 0.0),
    ([], [], 1.0),
)


def width(share: Interval) -> float:
    """From the lower bound to the upper one."""
    return share.high - share.low


@exercise("05.1", float)
def wider(answer: float, *, correct: Sequence[bool]) -> Verdict:
    """How many times as wide the interval is with every fourth question."""
    wanted = width(interval(correct[::4])) / width(interval(correct))
    if math.isclose(answer, wanted, rel_tol=0.02):
        return right(f"Here it is {wanted:.1f} times. The rule is the square root of four, rough where hits are few.")
    if math.isclose(answer, 1 / wanted, rel_tol=0.02):
        return not_yet("turn it round: the width with fewer questions, divided by the width with all.")
    return not_yet("take `interval` of every fourth entry of `after` and of all, and compare the widths.")


@exercise("05.2", float)
def if_mended(answer: float, *, outcomes: Sequence[Outcome]) -> Verdict:
    """The execution accuracy if all answers of the most frequent kind of error were right, in percent."""
    kinds = Counter(outcome.error for outcome in outcomes if outcome.error)
    right_now = sum(outcome.correct for outcome in outcomes)
    mended = right_now + max(kinds.values(), default=0)
    if math.isclose(answer, 100 * mended / len(outcomes), abs_tol=0.06):
        return right("That is the most that work on this one kind can bring. It tells where to begin.")
    if math.isclose(answer, mended / len(outcomes), abs_tol=0.0006):
        return not_yet("that is the share. Give it in percent.")
    if math.isclose(answer, 100 * (mended - right_now) / len(outcomes), abs_tol=0.06):
        return not_yet("that is the gain. Add it to what is right already.")
    return not_yet("add the answers that are right to those of the most frequent kind of error.")


@exercise("05.3", Callable)
def overlap(answer: Callable[[list, list], float]) -> Verdict:
    """A function (gold rows, rows of the answer) -> rows in common as a share of all rows, repeated ones counted."""
    for gold, rows, wanted in OVERLAPS:
        found = answer(list(gold), list(rows))
        if not math.isclose(found, wanted, abs_tol=0.005):
            return not_yet(f"for the gold rows {gold} and the rows {rows}, it gives {found:.2f}.")
    return right("It gives credit for a part, where execution accuracy gives all or nothing.")
