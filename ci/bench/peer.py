"""LitGPT in an environment of its own, `.cache/bench-litgpt`, made when it is first needed.

Of the three that can be compared on a CPU it is the one with its own model, loop and loss, and few requirements.
LLaMA-Factory trains through TRL and transformers, of older releases; torchtune has had no release since April 2025.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ci.bench.children import ChildFailed
from ci.environment import pinned, without_misleading
from ci.project import Project
from utils.environments import EnvironmentFailed, Run, pip_install, ready_environment

NAME = "litgpt"
# huggingface-hub and the rest as these two want them; torch is that of the course.
REQUIREMENTS = ("litgpt==0.5.13", "lightning==2.6.6")
# The course's embedded models, by the names that LitGPT has for them.
MODELS = {"smollm2-135m": "SmolLM2-135M-Instruct"}
RUN_LIMIT = 30 * 60


def make_environment(project: Project) -> Path:
    """The Python of the environment; installs it unless that was done with the same requirements.

    Raises:
        ChildFailed: it could not be installed, or not within 20 minutes.
    """
    torch = f"torch=={pinned(project, 'torch')}"

    def install(python: Path, run: Run) -> None:
        # The CPU build: from pip's configuration if it has one, else through uv, as for the course itself.
        try:
            run(pip_install(python, f"{torch}+cpu"))
        except EnvironmentFailed:
            through_uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
            run([*through_uv, "--torch-backend", "cpu", torch])
        run(pip_install(python, *REQUIREMENTS))

    try:
        return ready_environment(f"bench-{NAME}", [torch, *REQUIREMENTS], install, size="1 GB")
    except EnvironmentFailed as failure:
        raise ChildFailed(str(failure)) from None


def environment() -> dict[str, str]:
    """Variables for its processes: nothing that leads to other packages, and no network."""
    return without_misleading(os.environ) | {"HF_HUB_OFFLINE": "1"}
