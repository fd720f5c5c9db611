"""What a training step costs on many accelerators: a model of time, memory and traffic, not a measurement.

Built on one figure that is measured where it runs, `utilisation`: the share of the peak arithmetic that training
reaches. Everything else is counted, with these assumptions:

- The examples of a step are the same however many share them (strong scaling), and their tokens divide evenly.
- Arithmetic is 6 operations for each weight and token (`utils.costs`), at the same utilisation on every accelerator.
  A small share of a batch keeps an accelerator less busy, so that the real times lie above these.
- Gradients are summed in 32 bits by a ring all-reduce: each process sends and receives 2 (N - 1) / N of their bytes
  (Patarasuk & Yuan, 2009, "Bandwidth Optimal All-reduce Algorithms for Clusters of Workstations"), all at once, at the
  speed of the slowest link of the ring. The time that a message takes however short it is, is left out.
- Sharding as in ZeRO (Rajbhandari et al., 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models",
  sections 5 and 7): stage 1 splits the optimizer and the 32-bit weights, stage 2 the gradients too, stage 3, which FSDP
  does as well, also the 16-bit weights. Stages 1 and 2 gather the new weights once in a step; stage 3 gathers them for
  the forward and again for the backward pass of every batch.
- Traffic and arithmetic overlap in whole or not at all: two bounds, and the truth lies between.
- Memory is that of `utils.costs` with activations computed again, and nothing for what a library keeps in reserve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from utils.costs import FLOAT_BYTES, HALF_BYTES, Shape, full, planned_memory, training_flops

STAGES = {0: "DDP", 1: "ZeRO-1", 2: "ZeRO-2", 3: "ZeRO-3, FSDP"}
BATCH_TOKENS = 32_768  # with activations computed again, what 8 billion weights leave room for on 80 GB
GATHERED_LAYERS = 2  # the one that computes, and the next one, fetched meanwhile


@dataclass(frozen=True)
class Accelerator:
    """A processor by its data sheet: 10^12 operations a second in 16 bits, dense, and memory in GB."""

    name: str
    tflops: float
    memory_gb: float
    source: str


@dataclass(frozen=True)
class Link:
    """A connection by its data sheet: GB a second that one accelerator can send while it receives as many."""

    name: str
    gb_per_second: float
    source: str


T4 = Accelerator("T4", 65, 16, "NVIDIA T4 data sheet, 2019")
A100 = Accelerator("A100 80 GB SXM", 312, 80, "NVIDIA A100 data sheet, 2021")
H100 = Accelerator("H100 SXM", 989, 80, "NVIDIA H100 data sheet, 2023; half of what it gives with sparsity")
ACCELERATORS = (T4, A100, H100)

NVLINK_3 = Link("NVLink 3 (A100)", 300, "NVIDIA A100 data sheet, 2021: 600 GB/s in both directions")
NVLINK_4 = Link("NVLink 4 (H100)", 450, "NVIDIA H100 data sheet, 2023: 900 GB/s in both directions")
PCIE_4 = Link("PCIe 4.0 x16", 32, "NVIDIA A100 data sheet, 2021: 64 GB/s in both directions")
INFINIBAND = Link("InfiniBand, 400 Gb/s each", 50, "NVIDIA DGX H100 data sheet, 2023: an adapter for each GPU")
ETHERNET_100 = Link("Ethernet, 100 Gb/s for 8", 100 / 8 / 8, "IEEE 802.3ba, 2010, shared by the GPUs of a machine")
ETHERNET_25 = Link("Ethernet, 25 Gb/s for 8", 25 / 8 / 8, "IEEE 802.3by, 2016, shared by the GPUs of a machine")
LINKS = (NVLINK_3, NVLINK_4, PCIE_4, INFINIBAND, ETHERNET_100, ETHERNET_25)

SHAPES = {
    "SmolLM2 135M": Shape(30, 576, 576, 192, 1536, 49_152),
    "Llama 3.2 1B": Shape(16, 2048, 2048, 512, 8192, 128_256),
    "Llama 3.1 8B": Shape(32, 4096, 4096, 1024, 14_336, 128_256, tied=False),
    "Llama 3.1 70B": Shape(80, 8192, 8192, 1024, 28_672, 128_256, tied=False),
}


@dataclass(frozen=True)
class Cluster:
    """Accelerators, `together` of them in a machine: the link within a machine, and the one between machines."""

    accelerator: Accelerator = H100
    within: Link = NVLINK_4
    between: Link = INFINIBAND
    together: int = 8

    def bytes_per_second(self, count: int) -> float:
        """What a ring of so many accelerators carries: as much as its slowest link."""
        link = self.within if count <= self.together else min(self.within, self.between, key=lambda x: x.gb_per_second)
        return 1e9 * link.gb_per_second


@dataclass(frozen=True)
class StepCost:
    """One optimizer step on `count` accelerators, for each of them: seconds of arithmetic and of traffic, memory in GB.

    The traffic is in bytes that each sends, and receives.
    """

    count: int
    compute: float
    traffic: float
    communication: float
    memory: float

    @property
    def least(self) -> float:
        """Seconds if all traffic is hidden behind the arithmetic."""
        return max(self.compute, self.communication)

    @property
    def most(self) -> float:
        """Seconds if the one waits for the other."""
        return self.compute + self.communication


def utilisation(flops: float, seconds: float, peak_tflops: float) -> float:
    """The share of the peak that a measured step reached."""
    return flops / seconds / (1e12 * peak_tflops)


def multiplied_weights(shape: Shape) -> int:
    """Weights in matrix products: those of the layers, and the head. Word vectors are looked up."""
    return shape.linear_weights + shape.vocabulary * shape.hidden_size


def ring_bytes(size: float, count: int, passes: int) -> float:
    """Bytes that each of `count` processes sends when `size` bytes go round: an all-reduce makes two passes.

    A reduce-scatter or an all-gather makes one (Patarasuk & Yuan, 2009).
    """
    return passes * (count - 1) / count * size


def step_traffic(parameters: float, count: int, stage: int, batches: int = 1) -> float:
    """Bytes that each process sends in an optimizer step of so many batches (ZeRO, section 7).

    Stage 0 reduces the gradients to everybody; stages 1 and 2 reduce to each its part, and gather the new 16-bit
    weights; stage 3 gathers them twice, and reduces, for every batch.
    """
    gradients, weights = parameters * FLOAT_BYTES, parameters * HALF_BYTES
    if stage == 0:
        return ring_bytes(gradients, count, passes=2)
    if stage == 3:
        return batches * (ring_bytes(weights, count, passes=2) + ring_bytes(gradients, count, passes=1))
    return ring_bytes(gradients, count, passes=1) + ring_bytes(weights, count, passes=1)


def held_memory(shape: Shape, stage: int, count: int) -> dict[str, float]:
    """GB that each process holds between steps: 16-bit weights, gradients, and the optimizer with 32-bit weights.

    Raises:
        ValueError: there is no such stage.
    """
    if stage not in STAGES:
        raise ValueError(f"There is no stage {stage}; the stages are {', '.join(map(str, STAGES))}.")
    memory = planned_memory(shape, "full", tokens=0)
    copies = shape.parameters * HALF_BYTES / 1e9
    masters = memory.weights - copies
    split = {
        part: count if stage >= least else 1 for part, least in (("optimizer", 1), ("gradients", 2), ("weights", 3))
    }
    return {
        "weights": copies / split["weights"],
        "gradients": memory.gradients / split["gradients"],
        "optimizer": (masters + memory.optimizer) / split["optimizer"],
    }


def step_memory(shape: Shape, stage: int, count: int, tokens: float) -> float:
    """GB at the peak of a step, for each process, which computes so many tokens at once."""
    held = sum(held_memory(shape, stage, count).values())
    work = planned_memory(shape, "full", tokens=tokens, recomputed=True, on_gpu=True)
    layer = HALF_BYTES * shape.linear_weights / shape.layers / 1e9
    gathered = min(GATHERED_LAYERS, shape.layers) * layer if stage == 3 and count > 1 else 0.0
    return held + work.activations + work.logits + gathered


def step_cost(
    shape: Shape,
    count: int,
    stage: int,
    cluster: Cluster,
    *,
    tokens: float,
    utilised: float,
    batch_tokens: float = BATCH_TOKENS,
) -> StepCost:
    """The cost of a step of `tokens` tokens in all, trained in full, of which each process computes its share.

    It does so in batches of at most `batch_tokens`. `utilised` is the share of the peak that training reaches.
    """
    mine = tokens / count
    batches = max(1, -(-int(mine) // int(batch_tokens)))
    flops = training_flops(full(multiplied_weights(shape)), mine)
    traffic = step_traffic(shape.parameters, count, stage, batches)
    return StepCost(
        count,
        compute=flops / (utilised * 1e12 * cluster.accelerator.tflops),
        traffic=traffic,
        communication=traffic / cluster.bytes_per_second(count),
        memory=step_memory(shape, stage, count, mine / batches),
    )


def step_costs(shape: Shape, counts: Sequence[int], stage: int, cluster: Cluster, **given: float) -> list[StepCost]:
    """`step_cost` for several numbers of accelerators."""
    return [step_cost(shape, count, stage, cluster, **given) for count in counts]
