"""What a notebook needs before its first cell: the packages that are missing, quiet libraries, readable errors.

Importing this module in a notebook calls `prepare`. On Colab or Kaggle much is installed already, torch above all;
only what is missing, or of another release than the course was written for, is added.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from utils.allocator import keep_freed_memory
from utils.errors import show_errors_as_sentences
from utils.settings import ROOT, quiet_libraries

REQUIREMENTS = ROOT / "requirements.txt"
MODEL_REQUIREMENTS = ROOT / "requirements-models.txt"
# These must be of the release that the course was written for: their interfaces change between releases.
EXACT = ("transformers", "trl", "peft", "accelerate", "datasets")
NEVER_INSTALLED = ("torch", "numpy")


def prepare() -> None:
    """Install what is missing and set the notebook up. Running it again changes nothing."""
    missing = missing_requirements(REQUIREMENTS)
    if missing:
        print(f"Installing {', '.join(missing)} …", flush=True)
        _install(missing)
    models = missing_requirements(MODEL_REQUIREMENTS)
    if models:
        _install(models, "--no-deps")
    keep_freed_memory()
    quiet_libraries()
    show_errors_as_sentences()


def missing_requirements(path: Path) -> list[str]:
    """The lines of a requirements file that this environment does not meet; torch and numpy are never among them."""
    missing = []
    for line in path.read_text(encoding="utf-8").splitlines():
        requirement = line.split("#")[0].strip()
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", requirement)
        if not match or match[1].lower() in NEVER_INSTALLED:
            continue
        name, wanted = match[1], match[2]
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(requirement)
            continue
        if name in EXACT and installed != wanted:
            missing.append(requirement)
    return missing


def _install(requirements: list[str], *options: str) -> None:
    kept = [f"{name}=={metadata.version(name)}" for name in NEVER_INSTALLED if _is_installed(name)]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(kept), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
        subprocess.run([*command, *options, *requirements], check=True)


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


if "ipykernel" in sys.modules:
    prepare()
