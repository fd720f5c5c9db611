"""Rewards that can be verified: what a query is worth, found by running it in the sandbox, without a judge or a model.

`judge` gives the parts of the reward of one answer. `reward_functions` wraps them in the form that TRL's `GRPOTrainer`
calls, one function for each part, so that the trainer logs each of them. The right queries and the databases never
change during training, so what has been judged once is remembered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from utils.evaluation import agrees
from utils.sql import Result, execute, extract_query, is_ordered, same_result

MAX_SECONDS = 0.5  # for one query; thousands are run
TABLE = re.compile(r'\b(?:FROM|JOIN)\s+"?(\w+)', re.IGNORECASE)
FREE_LENGTH = 2.0  # a query may be so many times as long as the right one before it costs anything

WEIGHTS: dict[str, float] = {"tables": 0.1, "runs": 0.1, "columns": 0.15, "rows": 0.15, "correct": 0.5, "length": 0.1}
"""What each part counts in the shaped reward. A right answer gets 1, a wrong one at most half of that."""

RewardFunction = Callable[..., list[float]]
Databases = Mapping[str, Path | Sequence[Path]]


@dataclass(frozen=True)
class Verdict:
    """The parts of an answer's reward, each between 0 and 1; `length` is a penalty between -1 and 0.

    `tables`: F1 of the tables it names after FROM and JOIN against those of the right query, whether it runs or not.
    `runs`: it runs. `columns`: F1 of what it selects. `rows`: F1 of the rows. `correct`: it gives the right answer on
    every set of rows; then all parts are 1.
    """

    tables: float = 0.0
    runs: float = 0.0
    columns: float = 0.0
    rows: float = 0.0
    correct: float = 0.0
    length: float = 0.0

    def total(self, weights: Mapping[str, float] = WEIGHTS) -> float:
        """The weighted sum of the parts."""
        parts = asdict(self)
        return sum(weight * parts[name] for name, weight in weights.items())


def judge(answer: str, gold: str, databases: Path | Sequence[Path]) -> Verdict:
    """The reward of a model's answer, whose query `gold` answers rightly.

    `databases` is one SQLite file or several sets of rows of the same tables (see `utils.instances`): `correct` holds
    for all of them, `runs`, `columns` and `rows` for the first. Of an answer that does not run only the tables count.

    Raises:
        FileNotFoundError: there is no such database.
    """
    instances = (databases,) if isinstance(databases, Path) else tuple(databases)
    return _judge_query(extract_query(answer), gold, instances)


def reward_functions(databases: Databases) -> dict[str, RewardFunction]:
    """A reward function for each part of the verdict, in the order of `WEIGHTS`, as `GRPOTrainer` takes them.

    The trainer calls `function(completions=…, sql=…, database=…, **others)`, where `sql` and `database` are columns of
    the training data: the right query and the name of the database in `databases`.
    """
    return {name: _reward_function(name, databases) for name in WEIGHTS}


def text_of(completion: str | Sequence[Mapping[str, str]]) -> str:
    """The text of a completion: TRL gives a string, or for prompts made of messages a list of one message."""
    return completion if isinstance(completion, str) else completion[0]["content"]


def _reward_function(part: str, databases: Databases) -> RewardFunction:
    def reward(
        completions: Sequence[str | Sequence[Mapping[str, str]]],
        sql: Sequence[str],
        database: Sequence[str],
        **_: object,
    ) -> list[float]:
        answers = zip(completions, sql, database, strict=True)
        return [getattr(judge(text_of(found), gold, databases[name]), part) for found, gold, name in answers]

    reward.__name__ = part  # the name under which TRL logs it
    return reward


@lru_cache(maxsize=100_000)
def _judge_query(query: str, gold: str, instances: tuple[Path, ...]) -> Verdict:
    tables = _f1(_tables(query), _tables(gold))
    result = execute(instances[0], query, max_seconds=MAX_SECONDS)
    if not result.ok:
        return Verdict(tables)
    length = max(-1.0, min(0.0, 1 - len(query) / len(gold) / FREE_LENGTH))
    wanted, ordered = _gold_result(gold, instances[0])
    if same_result(wanted, result, ordered=ordered) and (len(instances) == 1 or agrees(gold, query, instances)):
        return Verdict(1.0, 1.0, 1.0, 1.0, 1.0, length)
    columns = _f1(Counter(_selected(gold)), Counter(_selected(query)))
    return Verdict(tables, 1.0, columns, _f1(_rows(result), _rows(wanted)), 0.0, length)


@lru_cache(maxsize=20_000)
def _gold_result(gold: str, database: Path) -> tuple[Result, bool]:
    return execute(database, gold), is_ordered(gold)


def _tables(query: str) -> Counter[str]:
    return Counter(name.lower() for name in TABLE.findall(query))


def _rows(result: Result) -> Counter[tuple[object, ...]]:
    return Counter(result.rows)


def _f1(found: Counter, wanted: Counter) -> float:
    total = found.total() + wanted.total()
    return 2 * (found & wanted).total() / total if total else 0.0


@lru_cache(maxsize=100_000)
def _selected(query: str) -> tuple[str, ...]:
    """What the outermost SELECT returns, as text without aliases and table names; () if sqlglot cannot read it."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(query, read="sqlite")
    except (RecursionError, SqlglotError):
        return ()
    selected = []
    for expression in getattr(tree, "selects", []):
        bare = expression.unalias().copy()
        for column in bare.find_all(sqlglot.exp.Column):
            column.set("table", None)
        selected.append(bare.sql(dialect="sqlite", normalize=True).lower())
    return tuple(selected)
