"""What a child measured while it trained, and the figures that follow. The same for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WARM_UP_STEPS = 3


@dataclass(frozen=True)
class TrainingRun:
    """The optimizer steps of a run, one entry a step.

    `tokens` counts what the examples of a step have when read apart, without padding: it is the same for all methods.
    `flops` counts what was computed: 6 × weights × tokens in the matrix products of the layers, padding among the
    tokens and a shared start once, plus the head for the positions that it scored; a third less or two thirds less
    where weights are frozen (see `utils.costs`). Attention between tokens, norms and the optimizer are left out.
    """

    method: str
    dtype: str
    trainable: int
    seconds: list[float]
    tokens: list[int]
    flops: list[float]
    losses: list[float]
    examples: int
    validation_loss: float
    peak_memory_bytes: int
    memory: list[tuple[int, int, int]] = field(default_factory=list)
    """Now and then: the step, and the bytes that the process held, now and at most so far."""

    @classmethod
    def read(cls, printed: Mapping[str, Any]) -> TrainingRun:
        """What a child printed."""
        return cls(**{name: printed[name] for name in cls.__annotations__ if name in printed})

    @property
    def steady(self) -> slice:
        """The steps that count: the first ones also make kernels for new shapes."""
        return slice(min(WARM_UP_STEPS, len(self.seconds) // 2), None)

    @property
    def tokens_per_second(self) -> float:
        return sum(self.tokens[self.steady]) / sum(self.seconds[self.steady])

    @property
    def examples_per_second(self) -> float:
        """`examples` are those of the whole run."""
        share = len(self.seconds[self.steady]) / len(self.seconds)
        return self.examples * share / sum(self.seconds[self.steady])

    @property
    def flops_per_second(self) -> float:
        return sum(self.flops[self.steady]) / sum(self.seconds[self.steady])


def by_step(batches: Sequence[float], accumulation: int) -> list[float]:
    """Sums over the batches of each optimizer step."""
    return [sum(batches[i : i + accumulation]) for i in range(0, len(batches), accumulation)]
