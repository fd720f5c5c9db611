"""Checks of the exercises of notebook 11: how large a group must be, what half a group shows, a reward of one's own."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from utils.curriculum import advantages
from utils.data import Question
from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right
from utils.rewards import judge

RARELY_RIGHT, FEW = 0.1, 0.1
PRICE = 0.1  # of a JOIN too many
CASES = 4


@exercise("11.1", int)
def group_size(answer: int) -> Verdict:
    """The smallest group in which all answers are equally right or wrong in less than a tenth of the cases."""
    wanted = next(size for size in range(2, 1000) if _all_alike(size) < FEW)
    if answer == wanted:
        return right("Rare successes need large groups; a reward with steps in between needs fewer answers.")
    if answer == wanted - 1:
        return not_yet("that is one too few: with this size it is still a little more than a tenth.")
    share = f"{_all_alike(answer):.2f}" if 2 <= answer < 1000 else "not defined"
    return not_yet(f"with {answer} answers the share of groups that are all right or all wrong is {share}.")


@exercise("11.2", float)
def share_with_direction(answer: float, *, rewards: Sequence[Sequence[float]]) -> Verdict:
    """The share of groups without a direction if only the first half of each group had been drawn."""
    halves = [list(group)[: len(group) // 2] for group in rewards]
    wanted = statistics.fmean(not any(advantages(half)) for half in halves)
    if math.isclose(answer, wanted, abs_tol=0.002):
        return right("Half the answers cost half the time, and leave more groups with nothing to compare.")
    if math.isclose(answer, 1 - wanted, abs_tol=0.002):
        return not_yet("that is the share of groups with a direction. Count the others.")
    return not_yet("take the first half of each group's rewards, and count the groups in which they are all equal.")


@exercise("11.3", Callable)
def frugal(
    answer: Callable[..., list[float]], *, questions: Sequence[Question], databases: Mapping[str, Path | Sequence[Path]]
) -> Verdict:
    """A reward function in TRL's form: the total of `judge`, less a price for each JOIN that the right query lacks."""
    for question in questions[:CASES]:
        texts = ["SELECT 1", question.sql, f"{question.sql} -- JOIN join JOIN", "I do not know."]
        found = answer(
            prompts=[[{"role": "user", "content": question.question}]] * len(texts),
            completions=[[{"role": "assistant", "content": text}] for text in texts],
            sql=[question.sql] * len(texts),
            database=[question.database] * len(texts),
            trainer_state=None,
        )
        if not isinstance(found, list) or len(found) != len(texts):
            return not_yet(f"for {len(texts)} answers, the function should return a list of {len(texts)} numbers.")
        for text, reward in zip(texts, found, strict=True):
            wanted = judge(text, question.sql, databases[question.database]).total() - PRICE * _extra(text, question)
            if not math.isclose(reward, wanted, abs_tol=1e-6):
                return not_yet(f"for “{text[:60]}” it gives {reward:g} where {wanted:g} is due.")
    return right("What a reward counts is what the model will save on. Does it save what you meant?")


def _all_alike(size: int) -> float:
    return RARELY_RIGHT**size + (1 - RARELY_RIGHT) ** size


def _extra(text: str, question: Question) -> int:
    """How many times the word JOIN stands in the text more than in the right query."""
    return max(0, text.upper().count("JOIN") - question.sql.upper().count("JOIN"))
