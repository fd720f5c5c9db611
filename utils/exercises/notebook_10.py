"""Checks of the exercises of notebook 10."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right

if TYPE_CHECKING:
    from utils.preferences import Pair

CLOSE = 0.01
ASKED = ((0.1, 0.1), (0.1, 0.3), (0.5, 0.2), (1.0, 0.05))  # beta, error


@exercise("10.1", float)
def margin_of_half_the_loss(answer: float, beta: float) -> Verdict:
    """The margin at which the loss of a pair is half of log 2."""
    wanted = math.log(1 / (math.sqrt(2) - 1)) / beta
    if math.isclose(answer, wanted, rel_tol=CLOSE):
        return right(f"About {wanted:.1f} nats: the chosen answer has gained so much on the rejected one.")
    if math.isclose(answer * beta, wanted * beta * beta, rel_tol=CLOSE):
        return not_yet("that is beta times the margin. Which margin is it then?")
    return not_yet("put your margin into −log σ(beta · margin): it should give half of log 2.")


@exercise("10.2", float)
def rule_of_lengths(answer: float, pairs: Sequence[Pair]) -> Verdict:
    """The share of pairs that a preference for the shorter query puts in the right order."""
    lengths = [(len(pair.chosen), len(pair.rejected)) for pair in pairs]
    wanted = sum((chosen < rejected) + (chosen == rejected) / 2 for chosen, rejected in lengths) / len(lengths)
    if math.isclose(answer, wanted, abs_tol=CLOSE / 10):
        return right(f"Length alone puts {wanted:.0%} of the pairs in order, a coin half of them.")
    if math.isclose(answer, 1 - wanted, abs_tol=CLOSE / 10):
        return not_yet("that is what the opposite rule gets right.")
    if math.isclose(answer, 100 * wanted, rel_tol=CLOSE):
        return not_yet("give a share between 0 and 1, not percent.")
    return not_yet("count 1 where the chosen query has fewer characters, a half where both have as many, and divide.")


@exercise("10.3", Callable)
def best_margin(answer: Callable[[float, float], float]) -> Verdict:
    """A function that finds the margin with the lowest expected loss, when a share of the labels is wrong."""
    for beta, error in ASKED:
        wanted = math.log((1 - error) / error) / beta
        found = answer(beta, error)
        if not math.isclose(found, wanted, abs_tol=CLOSE):
            return not_yet(
                f"for beta = {beta:g} and error = {error:g} your function gives {found}. Is the loss higher a "
                "hundredth of a nat to the left of it, and to the right?"
            )
    return right("It is log((1 − error) / error) / beta: with doubtful labels, a margin has an end.")
