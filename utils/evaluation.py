"""Scores that can be believed: run the predicted query, compare the rows, give an interval, name the errors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from utils.data import Question
from utils.difficulty import LEVELS
from utils.sql import Result, execute, extract_query, is_ordered, normalised, open_read_only, same_result
from utils.ties import is_decided

RESAMPLES = 10_000


@dataclass(frozen=True)
class Outcome:
    """How one answer did. `error` is "" for a correct one, else its kind (see `error_kind`)."""

    id: str
    database: str
    difficulty: str
    question: str
    gold: str
    answer: str
    query: str
    valid: bool
    exact: bool
    correct: bool
    error: str
    message: str = ""


@dataclass(frozen=True)
class Interval:
    """A share between 0 and 1 with the bounds of its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f}% [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def score(
    questions: Sequence[Question], answers: Sequence[str], databases: Mapping[str, Path | Sequence[Path]]
) -> list[Outcome]:
    """Run every answer in the sandbox and compare with what the gold query gives.

    `databases` has one file or several instances for each name (see `utils.instances`); with several, an answer is
    correct only if it agrees with the gold query on all of them.
    """
    return [
        _score_one(question, answer, databases[question.database])
        for question, answer in zip(questions, answers, strict=True)
    ]


def agrees(gold: str, query: str, instances: Sequence[Path]) -> bool:
    """True if the two queries give the same answer on every instance.

    Where a tie leaves the gold query with several right answers on a mutated instance, that instance does not count.
    """
    ordered = is_ordered(gold)
    for number, database in enumerate(instances):
        if number and " LIMIT " in gold and not _is_decided(gold, database):
            continue
        if not same_result(execute(database, gold), execute(database, query), ordered=ordered):
            return False
    return True


def interval(hits: Sequence[bool], seed: int = 0) -> Interval:
    """Share of hits with its 95% percentile bootstrap interval (Efron, 1979) from 10,000 resamples.

    Where all or none are hits the bootstrap has nothing to vary; there the exact binomial bound is given (Clopper and
    Pearson, 1934).
    """
    import numpy

    values = numpy.asarray(hits, dtype=float)
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    share = float(values.mean())
    if share in {0.0, 1.0}:
        bound = 0.025 ** (1 / len(values))
        return Interval(share, 0.0, 1 - bound) if share == 0.0 else Interval(share, bound, 1.0)
    generator = numpy.random.default_rng(seed)
    # The mean of a resample of zeros and ones is binomial: no need to draw the rows themselves.
    means = generator.binomial(len(values), share, RESAMPLES) / len(values)
    low, high = numpy.percentile(means, [2.5, 97.5])
    return Interval(share, float(low), float(high))


def paired_difference(before: Sequence[bool], after: Sequence[bool], seed: int = 0) -> Interval:
    """Gain from `before` to `after` on the same questions, with its 95% paired bootstrap interval."""
    import numpy

    gains = numpy.asarray(after, dtype=float) - numpy.asarray(before, dtype=float)
    generator = numpy.random.default_rng(seed)
    means = gains[generator.integers(0, len(gains), (RESAMPLES, len(gains)))].mean(axis=1)
    low, high = numpy.percentile(means, [2.5, 97.5])
    return Interval(float(gains.mean()), float(low), float(high))


METRICS: dict[str, Callable[[Outcome], bool]] = {
    "execution accuracy": lambda outcome: outcome.correct,
    "exact match": lambda outcome: outcome.exact,
    "valid SQL": lambda outcome: outcome.valid,
}


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Interval]:
    """Every metric of `METRICS` with its interval."""
    return {name: interval([metric(outcome) for outcome in outcomes]) for name, metric in METRICS.items()}


def by_difficulty(outcomes: Sequence[Outcome]) -> dict[str, Interval]:
    """Execution accuracy for each level that occurs, from easy to extra hard."""
    groups = {name: [outcome.correct for outcome in outcomes if outcome.difficulty == name] for name in LEVELS}
    return {name: interval(hits) for name, hits in groups.items() if hits}


