"""One way to compute the validation loss for every method: each example alone, in float32, on its trained tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def mean_loss(score: Callable[[torch.Tensor], torch.Tensor], examples: list[dict[str, list[int]]]) -> float:
    """Mean negative log-likelihood of all trained tokens, in nats.

    `score` takes ids of shape (1, length) and returns logits of shape (1, length, vocabulary).
    """
    total, count = 0.0, 0
    with torch.inference_mode():
        for example in examples:
            logits = score(torch.tensor([example["input_ids"]]))[0, :-1].float()
            labels = torch.tensor(example["labels"][1:])
            # -100, which marks what is not trained, is what cross_entropy leaves out by itself.
            total += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            count += int((labels >= 0).sum())
    return total / count


def clean_copy(model: PreTrainedModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """The logits of a model without what a trainer did to it: replaced methods, mixed precision, hooks."""
    from transformers import AutoModelForCausalLM  # not at the top: LitGPT's environment has no transformers

    network = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
    network.load_state_dict(model.state_dict())
    network.eval()
    return lambda ids: network(input_ids=ids, use_cache=False).logits
