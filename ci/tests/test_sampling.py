"""Samples follow the model's probabilities, and are the same again with the same seed."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ci.checks.tiny_model import make_tiny_model
from utils.constraints import SchemaConstraint
from utils.errors import CourseError
from utils.generation import generate_answers
from utils.models import load_model, load_tokenizer
from utils.sampling import BEHIND, Sampler, sample_answers
from utils.schema import Column, Schema, Table

torch.set_num_threads(1)
PROMPTS = [[{"role": "system", "content": "a b c d e f"}, {"role": "user", "content": text}] for text in "xyz"]
LOGITS = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
DRAWS = 4000


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A tiny model and its tokenizer."""
    folder = str(make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", hidden_size=32))
    return load_model(folder), load_tokenizer(folder)


def frequencies(sampler: Sampler) -> list[float]:
    """How often each of the four tokens is drawn."""
    drawn = sampler(LOGITS.expand(DRAWS, 4)).argmax(-1)
    return (torch.bincount(drawn, minlength=4) / DRAWS).tolist()


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    assert frequencies(Sampler(1.0, 1.0, seed=1)) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)


def test_a_low_temperature_sharpens() -> None:
    sharpened = torch.softmax(LOGITS / 0.5, 0).tolist()
    assert frequencies(Sampler(0.5, 1.0, seed=1)) == pytest.approx(sharpened, abs=0.03)


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    assert frequencies(Sampler(1.0, 0.75, seed=1)) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert frequencies(Sampler(1.0, 0.01, seed=1)) == [1, 0, 0, 0]


def test_outside_the_nucleus_the_order_is_random_too() -> None:
    noisy = Sampler(1.0, 0.01, seed=1)(LOGITS.expand(DRAWS, 4))
    assert torch.isfinite(noisy).all()
    assert (noisy[:, 1:] < -BEHIND / 2).all()
    second = torch.bincount(noisy[:, 1:].argmax(-1), minlength=3) / DRAWS
    assert second.tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_samples_come_by_prompt_and_differ(loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase]) -> None:
    model, tokenizer = loaded
    found = sample_answers(model, tokenizer, PROMPTS, 4, max_new_tokens=8, seed=3)
    assert [len(answers) for answers in found] == [4, 4, 4]
    assert len({answer for answers in found for answer in answers}) > 6
    assert found == sample_answers(model, tokenizer, PROMPTS, 4, max_new_tokens=8, seed=3)
    assert found != sample_answers(model, tokenizer, PROMPTS, 4, max_new_tokens=8, seed=4)


@pytest.mark.parametrize("full_attention", [True, False])
def test_hardly_any_temperature_is_greedy(
    loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase], monkeypatch: pytest.MonkeyPatch, full_attention: bool
) -> None:
    model, tokenizer = loaded
    monkeypatch.setattr("utils.attention.has_full_attention", lambda _: full_attention)
    greedy = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=8)
    found = sample_answers(model, tokenizer, PROMPTS, 2, temperature=1e-6, max_new_tokens=8)
    assert found == [[answer, answer] for answer in greedy]


def test_a_constraint_holds(loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase]) -> None:
    model, tokenizer = loaded
    rule = SchemaConstraint(Schema((Table("dish", (Column("name", "TEXT"),)),), {}))
    bound = sample_answers(model, tokenizer, PROMPTS, 3, max_new_tokens=12, constraints=[rule] * 3)
    free = sample_answers(model, tokenizer, PROMPTS, 3, max_new_tokens=12)
    assert all(rule.can_continue(answer) for answers in bound for answer in answers)
    assert not any(rule.can_continue(answer) for answers in free for answer in answers)


@pytest.mark.parametrize(("temperature", "top_p"), [(0, 1), (-1, 1), (1, 0), (1, 1.1), (float("nan"), 1)])
def test_impossible_settings_are_refused(temperature: float, top_p: float) -> None:
    with pytest.raises(CourseError, match="temperature"):
        Sampler(temperature, top_p, seed=1)
