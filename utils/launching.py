"""Start a program on several processes of this machine with torchrun, watch it, and end one of them on purpose.

    with launch("utils.finetune", ["--data", "my.csv", "--out", "runs/mine"], processes=2, log=Path("run.log")) as run:
        print(run.wait())

The same as `torchrun --nproc_per_node=2 -m utils.finetune …` in a terminal.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from utils.errors import CourseError
from utils.settings import ROOT
from utils.stages import shown

SECONDS_TO_END = 45  # torchrun gives the processes half a minute
SHOWN_LINES = 15
TORCHRUN_COMPLAINS = "torch/distributed/elastic/multiprocessing/api.py"


class Launch:
    """A program that torchrun has started; what it prints goes to the file `log`."""

    def __init__(self, process: subprocess.Popen, log: Path) -> None:
        self.process, self.log = process, log

    @property
    def is_running(self) -> bool:
        """False once torchrun has ended."""
        return self.process.poll() is None

    @property
    def text(self) -> str:
        """What has been printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def workers(self) -> dict[int, int]:
        """The process id of each rank, as far as they run."""
        import psutil

        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if (rank := child.environ().get("RANK")) is not None:
                    found[int(rank)] = child.pid
        return found

    def kill(self, rank: int) -> None:
        """End one of the processes as `kill -9` does: without a warning.

        Raises:
            CourseError: it does not run.
        """
        workers = self.workers()
        if rank not in workers:
            raise CourseError(f"There is no process with rank {rank}; those that run: {sorted(workers) or 'none'}.")
        os.kill(workers[rank], signal.SIGKILL)

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 300) -> None:
        """Return when the condition holds.

        Raises:
            CourseError: the program ended before, or it took longer than `seconds`; with the last lines printed.
        """
        end = time.monotonic() + seconds
        while not condition():
            if not self.is_running or time.monotonic() > end:
                raise CourseError(f"Waited in vain for {what}. {self._end_of_log()}")
            time.sleep(0.05)

    def wait(self) -> str:
        """Wait until the program ends; returns what it has printed.

        Raises:
            CourseError: it failed; with the last lines printed.
        """
        status = self.process.wait()
        if status:
            raise CourseError(f"The program ended with exit status {status}. {self._end_of_log()}")
        return self.text

    def _end_of_log(self) -> str:
        said = self.text.rpartition(TORCHRUN_COMPLAINS)[0] or self.text  # what follows says only that it failed
        lines = "\n".join(said.splitlines()[-SHOWN_LINES:])
        return f"The end of what it printed, from {shown(self.log)}:\n{lines}"


def torchrun(module: str, arguments: Sequence[str], *, processes: int, max_restarts: int = 0) -> list[str]:
    """The command that starts a module on so many processes of this machine."""
    options = ["--standalone", f"--nproc_per_node={processes}", f"--max-restarts={max_restarts}"]
    return [sys.executable, "-m", "torch.distributed.run", *options, "-m", module, *arguments]


@contextlib.contextmanager
def launch(
    module: str, arguments: Sequence[str], *, processes: int, log: Path, max_restarts: int = 0
) -> Iterator[Launch]:
    """Start a module with torchrun for a `with` block, at whose end it is stopped if it still runs.

    Each process gets its share of the cores. After a failure torchrun starts all processes again, at most
    `max_restarts` times.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = {"OMP_NUM_THREADS": str(max(1, cores // processes))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            torchrun(module, arguments, processes=processes, max_restarts=max_restarts),
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **threads},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Launch(process, log)
    finally:
        process.terminate()  # which torchrun hands on; it would leave its processes behind if it were killed
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()


def command_line(module: str, arguments: Sequence[str], *, processes: int) -> str:
    """The same command for a terminal."""
    return f"torchrun --nproc_per_node={processes} -m {module} {shlex.join(arguments)}"
