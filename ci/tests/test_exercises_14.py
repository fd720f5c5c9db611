"""The checks of the exercises of notebook 14 accept the right answers, and tell wrong ones apart."""

from __future__ import annotations

import pytest

from utils.exercises.checks import verdict_on
from utils.scaling import A100, SHAPES, Cluster, step_memory


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([1, 2, 3, 4, 6, 8, 12, 16, 24, 48], "Right. These are the divisors."),
        ([1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 48], "Not yet: one of your numbers leaves a remainder."),
        ([1, 2, 4, 8], "Not yet: there are more."),
        (48, "Not yet: the answer should be a list"),
    ],
)
def test_numbers_of_processes(answer: object, said: str) -> None:
    assert str(verdict_on("14.1", answer, batch=8, accumulation=6)).startswith(said)


def test_smallest_cluster() -> None:
    given = {"shape": SHAPES["Llama 3.1 70B"], "cluster": Cluster(A100), "tokens": 4096}
    fitting = next(2**n for n in range(11) if step_memory(given["shape"], 3, 2**n, 4096) <= A100.memory_gb)
    assert verdict_on("14.2", fitting, **given).is_right
    for wrong, nudge in ((fitting // 2, "more than it has"), (2 * fitting, "half as many"), (fitting + 1, "powers of")):
        verdict = verdict_on("14.2", wrong, **given)
        assert not verdict.is_right
        assert nudge in str(verdict)


def test_ring() -> None:
    def ring(held: list[list[float]]) -> list[list[float]]:
        sums = [sum(column) for column in zip(*held, strict=True)]
        return [list(sums) for _ in held]

    assert verdict_on("14.3", ring).is_right
    assert "should hold" in str(verdict_on("14.3", lambda held: held))
    assert "return held" in str(verdict_on("14.3", lambda held: None))