def by_error(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Wrong answers by kind, the most frequent kind first."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.error:
            groups.setdefault(outcome.error, []).append(outcome)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def error_kind(gold: str, query: str, gold_result: Result, result: Result) -> str:
    """The first fault that holds: no SQL, not valid, then wrong tables, columns, aggregate, condition, and the rest."""
    if not query.upper().startswith(("SELECT", "WITH")):
        return "no SQL"
    if not result.ok:
        return _kind_of_failure(result.error or "")
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        wanted, got = parse_one(gold, read="sqlite"), parse_one(query, read="sqlite")
    except SqlglotError:
        return "other"

    def names(tree: exp.Expression, *kinds: type[exp.Expression]) -> list[str]:
        return sorted(node.name.lower() if node.name else node.key for node in tree.find_all(*kinds))

    if set(names(wanted, exp.Table)) != set(names(got, exp.Table)) - {
        cte.alias.lower() for cte in got.find_all(exp.CTE)
    }:
        return "wrong tables"
    if len(gold_result.columns) != len(result.columns) or _selected(wanted) != _selected(got):
        return "wrong columns returned"
    if [node.key for node in wanted.find_all(exp.AggFunc)] != [node.key for node in got.find_all(exp.AggFunc)]:
        return "wrong aggregate"
    if wanted.find(exp.Where) != got.find(exp.Where) or wanted.find(exp.Having) != got.find(exp.Having):
        return "wrong condition"
    return "wrong grouping or order"


def _score_one(question: Question, answer: str, databases: Path | Sequence[Path]) -> Outcome:
    instances = [databases] if isinstance(databases, Path) else list(databases)
    query = extract_query(answer)
    gold_result, result = execute(instances[0], question.sql), execute(instances[0], query)
    correct = result.ok and agrees(question.sql, query, instances)
    return Outcome(
        id=question.id,
        database=question.database,
        difficulty=question.difficulty,
        question=question.question,
        gold=question.sql,
        answer=answer,
        query=query,
        valid=result.ok,
        exact=normalised(query) == normalised(question.sql),
        correct=correct,
        error="" if correct else error_kind(question.sql, query, gold_result, result),
        message=result.error or "",
    )


def _is_decided(query: str, database: Path) -> bool:
    with contextlib.closing(open_read_only(database)) as connection:
        return is_decided(query, connection)


def _kind_of_failure(message: str) -> str:
    for part, kind in {
        "no such table": "unknown table",
        "no such column": "unknown column",
        "ambiguous column": "ambiguous column",
        "Stopped": "too slow",
        "Refused": "refused by the sandbox",
    }.items():
        if part.lower() in message.lower():
            return kind
    return "not valid SQL"


def _selected(tree: object) -> list[str]:
    """Names of the columns in the outermost SELECT, sorted."""
    from sqlglot import exp

    return sorted(
        column.name.lower()
        for expression in tree.selects
        for column in expression.find_all(exp.Column)  # type: ignore[attr-defined]
    )


def comparison(base: Sequence[Outcome], tuned: Sequence[Outcome], *, model: str, base_prompt: str) -> dict[str, object]:
    """Base against tuned on the same questions, as plain data: every metric with intervals and the paired gain."""
    before, after = summarise(base), summarise(tuned)
    rows = []
    for name, metric in METRICS.items():
        gain = paired_difference([metric(outcome) for outcome in base], [metric(outcome) for outcome in tuned])
        rows.append({"metric": name, "base": asdict(before[name]), "tuned": asdict(after[name]), "gain": asdict(gain)})
    levels = {name: {"tuned": asdict(share)} for name, share in by_difficulty(tuned).items()}
    for name, share in by_difficulty(base).items():
        levels[name]["base"] = asdict(share)
    return {"model": model, "questions": len(tuned), "base_prompt": base_prompt, "rows": rows, "by_difficulty": levels}
