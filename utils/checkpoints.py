"""Checkpoints that can be trusted: marked when whole, checked before use, and never more than the disk can hold.

A checkpoint counts once `complete.json` lists its files with their hashes. One that a killed process left half
written has no such list; one that was cut off or changed later does not agree with it. Neither is continued from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.distributed import is_first, wait_for_all
from utils.errors import CourseError
from utils.stages import shown, write_json

COMPLETE = "complete.json"
RECIPE = "parameters.json"
OPTIMIZER_BYTES = 8  # for each trained weight: two moments of AdamW in float32


class NotEnoughDisk(CourseError):
    """The checkpoints would not fit on the disk; the message says how much is needed and what to change."""


class MarkCompleteCheckpoints(TrainerCallback):
    """Writes the hashes of a checkpoint's files beside them once all are there, which tells whole from half."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        wait_for_all()  # each process writes the state of its random numbers
        if not is_first():
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != COMPLETE)
        write_json(folder / COMPLETE, {path.relative_to(folder).as_posix(): _hash(path) for path in files})


def find_checkpoint(folder: Path, parameters: dict[str, object]) -> str | None:
    """The newest whole checkpoint to continue from, or None to start from the beginning.

    Checkpoints made with other `parameters` are removed: continuing them would mix two recipes. Damaged ones are
    removed with a message, and the one before is used.
    """
    recipe = folder / RECIPE
    wanted = json.loads(json.dumps(parameters))
    if _read_json(recipe) != wanted:
        if list_checkpoints(folder):
            print(f"The checkpoints in {shown(folder)} were made with other settings and were removed.")
        shutil.rmtree(folder, ignore_errors=True)
        write_json(recipe, wanted)
        return None
    for checkpoint in list_checkpoints(folder):
        if is_whole(checkpoint) and _best_is_whole(checkpoint):
            print(f"Continuing from {checkpoint.name}.")
            return str(checkpoint)
        print(f"{checkpoint.name} is incomplete or damaged and was removed.")
        shutil.rmtree(checkpoint)
    return None


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, whole or not, the newest first."""
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)


def is_whole(checkpoint: Path) -> bool:
    """True if all files of a checkpoint are there and are what was written."""
    hashes = _read_json(checkpoint / COMPLETE)
    try:
        return hashes is not None and all(_hash(checkpoint / name) == digest for name, digest in hashes.items())
    except OSError:
        return False


def remove_unmarked(folder: Path) -> None:
    """Remove checkpoints whose writing did not come to its end, which makes room again on a full disk."""
    for checkpoint in list_checkpoints(folder):
        if not (checkpoint / COMPLETE).is_file():
            shutil.rmtree(checkpoint, ignore_errors=True)


def checkpoint_bytes(model: PreTrainedModel) -> int:
    """Size of a checkpoint: the weights (of an adapter alone, if there is one) and what AdamW remembers of each."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    saved = trained if hasattr(model, "peft_config") else list(model.parameters())
    weights = sum(weight.numel() * weight.element_size() for weight in saved)
    return weights + OPTIMIZER_BYTES * sum(weight.numel() for weight in trained)


def check_disk(folder: Path, model: PreTrainedModel, kept: int) -> None:
    """Say how much disk the checkpoints in `folder` will take, of which `kept` are kept.

    Raises:
        NotEnoughDisk: there is less.
    """
    size = checkpoint_bytes(model)
    whole = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    # The next one is written before the oldest goes, and the tuned model before the last ones go.
    needed = max((kept + 1) * size, kept * size + whole)
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder).free + there
    print(f"Checkpoints: {_gigabytes(size)} each, up to {_gigabytes(needed)} on disk; {_gigabytes(free)} are free.")
    if free < needed:
        raise NotEnoughDisk(
            f"The disk of {shown(folder)} has {_gigabytes(free)} free, and the checkpoints need {_gigabytes(needed)}. "
            "Make room, put the run on another disk, or train with LoRA, whose checkpoints are a hundredth of that."
        )


def _best_is_whole(checkpoint: Path) -> bool:
    """True unless the checkpoint refers to an earlier one as the best so far, and that one is damaged."""
    state = _read_json(checkpoint / "trainer_state.json") or {}
    best = state.get("best_global_step")
    return not best or best == state.get("global_step") or is_whole(checkpoint.with_name(f"checkpoint-{best}"))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> Any:
    """What a JSON file holds; None if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
