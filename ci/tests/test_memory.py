"""The estimate of training memory before a model is loaded orders the methods rightly and adds up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM
from trl.kernels.chunked_logprob import TOKEN_CHUNK_SIZE
from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE

from utils.costs import METHODS, TILE_TOKENS, TILE_WORDS, Shape, activation_bytes, planned_memory, training_memory

torch.set_num_threads(1)
SMALL = Shape(30, 576, 576, 192, 1536, 49_152)
LARGE = Shape(36, 4096, 4096, 1024, 12_288, 151_936, tied=False)


def llama(**settings: object) -> LlamaForCausalLM:
    """A tiny Llama."""
    sizes = {"vocab_size": 61, "hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 3}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2, **settings))


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "with a head of its own"])
def test_weights_are_counted_from_the_shape(tied: bool) -> None:
    model = llama(tie_word_embeddings=tied)
    shape = Shape.of(model.config)
    assert shape.tied == tied
    assert shape.parameters == model.num_parameters()
    adapted = get_peft_model(model, LoraConfig(r=3, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert shape.adapter_weights(3) == adapted.get_nb_trainable_parameters()[0]


def test_full_fine_tuning_takes_eighteen_bytes_a_weight() -> None:
    memory = planned_memory(SMALL, "full", tokens=0)
    assert memory.weights == pytest.approx((4 + 2) * SMALL.parameters / 1e9)  # with the 16-bit copy
    assert memory.gradients + memory.optimizer == pytest.approx(12 * SMALL.parameters / 1e9)
    assert memory.activations == memory.logits == 0


def test_it_agrees_with_the_estimate_for_a_loaded_model() -> None:
    planned = planned_memory(SMALL, "full", tokens=4096)
    assert planned == training_memory(SMALL.parameters, SMALL.parameters, SMALL, tokens=4096, head_tokens=1024)


def test_parts_add_up() -> None:
    memory = planned_memory(SMALL, "lora", tokens=1024)
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations, memory.logits)
    assert memory.total == pytest.approx(sum(parts))
    assert min(parts) > 0


def test_lighter_methods_take_less() -> None:
    full, lora, qlora = (planned_memory(LARGE, method, tokens=1024, on_gpu=True).total for method in METHODS)
    assert full > 100 > lora > qlora > 3
    # Word vectors and head are not quantized: a model with many words gains less than the matrices alone would.
    weights = planned_memory(LARGE, "qlora", tokens=0).weights
    assert weights > 2 * 2 * LARGE.vocabulary * LARGE.hidden_size / 1e9 + LARGE.linear_weights / 2e9


def test_activations_grow_with_tokens_and_shape_alone() -> None:
    small = planned_memory(SMALL, "full", tokens=512)
    assert planned_memory(SMALL, "full", tokens=1024).activations == pytest.approx(2 * small.activations)
    more_words = replace(SMALL, vocabulary=200_000)
    assert planned_memory(more_words, "qlora", tokens=512).activations == small.activations


def test_activation_checkpointing_keeps_an_input_a_layer_and_one_layer() -> None:
    kept = activation_bytes(SMALL, recomputed=True)
    one_layer = activation_bytes(replace(SMALL, layers=1))
    assert kept == one_layer + 30 * 576 * 4
    assert activation_bytes(SMALL) == 30 * one_layer > 8 * kept


def test_scores_of_the_vocabulary_are_bounded_by_a_tile_on_a_gpu() -> None:
    assert (TILE_TOKENS, TILE_WORDS) == (TOKEN_CHUNK_SIZE, _CHUNKED_LOGPROB_CHUNK_SIZE)
    many, more = (planned_memory(LARGE, "lora", tokens=tokens, on_gpu=True).logits for tokens in (1e5, 1e6))
    assert many == more < 0.5
    assert planned_memory(LARGE, "lora", tokens=1e5).logits > 10 * many


def test_unknown_method() -> None:
    with pytest.raises(ValueError, match="none of full, lora, qlora"):
        planned_memory(SMALL, "prefix", tokens=1)
