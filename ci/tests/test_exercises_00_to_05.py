"""The checks of notebooks 00, 01, 02, 03 and 05 take what is right, and lead on from what is not."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from ci.checks.tiny_model import make_tiny_model
from utils.data import load_databases
from utils.evaluation import Outcome, interval
from utils.exercises.checks import verdict_on
from utils.exercises.notebook_00 import NEVER_INSPECTED, SENTENCE
from utils.exercises.notebook_01 import ENGLISH, GERMAN
from utils.exercises.notebook_02 import LIMIT, MADE_UP
from utils.settings import DATA

SYSTEM, USER = {"role": "system", "content": "pets: id"}, {"role": "user", "content": "How many?"}
ROW = {"prompt": [SYSTEM, USER], "completion": [{"role": "assistant", "content": "SELECT COUNT(*)"}]}
OUTCOME = Outcome("a", "clinic", "easy", "How many?", "SELECT 1", "SELECT 2", "SELECT 2", True, False, False, "x")


def said(exercise: str, answer: object, **given: object) -> str:
    """The verdict, in which no check may have ended in an error."""
    verdict = str(verdict_on(exercise, answer, **given))
    assert "ended in" not in verdict
    return verdict


def test_00_a_query_is_run() -> None:
    harbour = load_databases(DATA / "databases")["harbour"]
    joined = "SELECT COUNT(*) FROM vessels JOIN inspections ON vessel_id = vessels.id"
    other = "SELECT COUNT(*) FROM vessels LEFT JOIN inspections i ON i.vessel_id = vessels.id WHERE i.id IS NULL"
    for query in (NEVER_INSPECTED, other):
        assert said("00.1", query, database=harbour).startswith("Right.")
    assert "another number" in said("00.1", joined, database=harbour)
    assert "no such table" in said("00.1", "SELECT * FROM ships", database=harbour).lower()
    assert "a table of 58 by 1" in said("00.1", "SELECT id FROM vessels", database=harbour)


def test_00_a_changed_prompt_leaves_the_old_one() -> None:
    changed = USER | {"content": f"{SENTENCE} {USER['content']}"}
    assert said("00.2", [SYSTEM, changed], messages=[SYSTEM, USER]).startswith("Right.")
    assert "itself has changed" in said("00.2", [SYSTEM, changed], messages=[SYSTEM, changed])
    assert "user's message" in said("00.2", [SYSTEM, USER], messages=[SYSTEM, USER])
    assert "first message" in said("00.2", [changed, changed], messages=[SYSTEM, USER])
    assert "two messages" in said("00.2", [changed], messages=[SYSTEM, USER])


def test_00_the_fewest_questions() -> None:
    fewest = next(count for count in range(1, 1000) if interval([False] * count).high < 0.01)
    assert said("00.3", fewest).startswith("Right.")
    assert "so few" in said("00.3", fewest - 1)
    assert "fewer would do" in said("00.3", fewest + 1)
    assert said("00.3", 0).startswith("Not yet")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """A random model and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make_tiny_model(tmp_path_factory.mktemp("tiny"))
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_01_tokens_are_counted(tiny: tuple) -> None:
    _, tokenizer = tiny
    ratio = len(GERMAN) / len(ENGLISH)  # one token a byte
    assert said("01.1", ratio, tokenizer=tokenizer).startswith("Right.")
    assert "turn it round" in said("01.1", 1 / ratio, tokenizer=tokenizer)
    prompts = {"tokenizer": tokenizer, "zero_shot": [[SYSTEM, USER]], "few_shot": [[SYSTEM, USER] * 3]}
    short, long = (
        len(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"])
        for turns in ([SYSTEM, USER], [SYSTEM, USER] * 3)
    )
    assert said("01.2", long / short, **prompts).startswith("Right.")
    assert said("01.2", short / long, **prompts).startswith("Not yet")


def test_01_memory_is_that_of_frozen_and_of_trained_weights() -> None:
    assert said("01.3", lambda weights, trained: (2 * weights + 14 * trained) / 1e9).startswith("Right.")
    assert "1 billion of them trained" in said("01.3", lambda weights, trained: 2 * weights / 1e9)
    assert "0.01 billion of them trained" in said("01.3", lambda weights, trained: 16 * weights / 1e9)
    assert "ZeroDivisionError" in str(verdict_on("01.3", lambda weights, trained: weights / 0))


def test_02_long_examples_are_counted_in_percent() -> None:
    lengths = [(LIMIT - 10, 10), (LIMIT - 10, 11), (10, 10), (LIMIT, 1)]
    assert said("02.1", 50.0, lengths=lengths).startswith("Right.")
    assert "percent" in said("02.1", 0.5, lengths=lengths)
    assert said("02.1", 75, lengths=lengths).startswith("Not yet")


def test_02_a_split_by_rows_leaks() -> None:
    kept = [replace(MADE_UP, id=str(number), sql=f"SELECT {number % 60}") for number in range(100)]
    shuffled = random.Random(7).sample(kept, 100)
    known = {question.sql for question in shuffled[:90]}
    share = sum(question.sql in known for question in shuffled[90:]) / 10
    assert 0 < share < 1
    assert said("02.2", share, kept=kept, seed=7).startswith("Right.")
    assert "not percent" in said("02.2", 100 * share, kept=kept, seed=7)
    assert said("02.2", 1 - share / 2, kept=kept, seed=7).startswith("Not yet")


def test_02_a_choice_by_difficulty() -> None:
    def at_most(questions: list, count: int) -> list:
        seen: Counter = Counter()
        return [q for q in questions if not seen.update([q.difficulty]) and seen[q.difficulty] <= count]

    assert said("02.3", at_most).startswith("Right.")
    assert "another order" in said("02.3", lambda questions, count: at_most(questions, count)[::-1])
    assert "at most 2 of each level" in said("02.3", lambda questions, count: questions)
    assert "twice" in said("02.3", lambda questions, count: questions[:1] * 2)


def test_03_steps_are_rounded_up() -> None:
    given = {"examples": 1176, "batch": 8}
    assert said("03.1", 74, **given).startswith("Right.")
    assert "those are the batches" in said("03.1", 294, **given)
    assert "nearly" in said("03.1", 73, **given)
    assert "one epoch" in said("03.1", 588, **given)


def test_03_freezing_saves_gradients_and_moments(tiny: tuple) -> None:
    network, _ = tiny
    from utils.models import decoder_layers

    saved = sum(weight.numel() for weight in decoder_layers(network)[1:20].parameters()) / 1e9
    assert said("03.2", 12 * saved, network=network, frozen=1).startswith("Right.")
    assert "gradients alone" in said("03.2", 4 * saved, network=network, frozen=1)
    assert said("03.2", 99 * saved, network=network, frozen=1).startswith("Not yet: count")


def test_03_the_hardest_token_is_one_of_the_completion(tiny: tuple) -> None:
    network, tokenizer = tiny
    given = {"network": network, "tokenizer": tokenizer, "row": ROW}
    letters = sorted(set("SELECT COUNT(*)") - {" "})
    verdicts = {letter: said("03.3", letter, **given) for letter in [*letters, "<|im_end|>", "p"]}
    assert 1 <= sum(verdict.startswith("Right.") for verdict in verdicts.values()) < len(letters)
    assert "another token" in verdicts["p"]  # of the prompt
    assert "the text of one token" in said("03.3", "SELECT", **given)


def test_05_widths_are_compared() -> None:
    correct = [number % 3 == 0 for number in range(200)]
    few, everything = interval(correct[::4]), interval(correct)
    ratio = (few.high - few.low) / (everything.high - everything.low)
    assert said("05.1", ratio, correct=correct).startswith("Right.")
    assert "turn it round" in said("05.1", 1 / ratio, correct=correct)
    assert said("05.1", 4, correct=correct).startswith("Not yet: take")


def test_05_the_most_frequent_error_is_mended() -> None:
    good = replace(OUTCOME, correct=True, error="")
    outcomes = [good] * 2 + [OUTCOME] * 5 + [replace(OUTCOME, error="y")] * 3
    assert said("05.2", 70, outcomes=outcomes).startswith("Right.")
    assert "percent" in said("05.2", 0.7, outcomes=outcomes)
    assert "that is the gain" in said("05.2", 50, outcomes=outcomes)
    assert said("05.2", 50, outcomes=outcomes[:2] * 2).startswith("Not yet")
    assert said("05.2", 100, outcomes=outcomes[:2]).startswith("Right.")


def test_05_overlap_counts_repeated_rows() -> None:
    def overlap(gold: list, rows: list) -> float:
        left, right = Counter(gold), Counter(rows)
        return (left & right).total() / (left | right).total() if left | right else 1.0

    def of_sets(gold: list, rows: list) -> float:
        return len(set(gold) & set(rows)) / len(set(gold) | set(rows)) if gold or rows else 1.0

    assert said("05.3", overlap).startswith("Right.")
    assert "[(1, 'Rex'), (1, 'Rex')]" in said("05.3", of_sets)
    assert said("05.3", lambda gold, rows: float(gold == rows)).startswith("Not yet")
