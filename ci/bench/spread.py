"""Several measurements of the same thing: their median, with the smallest and the largest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum of what several rounds measured."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))

    def text(self, form: str = ".1f") -> str:
        """Such as `3.4 (3.1 to 3.6)`; a single number if all are the same."""
        middle, low, high = (format(value, form) for value in (self.median, self.low, self.high))
        return middle if low == high else f"{middle} ({low} to {high})"


def ratios(upper: Sequence[float], lower: Sequence[float]) -> Spread:
    """Of `upper` to `lower`, round by round: what disturbed a round disturbed both of its measurements."""
    return Spread.of([above / below for above, below in zip(upper, lower, strict=True)])
