"""Confidence against accuracy, with numbers that can be worked out by hand."""

from __future__ import annotations

import numpy
import pytest

from utils.calibration import (
    Bin,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    probabilities,
    reliability,
)


def test_probabilities_are_flatter_at_a_higher_temperature() -> None:
    logits = numpy.array([[0.0, numpy.log(3)]])
    assert probabilities(logits) == pytest.approx(numpy.array([[0.25, 0.75]]))
    assert probabilities(2 * logits, temperature=2.0) == pytest.approx(numpy.array([[0.25, 0.75]]))


def test_reliability_and_its_error() -> None:
    chances = numpy.array([[0.95, 0.05], [0.95, 0.05], [0.4, 0.6], [0.0, 1.0]])
    labels = numpy.array([0, 1, 0, 1])
    low, high = reliability(chances, labels)
    assert (low, high.count) == (Bin(1, pytest.approx(0.6), 0.0), 3)
    assert (high.confidence, high.accuracy) == pytest.approx(((0.95 + 0.95 + 1.0) / 3, 2 / 3))
    by_hand = (1 * 0.6 + 3 * abs(2.9 / 3 - 2 / 3)) / 4
    assert expected_calibration_error(chances, labels) == pytest.approx(by_hand)


def test_log_loss() -> None:
    assert log_loss(numpy.log([[0.25, 0.75], [0.5, 0.5]]), numpy.array([1, 0])) == pytest.approx(
        -(numpy.log(0.75) + numpy.log(0.5)) / 2
    )


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_temperature_undoes_a_factor(factor: float) -> None:
    generator = numpy.random.default_rng(0)
    honest = generator.normal(size=(20_000, 3))
    labels = numpy.array([generator.choice(3, p=chances) for chances in probabilities(honest)])
    temperature = fit_temperature(factor * honest, labels)
    assert temperature == pytest.approx(factor, rel=0.05)
    before = expected_calibration_error(probabilities(factor * honest), labels)
    after = expected_calibration_error(probabilities(factor * honest, temperature), labels)
    assert after < 0.02 < before
