"""Candidates are trained alike, measured whole, and not again after an interruption."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel, TrainerCallback, TrainerState
from trl import SFTConfig, SFTTrainer

from ci.checks.tiny_model import make_tiny_model
from utils.candidates import Candidate, candidate_ranks, find_kept, keep, spread, train_measured
from utils.errors import CourseError
from utils.interrupts import TrainingStopped
from utils.models import load_model, load_tokenizer
from utils.training import SharedPrefixTrainer

torch.set_num_threads(1)
ROWS = [
    {
        "prompt": [{"role": "user", "content": f"What is {number} and one?"}],
        "completion": [{"role": "assistant", "content": str(number + 1)}],
    }
    for number in range(8)
]
RECIPE = {"learning_rate": 1e-3}
FOUND = Candidate(
    name="LoRA, rank 4",
    rank=4,
    steps=60,
    trainable=812_345,
    peak_memory=1.234,
    seconds=0.567,
    validation_loss=0.4756,
    frozen=["a", "a"],
    moved=["b", "c"],
    log=[{"step": 5, "loss": 1.5}],
    correct=[True, False, False, True],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model on disk."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", hidden_size=32)


def load_full(folder: Path) -> PreTrainedModel:
    """All but the word vectors trained, which are the head's weights too."""
    network = load_model(str(folder))
    network.get_input_embeddings().requires_grad_(False)
    return network


def load_adapter(folder: Path) -> PreTrainedModel:
    """Rank 2 on all matrices."""
    torch.manual_seed(1)
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(load_model(str(folder), dtype=torch.bfloat16), config)


def make_trainer(
    network: PreTrainedModel, *, folder: Path, checkpoints: Path, callbacks: Sequence[TrainerCallback] = ()
) -> SFTTrainer:
    """Four steps of two examples."""
    settings = {"save_strategy": "no", "learning_rate": 1e-2, "per_device_train_batch_size": 2}
    settings |= {"num_train_epochs": 1, "use_cpu": True, "bf16": True, "report_to": [], "disable_tqdm": True}
    settings |= {"activation_checkpointing": False, "logging_steps": 1, "logging_nan_inf_filter": False}
    return SharedPrefixTrainer(
        model=network,
        args=SFTConfig(output_dir=str(checkpoints), **settings),
        train_dataset=Dataset.from_list(ROWS),
        eval_dataset=Dataset.from_list(ROWS[:2]),
        processing_class=load_tokenizer(str(folder)),
        callbacks=list(callbacks),
    )


@pytest.mark.parametrize("load", [load_full, load_adapter], ids=["full", "lora"])
def test_training_is_measured(load: object, folder: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "run" / "checkpoints"
    prepare = partial(make_trainer, folder=folder, checkpoints=checkpoints)
    trainer, figures = train_measured(partial(load, folder), prepare, RECIPE, device="cpu")
    assert figures["steps"] == 4
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    assert figures["trainable"] == sum(weight.numel() for weight in weights) > 0
    assert all(weight.dtype == torch.float32 for weight in weights)
    assert figures["frozen"][0] == figures["frozen"][1]
    assert figures["moved"][0] != figures["moved"][1]
    assert figures["seconds"] > 0
    assert figures["peak_memory"] >= 0
    assert 0 < figures["validation_loss"] < 10
    assert [row["loss"] for row in figures["log"] if "loss" in row][-1] < 10
    assert figures["log"][-1]["eval_loss"] == figures["validation_loss"]
    candidate = Candidate("full", None, **figures, correct=[True])
    keep(checkpoints.parent, RECIPE, candidate)
    assert find_kept(checkpoints.parent, RECIPE) == candidate


class InterruptAfter(TrainerCallback):
    """Sends the signal of Ctrl-C after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: object, state: TrainerState, control: object, **_: object) -> None:
        if state.global_step == self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("step", [2, 4], ids=["in the middle", "after the last step"])
def test_interrupted_training_ends_like_an_uninterrupted_one(step: int, folder: Path, tmp_path: Path) -> None:
    load = partial(load_adapter, folder)
    prepare = partial(make_trainer, folder=folder, checkpoints=tmp_path / "whole" / "checkpoints")
    _, whole = train_measured(load, prepare, RECIPE, device="cpu")

    prepare = partial(make_trainer, folder=folder, checkpoints=tmp_path / "halves" / "checkpoints")
    with pytest.raises(TrainingStopped, match=f"checkpoint-{step} holds all"):
        train_measured(load, partial(prepare, callbacks=[InterruptAfter(step)]), RECIPE, device="cpu")
    _, rest = train_measured(load, prepare, RECIPE, device="cpu")
    for name in ("steps", "frozen", "moved", "validation_loss"):
        assert rest[name] == whole[name], name
    assert math.isnan(rest["seconds"]) == (step == 4)  # no step was left to be timed


def test_figures_are_kept_with_their_recipe(tmp_path: Path) -> None:
    recipe = {"learning_rate": 2e-3, "batch": (8, 1)}
    assert find_kept(tmp_path / "rank_4", recipe) is None
    keep(tmp_path / "rank_4", recipe, FOUND)
    assert find_kept(tmp_path / "rank_4", recipe) == FOUND
    assert find_kept(tmp_path / "rank_4", recipe | {"learning_rate": 1e-3}) is None
    (tmp_path / "rank_4" / "result.json").write_text('{"recipe": {', encoding="utf-8")
    assert find_kept(tmp_path / "rank_4", recipe) is None


def test_row_and_summary() -> None:
    assert FOUND.as_row() == {
        "": "LoRA, rank 4",
        "trained, millions": "0.81",
        "peak memory, GB": "1.23",
        "seconds of a step": "0.57",
        "validation loss": "0.476",
        "right of 4": f"2: {FOUND.share}",
    }
    summary = json.loads(json.dumps(FOUND.summary()))
    assert summary["questions"] == 4
    assert summary["correct"] == 2
    assert summary["share"]["value"] == 0.5
    assert summary["share"]["low"] < 0.5 < summary["share"]["high"]
    assert "log" not in summary


def test_candidates_come_by_rank_after_full_fine_tuning() -> None:
    assert list(candidate_ranks("LoRA", [64, 4, 4], with_full=True).items()) == [
        ("full", None),
        ("LoRA, rank 4", 4),
        ("LoRA, rank 64", 64),
    ]
    assert candidate_ranks("QLoRA", [8], with_full=False) == {"QLoRA, rank 8": 8}
    for ranks in ([], [4, 0]):
        with pytest.raises(CourseError, match="ranks is"):
            candidate_ranks("LoRA", ranks, with_full=True)


@pytest.mark.parametrize(
    ("count", "wanted", "block", "places"),
    [
        (10, 3, 1, [0, 3, 6]),
        (24, 8, 4, [0, 1, 2, 3, 12, 13, 14, 15]),
        (5, 9, 1, [0, 1, 2, 3, 4]),
        (20, 6, 8, [0, 1, 2, 3, 4, 5]),
        (0, 3, 1, []),
    ],
)
def test_spread(count: int, wanted: int, block: int, places: list[int]) -> None:
    assert spread(count, wanted, block=block) == places


@pytest.mark.parametrize("wanted", [96, 480, 3528])
def test_spread_takes_whole_groups_from_everywhere(wanted: int) -> None:
    places = spread(3528, wanted, block=8)
    assert len(places) == wanted
    assert all(places[i : i + 8] == list(range(places[i], places[i] + 8)) for i in range(0, wanted, 8))
    assert places[-1] >= 3528 * 0.85
