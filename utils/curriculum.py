"""Which questions teach by trial: those that a model answers now rightly, now wrongly.

GRPO compares the answers to a question with each other. Where all get the same reward there is nothing to compare, and
the time that went into drawing them is lost. So a few answers are drawn to each question first, and judged.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.data import Question
from utils.errors import CourseError
from utils.prompts import Message
from utils.rewards import WEIGHTS, Verdict, judge

SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Group:
    """A question, its prompt, the answers drawn to it and what each of them is worth."""

    question: Question
    prompt: list[Message]
    answers: tuple[str, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def right(self) -> float:
        """The share of right answers."""
        return statistics.fmean(verdict.correct for verdict in self.verdicts)

    @property
    def is_mixed(self) -> bool:
        """True if some answers are right and some wrong."""
        return 0 < self.right < 1

    def rewards(self, weights: Mapping[str, float] = WEIGHTS) -> list[float]:
        """The reward of each answer."""
        return [verdict.total(weights) for verdict in self.verdicts]

    def as_row(self) -> dict[str, object]:
        """What TRL draws new answers from, and what the reward functions need."""
        return {"prompt": self.prompt, "sql": self.question.sql, "database": self.question.database}


def judge_groups(
    questions: Sequence[Question],
    prompts: Sequence[list[Message]],
    answers: Sequence[Sequence[str]],
    databases: Mapping[str, Path | Sequence[Path]],
) -> list[Group]:
    """Judge several answers to each question, on the databases or their sets of rows."""
    return [
        Group(asked, prompt, tuple(texts), tuple(judge(text, asked.sql, databases[asked.database]) for text in texts))
        for asked, prompt, texts in zip(questions, prompts, answers, strict=True)
    ]


def advantages(rewards: Sequence[float]) -> list[float]:
    """How much better than its group each answer is, in standard deviations; all 0 where the rewards are equal."""
    spread = statistics.stdev(rewards) if len(rewards) > 1 else 0.0
    if spread < SMALLEST_SPREAD:
        return [0.0] * len(rewards)
    mean = statistics.fmean(rewards)
    return [(reward - mean) / spread for reward in rewards]


def without_direction(groups: Sequence[Group], weights: Mapping[str, float]) -> float:
    """The share of groups whose answers all get the same reward: what TRL logs as `frac_reward_zero_std`."""
    return statistics.fmean(not any(advantages(group.rewards(weights))) for group in groups)


def teaching_groups(groups: Sequence[Group], at_least: int) -> list[Group]:
    """The mixed groups, in their order. If they are fewer than `at_least`, those with the most uneven rewards join.

    Raises:
        CourseError: in every group all answers get the same reward.
    """
    mixed = [group for group in groups if group.is_mixed]
    others = [group for group in groups if not group.is_mixed and any(advantages(group.rewards()))]
    others.sort(key=lambda group: -statistics.stdev(group.rewards()))
    kept = mixed + others[: max(0, at_least - len(mixed))]
    if not kept:
        raise CourseError(
            "All answers to a question got the same reward, for every question: there is nothing to learn from. Try "
            "more questions (candidate_questions) or more answers to each (num_generations), or train the model "
            "longer in notebook 03, so that some of its queries run."
        )
    return kept


def in_batches(groups: Sequence[Group], size: int, seed: int) -> list[Group]:
    """The groups in the order of training: shuffled, each `size` of them about one database as far as they go.

    Questions about one database share their schema, which is read once for a batch. The last batch is filled up with
    groups from the beginning.
    """
    generator = random.Random(seed)
    by_name: dict[str, list[Group]] = {}
    for group in groups:
        by_name.setdefault(group.question.database, []).append(group)
    whole, rest = [], []
    for members in by_name.values():
        generator.shuffle(members)
        cut = len(members) - len(members) % size
        whole += [members[start : start + size] for start in range(0, cut, size)]
        rest += members[cut:]
    whole += [rest[start : start + size] for start in range(0, len(rest), size)]
    generator.shuffle(whole)
    whole.sort(key=lambda batch: len(batch) < size)
    ordered = [group for batch in whole for group in batch]
    return ordered + [ordered[place % len(ordered)] for place in range(-len(ordered) % size)]
