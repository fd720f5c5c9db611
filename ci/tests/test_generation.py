"""Answers with a shared start are those that greedy decoding of one prompt after another gives."""

from __future__ import annotations

import random

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from utils.generation import _batches, _worthwhile_groups, generate_answers, render

torch.set_num_threads(1)
VOCABULARY = 64
NEW_TOKENS = 8
Prompt = list[dict[str, str]]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    words = {"<pad>": 0, "<eos>": 1, "<end>": 2} | {f"w{number}": number for number in range(3, VOCABULARY)}
    tokens = Tokenizer(WordLevel(words, unk_token="<end>"))
    tokens.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="<eos>", pad_token="<pad>")
    made.chat_template = "{% for message in messages %}{{ message['content'] + ' <end> ' }}{% endfor %}"
    return made


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    """A Llama whose answers depend on all that it reads."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def words(generator: random.Random, count: int) -> str:
    """So many words."""
    return " ".join(f"w{generator.randrange(3, VOCABULARY)}" for _ in range(count))


def make_prompts(*groups: int, seed: int = 1) -> list[Prompt]:
    """Groups of prompts of different lengths with the same schema, shuffled."""
    generator = random.Random(seed)
    prompts = []
    for size in groups:
        system = {"role": "system", "content": words(generator, 14)}
        prompts += [[system, {"role": "user", "content": words(generator, 1 + n % 5)}] for n in range(size)]
    generator.shuffle(prompts)
    return prompts


def one_by_one(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: list[Prompt]) -> list[str]:
    """Greedy decoding, written plainly: no cache, no padding."""
    answers = []
    for prompt in prompts:
        ids = render(tokenizer, prompt)
        start = len(ids)
        while len(ids) < start + NEW_TOKENS:
            with torch.no_grad():
                ids = [*ids, int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())]
            if ids[-1] == tokenizer.eos_token_id:
                break
        answers.append(tokenizer.decode(ids[start:], skip_special_tokens=True))
    return answers


@pytest.mark.parametrize("batch_size", [2, 24])
@pytest.mark.parametrize("groups", [(5, 1, 3), (5, 4, 6, 2), (1,), (1, 1), (7,)], ids=str)
def test_answers_are_those_of_one_prompt_at_a_time(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, groups: tuple[int, ...], batch_size: int
) -> None:
    prompts = make_prompts(*groups)
    wanted = one_by_one(model, tokenizer, prompts)
    assert len(set(wanted)) == len(prompts)
    found = generate_answers(model, tokenizer, prompts, max_new_tokens=NEW_TOKENS, batch_size=batch_size)
    assert found == wanted


def test_same_prompt_twice(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    prompts = make_prompts(2) * 2
    found = generate_answers(model, tokenizer, prompts, max_new_tokens=NEW_TOKENS)
    assert found == one_by_one(model, tokenizer, prompts)


def test_answer_ends_before_the_end_token(tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM) -> None:
    prompts = make_prompts(4)
    usual = [answer.split() for answer in one_by_one(model, tokenizer, prompts)]
    end = usual[0][2]
    model.generation_config.eos_token_id = [1, tokenizer.convert_tokens_to_ids(end)]
    try:
        found = generate_answers(model, tokenizer, prompts, max_new_tokens=NEW_TOKENS)
    finally:
        model.generation_config.eos_token_id = 1
    wanted = [" ".join(answer[: answer.index(end)] if end in answer else answer) for answer in usual]
    assert found == wanted
    assert len({len(answer.split()) for answer in wanted}) > 1


def test_other_kinds_of_attention_are_answered_too(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = make_prompts(3, 2)
    monkeypatch.setattr("utils.attention.has_full_attention", lambda _: False)
    found = generate_answers(model, tokenizer, prompts, max_new_tokens=NEW_TOKENS, batch_size=2)
    assert found == one_by_one(model, tokenizer, prompts)


class OddWords:
    """Allows words with odd numbers only, and an end after three of them."""

    def can_continue(self, text: str) -> bool:
        return all(word[0] == "w" and int(word[1:]) % 2 for word in text.split())

    def can_end(self, text: str) -> bool:
        return len(text.split()) >= 3


def test_constraints_hold_for_every_kind_of_attention(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = make_prompts(5, 4, 1)
    sizes = {"max_new_tokens": NEW_TOKENS, "batch_size": 6, "constraints": [OddWords()] * len(prompts)}
    together = generate_answers(model, tokenizer, prompts, **sizes)
    monkeypatch.setattr("utils.attention.has_full_attention", lambda _: False)
    assert generate_answers(model, tokenizer, prompts, **sizes) == together
    assert len(set(together)) > 5
    assert all(3 <= len(answer.split()) <= NEW_TOKENS and OddWords().can_continue(answer) for answer in together)


def test_progress_is_told(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    told: list[tuple[int, int]] = []
    generate_answers(
        model,
        tokenizer,
        make_prompts(5, 2),
        max_new_tokens=1,
        batch_size=3,
        on_progress=lambda done, total: told.append((done, total)),
    )
    done = [number for number, _ in told]
    assert len(done) == 3
    assert done == sorted(done)
    assert told[-1] == (7, 7)


def test_no_prompts(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    assert generate_answers(model, tokenizer, []) == []


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_weights_stay_as_they_were(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, training: bool
) -> None:
    model.train(training)
    try:
        generate_answers(model, tokenizer, make_prompts(1), max_new_tokens=1)
        assert model.training is training
        assert all(weight.requires_grad for weight in model.parameters())
    finally:
        model.eval()


def test_copies_stay_in_one_batch_with_others_of_their_start(tokenizer: PreTrainedTokenizerFast) -> None:
    prompts = make_prompts(3, 4)
    sequences = [render(tokenizer, prompt) for prompt in prompts for _ in range(5)]
    groups, rest = _worthwhile_groups(sequences)
    assert sorted(len(group) for group in groups) == [15, 20]
    assert sorted(index for group in groups for index in group) == list(range(35))
    assert rest == []


def test_groups_fill_batches_together_and_keep_their_starts(tokenizer: PreTrainedTokenizerFast) -> None:
    sequences = [render(tokenizer, prompt) for prompt in make_prompts(5, 6, 1, 4)]
    batches = list(_batches(sequences, 8))
    assert [sum(len(part.indices) for part in parts) for parts in batches] == [8, 7, 1]
    assert sorted(index for parts in batches for part in parts for index in part.indices) == list(range(16))
    for part in (part for parts in batches[:2] for part in parts):
        assert len(part.start) >= 15, "the schema's words and the end of its message"
        assert all(tuple(sequences[i][: len(part.start)]) == part.start for i in part.indices)
    assert len({part.start for parts in batches[:2] for part in parts}) == 3
