"""Ask a model the questions of a split and mark its answers, in the same way before, during and after training."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from utils.constraints import SchemaConstraint
    from utils.formats import Example
    from utils.metrics import Metric


@dataclass(frozen=True)
class Examiner:
    """How answers are asked for and marked; the first of the `metrics` is the one to choose by.

    With a `constraint` the model writes only names that the database has (see `utils.constraints`).
    """

    tokenizer: PreTrainedTokenizerBase
    metrics: Sequence[Metric]
    max_new_tokens: int
    batch_size: int
    constraint: SchemaConstraint | None = None

    def answers(
        self,
        model: PreTrainedModel,
        examples: Sequence[Example],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[str]:
        """One greedy answer for each example."""
        from utils.generation import generate_answers

        return generate_answers(
            model,
            self.tokenizer,
            [example.prompt for example in examples],
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            constraints=[self.constraint] * len(examples) if self.constraint else None,
            on_progress=on_progress,
        )

    def marks(self, examples: Sequence[Example], answers: Sequence[str]) -> dict[str, list[float]]:
        """For each metric one score an answer, between 0 and 1."""
        from utils.metrics import score_answers

        return score_answers(self.metrics, answers, [example.completion for example in examples])

    def accuracy(self, model: PreTrainedModel, examples: Sequence[Example]) -> float:
        """The mean of the first metric over the examples."""
        return statistics.fmean(self.marks(examples, self.answers(model, examples))[self.metrics[0].name])


def fitting_constraint(database: Path, queries: Sequence[str]) -> SchemaConstraint | None:
    """The constraint of a database, if it allows all the gold queries; else it would forbid what is right."""
    from utils.constraints import SchemaConstraint
    from utils.schema import read_schema

    constraint = SchemaConstraint(read_schema(database))
    return constraint if all(constraint.can_continue(q) and constraint.can_end(q) for q in queries) else None
