"""How time and memory of a training step grow, for notebook 03: measured on the real model, and estimated.

Every point is a process of its own: one step to warm up, then a few whose median counts. An example's last quarter is
trained, as its answer is in the course's data; the tokens are random, since arithmetic does not care.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ci.bench.children import report, run_child
from utils.costs import Shape, training_flops, training_memory, weights_of
from utils.hardware import peak_memory_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STEPS = 2
LORA_RANK = 16
TRAINED = ("LoRA", "upper half", "layers", "all")


@dataclass(frozen=True)
class Point:
    """A training step: `batch` examples of `length` tokens; `trained` is one of `TRAINED`."""

    length: int = 128
    batch: int = 4
    trained: str = "layers"


@dataclass(frozen=True)
class Cost:
    """Seconds and peak memory in GB of a step, measured and estimated, with the number of trainable parameters.

    `memory` counts from what the process held before it loaded the model, since libraries are not part of the estimate.
    """

    point: Point
    trainable: int
    flops: float
    seconds: float
    memory: float
    estimated_memory: float


SERIES: dict[str, list[Point]] = {
    "tokens of an example": [Point(length=length) for length in (64, 128, 256, 512)],
    "examples of a batch": [Point(batch=batch) for batch in (1, 2, 4, 8)],
    "millions of trainable parameters": [Point(trained=trained) for trained in TRAINED],
}


def measure_growth(
    model: str, series: dict[str, list[Point]] = SERIES, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, list[Cost]]:
    """The cost of every point of the series, each point measured once. Takes about a minute on two cores.

    Raises:
        ChildFailed: a measurement failed.
    """
    points = list(dict.fromkeys(point for line in series.values() for point in line))
    costs = {}
    for number, point in enumerate(points, start=1):
        measured = run_child("ci.bench.growth", model, json.dumps(asdict(point)))
        costs[point] = Cost(point=point, **{name: measured[name] for name in Cost.__annotations__ if name != "point"})
        if on_progress:
            on_progress(number, len(points))
    return {name: [costs[point] for point in line] for name, line in series.items()}


def estimated_seconds(costs: list[Cost], reference: Cost) -> list[float]:
    """Seconds if all steps ran at the speed of the `reference` step: what 6·N·tokens says of the others."""
    return [cost.flops / reference.flops * reference.seconds for cost in costs]


def growth_lines(
    costs: dict[str, list[Cost]], measured: str, estimate: Callable[[list[Cost], Cost], list[float]]
) -> dict[str, tuple[list[float], list[float], list[float]]]:
    """For `utils.plots.measured_and_estimated`: x, the `measured` field and its estimate, for each series."""
    lines = {}
    for name, found in costs.items():
        reference = max(found, key=lambda cost: cost.seconds)
        lines[name] = (
            [_place(name, cost) for cost in found],
            [getattr(cost, measured) for cost in found],
            estimate(found, reference),
        )
    return lines


def _place(series: str, cost: Cost) -> float:
    """Where a point lies on the axis of its series; parameters in millions."""
    places = {
        "tokens of an example": cost.point.length,
        "examples of a batch": cost.point.batch,
        "millions of trainable parameters": cost.trainable / 1e6,
    }
    return places[series]


def measure_step(model: PreTrainedModel, point: Point, *, before: int, mixed: bool) -> dict[str, Any]:
    """Train `model` for a few steps. `before` is the memory in bytes that the process held without it."""
    import torch

    from utils.models import count_parameters

    parameters, layers = count_parameters(model), model.config.num_hidden_layers
    model = set_trained(model, point.trained).train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    ids = torch.randint(model.config.vocab_size, (point.batch, point.length))
    # The token at a position is predicted by the position before it.
    predicting = torch.arange(point.length - max(1, point.length // 4), point.length) - 1
    seconds = []
    for _ in range(1 + STEPS):
        start = perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=predicting).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, predicting + 1].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(perf_counter() - start)
    tokens, scored = point.batch * point.length, point.batch * len(predicting)
    body, head = weights_of(model)
    shape = Shape.of(model.config)
    if point.trained == "upper half":
        shape = replace(shape, layers=layers - layers // 2)
    trainable = sum(weight.numel() for weight in trained)
    estimate = training_memory(parameters, trainable, shape, tokens=tokens, head_tokens=scored, mixed=mixed)
    return {
        "trainable": trainable,
        "flops": training_flops(body, tokens) + training_flops(head, scored),
        "seconds": median(seconds[1:]),
        "memory": (peak_memory_bytes() - before) / 1e9,
        "estimated_memory": estimate.total,
    }


def set_trained(model: PreTrainedModel, trained: str) -> PreTrainedModel:
    """Choose what is trained: everything, all but the word vectors, the upper half of that, or a LoRA adapter."""
    if trained == "LoRA":
        from peft import LoraConfig, get_peft_model

        return get_peft_model(model, LoraConfig(r=LORA_RANK, target_modules="all-linear"))
    if trained != "all":
        model.get_input_embeddings().requires_grad_(False)
    if trained == "upper half":
        layers = model.get_decoder().layers
        for layer in layers[: len(layers) // 2]:
            layer.requires_grad_(False)
    return model


def main(name: str, point: str) -> None:
    """Measure one point and print it."""
    from utils.allocator import keep_freed_memory

    keep_freed_memory()  # as in a notebook
    import torch
    from transformers import AutoModelForCausalLM  # noqa: F401  counted as a library, not as the model

    from utils.hardware import choose_here
    from utils.models import load_model

    wanted = Point(**json.loads(point))
    if wanted.trained == "LoRA":
        import peft  # noqa: F401  counted likewise
    torch.manual_seed(0)
    mixed = choose_here().bf16
    before = peak_memory_bytes()
    report(**measure_step(load_model(name), wanted, before=before, mixed=mixed))


if __name__ == "__main__":
    main(*sys.argv[1:])
