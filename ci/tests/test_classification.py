"""Scores of classifiers agree with scikit-learn's, and their figures are drawn."""

from __future__ import annotations

import matplotlib
import numpy
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight

from utils.calibration import Bin
from utils.classification import class_weights, classification_scores, confusion, macro_f1, set_scores, sure_mistakes
from utils.evaluation import Interval
from utils.plots import confusion_matrix, named_and_found, reliability_diagram

matplotlib.use("agg")
GENERATOR = numpy.random.default_rng(3)
TRUTH = GENERATOR.choice(4, size=200, p=[0.6, 0.2, 0.15, 0.05])
PREDICTED = numpy.where(GENERATOR.random(200) < 0.7, TRUTH, GENERATOR.choice(4, size=200))


def test_class_weights_are_scikit_learns() -> None:
    expected = compute_class_weight("balanced", classes=numpy.arange(4), y=TRUTH)
    assert class_weights(TRUTH, 4) == pytest.approx(list(expected))


def test_a_class_that_does_not_occur_weighs_nothing() -> None:
    assert class_weights([0, 0, 2], 3) == [0.75, 0.0, 1.5]


def test_confusion_and_macro_f1_are_scikit_learns() -> None:
    counts = confusion(TRUTH, PREDICTED, 4)
    assert (counts == sklearn_confusion(TRUTH, PREDICTED)).all()
    assert macro_f1(counts) == pytest.approx(f1_score(TRUTH, PREDICTED, average="macro"))
    assert macro_f1(numpy.stack([counts, numpy.eye(4)])) == pytest.approx([macro_f1(counts), 1.0])


def test_macro_f1_leaves_out_what_neither_occurs_nor_is_predicted() -> None:
    assert macro_f1(confusion([0, 1], [0, 1], 3)) == 1.0


def test_scores_lie_in_their_intervals() -> None:
    scores = classification_scores(TRUTH, PREDICTED, 4)
    assert scores["accuracy"].value == pytest.approx((TRUTH == PREDICTED).mean())
    assert all(share.low < share.value < share.high for share in scores.values())
    assert scores == classification_scores(TRUTH, PREDICTED, 4)


def test_sets_are_complete_exact_and_counted() -> None:
    needed = {"a": frozenset("t"), "b": frozenset("tu"), "c": frozenset("u"), "d": frozenset("u")}
    found = {"a": frozenset("t"), "b": frozenset("tuv"), "c": frozenset("t"), "d": frozenset()}
    scores = set_scores(needed, found)
    assert (scores.none_missing.value, scores.exactly_these.value, scores.named) == (0.5, 0.25, 1.25)
    assert scores.row()["named"] == "1.2"


def test_the_surest_mistake_comes_first() -> None:
    chances = numpy.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])
    assert sure_mistakes(chances, [1, 0, 1, 1]) == [1, 3, 0]
    assert sure_mistakes(chances, [0, 1, 1, 0]) == []


def test_figures_show_what_they_are_given() -> None:
    share = Interval(0.5, 0.4, 0.6)
    matrix = confusion_matrix([[5, 1], [0, 0]], ("list", "count"))
    assert sorted(text.get_text() for text in matrix.axes[0].texts) == ["0", "0", "1", "5"]
    diagram = reliability_diagram({"before": [Bin(3, 0.6, 0.5)], "after": [Bin(3, 0.5, 0.5)]})
    assert [text.get_text() for text in diagram.axes[0].get_legend().texts] == ["before", "after"]
    figure = named_and_found([(1.0, share), (2.0, share)], {"spelling": (1.5, share)})
    assert {text.get_text() for text in figure.axes[0].get_legend().texts} == {"encoder, all thresholds", "spelling"}
