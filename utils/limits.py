"""When the machine is too small: said before training where it can be told, and as a sentence where it happens."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from utils.distributed import processes_here
from utils.errors import CourseError
from utils.prompts import IGNORED
from utils.stages import shown

if TYPE_CHECKING:
    from transformers import TrainingArguments
    from trl import SFTTrainer

    from utils.costs import Memory

DISK_MESSAGES = ("no space left on device", "os error 28", "disk quota exceeded")
# What PyTorch says when a write fails, for whatever cause.
WRITE_MESSAGES = ("pytorchstreamwriter", "inline_container", "iostream error", "file write failed")
MEMORY_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")
FULL_DISK_BYTES = 50_000_000


class OutOfDisk(CourseError):
    """The disk is full; the message says where, and how to go on."""


class OutOfMemory(CourseError):
    """Memory ran out, or is about to; the message names what to change, the cheapest first."""


@contextlib.contextmanager
def explained(folder: Path, ladder: str) -> Iterator[None]:
    """Turn a full disk and lack of memory into sentences.

    `folder` is where the run writes, `ladder` what to change when memory runs out (see `memory_ladder`).

    Raises:
        OutOfDisk, OutOfMemory: in the place of the library's own error.
    """
    try:
        yield
    except CourseError:
        raise
    except Exception as error:
        for cause in _chain(error):
            if _is_full_disk(cause, folder):
                free = shutil.disk_usage(folder).free / 1e9
                raise OutOfDisk(
                    f"The disk of {shown(folder)} is full ({free:.1f} GB free). Make room and run again: it continues "
                    "from the last whole checkpoint."
                ) from error
            if _is_out_of_memory(cause):
                raise OutOfMemory(f"The memory ran out. {ladder}") from error
        raise


def memory_ladder(args: TrainingArguments) -> str:
    """What to change when a run does not fit, in the order of what it costs: length, batch, LoRA, QLoRA."""
    batch, accumulation = args.per_device_train_batch_size, args.gradient_accumulation_steps
    steps = []
    if args.max_length:
        steps.append(f"max_length from {args.max_length} to {args.max_length // 2} (longer examples are left out)")
    if batch > 1:
        steps.append(
            f"per_device_train_batch_size from {batch} to {batch // 2} with gradient_accumulation_steps from "
            f"{accumulation} to {2 * accumulation}, which learns the same"
        )
    steps += ["LoRA instead of full fine-tuning (notebook 04, --method lora)", "QLoRA on a GPU, or a smaller model"]
    return "Try, in this order: " + "; ".join(f"{number}. {step}" for number, step in enumerate(steps, 1)) + "."


def check_memory(trainer: SFTTrainer) -> None:
    """Say how much memory training will take on top of the loaded model, and compare it with what is free.

    Processes that train together on a CPU have their share of it.

    Raises:
        OutOfMemory: the weights' gradients and the optimizer alone, which can be told exactly, do not fit.
    """
    memory = _expected(trainer)
    device = trainer.model.device.type
    free = available_memory(device) / 1e9 / (processes_here() if device == "cpu" else 1)
    certain = memory.gradients + memory.optimizer
    more = certain + memory.activations + memory.logits
    print(f"Memory: training takes about {more:.1f} GB more; {free:.1f} GB are free.")
    ladder = memory_ladder(trainer.args)
    if certain > free:
        raise OutOfMemory(f"Gradients and optimizer need {certain:.1f} GB, and {free:.1f} GB are free. {ladder}")
    if more > free:
        print(f"That may not fit. Close other programs, or change something. {ladder}")


def available_memory(device: str = "cpu") -> int:
    """Free memory of the device, in bytes."""
    if device == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    import psutil

    from utils.hardware import memory_bytes

    return min(psutil.virtual_memory().available, memory_bytes())  # a container may have less than the machine


def _expected(trainer: SFTTrainer) -> Memory:
    """The memory of a step with the longest examples."""
    from utils.costs import Shape, training_memory

    rows = trainer.train_dataset
    lengths = [len(ids) for ids in rows["input_ids"]]
    longest = sorted(range(len(lengths)), key=lengths.__getitem__)[-trainer.args.per_device_train_batch_size :]
    batch = trainer.data_collator([rows[index] for index in longest])
    weights = list(trainer.model.parameters())
    return training_memory(
        parameters=sum(weight.numel() for weight in weights),
        trained=sum(weight.numel() for weight in weights if weight.requires_grad),
        shape=Shape.of(trainer.model.config),
        tokens=batch["input_ids"].numel(),
        head_tokens=int((batch["labels"] != IGNORED).sum()),
        mixed=trainer.args.bf16 or trainer.args.fp16,
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full_disk(error: BaseException, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return True
    message = str(error).lower()
    if any(part in message for part in DISK_MESSAGES):
        return True
    written = any(part in message for part in WRITE_MESSAGES)
    return written and shutil.disk_usage(folder).free < FULL_DISK_BYTES


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error).lower() for part in MEMORY_MESSAGES)
