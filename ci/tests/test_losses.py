"""A broken or runaway loss is told from a noisy one, and the batch that broke it can be read."""

from __future__ import annotations

import random

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from utils.losses import IGNORED, RisingLoss, batch_rows
from utils.training import SharedPrefixCollator

torch.set_num_threads(1)


def fires_at(losses: list[float]) -> int | None:
    """The step, from 1, at which the rule fires."""
    watch = RisingLoss()
    return next((step for step, loss in enumerate(losses, start=1) if watch.add(loss)), None)


def noisy(level: float, noise: float, generator: random.Random) -> float:
    """A loss whose logarithm has this standard deviation."""
    return level * generator.lognormvariate(-(noise**2) / 2, noise)


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
def test_normal_run_is_left_alone(noise: float) -> None:
    for seed in range(200):
        generator = random.Random(seed)
        falling = [noisy(0.2 + 1.8 * 0.97**step, noise, generator) for step in range(300)]
        assert fires_at(falling) is None, seed


@pytest.mark.parametrize("noise", [0.2, 0.5, 1.0])
def test_noise_alone_does_not_fire(noise: float) -> None:
    fired = 0
    for seed in range(200):
        generator = random.Random(seed)
        fired += fires_at([noisy(1.0, noise, generator) for _ in range(300)]) is not None
    assert fired <= 3


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_runaway_loss_fires_soon(noise: float) -> None:
    for seed in range(200):
        generator = random.Random(seed)
        # As a rate far too high does after warm-up: up within ten steps, and it stays there.
        level = [1.7] * 5 + [1.7 + 0.5 * step for step in range(10)] + [6.7] * 60
        assert fires_at([noisy(value, noise, generator) for value in level]) is not None, seed


def test_loss_that_does_not_vary() -> None:
    assert fires_at([1.0] * 100) is None
    assert fires_at([1.0] * 6 + [1.4] * 50) is None
    assert fires_at([1.0] * 6 + [2.0] * 50) == 18


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word."""
    tokens = Tokenizer(WordLevel({f"w{number}": number for number in range(64)}, unk_token="w0"))
    tokens.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="w1", pad_token="w0")


def examples() -> list[dict[str, list[int]]]:
    """Three examples, two of which begin alike."""
    made = [([5, 6, 7, 8, 9, 10], [20, 1]), ([5, 6, 7, 8, 9, 11, 12], [21, 22, 1]), ([30, 31], [23, 1])]
    return [{"input_ids": p + a, "labels": [IGNORED] * len(p) + a} for p, a in made]


def test_batch_of_shared_starts_is_read_back(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = batch_rows(SharedPrefixCollator()(examples()), tokenizer)
    assert sorted(rows, key=lambda row: row["input_ids"]) == [
        {"read": "w5 w6 w7 w8 w9 w10", "trained": "w20 w1"} | examples()[0],
        {"read": "w5 w6 w7 w8 w9 w11 w12", "trained": "w21 w22 w1"} | examples()[1],
        {"read": "w30 w31", "trained": "w23 w1"} | examples()[2],
    ]


def test_padded_batch_is_read_back(tokenizer: PreTrainedTokenizerFast) -> None:
    longest = max(len(example["input_ids"]) for example in examples())
    batch = {
        "input_ids": torch.tensor([e["input_ids"] + [0] * (longest - len(e["input_ids"])) for e in examples()]),
        "labels": torch.tensor([e["labels"] + [IGNORED] * (longest - len(e["labels"])) for e in examples()]),
        "attention_mask": torch.tensor(
            [[1] * len(e["labels"]) + [0] * (longest - len(e["labels"])) for e in examples()]
        ),
    }
    rows = batch_rows(batch, tokenizer)
    assert [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in rows] == examples()
    assert rows[1]["read"] == "w5 w6 w7 w8 w9 w11 w12"
