"""Splits are drawn by group, the same for the same seed; duplicates and answers that could be copied are found."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from utils.errors import CourseError
from utils.formats import Example
from utils.likeness import find_alike, jaccard
from utils.splitting import MAX_HELD_OUT, drop_duplicates, is_copied, split_examples

SHARES = {"test": 0.2, "validation": 0.1}


def example(number: int, group: str | None = None, question: str = "", answer: str = "x") -> Example:
    """A question that is unlike the others, unless it is given."""
    question = question or f"question {number}"
    prompt = [{"role": "user", "content": question}]
    return Example(f"a:{number}", "a", number, group or f"g{number}", prompt, answer, question)


def sizes(splits: dict[str, list[Example]]) -> dict[str, int]:
    """How many examples each split has."""
    return {name: len(members) for name, members in splits.items()}


def test_shares_are_kept_and_nothing_is_lost() -> None:
    examples = [example(number) for number in range(500)]
    splits = split_examples(examples, SHARES, seed=1)
    assert sizes(splits) == {"train": 350, "test": 100, "validation": 50}
    assert sorted(e.line for members in splits.values() for e in members) == list(range(500))
    assert all(members == sorted(members, key=lambda e: e.line) for members in splits.values())


def test_the_seed_decides() -> None:
    examples = [example(number) for number in range(100)]
    assert split_examples(examples, SHARES, 1) == split_examples(examples, SHARES, 1)
    assert split_examples(examples, SHARES, 1) != split_examples(examples, SHARES, 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("group_sizes", [[1] * 40, [5] * 12, [90, 5, 5], [60, 20, 10, 5, 5], [7, 7, 7], [1, 1, 98]])
def test_no_group_is_on_two_sides_and_no_side_is_empty(group_sizes: list[int], seed: int) -> None:
    groups = [f"g{number}" for number, size in enumerate(group_sizes) for _ in range(size)]
    splits = split_examples([example(number, group) for number, group in enumerate(groups)], SHARES, seed)
    sides = [{e.group for e in members} for members in splits.values()]
    assert all(sides)
    assert sum(map(len, sides)) == len(group_sizes)
    assert sum(sizes(splits).values()) == sum(group_sizes)


def test_a_giant_group_is_for_training() -> None:
    groups = ["giant"] * 90 + [f"g{number}" for number in range(10)]
    for seed in range(10):
        splits = split_examples([example(number, group) for number, group in enumerate(groups)], SHARES, seed)
        assert {e.group for e in splits["train"]} >= {"giant"}


def test_small_sets_have_enough_to_score_and_large_ones_not_too_much() -> None:
    small = split_examples([example(number) for number in range(20)], {"test": 0.05, "validation": 0.05}, 0)
    assert sizes(small) == {"train": 12, "test": 5, "validation": 3}
    large = split_examples([example(number) for number in range(8_000)], SHARES, 0)
    assert len(large["test"]) == MAX_HELD_OUT


def test_too_little_to_split_is_refused() -> None:
    with pytest.raises(CourseError, match="There are 19 usable examples"):
        split_examples([example(number) for number in range(19)], SHARES, 0)
    with pytest.raises(CourseError, match="at least 3 groups are needed; the examples form 2"):
        split_examples([example(number, f"g{number % 2}") for number in range(50)], SHARES, 0)
    assert sizes(split_examples([example(number, "one") for number in range(50)], {}, 0)) == {"train": 50}


def test_duplicates_are_dropped_and_tell_their_first() -> None:
    first = example(1, question="How many?", answer="Two")
    same = example(2, question=" how  MANY?", answer="Two")
    other_answer = example(3, question="How many?", answer="two")
    assert drop_duplicates([first, same, other_answer]) == ([first, other_answer], [(same, first)])


def test_alike_texts_are_found_whatever_their_script() -> None:
    left = [
        "When does the bakery on the corner open today?",
        "Когда открывается булочная на углу?",
        "完全に違う文章です",
    ]
    right = [
        "When does the bakery on the corner open, today",
        "Unrelated words entirely",
        "Когда открывается булочная на углу",
    ]
    pairs = find_alike(left, right, threshold=0.8)
    assert [pair[:2] for pair in pairs] == [(0, 0), (1, 2)]
    assert all(similarity == 1.0 for *_, similarity in pairs)
    assert find_alike(["!?"], ["..."], 0.8) == []
    assert find_alike(["..."], ["..."], 0.8) == [(0, 0, 1.0)]


def test_alike_pairs_are_those_of_the_exact_comparison() -> None:
    texts = [
        f"Please bring {n % 7} boxes of {word} to gate {n}" for n, word in enumerate(["apples", "pears", "plums"] * 20)
    ]
    exact = {(i, j) for i, a in enumerate(texts) for j, b in enumerate(texts) if jaccard(a, b) >= 0.7}
    assert {pair[:2] for pair in find_alike(texts, texts, 0.7)} == exact
    assert max(Counter(i for i, _ in exact).values()) > 1


def test_an_answer_is_copied_if_it_would_be_right() -> None:
    one = example(1, answer="Mo-Fr 09:00-17:00")
    same, other = replace(one, completion="mo-fr  09:00-17:00"), replace(one, completion="Mo-Fr 09:00-18:00")
    assert is_copied(one, same, 0.8, free_text=False)
    assert not is_copied(one, other, 0.8, free_text=False)
    text = replace(one, completion="The shop opens at nine in the morning and closes at five in the afternoon.")
    near = replace(one, completion=text.completion.replace("The", "This"))
    assert is_copied(text, near, 0.8, free_text=True)
    assert not is_copied(text, near, 0.8, free_text=False)
    assert not is_copied(text, near, 0.99, free_text=True)
