"""Checks of the exercises of notebook 13."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right
from utils.prompts import IGNORED

RESAMPLES = 2000
TOLERANCE = 0.15  # of the width: two seeds of 2,000 resamples differ by a few percent
SMALLEST = 0.5  # points, for a width near zero
# Labels of a value, and what the decoder sees while it learns them.
SHIFTED = {
    (7, 8, 9, 1): [0, 7, 8, 9],
    (5, 1, IGNORED, IGNORED): [0, 5, 1, 0],
    (1,): [0],
}


@exercise("13.1", list)
def beams_that_differ(
    answer: Sequence[int], greedy: Sequence[str], beam: Sequence[str], values: Sequence[str]
) -> Verdict:
    """How many answers beam search changes, and how many of the changed ones are right."""
    if len(answer) != 2:
        return not_yet("the answer should be a pair: how many differ, and how many of these beam search has right.")
    changed = [(wide, value) for narrow, wide, value in zip(greedy, beam, values, strict=True) if narrow != wide]
    won = sum(wide == value for wide, value in changed)
    if answer[0] != len(changed):
        return not_yet("the first number counts places where the two texts differ, right or wrong.")
    if answer[1] != won:
        return not_yet("the second number counts, among the places that differ, those where beam search has the value.")
    return right(f"{len(values) - len(changed)} of {len(values)} answers are the same: there was little to search.")


@exercise("13.2", Callable)
def teacher(answer: Callable[[list[int]], Sequence[int]]) -> Verdict:
    """A function from labels to what the decoder sees."""
    for labels, wanted in SHIFTED.items():
        found = answer(list(labels))
        if found is None or [int(token) for token in found] != wanted:
            return not_yet(f"for the labels {list(labels)} your function gives {found}. Which id does T5 start with?")
    return right("So the decoder sees, at each place, the right tokens before it and never the one to predict.")


@exercise("13.3", float)
def width_by_phrasing(answer: float, phrasings: Sequence[str], hits: Sequence[bool]) -> Verdict:
    """The width, in points, of the 95% interval when phrasings are resampled."""
    width = 100 * (_bound(phrasings, hits, 97.5) - _bound(phrasings, hits, 2.5))
    if abs(answer - width) <= max(SMALLEST, TOLERANCE * width):
        return right("Other phrasings could give a score in this range: that is the uncertainty which counts here.")
    if abs(100 * answer - width) <= max(SMALLEST, TOLERANCE * width):
        return not_yet("give the width in points, which are hundredths.")
    return not_yet("draw phrasings, not sentences, and divide all hits drawn by all sentences drawn.")


def _bound(phrasings: Sequence[str], hits: Sequence[bool], percentile: float) -> float:
    """A percentile of exact match over resamples of the phrasings (cluster bootstrap)."""
    import numpy

    names, places = numpy.unique(numpy.asarray(phrasings), return_inverse=True)
    won = numpy.bincount(places, weights=numpy.asarray(hits, dtype=float))
    sizes = numpy.bincount(places)
    drawn = numpy.random.default_rng(0).integers(0, len(names), (RESAMPLES, len(names)))
    return float(numpy.percentile(won[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), percentile))
