"""Sequences that start alike are found, in an order that depends on their content alone."""

from __future__ import annotations

import random

import pytest

from utils.prefixes import common_prefix_length, group_by_prefix


@pytest.mark.parametrize(
    ("left", "right", "length"),
    [([], [], 0), ([1], [], 0), ([1, 2, 3], [1, 2, 4], 2), ([1, 2], [1, 2, 3], 2), ([2, 1], [1, 2], 0)],
)
def test_common_prefix_length(left: list[int], right: list[int], length: int) -> None:
    assert common_prefix_length(left, right) == common_prefix_length(right, left) == length


def test_same_start_same_group() -> None:
    sequences = [[1, 1, 1, 5], [2, 2, 2, 5], [1, 1, 1, 6], [3, 3], [2, 2, 2, 7, 7]]
    groups = group_by_prefix(sequences)
    assert sorted(map(sorted, groups)) == [[0, 2], [1, 4], [3]]


def test_half_of_the_longer_one_must_be_shared() -> None:
    assert len(group_by_prefix([[1, 2, 3, 4], [1, 2, 5, 6]])) == 1
    assert len(group_by_prefix([[1, 2, 3, 4], [1, 2, 5, 6, 7]])) == 2
    assert len(group_by_prefix([[1], [1, 2, 3, 4]])) == 2


def test_only_the_prompts_count() -> None:
    sequences = [[1, 1, 9, 9, 9, 9, 9], [1, 1, 8, 8, 8, 8, 8]]
    assert len(group_by_prefix(sequences)) == 2
    assert len(group_by_prefix(sequences, [2, 2])) == 1
    # The answers are alike, but not the prompts.
    assert len(group_by_prefix([[1, 9, 9, 9], [2, 9, 9, 9]], [1, 1])) == 2


def test_nothing_and_one() -> None:
    assert group_by_prefix([]) == []
    assert group_by_prefix([[]]) == [[0]]
    assert group_by_prefix([[1, 2]]) == [[0]]


def test_grouping_does_not_depend_on_the_order() -> None:
    generator = random.Random(1)
    sequences = [[start] * 30 + [generator.randrange(9) for _ in range(6)] for start in (1, 2, 3) for _ in range(7)]
    groups = {tuple(tuple(sequences[i]) for i in group) for group in group_by_prefix(sequences)}
    assert sorted(index for group in group_by_prefix(sequences) for index in group) == list(range(21))
    assert len(groups) == 3
    generator.shuffle(sequences)
    assert {tuple(tuple(sequences[i]) for i in group) for group in group_by_prefix(sequences)} == groups


def test_groups_follow_the_longest_shared_start() -> None:
    examples, schemas = [1] * 50, ([2] * 20, [3] * 20)
    sequences = [[*examples, *schemas[i % 2], 10 + i, 4, 5] for i in range(6)]
    assert sorted(map(sorted, group_by_prefix(sequences))) == [[0, 2, 4], [1, 3, 5]]
    assert len(group_by_prefix([[*examples, 10 + i] for i in range(6)])) == 1
