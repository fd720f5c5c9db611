"""Scores of a classifier, with intervals, and the weights that keep a rare class from being overlooked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.evaluation import RESAMPLES, Interval, interval

if TYPE_CHECKING:
    import numpy


def class_weights(labels: Sequence[int], classes: int) -> list[float]:
    """Weights by which every class counts the same in the loss: n / (classes × count), 0 for one that does not occur.

    The rule is that of scikit-learn's `class_weight="balanced"`.
    """
    counts = [list(labels).count(place) for place in range(classes)]
    present = sum(count > 0 for count in counts)
    return [len(labels) / (present * count) if count else 0.0 for count in counts]


def confusion(truth: Sequence[int], predicted: Sequence[int], classes: int) -> numpy.ndarray:
    """Counts, shape (classes, classes): a row for each true class, a column for each predicted one."""
    import numpy

    cells = numpy.asarray(truth) * classes + numpy.asarray(predicted)
    return numpy.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def macro_f1(counts: numpy.ndarray) -> numpy.ndarray:
    """Mean F1 over the classes that occur, from confusion counts of shape (…, classes, classes): shape (…)."""
    import numpy

    hits = numpy.diagonal(counts, axis1=-2, axis2=-1)
    named = counts.sum(axis=-1) + counts.sum(axis=-2)
    scores = 2 * hits / numpy.maximum(named, 1)
    return scores.sum(axis=-1) / numpy.maximum((named > 0).sum(axis=-1), 1)


def classification_scores(
    truth: Sequence[int], predicted: Sequence[int], classes: int, seed: int = 0
) -> dict[str, Interval]:
    """Accuracy and macro F1 with 95% percentile bootstrap intervals from 10,000 resamples."""
    import numpy

    counts = confusion(truth, predicted, classes)
    generator = numpy.random.default_rng(seed)
    # Resampling rows and counting them is one multinomial draw of the counts.
    draws = generator.multinomial(len(truth), counts.ravel() / len(truth), RESAMPLES)
    low, high = numpy.percentile(macro_f1(draws.reshape(-1, classes, classes)), [2.5, 97.5])
    is_right = [right == guess for right, guess in zip(truth, predicted, strict=True)]
    f1 = Interval(float(macro_f1(counts)), float(low), float(high))
    return {"accuracy": interval(is_right, seed), "macro F1": f1}


def sure_mistakes(chances: numpy.ndarray, labels: Sequence[int]) -> list[int]:
    """The places of the wrong predictions, the surest first. `chances` has shape (n, classes)."""
    import numpy

    wrong = numpy.flatnonzero(chances.argmax(axis=1) != numpy.asarray(labels))
    return [int(place) for place in wrong[numpy.argsort(-chances[wrong].max(axis=1), kind="stable")]]


@dataclass(frozen=True)
class SetScores:
    """How well sets were found: the share with no member missing, the share that is exactly right, the mean size."""

    none_missing: Interval
    exactly_these: Interval
    named: float

    def row(self) -> dict[str, str]:
        """For a table in a notebook."""
        return {
            "none missing": str(self.none_missing),
            "exactly these": str(self.exactly_these),
            "named": f"{self.named:.1f}",
        }


def set_scores(needed: Mapping[str, frozenset[str]], found: Mapping[str, frozenset[str]]) -> SetScores:
    """Scores of the sets in `found` for the keys of `needed`, which says what each should be."""
    hits = [found[key] >= wanted for key, wanted in needed.items()]
    same = [found[key] == wanted for key, wanted in needed.items()]
    return SetScores(interval(hits), interval(same), sum(len(found[key]) for key in needed) / len(needed))
