"""Each guard is set off for real: broken losses, full disks, too little memory, interruptions."""

from __future__ import annotations

import errno
import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, TrainerCallback
from trl import SFTConfig, SFTTrainer

from ci.checks.tiny_model import make_tiny_model
from utils.guards import guarded_training
from utils.interrupts import TrainingStopped
from utils.limits import OutOfDisk, OutOfMemory, memory_ladder
from utils.locks import FolderInUse
from utils.losses import TrainingDiverged
from utils.models import load_model, load_tokenizer
from utils.training import SharedPrefixTrainer

torch.set_num_threads(1)
MakeTrainer = Callable[..., SFTTrainer]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny))


@pytest.fixture
def make_trainer(tiny: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> MakeTrainer:
    """Makes a trainer of 16 examples, 4 steps a pass, whose run folder is `tmp_path`."""

    def make(kind: type[SFTTrainer] = SharedPrefixTrainer, **values: object) -> SFTTrainer:
        rows = [
            {
                "prompt": [{"role": "user", "content": f"Say {number}."}],
                "completion": [{"role": "assistant", "content": f"It is {number}."}],
            }
            for number in range(16)
        ]
        defaults = {
            "output_dir": str(tmp_path / "checkpoints"),
            "per_device_train_batch_size": 4,
            "learning_rate": 1e-3,
            "num_train_epochs": 2,
            "save_steps": 2,
            "save_total_limit": 2,
            "use_cpu": True,
            "bf16": False,
            "activation_checkpointing": False,
            "logging_nan_inf_filter": False,
            "disable_tqdm": True,
            "report_to": [],
            "seed": 3,
        }
        return kind(
            model=load_model(str(tiny)),
            args=SFTConfig(**(defaults | values)),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )

    return make


class At(TrainerCallback):
    """Does something at the end of a step, before the guards see it."""

    def __init__(self, step: int, action: Callable[[], object]) -> None:
        self.step, self.action = step, action

    def on_step_end(self, args: object, state: SimpleNamespace, control: object, **_: object) -> None:
        if state.global_step == self.step:
            self.action()


def train(trainer: SFTTrainer, recipe: dict | None = None) -> SFTTrainer:
    """Train with guards, from the newest checkpoint."""
    with guarded_training(trainer, recipe or {}) as checkpoint:
        trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


def whole_weights(trainer: SFTTrainer) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in trainer.model.state_dict().items()}


# --- Losses ------------------------------------------------------------------------------------------------------


