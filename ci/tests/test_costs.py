"""The estimates of time and memory are what the sources say, and what PyTorch really keeps."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from utils.costs import (
    Shape,
    Weights,
    activation_bytes,
    full,
    training_flops,
    training_memory,
    weights_of,
)

torch.set_num_threads(1)
# Widths of which none is a number of tokens, so that a tensor's shape tells what it is.
CONFIG = LlamaConfig(
    vocab_size=61,
    hidden_size=32,
    intermediate_size=80,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)
LAYER = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 80
HEAD = 61 * 32
EXAMPLES, LENGTH = 3, 13


def tiny_model() -> LlamaForCausalLM:
    """A Llama of four layers."""
    return LlamaForCausalLM(CONFIG)


def test_full_training_costs_six_operations_a_weight_and_token() -> None:
    assert training_flops(full(135e6), 1000) == 6 * 135e6 * 1000


def test_freezing_saves_what_is_not_computed() -> None:
    assert training_flops(Weights(100, 40, 40), 7) == (2 * 100 + 4 * 40) * 7
    # The gradient of an adapter in the first layer has to pass all others.
    assert training_flops(Weights(101, 101, 1), 7) == (4 * 100 + 6) * 7
    assert training_flops(Weights(100, 100, 100), 7) == training_flops(full(100), 7)


def test_weights_of_a_model_that_is_trained_in_full() -> None:
    body, head = weights_of(tiny_model())
    assert body == full(4 * LAYER)
    assert head == full(HEAD)


def test_frozen_word_vectors_leave_the_first_product_nothing_to_pass() -> None:
    model = tiny_model()
    model.get_input_embeddings().requires_grad_(False)
    body, head = weights_of(model)
    assert (body.used, body.trained) == (4 * LAYER, 4 * LAYER)
    assert body.passed == 4 * LAYER - 32 * 32  # the first product is that of the queries
    assert (head.used, head.passed, head.trained) == (HEAD, HEAD, 0)


def test_no_gradient_below_the_lowest_trained_layer() -> None:
    model = tiny_model()
    model.requires_grad_(False)
    for layer in model.model.layers[2:]:
        layer.requires_grad_(True)
    body, head = weights_of(model)
    assert (body.used, body.trained) == (4 * LAYER, 2 * LAYER)
    assert body.passed == 2 * LAYER - 32 * 32
    assert (head.passed, head.trained) == (HEAD, 0)


def test_adapter_beside_frozen_weights() -> None:
    model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"]))
    body, _ = weights_of(model)
    adapter = 4 * (2 * 32 + 32 * 2)
    assert (body.used, body.trained) == (4 * LAYER + adapter, adapter)
    assert 0.9 * body.used < body.passed < body.used


def test_shape_is_read_from_the_configuration() -> None:
    assert Shape.of(CONFIG) == Shape(4, 32, 32, 16, 80, 61)


def kept_for_the_backward_pass(mixed: bool) -> int:
    """Bytes that a forward pass of the layers keeps, weights and their copies left out."""
    model = tiny_model()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_floating_point() and {EXAMPLES * LENGTH, LENGTH} & set(tensor.shape):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.zeros(EXAMPLES, LENGTH, dtype=torch.long)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        output = model.model(input_ids=ids, use_cache=False)
    assert output.last_hidden_state.requires_grad  # what was kept is alive until here
    return sum(kept.values())


@pytest.mark.parametrize("mixed", [False, True], ids=["float32", "mixed"])
def test_activations_are_those_that_pytorch_keeps(mixed: bool) -> None:
    estimated = activation_bytes(Shape.of(CONFIG), mixed=mixed) * EXAMPLES * LENGTH
    assert estimated == pytest.approx(kept_for_the_backward_pass(mixed), rel=0.15)


def test_memory_of_full_fine_tuning() -> None:
    shape = Shape.of(CONFIG)
    memory = training_memory(2e9, 1e9, shape, tokens=0, head_tokens=0, mixed=False)
    assert (memory.weights, memory.gradients, memory.optimizer) == (8, 4, 8)
    assert memory.total == 20
    mixed = training_memory(2e9, 1e9, shape, tokens=1e6, head_tokens=1e3)
    assert mixed.weights == 12
    assert mixed.activations == pytest.approx(activation_bytes(shape) / 1e3)
    assert mixed.logits == pytest.approx(1e3 * 61 * 16 / 1e9)
    assert mixed.total == pytest.approx(12 + 4 + 8 + mixed.activations + mixed.logits)
