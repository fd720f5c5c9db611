"""Checks of the exercises of notebook 12."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right

if TYPE_CHECKING:
    import numpy

ROUNDING = 0.006  # a share may be given with two digits


@exercise("12.1", list)
def most_frequent_mistake(
    answer: Sequence[str], *, truth: Sequence[int], predicted: Sequence[int], names: Sequence[str]
) -> Verdict:
    """The pair (true, predicted) that occurs most often among the mistakes; of several, any."""
    if len(answer) != 2 or not set(answer) <= set(names):
        return not_yet(f"the answer is a pair of two operations, each one of {', '.join(names)}.")
    true, taken_for = answer
    if true == taken_for:
        return not_yet("these are the questions on the diagonal, and they are right.")
    mistakes = Counter((names[t], names[p]) for t, p in zip(truth, predicted, strict=True) if t != p)
    most = max(mistakes.values(), default=0)
    if mistakes[true, taken_for] == most:
        return right(f"{most} of the {mistakes.total()} mistakes are of this kind.")
    if mistakes[taken_for, true] == most:
        return not_yet("the other way round: rows are what is true, columns what was predicted.")
    return not_yet("there is a larger number off the diagonal.")


@exercise("12.2", float)
def accuracy_of_the_surer_half(answer: float, *, chances: numpy.ndarray, truth: numpy.ndarray) -> Verdict:
    """Accuracy on the half of the questions with the highest probability of the predicted class."""
    import numpy

    is_right = chances.argmax(axis=1) == truth
    order = numpy.argsort(-chances.max(axis=1))
    surer, all_of_them = float(is_right[order[: len(truth) // 2]].mean()), float(is_right.mean())
    if answer == all_of_them != surer:
        return not_yet("this is the accuracy on all questions.")
    if abs(answer - surer) <= ROUNDING:
        return right(f"{100 * surer:.0f}% on the surer half, {100 * all_of_them:.0f}% on all questions.")
    if abs(answer - 100 * surer) <= 100 * ROUNDING:
        return not_yet("the number is right in percent; give it as a share between 0 and 1.")
    if abs(answer - all_of_them) <= ROUNDING:
        return not_yet("this is the accuracy on all questions.")
    return not_yet("take the questions whose highest probability is largest, half of them, and count the right ones.")


@exercise("12.3", Callable)
def threshold_that_is_safe_enough(answer: Callable[[Callable[[float], float], float], float]) -> Verdict:
    """A function that finds the highest of the thresholds 0.01 … 0.99 that misses few enough tables."""
    cases = [
        (lambda threshold: 1 - threshold, 0.695, 0.3),
        (lambda threshold: 1.0, 0.95, 0.99),
        (lambda threshold: 0.5, 0.95, 0.0),
        (lambda threshold: 0.9 if threshold < 0.415 else 0.2, 0.9, 0.41),
    ]
    for share_complete, wanted, expected in cases:
        found = answer(share_complete, wanted)
        if not isinstance(found, int | float):
            return not_yet("the function should return a number, the threshold.")
        if abs(found - expected) > 0.001:
            share = share_complete(0.01)
            if share < wanted:
                return not_yet("where no threshold is good enough, the function should return 0.0.")
            if found < expected:
                return not_yet("a higher threshold would have been good enough too, and names fewer tables.")
            return not_yet("at the threshold that it returns, too many questions miss a table.")
    return right("Fewer tables in the prompt, at a risk that you have chosen yourself.")
