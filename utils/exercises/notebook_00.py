"""Checks of the exercises of notebook 00: a query, a changed prompt, and how sure nought of many is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.evaluation import interval
from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right
from utils.prompts import Message
from utils.sql import execute, same_result

NEVER_INSPECTED = "SELECT COUNT(*) FROM vessels WHERE id NOT IN (SELECT vessel_id FROM inspections)"
SENTENCE = "Answer with SQL only."
BOUND = 0.01


@exercise("00.1", str)
def query(answer: str, *, database: Path) -> Verdict:
    """A query that counts the vessels that were never inspected."""
    result = execute(database, answer)
    if not result.ok:
        return not_yet(f"the database says: {result.error}")
    if len(result.rows) != 1 or len(result.columns) != 1:
        shape = f"{len(result.rows)} by {len(result.columns)}"
        return not_yet(f"the answer is one number, and the query gives a table of {shape}.")
    if not same_result(execute(database, NEVER_INSPECTED), result, ordered=False):
        return not_yet("the query runs and gives another number. Which vessels have no row in inspections?")
    return right("The rows agree, and only they count: there are other ways to write this query.")


@exercise("00.2", list)
def changed_prompt(answer: Sequence[Message], *, messages: Sequence[Message]) -> Verdict:
    """The prompt of section 5 with a sentence before the question."""
    if [set(message) for message in answer] != [set(message) for message in messages]:
        return not_yet("the prompt is a list of two messages, each with a role and a content.")
    if messages[1]["content"].startswith(SENTENCE):
        return not_yet("`messages` itself has changed. Run section 5 again, and change a copy.")
    system, user = answer
    if system != messages[0]:
        return not_yet("the first message, with the tables, is to stay as it is.")
    if not user["content"].startswith(SENTENCE) or not user["content"].endswith(messages[1]["content"]):
        return not_yet(f"the user's message should be “{SENTENCE}” and then the question as it was.")
    return right("The prompt asks for it in so many words. Whether the model obeys is seen in what it writes.")


@exercise("00.3", int)
def fewest_questions(answer: int) -> Verdict:
    """The fewest questions that, all answered wrongly, bring the upper bound below 1%."""
    if answer < 1:
        return not_yet("a score needs at least one question.")
    if interval([False] * answer).high >= BOUND:
        return not_yet("with so few questions the interval still reaches 1%.")
    if answer > 1 and interval([False] * (answer - 1)).high < BOUND:
        return not_yet("so many are enough, and fewer would do.")
    return right("Even nought of many leaves a little room, and the room shrinks slowly.")
