"""The estimate of training memory orders the methods rightly and adds up."""

from __future__ import annotations

import pytest

from utils.memory import estimate_training_memory

SHAPE = {"layers": 30, "hidden_size": 576}


def test_full_fine_tuning_takes_sixteen_bytes_a_parameter() -> None:
    estimate = estimate_training_memory(135e6, "full", **SHAPE, tokens=0)
    assert estimate.total == pytest.approx(16 * 0.135)
    assert estimate.weights == pytest.approx(4 * 0.135)
    assert estimate.activations == 0


def test_parts_add_up() -> None:
    estimate = estimate_training_memory(135e6, "lora", **SHAPE)
    assert estimate.total == pytest.approx(estimate.weights + estimate.training_state + estimate.activations)


def test_lighter_methods_take_less() -> None:
    full, lora, qlora = (
        estimate_training_memory(7e9, method, layers=32, hidden_size=4096).total for method in ("full", "lora", "qlora")
    )
    assert full > 100 > lora > qlora > 3


def test_activations_grow_with_tokens_and_size_alone() -> None:
    small = estimate_training_memory(1e9, "full", **SHAPE, tokens=512)
    assert estimate_training_memory(1e9, "full", **SHAPE, tokens=1024).activations == pytest.approx(
        2 * small.activations
    )
    assert estimate_training_memory(9e9, "qlora", **SHAPE, tokens=512).activations == small.activations


def test_unknown_method() -> None:
    with pytest.raises(ValueError, match="none of full, lora, qlora"):
        estimate_training_memory(1e9, "prefix", **SHAPE)
