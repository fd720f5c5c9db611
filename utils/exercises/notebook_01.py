"""Checks of the exercises of notebook 01: tokens of another language, the price of examples, and memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.costs import ADAM_BYTES, FLOAT_BYTES, HALF_BYTES
from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right
from utils.prompts import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ENGLISH, GERMAN = "How many owners have more than two dogs?", "Wie viele Besitzer haben mehr als zwei Hunde?"
TRIED = ((1e9, 1e9), (1e9, 1e7), (7e9, 4e7))  # weights, and those of them that are trained


@exercise("01.1", float)
def tokens_of_german(answer: float, *, tokenizer: PreTrainedTokenizerBase) -> Verdict:
    """How many times as many tokens a German sentence takes as the English one."""
    english, german = len(tokenizer.tokenize(ENGLISH)), len(tokenizer.tokenize(GERMAN))
    if math.isclose(answer, german / english, rel_tol=0.02):
        return right(f"The same question, in as many words: {english} tokens in English, {german} in German.")
    if math.isclose(answer, english / german, rel_tol=0.02):
        return not_yet("turn it round: the tokens of the German sentence for each of the English one.")
    return not_yet("count the pieces that `tokenizer.tokenize` makes of each sentence, and divide.")


@exercise("01.2", float)
def price_of_examples(
    answer: float,
    *,
    tokenizer: PreTrainedTokenizerBase,
    zero_shot: Sequence[Sequence[Message]],
    few_shot: Sequence[Sequence[Message]],
) -> Verdict:
    """How many times as long the few-shot prompts are as the zero-shot ones, in tokens."""

    def tokens(prompts: Sequence[Sequence[Message]]) -> int:
        opened = [
            tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True) for prompt in prompts
        ]
        return sum(len(ids["input_ids"]) for ids in opened)

    if math.isclose(answer, tokens(few_shot) / tokens(zero_shot), rel_tol=0.02):
        return right("Every question pays that price again, in reading time and in memory. Training pays it once.")
    return not_yet("add up the tokens of all few-shot prompts, and divide by those of all zero-shot ones.")


@exercise("01.3", Callable)
def gigabytes(answer: Callable[[float, float], float]) -> Verdict:
    """A function (weights, trained weights) -> GB of weights, gradients and the moments of the optimizer."""
    for parameters, trained in TRIED:
        found = answer(parameters, trained)
        frozen = HALF_BYTES * (parameters - trained)
        wanted = (frozen + trained * (FLOAT_BYTES + FLOAT_BYTES + ADAM_BYTES)) / 1e9
        if not math.isclose(found, wanted, rel_tol=0.01):
            case = f"{parameters / 1e9:g} billion weights, {trained / 1e9:g} billion of them trained"
            return not_yet(f"for {case}, the function gives {found:g}. Count the bytes of a weight of either kind.")
    return right("What is trained costs eight times as much as what is only read. LoRA lives on that.")
