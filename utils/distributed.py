"""Several processes that train one model: how many there are, what only the first one does, how a step is shared.

`torchrun --nproc_per_node=2 -m utils.finetune …` starts them and tells each its number in the environment. All run the
same program. Reading, writing, asking and printing are the first one's business, while the others wait; the training
steps are everybody's. Without torchrun there is one process, the first, and nothing here costs anything.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from utils.errors import CourseError

Result = TypeVar("Result")

# The first process may answer questions for hours while the others wait. One that died is noticed by torchrun.
LONGEST_WAIT = timedelta(days=7)
# What PyTorch says when the process at the other end is gone.
LOST = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "socket closed",
    "remote process exited",
)


class OtherProcessFailed(CourseError):
    """Another process of the run has failed, and has said why."""


class ProcessLost(CourseError):
    """Another process of the run is gone; the message says what happens next."""


def process_count() -> int:
    """How many processes train together; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_number() -> int:
    """The number of this process, from 0: its *rank*."""
    return int(os.environ.get("RANK", "0"))


def processes_here() -> int:
    """How many of the processes run on this machine, and share its memory and cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_first() -> bool:
    """True in the process that reads, writes and prints."""
    return process_number() == 0


def is_restarted() -> bool:
    """True if torchrun has started the processes again after one of them failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@contextlib.contextmanager
def process_group() -> Iterator[None]:
    """Connect the processes for a `with` block: over gloo between CPUs, over NCCL between GPUs. Alone it does nothing.

    All but the first become silent: what they would print, the first one prints too.

    Raises:
        ProcessLost: another process is gone.
    """
    if process_count() == 1:
        yield
        return
    import torch
    import torch.distributed as distributed

    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"  # gloo also carries what `by_first` hands on
    distributed.init_process_group(backend, timeout=LONGEST_WAIT, **_meeting_place())
    try:
        with _silent_unless_first():
            yield
    except RuntimeError as error:
        if isinstance(error, CourseError) or not any(words in str(error).lower() for words in LOST):
            raise
        raise ProcessLost(
            "Another process of this run is gone. With --max-restarts torchrun now starts all of them again, and they "
            "continue from the last checkpoint; without it, give the same command once more."
        ) from error
    finally:
        distributed.destroy_process_group()


def _meeting_place() -> dict[str, Any]:
    """Where the processes of this attempt find each other.

    torchrun keeps one store for all attempts (torch 2.13). Under the same keys, a process that was started again would
    find the addresses of those that have died.
    """
    from torch.distributed import PrefixStore, rendezvous

    store, rank, world_size = next(rendezvous("env://", timeout=LONGEST_WAIT))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return {"store": PrefixStore(f"attempt {attempt}", store), "rank": rank, "world_size": world_size}


def by_first(action: Callable[[], Result]) -> Result:
    """Let the first process do something while the others wait. All get what it returns, which must be plain data.

    Raises:
        OtherProcessFailed: in the others, if `action` raised in the first one, which gets its own error.
    """
    if process_count() == 1:
        return action()
    from torch.distributed import broadcast_object_list

    outcome: list[Any] = [False, None]
    try:
        if is_first():
            outcome = [True, action()]
    finally:  # whatever ended it, the others must not wait for ever
        broadcast_object_list(outcome, src=0, device=_cpu())
    if not outcome[0]:
        raise OtherProcessFailed("The first process has failed, and has said why.")
    return outcome[1]


def sums(values: Sequence[float]) -> list[float]:
    """The sums of the values over all processes."""
    if process_count() == 1:
        return list(values)
    import torch

    total = torch.tensor(values, dtype=torch.float64)
    torch.distributed.all_reduce(total)
    return total.tolist()


def wait_for_all() -> None:
    """Return when all processes have come here."""
    sums([0.0])


def shared_step(values: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """The values of a run with an optimizer step shared by so many processes: the same examples, split among them.

    First the batches that are computed one after the other are handed out, which leaves each as it is; what then
    remains to share is split within the batch.

    Raises:
        CourseError: the examples of a step cannot be split evenly.
    """
    batch, accumulation = values["per_device_train_batch_size"], values["gradient_accumulation_steps"]
    batches = math.gcd(accumulation, processes)
    parts = processes // batches
    if batch % parts:
        examples = batch * accumulation
        fitting = [count for count in range(1, examples + 1) if examples % count == 0]
        raise CourseError(
            f"{processes} processes cannot share the {examples} examples of a step evenly. Start "
            f"{' or '.join(map(str, _around(fitting, processes)))} processes, or set per_device_train_batch_size and "
            f"gradient_accumulation_steps so that their product is a multiple of {processes}."
        )
    mine = {"per_device_train_batch_size": batch // parts, "gradient_accumulation_steps": accumulation // batches}
    return dict(values) | mine


def sharing_line(values: Mapping[str, Any], processes: int) -> str:
    """A sentence that says how the processes share a step. Raises CourseError as `shared_step` does."""
    mine = shared_step(values, processes)
    batch, accumulation = mine["per_device_train_batch_size"], mine["gradient_accumulation_steps"]
    examples = batch * accumulation * processes
    batches = "one batch" if accumulation == 1 else f"{accumulation} batches"
    return (
        f"{processes} processes share the {examples} examples of each step, {batches} of {batch} each: the updates are "
        "those of one process."
    )


def _around(numbers: Sequence[int], middle: int) -> list[int]:
    """The nearest of the ascending numbers below and above."""
    return [*[number for number in numbers if number < middle][-1:], *[n for n in numbers if n > middle][:1]]


@contextlib.contextmanager
def _silent_unless_first() -> Iterator[None]:
    if is_first():
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _cpu() -> Any:
    import torch

    return torch.device("cpu")
