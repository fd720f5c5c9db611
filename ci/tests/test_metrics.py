"""Each metric gives 0 to 1 as published, and the choice among them follows from the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from utils.errors import CourseError
from utils.metrics import (
    Metric,
    choose_metrics,
    chrf,
    compare_scores,
    exact_match,
    find_labels,
    json_field_f1,
    label_accuracy,
    normalised_match,
    score_answers,
    sql_match,
    summarise_scores,
    token_f1,
    valid_json,
)
from utils.sql import build_database

LABELS = ["urgent", "not urgent", "spam", "question about a bill"]
WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron".split()


@pytest.mark.parametrize(
    ("metric", "prediction", "reference", "score"),
    [
        (exact_match, " Paris\n", "Paris", 1),
        (exact_match, "paris", "Paris", 0),
        (normalised_match, "The  paris!", "Paris", 1),
        (normalised_match, "Paris, France", "Paris", 0),
        (normalised_match, "Ｐａｒｉｓ", "paris", 1),
        (token_f1, "the cat sat", "a cat sat down", 0.8),
        (token_f1, "cat cat", "cat", 2 / 3),
        (token_f1, "dog", "cat", 0),
        (token_f1, "", "", 1),
        (token_f1, "", "cat", 0),
        (chrf, "the same text", "the same text", 1),
        (chrf, "", "the same text", 0),
        (valid_json, '{"a": [1, null]}', "", 1),
        (valid_json, '```json\n{"a": 1}\n```', "", 1),
        (valid_json, '<tool_call>\n{"name": "look"}\n</tool_call>', "", 1),
        (valid_json, 'Here you are: {"a": 1}', "", 0),
        (valid_json, '{"a": NaN}', "", 0),
        (valid_json, "{'a': 1}", "", 0),
        (valid_json, "[" * 100_000, "", 0),
        (json_field_f1, '{"b": "x", "a": 1.0}', '{"a": 1, "b": "x "}', 1),
        (json_field_f1, '{"a": 1, "b": "y"}', '{"a": 1, "b": "x"}', 0.5),
        (json_field_f1, '{"a": 1}', '{"a": 1, "b": {"c": 2}}', 2 / 3),
        (json_field_f1, '{"b": {"d": 2}}', '{"b": {"c": 2}}', 0),
        (json_field_f1, '{"a": [2, 1]}', '{"a": [1, 2]}', 1),
        (json_field_f1, '{"a": true}', '{"a": 1}', 0),
        (json_field_f1, 'Sure! {"a": 1} That is all.', '{"a": 1}', 1),
        (json_field_f1, "no fields", '{"a": 1}', 0),
        (json_field_f1, "[" * 100_000, '{"a": 1}', 0),
        (json_field_f1, "{}", "{}", 1),
        (sql_match, "```sql\nselect  A from t;\n```", "SELECT a FROM t", 1),
        (sql_match, "SELECT b FROM t", "SELECT a FROM t", 0),
    ],
)
def test_metric(metric: object, prediction: str, reference: str, score: float) -> None:
    assert metric(prediction, reference) == pytest.approx(score)


def test_chrf_is_that_of_sacrebleu() -> None:
    from sacrebleu import sentence_chrf

    pair = ("The cat is on the mat.", "There is a cat on the mat.")
    assert chrf(*pair) == pytest.approx(sentence_chrf(pair[0], [pair[1]]).score / 100)
    assert 0.3 < chrf(*pair) < 0.9


@pytest.mark.parametrize(
    ("answer", "label", "right"),
    [
        ("urgent", "urgent", True),
        ("Urgent.", "urgent", True),
        ("This message is urgent, I think.", "urgent", True),
        ("not urgent", "not urgent", True),
        ("not urgent", "urgent", False),
        ("It is not urgent.", "not urgent", True),
        ("either urgent or spam", "urgent", False),
        ("urgently", "urgent", False),
        ("a question about the bill", "question about a bill", True),
        ("I cannot say.", "spam", False),
        ("", "spam", False),
    ],
)
def test_label_in_an_answer(answer: str, label: str, right: bool) -> None:
    assert label_accuracy(answer, label, LABELS) == right


# --- Choosing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("references", "task", "first"),
    [
        (["yes", "no", "maybe"] * 20, "labels", "label accuracy"),
        (["1", "2", "3"] * 20, "labels", "label accuracy"),
        ([f"answer {n}" for n in range(60)], "short answers", "exact match"),
        ([f"Mo-Fr 0{n % 10}:00-1{n % 7}:30; Sa 10:0{n % 9}" for n in range(60)], "short answers", "exact match"),
        ([json.dumps({"n": n, "item": "mug"}) for n in range(60)], "JSON", "JSON field F1"),
        ([f"```json\n[{n}]\n```" for n in range(60)], "JSON", "JSON field F1"),
        ([f"SELECT a FROM t WHERE b = {n}" for n in range(60)], "SQL", "exact match"),
        ([" ".join(WORDS) + f" {n}" for n in range(60)], "free text", "chrF"),
        ([f"Select all that apply {n}" for n in range(60)], "short answers", "exact match"),
    ],
)
def test_metrics_fit_the_answers(references: list[str], task: str, first: str) -> None:
    choice = choose_metrics(references)
    assert (choice.task, choice.primary.name) == (task, first)
    assert "exact match" in [metric.name for metric in choice.metrics]
    assert choice.reason.endswith(".")
    assert all(metric.score(reference, reference) == 1 for metric in choice.metrics for reference in references)


def test_plain_text_has_no_metric() -> None:
    choice = choose_metrics(["Once upon a time."], is_text=True)
    assert choice.metrics == ()
    assert "perplexity" in choice.reason


def test_the_reason_tells_what_guessing_would_score() -> None:
    assert "Always saying 'ham' would score 75%" in choose_metrics(["ham"] * 45 + ["spam"] * 15).reason


def test_labels_are_few_short_and_frequent() -> None:
    assert find_labels(["ham"] * 9 + ["spam"] * 6) == {"ham": 9, "spam": 6}
    assert list(find_labels(["spam"] * 6 + ["ham"] * 9)) == ["ham", "spam"]
    assert not find_labels(["ham", "spam"] * 4)
    assert not find_labels([f"label {n}" for n in range(31)] * 9)
    assert not find_labels(["x" * 61] * 50)
    assert not find_labels(['{"a": 1}'] * 50)


def test_a_metric_can_be_chosen_by_hand() -> None:
    choice = choose_metrics(["yes", "no"] * 30, metric="token_f1")
    assert [metric.name for metric in choice.metrics] == ["token F1", "label accuracy", "exact match"]
    choice = choose_metrics(["yes", "no"] * 30, metric="exact match")
    assert [metric.name for metric in choice.metrics] == ["exact match", "label accuracy"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("execution accuracy", "needs a database"),
        ("exact macth", "Did you mean 'exact match'"),
        ("bleu", "there are exact match, normalised match, token F1, chrF, valid JSON"),
    ],
)
def test_a_metric_that_does_not_exist_ends_in_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(CourseError, match=sentence):
        choose_metrics(["yes"] * 9, metric=name)


def test_queries_on_a_database_are_run(tmp_path: Path) -> None:
    rows = "".join(f"INSERT INTO pets VALUES ({n}, 'pet {n}');" for n in range(3))
    database = build_database(f"CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT);{rows}", tmp_path / "p.sqlite")
    gold = "SELECT name FROM pets WHERE id = 1"
    choice = choose_metrics([gold] * 30, database=database)
    answers = [
        "SELECT name FROM pets WHERE id < 2 AND id > 0",
        "SELECT name FROM dogs",
        gold.lower(),
        "DROP TABLE pets",
    ]
    scores = score_answers(choice.metrics, answers, [gold] * 4)
    assert scores == {"execution accuracy": [1, 0, 1, 0], "exact match": [0, 0, 1, 0], "valid SQL": [1, 0, 1, 0]}
    unparsed = "SELECT CAST(id AS UNSIGNED BIG INT) FROM pets"
    assert score_answers(choice.metrics, [unparsed], [unparsed])["execution accuracy"] == [1]


# --- Intervals ---------------------------------------------------------------------------------------------------


def test_means_have_intervals() -> None:
    shares = summarise_scores({"binary": [1.0, 0.0] * 50, "fractions": [0.4, 0.6] * 50, "none": [0.0] * 50})
    assert shares["binary"].value == pytest.approx(0.5)
    assert shares["fractions"].value == pytest.approx(0.5)
    # Fractions vary less than zeros and ones.
    width = {name: share.high - share.low for name, share in shares.items()}
    assert width["binary"] == pytest.approx(0.2, abs=0.03)
    assert width["fractions"] == pytest.approx(0.04, abs=0.006)
    assert (shares["none"].low, shares["none"].value) == (0, 0)
    assert shares["none"].high > 0.05


def test_gains_are_paired() -> None:
    base = {"exact match": [0.0, 1.0] * 50}
    tuned = {"exact match": [1.0, 1.0] * 50}
    (row,) = compare_scores(base, tuned)
    assert row["metric"] == "exact match"
    assert (row["base"]["value"], row["tuned"]["value"], row["gain"]["value"]) == (0.5, 1.0, 0.5)
    assert 0.35 < row["gain"]["low"] < 0.5 < row["gain"]["high"] < 0.65
    json.dumps(row)


def test_scores_stand_in_the_order_of_the_answers() -> None:
    metrics = (Metric("exact match", exact_match),)
    assert score_answers(metrics, ["a", "b", "c"], ["a", "x", "c"]) == {"exact match": [1, 0, 1]}
