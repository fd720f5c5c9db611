"""Compare a model with an earlier one on the same questions: find its kept answers, and say what the gain shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.data import Question
from utils.evaluation import Interval, Outcome
from utils.settings import run_folder
from utils.stages import hash_of, is_finished, read_lines, read_manifest


def earlier_outcomes(
    run_name: str | Path,
    stage: str,
    file: str,
    questions: Sequence[Question],
    *,
    inputs: Mapping[str, Path],
    parameters: Mapping[str, object],
) -> list[Outcome] | None:
    """The answers that a stage keeps in `file`, or None if they are not those to compare with.

    They are if the stage was made from the same `inputs` (such as dataset and model) with the same `parameters` (such
    as max_new_tokens), and if the questions are the same, in the same order.
    """
    folder = run_folder(run_name) / stage
    if not is_finished(folder) or not (folder / file).is_file():
        return None
    manifest = read_manifest(folder)
    if any(manifest["parameters"].get(name) != value for name, value in parameters.items()):
        return None
    if any(manifest["inputs"].get(name) != hash_of(path) for name, path in inputs.items()):
        return None
    outcomes = [Outcome(**row) for row in read_lines(folder / file)]
    asked = [(outcome.id, outcome.question, outcome.gold) for outcome in outcomes]
    return outcomes if asked == [(question.id, question.question, question.sql) for question in questions] else None


def in_words(gain: Interval, before: str, after: str) -> str:
    """What a paired difference shows, as a sentence."""
    points = f"{100 * gain.value:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    if gain.low > 0:
        return f"{after} is better than {before}: {points}. The interval is above zero."
    if gain.high < 0:
        return f"{after} is worse than {before}: {points}. The interval is below zero."
    return f"No difference between {after} and {before} is shown: {points}. The interval contains zero."
