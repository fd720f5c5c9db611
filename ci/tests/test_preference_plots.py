"""The figures of preference tuning show what they are given."""

from __future__ import annotations

import math

import pytest

from utils.preference_plots import dpo_loss, loss_by_margin, margins_by_step, reward_curves, right_draws

LOG = [
    {
        "step": step,
        "rewards/chosen": 0.1 * step,
        "rewards/rejected": -0.2 * step,
        "rewards/margins": 0.3 * step,
        "rewards/accuracies": 0.5,
    }
    for step in (1, 2, 3)
]


def test_the_loss_of_a_pair() -> None:
    assert dpo_loss(0) == pytest.approx(math.log(2))
    assert dpo_loss(2) == pytest.approx(-math.log(1 / (1 + math.exp(-2))))
    assert dpo_loss(-1000) == pytest.approx(1000)
    assert 0 <= dpo_loss(1000) < 1e-9


def test_a_curve_for_each_beta() -> None:
    axes = loss_by_margin([0.1, 0.5]).axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata()) > 1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["beta = 0.1", "beta = 0.5"]
    for beta, line in zip((0.1, 0.5), curves, strict=True):
        margins = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
        assert margins[10.0] == pytest.approx(dpo_loss(10 * beta))


def test_questions_by_right_draws() -> None:
    axes = right_draws([0, 0, 2, 3], 3).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [2, 0, 1, 1]
    assert axes.get_title(loc="left") == "1 of 4 questions have right and wrong samples"


def test_rewards_by_step() -> None:
    figure = reward_curves([*LOG, {"step": 3, "train_loss": 0.6}])
    left, middle, right = figure.axes
    assert list(left.lines[1].get_ydata()) == pytest.approx([-0.2, -0.4, -0.6])
    assert list(middle.lines[0].get_ydata()) == pytest.approx([0.3, 0.6, 0.9])
    assert list(right.lines[0].get_ydata()) == [0.5, 0.5, 0.5]
    assert figure.get_suptitle() == "Margin, from first to second half: mean 0.3 → 0.75"


def test_margins_are_in_nats() -> None:
    axes = margins_by_step({"DPO": (LOG, 0.1), "IPO": (LOG[:2], 1.0)}).axes[0]
    assert list(axes.lines[0].get_ydata()) == pytest.approx([3, 6, 9])
    assert list(axes.lines[1].get_ydata()) == pytest.approx([0.3, 0.6])
    assert axes.get_title(loc="left") == "Mean margin of the first 2 steps: DPO 4.5, IPO 0.45 nats"
