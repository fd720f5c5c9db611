"""Kept answers are taken only if they answer the same questions in the same way."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from utils.comparisons import earlier_outcomes, in_words
from utils.data import Question
from utils.evaluation import Interval, Outcome
from utils.stages import write_lines, write_stage

QUESTIONS = [Question(str(n), "test", "kitchen", f"Question {n}?", "SELECT 1", "easy", "written") for n in range(3)]
OUTCOMES = [
    Outcome(q.id, q.database, q.difficulty, q.question, q.sql, "SELECT 1", "SELECT 1", True, True, True, "")
    for q in QUESTIONS
]
PARAMETERS = {"max_new_tokens": 160, "constrained": True}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a model and a stage of answers."""
    (tmp_path / "model.txt").write_text("weights", encoding="utf-8")
    inputs = {"model": tmp_path / "model.txt"}
    with write_stage(tmp_path / "run", "evaluation", parameters=PARAMETERS, inputs=inputs) as stage:
        write_lines(stage.folder / "answers.jsonl", [asdict(outcome) for outcome in OUTCOMES])
    return tmp_path / "run"


def find(run: Path, questions: list[Question] = QUESTIONS, file: str = "answers.jsonl", **parameters: object):  # noqa: ANN201
    """What is found with these parameters besides the stage's own."""
    inputs = {"model": run.parent / "model.txt"}
    return earlier_outcomes(run, "evaluation", file, questions, inputs=inputs, parameters=PARAMETERS | parameters)


def test_kept_answers_are_found(run: Path) -> None:
    assert find(run) == OUTCOMES


def test_other_questions_are_not_compared(run: Path) -> None:
    assert find(run, QUESTIONS[:2]) is None
    assert find(run, QUESTIONS[::-1]) is None
    assert find(run, [replace(QUESTIONS[0], sql="SELECT 2"), *QUESTIONS[1:]]) is None


def test_another_decoding_is_not_compared(run: Path) -> None:
    assert find(run, max_new_tokens=32) is None
    assert find(run, temperature=0) is None


def test_another_model_is_not_compared(run: Path) -> None:
    (run.parent / "model.txt").write_text("other weights", encoding="utf-8")
    assert find(run) is None


def test_nothing_is_found_where_nothing_is(run: Path, tmp_path: Path) -> None:
    assert find(run, file="others.jsonl") is None
    (tmp_path / "empty").mkdir()
    assert earlier_outcomes(tmp_path / "empty", "evaluation", "a", QUESTIONS, inputs={}, parameters={}) is None


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.01, 0.09, "DPO is better than SFT"), (-0.1, -0.01, "DPO is worse than SFT"), (-0.01, 0.03, "contains zero")],
)
def test_the_gain_in_words(low: float, high: float, words: str) -> None:
    said = in_words(Interval((low + high) / 2, low, high), "SFT", "DPO")
    assert words in said
    assert f"[{100 * low:+.1f}, {100 * high:+.1f}]" in said
