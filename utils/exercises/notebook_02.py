"""Checks of the exercises of notebook 02: a length limit, a split by rows, and a choice by difficulty."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from utils.data import Question
from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right

LIMIT = 384
MADE_UP = Question("a", "train", "clinic", "How many dogs?", "SELECT COUNT(*) FROM dogs", "easy", "written")


@exercise("02.1", float)
def too_long(answer: float, *, lengths: Sequence[tuple[int, int]]) -> Verdict:
    """The share of the training examples that are longer than LIMIT tokens, in percent."""
    share = sum(read + trained > LIMIT for read, trained in lengths) / len(lengths)
    if math.isclose(answer, 100 * share, rel_tol=0.005, abs_tol=0.01):
        return right("So many examples would lose their end, which is the query: all that there is to learn from.")
    if math.isclose(answer, share, rel_tol=0.005):
        return not_yet("that is the share. Give it in percent.")
    return not_yet(f"an example is its prompt and its completion; count those with more than {LIMIT} tokens.")


@exercise("02.2", float)
def seen_before(answer: float, *, kept: Sequence[Question], seed: int) -> Verdict:
    """After a split by rows: the share of the test questions whose query, on their database, was trained on."""
    shuffled = random.Random(seed).sample(kept, len(kept))
    cut = len(shuffled) * 9 // 10
    known = {(question.database, question.sql) for question in shuffled[:cut]}
    test = shuffled[cut:]
    share = sum((question.database, question.sql) in known for question in test) / len(test)
    if math.isclose(answer, share, rel_tol=0.005):
        return right("All these could be answered by heart. A score on such a test would not tell how well it reads.")
    if math.isclose(answer, 100 * share, rel_tol=0.005):
        return not_yet("give a share between 0 and 1, not percent.")
    return not_yet("shuffle with `random.Random(seed).sample(kept, len(kept))`; the last tenth is the test.")


@exercise("02.3", Callable)
def at_most(answer: Callable[[list[Question], int], Sequence[Question]]) -> Verdict:
    """A function (questions, count) -> at most so many questions of each difficulty, in their order."""
    levels = ["easy", "hard", "easy", "easy", "medium", "hard", "easy"]
    questions = [replace(MADE_UP, id=f"q{number}", difficulty=level) for number, level in enumerate(levels)]
    for count in (2, 1, 100):
        chosen = list(answer(list(questions), count))
        counts, wanted = Counter(question.difficulty for question in chosen), Counter(levels)
        if not set(chosen) <= set(questions) or len(set(chosen)) != len(chosen):
            return not_yet("it gives back something that is not one of the questions, or one of them twice.")
        for level, there in wanted.items():
            if counts[level] != min(there, count):
                found = f"{counts[level]} of the {there} {level} questions"
                return not_yet(f"asked for at most {count} of each level, it gives {found}.")
        if chosen != [question for question in questions if question in chosen]:
            return not_yet("the questions come back in another order than they had.")
    return right("The levels are even as far as there are questions of each.")
