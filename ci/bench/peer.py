"""LitGPT in an environment of its own, `.cache/bench-litgpt`, made when it is first needed.

Of the three that can be compared on a CPU it is the one with its own model, loop and loss, and few requirements.
LLaMA-Factory trains through TRL and transformers, of older releases; torchtune has had no release since April 2025.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from ci.bench.children import ChildFailed
from ci.environment import pinned, python_of, without_misleading
from ci.project import Project
from utils.settings import CACHE
from utils.stages import write_json

NAME = "litgpt"
# huggingface-hub and the rest as these two want them; torch is that of the course.
REQUIREMENTS = ("litgpt==0.5.13", "lightning==2.6.6")
# The course's embedded models, by the names that LitGPT has for them.
MODELS = {"smollm2-135m": "SmolLM2-135M-Instruct"}
INSTALLATION_LIMIT = 20 * 60
RUN_LIMIT = 30 * 60
STAMP = "installed.json"


def make_environment(project: Project) -> Path:
    """The Python of the environment; installs it unless that was done with the same requirements.

    Raises:
        ChildFailed: it could not be installed, or not within 20 minutes.
    """
    folder = CACHE / f"bench-{NAME}"
    torch = pinned(project, "torch")
    wanted = [f"torch=={torch}", *REQUIREMENTS]
    python = python_of(folder)
    stamp = folder / STAMP
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == wanted and python.exists():
        return python
    print(f"Installing {' and '.join(REQUIREMENTS)} into .cache/{folder.name} (once, 1 GB) …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    deadline = time.monotonic() + INSTALLATION_LIMIT
    _run([sys.executable, "-m", "venv", str(folder)], deadline)
    # The CPU build: from pip's configuration if it has one, else through uv, as for the course itself.
    through_pip = [str(python), "-m", "pip", "install", "--quiet", f"torch=={torch}+cpu"]
    through_uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    try:
        _run(through_pip, deadline)
    except ChildFailed:
        _run([*through_uv, "--torch-backend", "cpu", f"torch=={torch}"], deadline)
    _run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS], deadline)
    write_json(stamp, wanted)
    return python


def environment() -> dict[str, str]:
    """Variables for its processes: nothing that leads to other packages, and no network."""
    return without_misleading(os.environ) | {"HF_HUB_OFFLINE": "1"}


def _run(command: list[str], deadline: float) -> None:
    try:
        done = subprocess.run(
            command,
            env=without_misleading(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=max(1.0, deadline - time.monotonic()),
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"its installation took more than {INSTALLATION_LIMIT // 60} minutes") from None
    if done.returncode:
        said = [line for line in done.stdout.splitlines() if line.startswith("ERROR")] or done.stdout.splitlines()
        raise ChildFailed(f"it could not be installed: {said[-1][:300] if said else 'no reason given'}")
