"""Checks of the exercises of notebook 04: weights by rank, the directions that are used, and two learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right

if TYPE_CHECKING:
    import torch

    from utils.candidates import Candidate

RANK = 8
STEPS = 3
# The singular values of a product, and how many of them hold 90% of the sum of their squares.
STRENGTHS = {(10.0, 1.0, 1.0): 1, (3.0, 2.0, 1.0, 1.0): 3, (1.0, 1.0, 1.0, 1.0): 4}


@exercise("04.1", int)
def weights_of_a_rank(answer: int, *, results: Mapping[str, Candidate]) -> Verdict:
    """How many weights an adapter of rank 8 trains, from adapters of other ranks."""
    adapters = [candidate for candidate in results.values() if candidate.rank]
    low, high = (choose(adapters, key=lambda adapter: adapter.rank) for choose in (min, max))
    each = low.trainable / low.rank
    if high.rank > low.rank:  # what does not grow with the rank, as in DoRA, drops out of the difference
        each = (high.trainable - low.trainable) / (high.rank - low.rank)
    if answer == round(low.trainable + (RANK - low.rank) * each):
        return right("Each direction costs the same, so the weights grow with the rank.")
    return not_yet(f"A has {RANK} rows and B has {RANK} columns. What would be with twice the rank?")


@exercise("04.2", Callable)
def directions(answer: Callable[[torch.Tensor, torch.Tensor], int]) -> Verdict:
    """A function that counts the directions which hold 90% of what an adapter adds."""
    for strengths, wanted in STRENGTHS.items():
        found = answer(*adapter_of(strengths))
        if found != wanted:
            named = ", ".join(f"{strength:g}" for strength in strengths)
            return not_yet(
                f"for a product with the singular values {named} your function gives {found}. How many of their "
                "squares, the largest first, make up 90% of the sum?"
            )
    return right("A rank is an upper limit; what training has used of it can be less.")


@exercise("04.3", dict)
def two_rates(answer: Mapping[float, Sequence[float]], *, rates: Sequence[float]) -> Verdict:
    """The loss before each step of an example, for two learning rates."""
    if len(answer) != 2 or not all(len(losses) == STEPS for losses in answer.values()):
        return not_yet(f"the dictionary should have two rates, and a list of {STEPS} losses for each.")
    if set(answer) != set(rates):
        return not_yet(f"the rates should be {rates[0]:g} and {rates[1]:g}, those of the notebook.")
    slow, fast = (answer[rate] for rate in sorted(answer))
    if not all(math.isfinite(loss) for loss in [*slow, *fast]):
        return not_yet("a loss is not a number. Are the gradients reset after each step?")
    if not math.isclose(slow[0], fast[0], rel_tol=1e-3):
        return not_yet("before the first step B is zero, so the first losses should be equal. Is each adapter new?")
    if slow[-1] >= slow[0] or fast[-1] >= fast[0]:
        return not_yet("a loss did not fall. Is there a step after each `backward`, and are the gradients reset?")
    if math.isclose(slow[1], fast[1], rel_tol=1e-6):
        return not_yet("the second losses are equal. Does the optimizer get the rate?")
    return right(
        f"Both start at {slow[0]:.2f}; before the last step the higher rate is at {fast[-1]:.2f}, the lower one at "
        f"{slow[-1]:.2f}."
    )


def adapter_of(strengths: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """A, of shape (rank, 24), and B, (16, rank), with these singular values of B · A."""
    import torch

    generator = torch.Generator().manual_seed(0)
    rank = len(strengths)
    inputs, outputs = (torch.linalg.qr(torch.randn(size, rank, generator=generator)).Q for size in (24, 16))
    return inputs.T, outputs * torch.tensor(strengths)
