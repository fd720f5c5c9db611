"""Scores for any task: which metrics fit the answers, and why; each gives 0 to 1 for one answer.

Every metric takes (prediction, reference). Scores of two models on the same examples are compared pair by pair, with
95% bootstrap intervals (`utils.evaluation`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from functools import lru_cache, partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from utils.errors import CourseError
from utils.evaluation import Interval, agrees, interval, paired_difference
from utils.likeness import plain_text
from utils.sql import execute, extract_query, normalised

if TYPE_CHECKING:
    from sacrebleu.metrics import CHRF

Score = Callable[[str, str], float]

MAX_LABELS, MAX_LABEL_CHARACTERS = 30, 60
MIN_ANSWERS_PER_LABEL = 5
SHORT_ANSWER_WORDS = 10
USUAL_SHARE = 0.9
ARTICLES = {"a", "an", "the"}
FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL | re.IGNORECASE)
TOOL_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


@dataclass(frozen=True)
class Metric:
    """A metric and its function (prediction, reference) -> 0 to 1."""

    name: str
    score: Score


@dataclass(frozen=True)
class MetricChoice:
    """The metrics that fit a task. The first is the one to choose settings by; plain text has none."""

    task: str
    metrics: tuple[Metric, ...]
    reason: str

    @property
    def primary(self) -> Metric:
        """The metric to choose by."""
        return self.metrics[0]


# --- Metrics -----------------------------------------------------------------------------------------------------


def exact_match(prediction: str, reference: str) -> float:
    """1 if the two are the same, white space around them apart."""
    return float(prediction.strip() == reference.strip())


def normalised_match(prediction: str, reference: str) -> float:
    """1 if the two are the same without regard to case, punctuation, articles and spacing (Rajpurkar et al., 2016)."""
    return float(_words(prediction) == _words(reference))


def token_f1(prediction: str, reference: str) -> float:
    """F1 of the words that the two have in common, after normalising, as for SQuAD (Rajpurkar et al., 2016)."""
    return _f1(Counter(_words(prediction)), Counter(_words(reference)))


def chrf(prediction: str, reference: str) -> float:
    """chrF of one answer (Popović, 2015), by sacrebleu with its defaults: character 6-grams, beta 2. Divided by 100."""
    return _chrf().sentence_score(prediction, [reference]).score / 100


def valid_json(prediction: str, reference: str) -> float:
    """1 if the whole answer is JSON; a code fence around it, or the marks of a function call, may be there."""
    try:
        _parse_json(prediction)
    except (RecursionError, ValueError):
        return 0.0
    return 1.0


def json_field_f1(prediction: str, reference: str) -> float:
    """F1 of the fields, each a path with its value, that two JSON texts have in common. Order does not count.

    Kind to models that chat around their JSON: the first object or list in the answer is taken.
    """
    try:
        wanted = Counter(_fields(_parse_json(reference)))
        return _f1(Counter(_fields(_find_json(prediction))), wanted)
    except (RecursionError, ValueError):
        return 0.0


def label_accuracy(prediction: str, reference: str, labels: Sequence[str]) -> float:
    """1 if the answer is the label, or a sentence that mentions this one of the `labels` and no other."""
    spoken = f" {' '.join(_words(prediction))} "
    wanted = " ".join(_words(reference))
    mentioned = {label for label in (" ".join(_words(label)) for label in labels) if f" {label} " in spoken}
    # "not urgent" mentions "urgent" too: of labels that contain each other the longest counts.
    whole = {label for label in mentioned if not any(label != other and label in other for other in mentioned)}
    return float(spoken.strip() == wanted or whole == {wanted})


def sql_match(prediction: str, reference: str) -> float:
    """1 if the two are the same query, apart from spacing, quotes and the case of keywords."""
    return float(normalised(extract_query(prediction)) == normalised(reference))


def execution_accuracy(prediction: str, reference: str, database: Path) -> float:
    """1 if the query in the answer gives the rows of the reference, run in the sandbox on a SQLite file."""
    return float(agrees(reference, extract_query(prediction), [database]))


def valid_sql(prediction: str, reference: str, database: Path) -> float:
    """1 if the query in the answer runs."""
    return float(execute(database, extract_query(prediction)).ok)


# --- Choosing ----------------------------------------------------------------------------------------------------


def choose_metrics(
    references: Sequence[str], *, is_text: bool = False, database: Path | None = None, metric: str = "auto"
) -> MetricChoice:
    """The metrics that fit these right answers, and why. `metric` names another one to come first.

    Raises:
        CourseError: there is no metric of that name, or it does not fit.
    """
    if is_text:
        return MetricChoice("plain text", (), "Plain text has no single right answer: compare the loss or perplexity.")
    choice = _choose(references, database)
    if metric == "auto":
        return choice
    known = _all_metrics(references, database)
    name = _metric_name(metric, known)
    others = tuple(other for other in choice.metrics if other.name != name)
    return replace(
        choice, metrics=(known[name], *others), reason=f"{choice.reason} Chosen by hand to come first: {name}."
    )


def find_labels(references: Sequence[str]) -> Counter[str]:
    """How often each label occurs, the most frequent first; empty if the answers are not a few short labels."""
    counts = Counter(reference.strip() for reference in references)
    few = len(counts) <= MAX_LABELS and len(counts) * MIN_ANSWERS_PER_LABEL <= len(references)
    short = all(len(label) <= MAX_LABEL_CHARACTERS and label[:1] not in "{[" and "\n" not in label for label in counts)
    return Counter(dict(counts.most_common())) if few and short else Counter()


def _choose(references: Sequence[str], database: Path | None) -> MetricChoice:
    known = _all_metrics(references, database)

    def choice(task: str, names: Sequence[str], reason: str) -> MetricChoice:
        return MetricChoice(task, tuple(known[name] for name in names), reason)

    if database is not None:
        reason = "The answers are queries and the database is given: run them and compare the rows."
        return choice("SQL", ("execution accuracy", "exact match", "valid SQL"), reason)
    if _share(references, _is_query) >= USUAL_SHARE:
        reason = "The answers are SQL. Pass the database, and the rows decide instead of the spelling."
        return choice("SQL", ("exact match", "chrF"), reason)
    labels = find_labels(references)
    if labels:
        label, count = labels.most_common(1)[0]
        share = f"{count / len(references):.0%}"
        reason = f"The answers are {len(labels)} labels. Always saying {label!r} would score {share}."
        return choice("labels", ("label accuracy", "exact match"), reason)
    if _share(references, _is_json) >= USUAL_SHARE:
        reason = "The answers are JSON: field F1 counts the right fields, validity whether a program can read them."
        return choice("JSON", ("JSON field F1", "valid JSON", "exact match"), reason)
    lengths = [len(reference.split()) for reference in references]
    typical = f"{median(lengths):g} words at the median"
    if sum(length <= SHORT_ANSWER_WORDS for length in lengths) >= USUAL_SHARE * len(lengths):
        reason = f"The answers are short ({typical}), so a single one is right, and exact match counts it."
        return choice("short answers", ("exact match", "normalised match", "token F1"), reason)
    reason = (
        f"The answers are free text ({typical}), which can be worded in many ways: chrF and token F1 measure what they "
        "have in common with the reference. Read some answers too."
    )
    return choice("free text", ("chrF", "token F1", "exact match"), reason)


def _all_metrics(references: Sequence[str], database: Path | None) -> dict[str, Metric]:
    is_sql = database is not None or _share(references, _is_query) >= USUAL_SHARE
    scores: dict[str, Score] = {
        "exact match": sql_match if is_sql else exact_match,
        "normalised match": normalised_match,
        "token F1": token_f1,
        "chrF": chrf,
        "valid JSON": valid_json,
        "JSON field F1": json_field_f1,
        "label accuracy": partial(label_accuracy, labels=sorted({reference.strip() for reference in references})),
    }
    if database is not None:
        scores["execution accuracy"] = partial(execution_accuracy, database=database)
        scores["valid SQL"] = partial(valid_sql, database=database)
    return {name: Metric(name, score) for name, score in scores.items()}


def _metric_name(name: str, known: Mapping[str, Metric]) -> str:
    by_key = {key.casefold(): key for key in known}
    wanted = name.replace("_", " ").replace("-", " ").strip().casefold()
    if wanted in by_key:
        return by_key[wanted]
    if wanted in {"execution accuracy", "valid sql"}:
        raise CourseError(f"The metric {wanted} needs a database: pass the SQLite file that the queries are about.")
    near = get_close_matches(wanted, by_key, n=1)
    hint = f" Did you mean {by_key[near[0]]!r}?" if near else ""
    raise CourseError(f"There is no metric {name!r}; there are {', '.join(known)}.{hint}")


# --- Scores of many answers --------------------------------------------------------------------------------------


def score_answers(
    metrics: Sequence[Metric], predictions: Sequence[str], references: Sequence[str]
) -> dict[str, list[float]]:
    """One score for each answer, by metric."""
    pairs = list(zip(predictions, references, strict=True))
    return {metric.name: [metric.score(*pair) for pair in pairs] for metric in metrics}


def summarise_scores(scores: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
    """The mean of every metric with its 95% bootstrap interval."""
    return {name: _mean(values) for name, values in scores.items()}


def compare_scores(
    base: Mapping[str, Sequence[float]], tuned: Mapping[str, Sequence[float]]
) -> list[dict[str, object]]:
    """Base against tuned on the same examples, as plain data: every metric with intervals and the paired gain."""
    before, after = summarise_scores(base), summarise_scores(tuned)
    return [
        {
            "metric": name,
            "base": asdict(before[name]),
            "tuned": asdict(after[name]),
            "gain": asdict(paired_difference(base[name], tuned[name])),
        }
        for name in tuned
    ]


def _mean(values: Sequence[float]) -> Interval:
    if set(values) <= {0.0, 1.0}:
        return interval([value == 1.0 for value in values])
    # The bootstrap of a mean is that of a gain over nothing.
    return paired_difference([0.0] * len(values), values)


# --- Parts -------------------------------------------------------------------------------------------------------


def _words(text: str) -> list[str]:
    kept = "".join(" " if unicodedata.category(c).startswith("P") else c for c in plain_text(text))
    return [word for word in kept.split() if word not in ARTICLES]


def _f1(found: Counter, wanted: Counter) -> float:
    if not found or not wanted:
        return float(found == wanted)
    common = sum((found & wanted).values())
    return 2 * common / (sum(found.values()) + sum(wanted.values()))


@lru_cache(maxsize=1)
def _chrf() -> CHRF:
    from sacrebleu.metrics import CHRF

    return CHRF()


def _parse_json(text: str) -> object:
    """The value of a JSON text, or the list of its function calls. Raises ValueError."""
    calls = TOOL_CALL.findall(text)
    if calls:
        return [_strict_json(call) for call in calls]
    fenced = FENCE.fullmatch(text)
    return _strict_json(fenced[1] if fenced else text)


def _find_json(text: str) -> object:
    """The JSON that an answer is or contains. Raises ValueError if there is none."""
    try:
        return _parse_json(text)
    except ValueError:
        start = re.search(r"[{\[]", text)
        if start is None:
            raise
        return json.JSONDecoder().raw_decode(text, start.start())[0]


def _strict_json(text: str) -> object:
    def refuse(constant: str) -> object:
        raise ValueError(f"{constant} is not JSON.")

    return json.loads(text, parse_constant=refuse)


def _fields(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, value) of every leaf; the items of a list share a path."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _fields(item, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for item in value:
            yield from _fields(item, f"{path}[]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, f"{value:g}" if abs(value) < 1e6 else repr(float(value))
    else:
        yield path, json.dumps(value.strip() if isinstance(value, str) else value)


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[", "<", "`") and valid_json(text, "") == 1.0


def _is_query(text: str) -> bool:
    return re.match(r"\s*(SELECT|WITH)\b.+\b(FROM|SELECT)\b", text, re.IGNORECASE | re.DOTALL) is not None


def _share(references: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, references)) / max(1, len(references))
