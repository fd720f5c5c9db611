"""Is a classifier as sure as it is right? Reliability, expected calibration error, and temperature scaling.

The source of all three, as used here: Guo et al., "On Calibration of Modern Neural Networks" (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

BINS = 10
LOWEST, HIGHEST = 0.05, 20.0  # temperatures that are looked at


@dataclass(frozen=True)
class Bin:
    """Predictions of about the same confidence: how many, their mean confidence, and the share that was right."""

    count: int
    confidence: float
    accuracy: float


def probabilities(logits: numpy.ndarray, temperature: float = 1.0) -> numpy.ndarray:
    """Softmax of logits (n, classes), divided by a temperature first: above 1 it makes a model less sure."""
    from scipy.special import softmax

    return softmax(logits / temperature, axis=1)


def reliability(chances: numpy.ndarray, labels: numpy.ndarray, bins: int = BINS) -> list[Bin]:
    """Predictions in bins of equal width by confidence, the probability of the predicted class; empty bins left out.

    `chances` has shape (n, classes), `labels` (n,).
    """
    import numpy

    confidence = chances.max(axis=1)
    is_right = chances.argmax(axis=1) == labels
    places = numpy.minimum((confidence * bins).astype(int), bins - 1)
    chosen = [places == place for place in range(bins)]
    return [
        Bin(int(inside.sum()), float(confidence[inside].mean()), float(is_right[inside].mean()))
        for inside in chosen
        if inside.any()
    ]


def expected_calibration_error(chances: numpy.ndarray, labels: numpy.ndarray, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over the bins, weighted by their counts: between 0 and 1."""
    return distance(reliability(chances, labels, bins))


def distance(bins: Sequence[Bin]) -> float:
    """Mean distance between the confidence and the accuracy of bins, weighted by their counts."""
    return sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / sum(one.count for one in bins)


def log_loss(logits: numpy.ndarray, labels: numpy.ndarray, temperature: float = 1.0) -> float:
    """Mean negative log-probability of the right class, in nats."""
    import numpy
    from scipy.special import log_softmax

    return float(-log_softmax(logits / temperature, axis=1)[numpy.arange(len(labels)), labels].mean())


def fit_temperature(logits: numpy.ndarray, labels: numpy.ndarray) -> float:
    """The temperature with the lowest log loss, between 0.05 and 20. Fit it on data that was not trained on."""
    import math

    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda exponent: log_loss(logits, labels, math.exp(exponent)),
        bounds=(math.log(LOWEST), math.log(HIGHEST)),
        method="bounded",
    )
    return math.exp(found.x)
