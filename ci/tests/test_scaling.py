"""The model of many accelerators gives what its sources say."""

from __future__ import annotations

import itertools

import pytest

from utils.costs import planned_memory
from utils.scaling import (
    BATCH_TOKENS,
    ETHERNET_100,
    H100,
    INFINIBAND,
    LINKS,
    NVLINK_4,
    SHAPES,
    STAGES,
    Cluster,
    held_memory,
    multiplied_weights,
    ring_bytes,
    step_cost,
    step_costs,
    step_memory,
    step_traffic,
    utilisation,
)

SMALL, LARGE = SHAPES["SmolLM2 135M"], SHAPES["Llama 3.1 70B"]
WORK = {"tokens": 2**20, "utilised": 0.4}


@pytest.mark.parametrize(
    ("name", "billions"),
    [("SmolLM2 135M", 0.1345), ("Llama 3.2 1B", 1.236), ("Llama 3.1 8B", 8.030), ("Llama 3.1 70B", 70.554)],
)
def test_shapes_have_the_published_numbers_of_weights(name: str, billions: float) -> None:
    assert SHAPES[name].parameters / 1e9 == pytest.approx(billions, rel=1e-3)


def test_ring_sends_what_simulated_processes_send() -> None:
    # A ring all-reduce of N blocks, played: N - 1 rounds to add up, N - 1 to hand round; each sends a block a round.
    count, size = 4, 1200.0
    held = [[float(process * 10 + block) for block in range(count)] for process in range(count)]
    expected = [sum(row[block] for row in held) for block in range(count)]
    sent = 0.0
    for gathering in (False, True):
        for round_ in range(count - 1):
            blocks = [(process + gathering - round_) % count for process in range(count)]
            moved = [held[process][block] for process, block in enumerate(blocks)]
            for process, block in enumerate(blocks):
                target = held[(process + 1) % count]
                target[block] = moved[process] + (0 if gathering else target[block])
            sent += size / count
    assert all(row == expected for row in held)
    assert ring_bytes(size, count, passes=2) == sent
    assert ring_bytes(size, 1, passes=2) == 0


def test_traffic_of_the_stages() -> None:
    # In the paper's units, two bytes for everything, all-reduce is 2 and stage 3 is 3 times the weights.
    many = 10**6
    assert step_traffic(1.0, many, 0) == pytest.approx(2 * 4, rel=1e-5)
    assert step_traffic(1.0, many, 1) == step_traffic(1.0, many, 2) == pytest.approx(4 + 2, rel=1e-5)
    assert step_traffic(1.0, many, 3) == pytest.approx(2 * 2 + 4, rel=1e-5)
    assert step_traffic(1.0, 8, 3, batches=3) == 3 * step_traffic(1.0, 8, 3)
    assert step_traffic(1.0, 8, 0, batches=3) == step_traffic(1.0, 8, 0), "gradients are summed once in a step"
    assert all(step_traffic(1.0, 1, stage) == 0 for stage in STAGES)


def test_memory_of_the_stages_is_that_of_the_paper() -> None:
    # ZeRO, figure 1, with gradients in 32 instead of 16 bits: (2 + 4 + 12) bytes a weight, split further at each stage.
    weights = LARGE.parameters / 1e9
    expected = {0: 2 + 4 + 12, 1: 2 + 4 + 12 / 64, 2: 2 + 16 / 64, 3: 18 / 64}
    for stage, bytes_a_weight in expected.items():
        assert sum(held_memory(LARGE, stage, 64).values()) == pytest.approx(weights * bytes_a_weight)
        assert sum(held_memory(LARGE, stage, 1).values()) == pytest.approx(weights * 18)
    with pytest.raises(ValueError, match="There is no stage 4; the stages are 0, 1, 2, 3"):
        held_memory(LARGE, 4, 8)


def test_one_process_needs_what_was_planned_for_it() -> None:
    planned = planned_memory(SMALL, "full", tokens=4096, recomputed=True, on_gpu=True)
    assert all(step_memory(SMALL, stage, 1, 4096) == pytest.approx(planned.total) for stage in STAGES)


def test_ring_is_as_fast_as_its_slowest_link() -> None:
    cluster = Cluster(H100, within=NVLINK_4, between=ETHERNET_100, together=8)
    assert cluster.bytes_per_second(8) == 450e9
    assert cluster.bytes_per_second(9) == pytest.approx(1.5625e9)
    assert all(link.gb_per_second > 0 and link.source for link in LINKS)


def test_more_accelerators_share_the_arithmetic_and_the_traffic_stays() -> None:
    costs = step_costs(SHAPES["Llama 3.1 8B"], [8, 16, 32, 64], 3, Cluster(between=INFINIBAND), **WORK)
    for before, after in itertools.pairwise(costs):
        assert after.compute == pytest.approx(before.compute / 2)
        assert after.memory < before.memory
        assert before.least <= before.most == before.compute + before.communication
    assert costs[-1].traffic == pytest.approx(costs[1].traffic * (63 / 64) / (15 / 16) * _batches(64) / _batches(16))
    slow = step_cost(SHAPES["Llama 3.1 8B"], 64, 3, Cluster(between=ETHERNET_100), **WORK)
    assert slow.communication == pytest.approx(costs[-1].communication * 50 / 1.5625)


def _batches(count: int) -> int:
    return max(1, -(-WORK["tokens"] // count // BATCH_TOKENS))


def test_utilisation_gives_back_the_measured_time() -> None:
    # A step that took 3 seconds on one accelerator is predicted to take 3 seconds on one accelerator.
    flops = 6 * multiplied_weights(SMALL) * 1000
    used = utilisation(flops, 3.0, H100.tflops)
    assert step_cost(SMALL, 1, 0, Cluster(), tokens=1000, utilised=used).least == pytest.approx(3.0)
