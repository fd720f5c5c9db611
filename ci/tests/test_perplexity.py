"""Perplexity is that of the tokens, and its change comes with a paired interval."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from ci.checks.tiny_model import make_tiny_model
from utils.models import load_model, load_tokenizer
from utils.perplexity import compare_perplexity, text_losses

torch.set_num_threads(1)


def test_losses_are_those_of_the_model(tmp_path: Path) -> None:
    folder = str(make_tiny_model(tmp_path))
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    seen: list[tuple[int, int]] = []
    found = text_losses(model, tokenizer, ["abcdef", "xy"], 4, lambda *done: seen.append(done))
    ids = torch.tensor([tokenizer("abcd").input_ids])
    assert found[0] == (pytest.approx(3 * model(input_ids=ids, labels=ids).loss.item(), rel=1e-4), 3)
    assert found[1][1] == 1
    assert seen == [(1, 2), (2, 2)]


def test_comparison() -> None:
    base = [(10 * math.log(8) + shift, 10) for shift in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    tuned = [(loss - 10 * math.log(2), count) for loss, count in base]
    row = compare_perplexity(base, tuned)
    assert row["metric"] == "perplexity"
    assert row["base"]["value"] == pytest.approx(8.0)
    assert row["tuned"]["value"] == pytest.approx(4.0)
    assert row["gain"]["value"] == pytest.approx(-4.0)
    assert row["base"]["low"] < 8.0 < row["base"]["high"]
    assert row["gain"]["high"] < 0
