"""Two processes train as one does, also when one of them is killed; and what cannot be shared is refused."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import SequentialSampler
from transformers import TrainerControl, TrainerState

from ci.checks.tiny_model import make_tiny_model, write_colours
from utils.data_parallel import FilledSampler, split_evenly, with_filler
from utils.distributed import by_first, process_count, shared_step, sharing_line, sums
from utils.errors import CourseError
from utils.finetune import finetune
from utils.hardware import Choice
from utils.launching import launch
from utils.prompts import IGNORED
from utils.selection import KeepBest

torch.set_num_threads(1)
# 31 training examples: the last batch of a pass is short, and the last step has fewer batches.
SETTINGS = {
    "learning_rate": 1e-2,
    "num_train_epochs": 3.0,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 3,
    "max_length": 128,
    "warmup_steps": 1,
    "eval_steps": 2,
    "loss_examples": 3,
    "logging_steps": 1,
    "save_steps": 2,
    "train_embeddings": False,
    "frozen_layers": 1,
    "max_new_tokens": 10,
    "patience": 99,
    "seed": 5,
}


def steps_of(run: Path, name: str) -> list[float]:
    log = json.loads((run / "model" / "training_log.json").read_text(encoding="utf-8"))
    return [row[name] for row in log if name in row]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process, beside the model and the data."""
    folder = tmp_path_factory.mktemp("one")
    make_tiny_model(folder / "tiny")
    write_colours(folder / "colours.csv", count=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("utils.hardware.choose_here", lambda: Choice("cpu", "float32", "sdpa", {}))
        patch.setattr("utils.trainers.measure_step", lambda *_: 0.01)
        data, model = folder / "colours.csv", str(folder / "tiny")
        return finetune(SETTINGS | {"data": data, "model": model, "out": folder / "run"})


def test_two_processes_of_which_one_is_killed_end_as_one_process(one: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    given = SETTINGS | {"data": one.parent / "colours.csv", "model": one.parent / "tiny", "out": two}
    options = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    two.mkdir()
    shutil.copy(one / "plan.json", two)  # the machine is not measured: that has tests of its own
    marked = two / "checkpoints" / "checkpoint-2" / "complete.json"
    log = tmp_path / "log.txt"
    with launch("utils.finetune", options, processes=2, max_restarts=1, log=log) as run:
        run.wait_for(marked.is_file, "the first checkpoint")
        run.kill(1)
        said = run.wait()
    assert "2 processes share the 12 examples of each step, 3 batches of 2 each" in said
    assert said.count("Continuing from checkpoint-") == 1
    assert said.count("label accuracy  ") == 1, "a process besides the first has printed, or the evaluation ran twice"
    for name in ("loss", "eval_loss", "eval_accuracy", "mean_token_accuracy"):
        assert steps_of(two, name) == pytest.approx(steps_of(one, name), abs=1e-5), name
    weights, others = (load_file(folder / "model" / "model.safetensors") for folder in (one, two))
    assert all(torch.allclose(weights[name], others[name], atol=1e-5) for name in weights)
    summaries = [(folder / "evaluation" / "summary.json").read_bytes() for folder in (one, two)]
    assert summaries[0] == summaries[1]


def test_all_ways_of_training_on_two_processes(tmp_path: Path) -> None:
    """An adapter, 16-bit arithmetic, TRL's own trainer, FSDP2; see `ci.checks.two_processes`."""
    from ci.checks.two_processes import CASES, train_case

    make_tiny_model(tmp_path / "tiny")
    write_colours(tmp_path / "colours.csv", count=23)
    alone = {name: train_case(tmp_path, name) for name in CASES}
    with launch("ci.checks.two_processes", [str(tmp_path)], processes=2, log=tmp_path / "log.txt") as run:
        run.wait()
    together = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    for name, tolerance in CASES.items():
        assert together[name]["losses"] == pytest.approx(alone[name]["losses"], abs=tolerance), name
        assert alone[name]["losses"][-1] < alone[name]["losses"][0]
    assert together["fsdp2"]["share"] == pytest.approx(0.5, abs=0.02)
    assert together["nan"] == "The loss became nan at step 1 in another process, which says more."


# --- What is shared, and how -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "accumulation", "processes", "expected"),
    [(8, 1, 1, (8, 1)), (8, 4, 2, (8, 2)), (8, 1, 2, (4, 1)), (8, 2, 8, (2, 1)), (4, 6, 4, (2, 3)), (1, 6, 3, (1, 2))],
)
def test_a_step_has_the_same_examples(batch: int, accumulation: int, processes: int, expected: tuple) -> None:
    values = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation, "seed": 3}
    mine = shared_step(values, processes)
    assert (mine["per_device_train_batch_size"], mine["gradient_accumulation_steps"]) == expected
    assert mine["per_device_train_batch_size"] * mine["gradient_accumulation_steps"] * processes == batch * accumulation
    assert mine["seed"] == 3


def test_what_cannot_be_shared_is_refused() -> None:
    values = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}
    with pytest.raises(CourseError, match=r"3 processes cannot share the 8 examples of a step evenly\. Start 2 or 4"):
        shared_step(values, 3)
    with pytest.raises(CourseError, match="Start 8 processes"):
        sharing_line(values, 16)
    assert "one batch of 2 each" in sharing_line(values, 4)


def test_fillers_come_last_and_train_nothing() -> None:
    from datasets import Dataset

    rows = [{"input_ids": [7, number], "labels": [IGNORED, number]} for number in range(7)]
    filled = with_filler(Dataset.from_list(rows))
    assert filled[:7]["input_ids"] == [row["input_ids"] for row in rows]
    assert set(filled[7]["labels"]) == {IGNORED}
    sampler = FilledSampler(SequentialSampler(range(7)), 7, together=4)
    assert list(sampler) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert len(sampler) == 8
    # Three rows at once for two processes: each takes two, so that one is filled up.
    split = split_evenly(Dataset.from_list(rows), together=3, processes=2)
    assert [ids[1] for ids in split["input_ids"]] == [0, 1, 2, 7, 3, 4, 5, 7, 6, 7, 7, 7]


@pytest.mark.parametrize("split", [False, True])
def test_split_weights_are_asked_by_all_processes(split: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # What one of the processes besides the first does, whose answer `by_first` would replace by the first one's.
    monkeypatch.setattr("utils.selection.by_first", lambda action: 0.25)
    trainer = SimpleNamespace(
        is_fsdp_enabled=split, compute_loss_context_manager=contextlib.nullcontext, model="part of the weights"
    )
    state = TrainerState(global_step=3, log_history=[{"eval_loss": 1.0}])
    callback = KeepBest(trainer, lambda model: 0.75, patience=1)
    callback.on_evaluate(None, state, TrainerControl(), {"eval_loss": 1.0})
    assert state.log_history[-1]["eval_accuracy"] == (0.75 if split else 0.25)


def test_one_process_does_all_by_itself() -> None:
    assert process_count() == 1
    assert by_first(lambda: "done") == "done"
    assert sums([1.5, 2]) == [1.5, 2]