def test_undisturbed_training_says_what_it_takes(
    make_trainer: MakeTrainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = train(make_trainer())
    said = capsys.readouterr().out
    assert "Checkpoints: " in said
    assert "Memory: training takes about" in said
    assert trainer.state.global_step == 8
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*"))
    assert names == ["checkpoint-6", "checkpoint-8"]
    assert not (tmp_path / "bad_batch.jsonl").exists()


@pytest.mark.parametrize("kind", [SharedPrefixTrainer, SFTTrainer])
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_batch_that_breaks_the_loss_is_saved(
    make_trainer: MakeTrainer,
    kind: type[SFTTrainer],
    loss: float,
    tmp_path: Path,
    tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = tokenizer("Say 11.").input_ids
    usual = kind.compute_loss

    def compute_loss(self: SFTTrainer, model: torch.nn.Module, inputs: dict, *rest: object, **named: object) -> object:
        ids = inputs["input_ids"].flatten().tolist()
        broken = any(ids[start : start + len(bad)] == bad for start in range(len(ids)))
        found = usual(self, model, inputs, *rest, **named)
        return found * loss if broken else found

    monkeypatch.setattr(kind, "compute_loss", compute_loss)
    trainer = make_trainer(kind)
    before = whole_weights(trainer)
    with pytest.raises(
        TrainingDiverged, match=r"became (nan|inf) at step [1-4]\. The batch is in .*bad_batch"
    ) as caught:
        train(trainer)
    assert "The weights are still finite, so look at these examples first" in str(caught.value)
    rows = [json.loads(line) for line in (tmp_path / "bad_batch.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 4
    found = next(row for row in rows if "Say 11." in row["read"])
    assert "It is 11." in found["trained"]
    assert len(found["input_ids"]) == len(found["labels"])
    after = whole_weights(trainer)
    assert all(torch.isfinite(weight).all() for weight in after.values())
    steps = trainer.state.global_step
    assert steps == 0 or any(not torch.equal(after[name], before[name]) for name in after)


def test_broken_weights_are_told_from_a_broken_batch(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.model.layers[0].mlp.up_proj.weight[0, 0] = math.nan
    with pytest.raises(TrainingDiverged, match="an earlier step was too large"):
        train(trainer)


def test_learning_rate_that_is_too_high_is_said_early(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(learning_rate=3.0, warmup_steps=10, num_train_epochs=50, max_grad_norm=1e9)
    with pytest.raises(TrainingDiverged, match=r"(has risen|became nan).*learning") as caught:
        train(trainer)
    assert trainer.state.global_step < 60
    assert "3" in str(caught.value)


# --- Disk and memory ---------------------------------------------------------------------------------------------


def test_full_disk_is_a_sentence_and_leaves_the_last_whole_checkpoint(
    make_trainer: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = torch.save

    def save(value: object, path: str, *rest: object, **named: object) -> None:
        if "checkpoint-6" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        usual(value, path, *rest, **named)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OutOfDisk, match=r"is full .*continues from the last whole checkpoint"):
        train(make_trainer())
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*"))
    assert names == ["checkpoint-2", "checkpoint-4"]
    monkeypatch.setattr(torch, "save", usual)
    capsys.readouterr()
    assert train(make_trainer()).state.global_step == 8
    assert "Continuing from checkpoint-4." in capsys.readouterr().out


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_lack_of_memory_is_a_sentence_with_the_ladder(make_trainer: MakeTrainer, error: Exception) -> None:
    def fail() -> None:
        raise error

    trainer = make_trainer(max_length=512)
    trainer.add_callback(At(1, fail))
    with pytest.raises(OutOfMemory, match="The memory ran out") as caught:
        train(trainer)
    said = str(caught.value)
    ladder = ["max_length from 512 to 256", "per_device_train_batch_size from 4 to 2", "LoRA", "QLoRA"]
    assert sorted(ladder, key=said.index) == ladder


def test_memory_that_really_runs_out(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer()
    trainer.add_callback(At(1, lambda: torch.empty(10**15)))
    with pytest.raises(OutOfMemory):
        train(trainer)


def test_other_errors_stay_what_they_are(make_trainer: MakeTrainer) -> None:
    def fail() -> None:
        raise RuntimeError("shapes do not match")

    trainer = make_trainer()
    trainer.add_callback(At(1, fail))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(trainer)


def test_training_that_cannot_fit_does_not_begin(make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.limits.available_memory", lambda _: 1000)
    trainer = make_trainer()
    with pytest.raises(OutOfMemory, match="Gradients and optimizer need"):
        train(trainer)
    assert trainer.state.global_step == 0


def test_ladder_leaves_out_what_cannot_be_lowered(tmp_path: Path) -> None:
    arguments = {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False, "max_length": None}
    said = memory_ladder(SFTConfig(per_device_train_batch_size=1, **arguments))
    assert said.startswith("Try, in this order: 1. LoRA")


# --- Interruptions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_a_checkpoint_that_continues_exactly(
    make_trainer: MakeTrainer, number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = whole_weights(train(make_trainer(output_dir=str(tmp_path / "whole" / "checkpoints"))))
    trainer = make_trainer()
    trainer.add_callback(At(3, lambda: signal.raise_signal(number)))  # between two checkpoints
    usual = signal.getsignal(number)
    with pytest.raises(TrainingStopped, match=r"Stopped at step 3 of 8\. .*checkpoint-3 holds .*run the same command"):
        train(trainer)
    assert signal.getsignal(number) == usual
    capsys.readouterr()
    halves = train(make_trainer())
    assert "Continuing from checkpoint-3." in capsys.readouterr().out
    for name, weight in whole_weights(halves).items():
        torch.testing.assert_close(weight, whole[name], msg=name)


def test_second_interruption_stops_at_once(make_trainer: MakeTrainer) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    trainer = make_trainer()
    trainer.add_callback(At(3, twice))
    with pytest.raises(KeyboardInterrupt):
        train(trainer)


def test_folder_is_locked_while_training(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    import subprocess
    import sys

    from utils.settings import ROOT

    code = "import sys; from pathlib import Path; from utils.locks import lock_folder\n"
    code += "with lock_folder(Path(sys.argv[1])): pass"
    said = []

    def try_to_enter() -> None:
        command = [sys.executable, "-c", code, str(tmp_path)]
        said.append(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr)

    trainer = make_trainer()
    trainer.add_callback(At(1, try_to_enter))
    train(trainer)
    assert FolderInUse.__name__ in said[0]
