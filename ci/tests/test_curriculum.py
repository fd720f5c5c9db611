"""Groups of answers: which of them teach, and in what order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from utils.curriculum import Group, advantages, in_batches, teaching_groups, without_direction
from utils.data import Question
from utils.errors import CourseError
from utils.rewards import Verdict

RIGHT, ROWS, RUNS, NOTHING = Verdict(1, 1, 1, 1, 1), Verdict(1, 1, 0.5, 0.5), Verdict(runs=1), Verdict()
BINARY = {"correct": 1.0}


def group(name: str, verdicts: Sequence[Verdict], database: str = "shop") -> Group:
    question = Question(name, "train", database, f"{name}?", "SELECT 1", "easy", "written")
    return Group(question, [{"role": "user", "content": f"{name}?"}], ("SELECT 1",) * len(verdicts), tuple(verdicts))


def names(groups: Sequence[Group]) -> list[str]:
    return [member.question.id for member in groups]


@pytest.mark.parametrize("rewards", [[0.0, 1.0, 1.0, 0.5], [0.1, 0.1, 0.1, 1.0]])
def test_advantages_are_those_of_trl(rewards: list[float]) -> None:
    values = torch.tensor(rewards)
    wanted = (values - values.mean()) / (values.std() + 1e-4)
    assert advantages(rewards) == pytest.approx(wanted.tolist(), rel=1e-3)
    assert math.isclose(sum(advantages(rewards)), 0, abs_tol=1e-9)


def test_equal_rewards_have_no_direction() -> None:
    assert advantages([0.3, 0.3, 0.3]) == [0, 0, 0]
    assert advantages([0.3]) == [0], "an answer alone is neither better nor worse"
    groups = [group("a", [RIGHT, NOTHING]), group("b", [RUNS, NOTHING]), group("c", [ROWS, ROWS])]
    assert without_direction(groups, BINARY) == pytest.approx(2 / 3)
    assert without_direction(groups, {"correct": 0.5, "runs": 0.1}) == pytest.approx(1 / 3)


def test_mixed_groups_teach_and_uneven_ones_fill_up() -> None:
    groups = [
        group("none", [NOTHING, NOTHING]),
        group("runs", [RUNS, NOTHING]),
        group("mixed", [RIGHT, ROWS]),
        group("rows", [ROWS, NOTHING]),
        group("all", [RIGHT, RIGHT]),
    ]
    assert names(teaching_groups(groups, 1)) == ["mixed"]
    assert names(teaching_groups(groups, 2)) == ["mixed", "rows"]
    assert names(teaching_groups(groups, 9)) == ["mixed", "rows", "runs"]


def test_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(CourseError, match="nothing to learn from"):
        teaching_groups([group("all", [RIGHT, RIGHT]), group("none", [NOTHING, NOTHING])], 4)


def test_batches_are_about_one_database() -> None:
    groups = [group(f"a{n}", [RIGHT, RUNS], "a") for n in range(5)] + [
        group(f"b{n}", [RIGHT, RUNS], "b") for n in range(4)
    ]
    ordered = in_batches(groups, 2, seed=1)
    assert len(ordered) == 10
    assert set(names(ordered)) == set(names(groups))
    pairs = [ordered[start : start + 2] for start in range(0, 8, 2)]
    assert all(len({member.question.database for member in pair}) == 1 for pair in pairs)
    assert names(in_batches(groups, 2, seed=1)) == names(ordered) != names(in_batches(groups, 2, seed=2))


def test_few_groups_fill_a_batch() -> None:
    assert names(in_batches([group("only", [RIGHT, RUNS])], 3, seed=1)) == ["only"] * 3


def test_a_row_has_what_the_reward_functions_need() -> None:
    assert group("a", [RIGHT, RUNS]).as_row() == {
        "prompt": [{"role": "user", "content": "a?"}],
        "sql": "SELECT 1",
        "database": "shop",
    }
