"""The most memory that a part of a program holds, measured: to compare one part with another in the same process.

    with PeakMemory("cpu") as memory:
        trainer.train()

and then `memory.gigabytes`. `utils.costs` estimates the same before training.
"""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

from utils.allocator import return_freed_memory

SECONDS_BETWEEN_LOOKS = 0.02


class PeakMemory:
    """Measures how much more memory a `with` block holds at its peak than was held when it began.

    What earlier work has left is freed first. On a CUDA GPU its allocator keeps count. Elsewhere a thread looks at the
    memory of the process (or of the Apple GPU) 50 times a second: a shorter peak may be missed, but a training step
    takes longer.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.before = self.peak = self.latest = 0
        self.stopped = threading.Event()
        # The thread does not keep what it watches for: where a block is never left, it ends with this object.
        self.watcher = threading.Thread(target=_watch, args=(weakref.ref(self), self.stopped), daemon=True)

    @property
    def gigabytes(self) -> float:
        """The peak above what was held before, in GB (10^9 bytes)."""
        return (self.peak - self.before) / 1e9

    def __enter__(self) -> PeakMemory:
        gc.collect()  # a trainer and its model hold each other
        return_freed_memory()
        if self.device == "cuda":
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self.before = self.peak = self.latest = held_bytes(self.device)
        if self.device != "cuda":
            self.watcher.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.device == "cuda":
            import torch

            self.peak = max(self.peak, torch.cuda.max_memory_allocated())
            return
        self.stopped.set()
        self.watcher.join()
        self._look()

    def of_late(self) -> float:
        """The most that was held since the last call, or the beginning, in GB: all of it, not only what came on top."""
        if self.device == "cuda":
            import torch

            latest = torch.cuda.max_memory_allocated()
            self.peak = max(self.peak, latest)
            torch.cuda.reset_peak_memory_stats()
            return latest / 1e9
        self._look()
        latest, self.latest = self.latest, 0
        return latest / 1e9

    def _look(self) -> None:
        held = held_bytes(self.device)
        self.peak, self.latest = max(self.peak, held), max(self.latest, held)


def _watch(memory: weakref.ref[PeakMemory], stopped: threading.Event) -> None:
    """Look at the memory until told to stop, or until nobody wants to know."""
    while not stopped.wait(SECONDS_BETWEEN_LOOKS):
        watched = memory()
        if watched is None:
            return
        watched._look()
        del watched


def held_bytes(device: str) -> int:
    """Memory in use now: of the process for "cpu", of the GPU by this process otherwise."""
    if device == "cpu":
        import psutil

        return psutil.Process().memory_info().rss
    import torch

    return torch.cuda.memory_allocated() if device == "cuda" else torch.mps.driver_allocated_memory()
