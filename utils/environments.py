"""Environments for packages that must not meet those of the course: each in `.cache`, made when it is first needed.

The last thing written into an environment is a stamp that says what it was made of. So one whose making was broken off
is made anew, and so is one of other requirements.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ci.environment import python_of, python_version, without_misleading
from utils.errors import CourseError
from utils.settings import CACHE
from utils.stages import write_json

STAMP = "installed.json"
INSTALLATION_LIMIT = 20 * 60

Run = Callable[[Sequence[str]], None]
"""Runs a command; raises EnvironmentFailed."""


class EnvironmentFailed(CourseError):
    """An environment could not be made; the message says of what, and why."""


def ready_environment(
    name: str, requirements: Sequence[str], install: Callable[[Path, Run], None], *, size: str
) -> Path:
    """The Python of the environment `.cache/NAME`, made now unless it was made of the same requirements before.

    `install(python, run)` puts the packages into it with the commands of `pip_install` and others. `size` is told to
    whoever waits, such as "1 GB".

    Raises:
        EnvironmentFailed: a command failed, or all of them together took more than 20 minutes.
    """
    folder = CACHE / name
    python = python_of(folder)
    wanted = [f"python {python_version()}", *requirements]
    if python.exists() and _stamp(folder) == wanted:
        return python
    packages = ", ".join(requirements)
    print(f"Installing {packages} into .cache/{name} (once, {size}) …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    run = partial(_run, deadline=time.monotonic() + INSTALLATION_LIMIT)
    try:
        # Without pip, which some systems leave out of their Python: the course's own installs into it.
        run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
        install(python, run)
    except EnvironmentFailed as failure:
        raise EnvironmentFailed(f"{packages} could not be installed: {failure}") from None
    write_json(folder / STAMP, wanted)
    return python


def pip_install(python: Path, *arguments: str) -> list[str]:
    """The command that installs into the environment of `python`."""
    return [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *arguments]


def _stamp(folder: Path) -> object:
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _run(command: Sequence[str], deadline: float) -> None:
    try:
        done = subprocess.run(
            command,
            env=without_misleading(os.environ) | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=max(1.0, deadline - time.monotonic()),
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentFailed(f"it took more than {INSTALLATION_LIMIT // 60} minutes.") from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("ERROR")] or lines or ["no reason was given."]
        raise EnvironmentFailed(said[-1][:300])
