"""How well a model predicts plain text, for data that has no answers to mark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from utils.evaluation import Interval

if TYPE_CHECKING:
    import numpy
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RESAMPLES = 2_000
TextLoss = tuple[float, int]
"""Negative log-likelihood of a text, summed over its tokens, in nats, and their number."""


def text_losses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    max_length: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[TextLoss]:
    """The loss of each text, of which at most `max_length` tokens count; the first token has nothing to predict it."""
    import torch

    model.eval()
    losses = []
    for number, text in enumerate(texts, start=1):
        ids = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt").input_ids.to(model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
        losses.append((loss.item(), ids.shape[1] - 1))
        if on_progress:
            on_progress(number, len(texts))
    return losses


def compare_perplexity(base: Sequence[TextLoss], tuned: Sequence[TextLoss], seed: int = 0) -> dict[str, object]:
    """Perplexity before and after, and its paired change, each with a 95% bootstrap interval over the texts."""
    import numpy

    drawn = numpy.random.default_rng(seed).integers(0, len(base), (RESAMPLES, len(base)))
    resampled = [_perplexity(numpy.asarray(losses, dtype=float)[drawn]) for losses in (base, tuned)]
    values = [float(_perplexity(numpy.asarray(losses, dtype=float))) for losses in (base, tuned)]

    def interval(value: float, samples: numpy.ndarray) -> dict[str, float]:
        low, high = numpy.percentile(samples, [2.5, 97.5])
        return asdict(Interval(value, float(low), float(high)))

    return {
        "metric": "perplexity",
        "base": interval(values[0], resampled[0]),
        "tuned": interval(values[1], resampled[1]),
        "gain": interval(values[1] - values[0], resampled[1] - resampled[0]),
    }


def _perplexity(losses: numpy.ndarray) -> numpy.ndarray:
    """From losses and token counts of shape (…, texts, 2) to perplexities of shape (…)."""
    import numpy

    totals = losses.sum(axis=-2)
    return numpy.exp(totals[..., 0] / totals[..., 1])
