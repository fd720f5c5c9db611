"""Measurements in processes of their own, so that peak memory and import times are those of one thing alone.

A child is a module of this package. It prints what it measured as one line of JSON, the last line that it prints.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.errors import CourseError
from utils.hardware import peak_memory_bytes
from utils.settings import ROOT

TIME_LIMIT = 2 * 60 * 60
SHOWN_LINES = 8
# The comparisons are about a CPU, also where there is a GPU.
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1", "TOKENIZERS_PARALLELISM": "false"}


class ChildFailed(CourseError):
    """A measurement ended without a result; the message shows the last lines that it printed."""


def run_child(
    module: str,
    *arguments: str,
    python: str = sys.executable,
    limit: float = TIME_LIMIT,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run `python -m MODULE ARGUMENTS` in the project's folder and return what it printed.

    Raises:
        ChildFailed: it failed, printed nothing, or took more than `limit` seconds.
    """
    return run_command([python, "-m", module, *arguments], limit=limit, environment=environment)


def run_command(
    command: Sequence[str], *, limit: float = TIME_LIMIT, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a command in the project's folder and return the JSON of its last line. Raises ChildFailed."""
    variables = dict(os.environ if environment is None else environment) | ENVIRONMENT
    name = " ".join(command[1:])[:120]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=limit
            )
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"`{name}` was stopped: it took more than {limit / 60:.0f} minutes.") from None
        errors.seek(0)
        said = errors.read()
    lines = done.stdout.splitlines()
    try:
        if done.returncode == 0:
            return json.loads(lines[-1])
    except (IndexError, ValueError):
        said += "\nIt ended well, but its last line is no JSON."
    last = [line[:300] for line in [*lines, *said.splitlines()] if line.strip()][-SHOWN_LINES:]
    raise ChildFailed("\n    ".join([f"`{name}` failed (exit status {done.returncode}):", *last]))


def report(**measured: object) -> None:
    """What a child prints at its end. Its peak memory, in bytes, is added unless it is there."""
    print(json.dumps({"peak_memory_bytes": peak_memory_bytes()} | measured), flush=True)


def input_of(path: str) -> dict[str, Any]:
    """The file that a child was given to read."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
