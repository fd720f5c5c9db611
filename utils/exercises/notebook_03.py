"""Checks of the exercises of notebook 03: counting steps, freezing more layers, and the hardest token."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.costs import ADAM_BYTES, FLOAT_BYTES
from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EPOCHS, ACCUMULATED = 2, 4
FROZEN = 20
NEARLY = 0.05  # nats; two losses that are so close count as equal


@exercise("03.1", int)
def steps(answer: int, *, examples: int, batch: int) -> Verdict:
    """The optimizer steps of two epochs with four batches for each step."""
    batches = math.ceil(examples / batch)
    wanted = EPOCHS * math.ceil(batches / ACCUMULATED)
    if answer == wanted:
        return right(
            f"{batches} batches an epoch, {ACCUMULATED} of them a step; the last step of an epoch may have fewer."
        )
    if answer == EPOCHS * batches:
        return not_yet("those are the batches. A step comes only after several of them.")
    if abs(answer - wanted) <= EPOCHS:
        return not_yet("nearly: what is left over at the end of an epoch makes a step of its own.")
    return not_yet("begin with the batches of one epoch, and round up.")


@exercise("03.2", float)
def saved_by_freezing(answer: float, *, network: PreTrainedModel, frozen: int) -> Verdict:
    """GB of gradients and moments that go when the lowest 20 layers are frozen instead of `frozen`."""
    from utils.models import decoder_layers

    layers = decoder_layers(network)[frozen:FROZEN]
    weights = sum(weight.numel() for layer in layers for weight in layer.parameters())
    wanted = weights * (FLOAT_BYTES + ADAM_BYTES) / 1e9
    if math.isclose(answer, wanted, rel_tol=0.02):
        return right("The backward pass ends earlier too, so the activations of these layers need not be kept either.")
    if math.isclose(answer, weights * FLOAT_BYTES / 1e9, rel_tol=0.02):
        return not_yet("that is the gradients alone, or the weights, which stay. The optimizer keeps numbers as well.")
    return not_yet("count the weights of the layers that would be frozen and are not, and what each has beside itself.")


@exercise("03.3", str)
def hardest_token(
    answer: str, *, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, row: Mapping[str, Any]
) -> Verdict:
    """The text of the token of a completion with the highest loss."""
    import torch

    from utils.prompts import IGNORED, tokenize_row

    ids, labels = tokenize_row(tokenizer, dict(row))
    with torch.no_grad():
        scores = network(torch.tensor([ids], device=network.device)).logits[0, :-1].float()
    targets = torch.tensor(labels[1:], device=scores.device)
    losses = torch.nn.functional.cross_entropy(scores, targets, ignore_index=IGNORED, reduction="none").tolist()
    pieces = [tokenizer.decode([token]).strip() for token in ids[1:]]
    if answer.strip() in {piece for piece, loss in zip(pieces, losses, strict=True) if loss >= max(losses) - NEARLY}:
        return right(f"It costs {max(losses):.2f} nats. The loss of an example sits in a few such tokens.")
    if answer.strip() in pieces:
        return not_yet("another token has a higher loss. Mind that the scores for a token stand one place before it.")
    return not_yet("the answer is the text of one token, as `tokenizer.decode` gives it.")
