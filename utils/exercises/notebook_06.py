"""Checks of the exercises of notebook 06: the size in four bits, what rounding costs, and how sure a model is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BITS, SCALE_BITS, BLOCK = 4, 16, 32
DIGITS_MORE = 3  # float16 has 11 binary digits, bfloat16 has 8


@exercise("06.1", float)
def size_in_four_bits(answer: float, *, weights: int) -> Verdict:
    """The megabytes of so many weights as Q4_0."""

    def megabytes(bits: float) -> float:
        return weights * bits / 8 / 1e6

    if math.isclose(answer, megabytes(BITS + SCALE_BITS / BLOCK), rel_tol=0.02):
        return right("The scales cost an eighth of the bits that the weights themselves take.")
    if math.isclose(answer, megabytes(BITS), rel_tol=0.02):
        return not_yet("that is what the weights take without the scales of their blocks.")
    if answer > megabytes(32):
        return not_yet("that is more than the 32-bit weights have. A byte has 8 bits, and a MB a million bytes.")
    return not_yet("how many bits does a block of 32 weights take, with its scale? And then one weight?")


@exercise("06.2", float)
def rounding_of_two_formats(answer: float) -> Verdict:
    """How many times the rounding error of bfloat16 is that of float16."""
    wanted = 2**DIGITS_MORE
    if math.isclose(answer, wanted, rel_tol=0.1):
        return right("Three binary digits fewer make the steps between numbers eight times as wide.")
    if answer > 0 and math.isclose(1 / answer, wanted, rel_tol=0.1):
        return not_yet("that is the other way round: divide the error of bfloat16 by that of float16.")
    return not_yet("round the same 32-bit weights to each format, and compare them in 32 bits with what they were.")


@exercise("06.3", Callable)
def margin(answer: Callable[[list[int]], float], *, network: PreTrainedModel, prompts: Sequence[list[int]]) -> Verdict:
    """A function that tells by how much the most probable next token is ahead of the second."""
    import torch

    for ids in prompts:
        found = float(answer(ids))
        with torch.inference_mode():
            logits = network(input_ids=torch.tensor([ids], device=network.device)).logits[0, -1].float()
        first, second = logits.softmax(-1).topk(2).values.tolist()
        if math.isclose(found, first - second, abs_tol=0.01):
            continue
        if not 0 <= found <= 1:
            return not_yet(f"it gives {found:.2f}. The difference of two probabilities lies between 0 and 1.")
        if math.isclose(found, first, abs_tol=0.01):
            return not_yet("that is the probability of the first token. How probable is the second?")
        return not_yet(f"after a prompt it gives {found:.2f}. Take the scores at the last place, as probabilities.")
    return right("A small margin is a place where rounding can decide.")
