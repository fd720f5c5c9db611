"""Does this training fit into that machine? Memory by what it is for, from the formulas in `utils.costs`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from utils.costs import METHODS, Memory, Shape, planned_memory
from utils.widgets.controls import Choice, Steps, Switch, as_list
from utils.widgets.markup import bar, bold, joined, paragraph, table
from utils.widgets.view import Explorer

# Layers, hidden size, query size, key size, feed-forward size, vocabulary, head tied to the word vectors: from the
# config.json of each model on the Hub.
MODELS = {
    "SmolLM2-135M": Shape(30, 576, 576, 192, 1536, 49_152),
    "SmolLM2-360M": Shape(32, 960, 960, 320, 2560, 49_152),
    "Qwen3-0.6B": Shape(28, 1024, 2048, 1024, 3072, 151_936),
    "SmolLM2-1.7B": Shape(24, 2048, 2048, 2048, 8192, 49_152),
    "Qwen3-1.7B": Shape(28, 2048, 2048, 1024, 6144, 151_936),
    "Llama-3.2-3B": Shape(28, 3072, 3072, 1024, 8192, 128_256),
    "Qwen3-4B": Shape(36, 2560, 4096, 1024, 9728, 151_936),
    "Llama-3.1-8B": Shape(32, 4096, 4096, 1024, 14_336, 128_256, tied=False),
    "Qwen3-8B": Shape(36, 4096, 4096, 1024, 12_288, 151_936, tied=False),
}
LOADED = "the loaded model"
NAMES = dict(zip(("full", "LoRA", "QLoRA"), METHODS, strict=True))
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
PARTS = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer, two moments a weight",
    "activations": "activations, kept for the way back",
    "logits": "scores of the vocabulary",
}
# What learns the same more slowly; after them come other methods.
CHANGES: dict[str, dict[str, Any]] = {
    "activation checkpointing": {"recomputed": True},
    "batch 1, accumulated": {"batch": 1},
}
RANK = 16  # of the adapters
TIGHT_SHARE = 0.1  # estimates are no better than this


@dataclass(frozen=True)
class Device:
    """Memory in GB, and what of it the system, Python and its libraries hold already: an assumption, to be safe."""

    gigabytes: float
    reserved: float
    is_gpu: bool


DEVICES = {
    "CPU, 8 GB": Device(8, 2, False),
    "CPU, 16 GB": Device(16, 2, False),
    "T4, 16 GB": Device(16, 1, True),
    "L4, 24 GB": Device(24, 1, True),
    "A100, 40 GB": Device(40, 1, True),
    "A100, 80 GB": Device(80, 1, True),
}


@dataclass(frozen=True)
class Plan:
    """A training run that nobody has started yet. `length` in tokens, `batch` in examples computed together."""

    shape: Shape
    method: str
    length: int
    batch: int
    recomputed: bool

    def memory(self, *, on_gpu: bool) -> Memory | None:
        """What it takes; None where it cannot run: QLoRA needs a GPU."""
        if self.method == "qlora" and not on_gpu:
            return None
        tokens = self.length * self.batch
        return planned_memory(
            self.shape, self.method, tokens=tokens, recomputed=self.recomputed, rank=RANK, on_gpu=on_gpu
        )

    def spare(self, device: Device) -> float | None:
        """GB that stay free on a device; less than nothing if it does not fit, None if it cannot run there."""
        memory = self.memory(on_gpu=device.is_gpu)
        return None if memory is None else device.gigabytes - device.reserved - memory.total

    def lighter(self) -> Iterator[tuple[list[str], Plan]]:
        """Plans that need less and less, each with what was changed."""
        plan, changes = self, []
        for name, change in CHANGES.items():
            if replace(plan, **change) != plan:
                plan, changes = replace(plan, **change), [*changes, name]
                yield changes, plan
        for name, method in NAMES.items():
            if METHODS.index(method) > METHODS.index(self.method):
                yield [*changes, name], replace(plan, method=method)


def plan_memory(
    config: Any = None, *, method: str = "full", length: int = 512, batch: int = 8, recomputed: bool = False
) -> Explorer:
    """How much memory training takes, and where it fits: for the model of a `config` as transformers keeps it, or any.

    `method` is "full", "LoRA" or "QLoRA", `length` in tokens, `recomputed` activation checkpointing.
    """
    models, model = _models(config)
    controls = {
        "model": Choice("model", list(models), model),
        "method": Choice("method", list(NAMES), method),
        "length": Steps("length", as_list(length, LENGTHS), length),
        "batch": Steps("batch", as_list(batch, BATCHES), batch),
        "recomputed": Switch("activation checkpointing", recomputed),
    }

    def draw(model: str, method: str, length: int, batch: int, recomputed: bool) -> Markup:
        return plan_view(Plan(models[model], NAMES[method], length, batch, recomputed))

    return Explorer("How much memory training takes", controls, draw)


def plan_view(plan: Plan) -> Markup:
    """The parts of the memory, and a verdict for each device."""
    memories = {"on a CPU": plan.memory(on_gpu=False), "on a GPU": plan.memory(on_gpu=True)}
    trained = plan.shape.parameters if plan.method == "full" else plan.shape.adapter_weights(RANK)
    sentence = f"{_millions(trained)} of {_millions(plan.shape.parameters)} weights trained; all in GB, estimated."
    parts = table(["memory for", *memories, ""], _part_rows(memories))
    verdicts = table(["machine", "verdict"], [(name, verdict(plan, device)) for name, device in DEVICES.items()])
    return joined([paragraph(sentence), parts, verdicts])


def verdict(plan: Plan, device: Device) -> Markup:
    """Whether a plan fits on a device; if not, what makes it fit."""
    spare = plan.spare(device)
    if spare is not None and spare >= 0:
        word = "tight" if spare < TIGHT_SHARE * device.gigabytes else "fits"
        return bold(word) + f", {spare:.1f} GB to spare"
    fault = "no: QLoRA needs a GPU" if spare is None else f"no: {-spare:.1f} GB too much"
    for changes, lighter in plan.lighter():
        if (lighter.spare(device) or -1) >= 0:
            return Markup("{}; fits with {}").format(fault, ", ".join(changes))
    return Markup(fault)


def _models(config: Any) -> tuple[dict[str, Shape], str]:
    """The models on offer, and the name of the one that is asked for."""
    if config is None:
        return MODELS, next(iter(MODELS))
    shape = Shape.of(config)
    known = next((name for name, other in MODELS.items() if other == shape), None)
    return (MODELS, known) if known else ({LOADED: shape} | MODELS, LOADED)


def _part_rows(memories: Mapping[str, Memory | None]) -> Iterator[list[object]]:
    largest = max(memory.total for memory in memories.values() if memory)
    for field, name in (PARTS | {"total": "together"}).items():
        parts = [getattr(memory, field) if memory else None for memory in memories.values()]
        shown = ["-" if part is None else f"{part:.2f}" for part in parts]
        share = max(part for part in parts if part is not None) / largest
        yield [bold(name) if field == "total" else name, *shown, bar(share)]


def _millions(weights: float) -> str:
    return f"{weights / 1e9:.2f} billion" if weights >= 1e9 else f"{weights / 1e6:.1f} million"
