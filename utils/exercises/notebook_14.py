"""Checks of the exercises of notebook 14: how a step is shared, the smallest cluster that fits, and a ring by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

from utils.costs import Shape
from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right
from utils.scaling import Cluster, step_memory

MOST = 1024  # accelerators
# What each process holds at the start.
RINGS = ([[1.0, 2.0], [10.0, 20.0]], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]], [[0.5]], [[1.0] * 4] * 4)


@exercise("14.1", list)
def sharing(answer: list, *, batch: int, accumulation: int) -> Verdict:
    """The numbers of processes that can share a step of so many examples evenly."""
    examples = batch * accumulation
    wanted = [count for count in range(1, examples + 1) if examples % count == 0]
    given = sorted(set(answer))
    if given == wanted:
        return right("These are the divisors. A cluster that may shrink wants a step with many of them.")
    if set(given) - set(wanted):
        return not_yet("one of your numbers leaves a remainder.")
    return not_yet("there are more. A process must have at least one example, and all equally many.")


@exercise("14.2", int)
def smallest(answer: int, *, shape: Shape, cluster: Cluster, tokens: float) -> Verdict:
    """The smallest power of two of accelerators whose memory is enough for a step in ZeRO-3."""
    room = cluster.accelerator.memory_gb
    counts = [2**power for power in range(int(math.log2(MOST)) + 1)]
    wanted = next((count for count in counts if step_memory(shape, 3, count, tokens) <= room), None)
    if answer == wanted:
        return right("It fits, by the model. Leave a tenth free for what a library keeps in reserve.")
    if answer not in counts:
        return not_yet("take powers of two: 1, 2, 4, 8 …")
    if wanted is None or answer < wanted:
        return not_yet("each of so many would need more than it has. What does `step_memory` say?")
    return not_yet("it fits, but half as many would be enough.")


@exercise("14.3", Callable)
def ring(answer: Callable[[list[list[float]]], list[list[float]]]) -> Verdict:
    """A function (what each process holds) -> what each holds after an all-reduce: the sums, everywhere."""
    for held in RINGS:
        sums = [sum(column) for column in zip(*held, strict=True)]
        found = answer([list(row) for row in held])
        if found is None:
            return not_yet("it gives nothing back: end with `return held`.")
        if [list(row) for row in found] != [sums] * len(held):
            return not_yet(f"from {held} it makes {found}, where each process should hold {sums}.")
    return right("In a ring each process sends 2 (N - 1) blocks of an Nth, whatever N is: hence the formula.")
