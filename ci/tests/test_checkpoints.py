"""Only whole checkpoints are continued from, and training does not begin on a disk that cannot hold them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from utils.checkpoints import (
    MarkCompleteCheckpoints,
    NotEnoughDisk,
    check_disk,
    checkpoint_bytes,
    find_checkpoint,
    is_whole,
    remove_unmarked,
)

torch.set_num_threads(1)


def add_checkpoint(folder: Path, step: int, best: int | None = None) -> Path:
    """A whole checkpoint with a file of weights and the trainer's state."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.safetensors").write_bytes(b"x" * 100)
    state = {"global_step": step, "best_global_step": best}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
    MarkCompleteCheckpoints().on_save(
        SimpleNamespace(output_dir=str(folder)), SimpleNamespace(global_step=step), SimpleNamespace()
    )
    return checkpoint


def tiny_model() -> LlamaForCausalLM:
    """A Llama of 400,000 weights."""
    config = LlamaConfig(
        vocab_size=64, hidden_size=128, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4
    )
    return LlamaForCausalLM(config)


def test_no_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    assert find_checkpoint(folder, {"rate": 1.0}) is None
    assert find_checkpoint(folder, {"rate": 1.0}) is None
    assert json.loads((folder / "parameters.json").read_text(encoding="utf-8")) == {"rate": 1.0}


def test_newest_checkpoint_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = {"layers": ("a", "b"), "rate": 1e-4, "steps": None}
    find_checkpoint(tmp_path, recipe)
    for step in (90, 100, 9):
        add_checkpoint(tmp_path, step)
    assert find_checkpoint(tmp_path, recipe) == str(tmp_path / "checkpoint-100")
    assert capsys.readouterr().out == "Continuing from checkpoint-100.\n"


def test_checkpoints_of_another_recipe_are_removed_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    find_checkpoint(tmp_path, {"rate": 1.0})
    assert capsys.readouterr().out == ""
    checkpoint = add_checkpoint(tmp_path, 5)
    assert find_checkpoint(tmp_path, {"rate": 2.0}) is None
    assert not checkpoint.exists()
    assert "were made with other settings and were removed" in capsys.readouterr().out
    assert find_checkpoint(tmp_path, {"rate": 1.0}) is None


@pytest.mark.parametrize("damage", ["truncated", "one byte", "missing", "unmarked", "half marked"])
def test_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    find_checkpoint(tmp_path, {})
    older, newer = add_checkpoint(tmp_path, 5), add_checkpoint(tmp_path, 10)
    weights, mark = newer / "model.safetensors", newer / "complete.json"
    if damage == "truncated":
        weights.write_bytes(b"x" * 99)
    elif damage == "one byte":  # the size alone would not tell
        weights.write_bytes(b"x" * 50 + b"y" + b"x" * 49)
    elif damage == "missing":
        weights.unlink()
    elif damage == "unmarked":
        mark.unlink()
    else:
        mark.write_text(mark.read_text(encoding="utf-8")[:-4], encoding="utf-8")
    assert find_checkpoint(tmp_path, {}) == str(older)
    assert not newer.exists()
    shown = capsys.readouterr().out
    assert "checkpoint-10 is incomplete or damaged" in shown
    assert "Continuing from checkpoint-5." in shown


def test_newest_is_no_use_without_the_best_that_it_refers_to(tmp_path: Path) -> None:
    find_checkpoint(tmp_path, {})
    add_checkpoint(tmp_path, 5, best=5)
    best, newest = add_checkpoint(tmp_path, 10, best=10), add_checkpoint(tmp_path, 15, best=10)
    assert find_checkpoint(tmp_path, {}) == str(newest)
    (best / "model.safetensors").write_bytes(b"")
    assert find_checkpoint(tmp_path, {}) == str(tmp_path / "checkpoint-5")


def test_checkpoint_saved_twice_is_whole(tmp_path: Path) -> None:
    checkpoint = add_checkpoint(tmp_path, 5)
    (checkpoint / "model.safetensors").write_bytes(b"z" * 100)
    assert not is_whole(checkpoint)
    MarkCompleteCheckpoints().on_save(SimpleNamespace(output_dir=str(tmp_path)), SimpleNamespace(global_step=5), None)
    assert is_whole(checkpoint)


def test_half_written_checkpoints_are_removed(tmp_path: Path) -> None:
    whole, half = add_checkpoint(tmp_path, 5), add_checkpoint(tmp_path, 10)
    (half / "complete.json").unlink()
    remove_unmarked(tmp_path)
    assert whole.exists()
    assert not half.exists()


@pytest.mark.parametrize("adapter", [False, True], ids=["full", "lora"])
def test_size_of_a_checkpoint_is_foretold(adapter: bool, tmp_path: Path) -> None:
    model = tiny_model()
    if adapter:
        model = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear"))
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad])
    sum(weight.sum() for weight in model.parameters() if weight.requires_grad).backward()
    optimizer.step()
    model.save_pretrained(tmp_path)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    files = [*tmp_path.glob("*.safetensors"), tmp_path / "optimizer.pt"]
    written = sum(path.stat().st_size for path in files)
    assert checkpoint_bytes(model) == pytest.approx(written, rel=0.1)  # headers weigh something in so small a model


def test_disk_is_announced_and_refused_when_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model()
    size = checkpoint_bytes(model)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * size + 1))
    check_disk(tmp_path, model, 2)
    assert f"{size / 1e6:.1f} MB each, up to {3 * size / 1e6:.1f} MB on disk" in capsys.readouterr().out
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * size - 1))
    with pytest.raises(NotEnoughDisk, match="Make room"):
        check_disk(tmp_path, model, 2)
    # What earlier checkpoints hold is theirs to use again.
    (tmp_path / "checkpoint-1").write_bytes(b"x" * 10)
    check_disk(tmp_path, model, 2)
