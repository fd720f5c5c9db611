"""Where things are, and the switches that make runs quiet, offline and repeatable."""

from __future__ import annotations

import os
import random
import re
import time
import warnings
from importlib import metadata
from pathlib import Path

STARTED = time.monotonic()
ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
NOTEBOOKS = ROOT / "notebooks"
CACHE = ROOT / ".cache"
RUNS = ROOT / "runs"
REPORTED_PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "numpy")


def run_folder(run_name: str | Path) -> Path:
    """`runs/NAME`; a Path is taken as it is. Raises ValueError for a name that leaves `runs` or troubles a shell."""
    if isinstance(run_name, Path):
        return run_name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", run_name):
        raise ValueError(
            f"The run name {run_name!r} cannot be a folder name: use letters, digits, dots, dashes and underscores."
        )
    return RUNS / run_name


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and PyTorch."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def quiet_libraries() -> None:
    """Keep progress bars and routine warnings out of notebook outputs. Errors and course messages stay."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    # PEFT asks transformers by the old name; the warning would also show a path of this machine.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a run's figures, without importing them."""
    versions = {}
    for package in REPORTED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
