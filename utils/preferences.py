"""Preference pairs that nobody has labelled: of several sampled queries, execution says which are right.

A pair has a prompt, a `chosen` and a `rejected` answer. Both come from the model where it was right at least once and
wrong at least once. Where it was never right, there is nothing of its own to prefer; then the gold query of the
training question may be the chosen one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.data import Question
from utils.errors import CourseError
from utils.prompts import Message
from utils.rewards import judge
from utils.sql import extract_query

SAMPLED, GOLD = "sampled", "gold"


@dataclass(frozen=True)
class Sampled:
    """A question, the queries drawn for it, each once and the most frequent first, and which of them are right."""

    question: Question
    prompt: list[Message]
    queries: dict[str, int]
    right: frozenset[str]

    @property
    def draws(self) -> int:
        """How many queries were drawn."""
        return sum(self.queries.values())

    @property
    def right_draws(self) -> int:
        """How many of them were right."""
        return sum(self.queries[query] for query in self.right)

    @property
    def wrong(self) -> list[str]:
        """The wrong ones, the most frequent first."""
        return [query for query in self.queries if query not in self.right]

    def as_record(self) -> dict[str, object]:
        """Plain data for a reader."""
        queries = [{"query": q, "drawn": n, "right": q in self.right} for q, n in self.queries.items()]
        return {"id": self.question.id, "question": self.question.question, "gold": self.question.sql} | {
            "queries": queries
        }


@dataclass(frozen=True)
class Pair:
    """Two answers to one question. `source` says where the chosen one comes from: "sampled" or "gold"."""

    question: Question
    prompt: list[Message]
    chosen: str
    rejected: str
    source: str

    def as_row(self) -> dict[str, list[Message]]:
        """The pair as TRL reads it: messages in `prompt`, `chosen` and `rejected`."""
        chosen, rejected = ([{"role": "assistant", "content": text}] for text in (self.chosen, self.rejected))
        return {"prompt": self.prompt, "chosen": chosen, "rejected": rejected}

    def as_record(self) -> dict[str, object]:
        """The pair as TRL reads it, with the question and where the chosen answer comes from."""
        return {"id": self.question.id, "question": self.question.question, "source": self.source} | self.as_row()


def choose_questions(questions: Sequence[Question], count: int, databases: int, seed: int) -> list[Question]:
    """At most `count` different questions on at most `databases` databases, equally many on each, in a fixed order.

    The fewer databases, the more questions share a schema, which is read once for all of them.
    """
    generator = random.Random(seed)
    by_name: dict[str, list[Question]] = {}
    for question in {question.id: question for question in questions}.values():
        by_name.setdefault(question.database, []).append(question)
    names = generator.sample(sorted(by_name), min(databases, len(by_name)))
    shuffled = [generator.sample(by_name[name], len(by_name[name])) for name in names]
    deepest = max(map(len, shuffled))
    rounds = [members[place] for place in range(deepest) for members in shuffled if place < len(members)]
    return sorted(rounds[:count], key=lambda question: question.id)


def judge_samples(
    questions: Sequence[Question],
    prompts: Sequence[list[Message]],
    answers: Sequence[Sequence[str]],
    instances: Mapping[str, Sequence[Path]],
) -> list[Sampled]:
    """Run every sampled query: it is right if it agrees with the gold query on every set of rows of its database."""
    found = []
    for question, prompt, texts in zip(questions, prompts, answers, strict=True):
        queries = Counter(map(extract_query, texts))
        rows = instances[question.database]
        right = frozenset(query for query in queries if judge(query, question.sql, rows).correct)
        found.append(Sampled(question, prompt, dict(queries.most_common()), right))
    return found


def make_pairs(samples: Sequence[Sampled], *, per_question: int, use_gold: bool) -> list[Pair]:
    """At most `per_question` pairs for each question, its most frequent wrong queries against its right ones.

    Wrong queries that are drawn often are what greedy decoding would write, so they are rejected first; of the right
    ones the shortest come first, as nothing in them is superfluous. Without a right one, the gold query is chosen if
    `use_gold`, and else there is no pair.

    Raises:
        CourseError: no question has a pair.
    """
    pairs = []
    for sample in samples:
        chosen, source = sorted(sample.right, key=lambda query: (len(query), query)), SAMPLED
        if not chosen and use_gold:
            chosen, source = [sample.question.sql], GOLD
        if chosen:
            pairs += [
                Pair(sample.question, sample.prompt, chosen[place % len(chosen)], rejected, source)
                for place, rejected in enumerate(sample.wrong[:per_question])
            ]
    if not pairs:
        raise CourseError(
            "No question has both a right and a wrong query, so there is nothing to prefer. Draw more queries for each "
            "question, or set use_gold = True."
        )
    return pairs


def pass_at(samples: Sequence[Sampled], k: int) -> float:
    """pass@k: the chance that at least one of k queries drawn for a question is right, averaged over the questions.

    The unbiased estimate from n draws of Chen et al., 2021.

    Raises:
        ValueError: k is larger than the number of draws.
    """
    from math import comb

    shares = []
    for sample in samples:
        if k > sample.draws:
            raise ValueError(f"pass@{k} needs {k} draws for each question, and there are {sample.draws}.")
        shares.append(1 - comb(sample.draws - sample.right_draws, k) / comb(sample.draws, k))
    return sum(shares) / len(shares)
