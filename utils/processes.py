"""Start a program that answers over HTTP on this machine, wait until it answers, and stop it for sure.

    command = [sys.executable, "-m", "utils.server", "--model", "runs/course/export/model"]
    with running(command, log=Path("server.log")) as server:
        ...  # requests to server.url

A notebook, which needs the program in several cells, calls `start`, and `stop` when it is done.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from utils.errors import CourseError
from utils.settings import ROOT
from utils.stages import shown

HOST = "127.0.0.1"
SECONDS_TO_END = 10
SHOWN_LINES = 15
# Becomes the program itself, after asking Linux to kill it when the process that started it is gone, however that ends.
UNTIL_PARENT_ENDS = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    raise SystemExit
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Server:
    """A program that was started and answers at `url`; what it prints goes to the file `log`."""

    def __init__(self, process: subprocess.Popen, port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.log = log
        # Also called when nothing refers to the server any more, and when Python ends.
        self._finalizer = weakref.finalize(self, _end, process)

    @property
    def is_running(self) -> bool:
        """False once the program has ended, by itself or by `stop`."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End the program and what it started: it is asked to, and killed if it does not. Returns when it is gone."""
        self._finalizer()

    def get(self, path: str) -> str:
        """The text at a path. Raises CourseError if it is not answered with 200."""
        status, text = _fetch(self.port, path)
        if status != 200:
            raise CourseError(f"{self.url}{path} answered with {status or 'nothing'}; see {shown(self.log)}.")
        return text

    def log_end(self, lines: int = SHOWN_LINES) -> str:
        """The last lines that the program printed."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def start(
    command: Sequence[str],
    *,
    log: Path,
    ready: str = "/health",
    seconds: float = 120,
    environment: Mapping[str, str] | None = None,
) -> Server:
    """Start a command with `--port` and a free port added, and wait until it answers `ready` with 200.

    It runs in the project's folder, with `environment` added to the variables of this process. On Linux it dies with
    the thread that started it, however that ends; elsewhere it is stopped when Python ends in order.

    Raises:
        CourseError: there is no such program, it ended before it answered, or it did not answer within `seconds`; with
            the last lines that it printed.
    """
    if shutil.which(command[0]) is None:
        raise CourseError(f"There is no program {command[0]!r} on this machine. Install it, or check the spelling.")
    port = free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*bound_to_this_process(), *command, "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, log)
    try:
        _wait_until_ready(server, ready, seconds)
    except BaseException:
        server.stop()
        raise
    return server


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    ready: str = "/health",
    seconds: float = 120,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """`start` for a `with` block, at whose end the program is stopped."""
    server = start(command, log=log, ready=ready, seconds=seconds, environment=environment)
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def bound_to_this_process() -> list[str]:
    """What to put before a command so that, on Linux, it is killed when this process is gone, however that ends."""
    if sys.platform != "linux":
        return []
    return [sys.executable, "-c", UNTIL_PARENT_ENDS, str(os.getpid())]


def _wait_until_ready(server: Server, path: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while _fetch(server.port, path)[0] != 200:
        if not server.is_running:
            raise CourseError(
                f"The program ended before it answered, with exit status {server.process.returncode}. The end of what "
                f"it printed, from {shown(server.log)}:\n{server.log_end()}"
            )
        if time.monotonic() > end:
            raise CourseError(
                f"The program did not answer within {seconds:.0f} s. The end of what it printed, from "
                f"{shown(server.log)}:\n{server.log_end()}"
            )
        time.sleep(0.1)


def _fetch(port: int, path: str) -> tuple[int, str]:
    """The status and the text at a path; (0, "") if nothing answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)  # which, unlike others, goes through no proxy
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def _end(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    _signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS_TO_END)
    _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))  # it too, and what it started and left behind
    process.wait()


def _signal_group(process: subprocess.Popen, number: int) -> None:
    """Send a signal to a program and all that it started; where there are no groups, end the program alone."""
    if not hasattr(os, "killpg"):
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
