"""The processes of a sweep: who works on a trial, whether that process still lives, and children that end with it."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.processes import bound_to_this_process
from utils.settings import ROOT

SECONDS_TO_END = 20
SAME_START = 2.0  # seconds by which two readings of the moment when a process started may differ


def this_process() -> dict[str, object]:
    """Host, process number and start of this process: the number alone is given again to others."""
    import psutil

    return {"host": host(), "pid": os.getpid(), "started": round(psutil.Process().create_time(), 1)}


def is_of_this_host(process: dict[str, object]) -> bool:
    """True if the process was started where this one runs, so that it can be looked for."""
    return process["host"] == host()


def is_alive(process: dict[str, object]) -> bool:
    """True if a process of this host has not ended."""
    import psutil

    try:
        found = psutil.Process(process["pid"])
        is_same = abs(found.create_time() - process["started"]) < SAME_START
        return is_same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def host() -> str:
    """The name of this machine. Containers that share it see other processes, so their namespace is added."""
    namespace = Path("/proc/self/ns/pid")
    return platform.node() + (f"/{os.readlink(namespace)}" if namespace.exists() else "")


def start(arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen:
    """Start this Python with arguments, in a session of its own; what it prints goes to `log`.

    `environment` is added to the variables of this process. On Linux it is killed when this process is gone, however
    that ends; elsewhere it must be stopped.
    """
    with log.open("wb") as output:
        return subprocess.Popen(
            [*bound_to_this_process(), sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def stop(processes: Sequence[subprocess.Popen]) -> None:
    """Ask processes to end, and kill those that do not; the kernel of a trial ends by itself when that is gone."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
