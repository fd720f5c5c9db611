"""Stage folders: each notebook reads the folder of the stage before it and writes its own, whole or not at all.

A stage folder is written beside its final place and renamed when complete, with a `manifest.json` inside.
A folder without a manifest is therefore never taken for a finished stage.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from utils.errors import CourseError
from utils.hardware import peak_memory_bytes
from utils.settings import ROOT, STARTED, package_versions, run_folder

MANIFEST = "manifest.json"
MAKERS = {
    "dataset": "02_prepare_the_dataset",
    "model": "03_fine_tune_with_sft",
    "adapter": "04_fine_tune_with_lora",
    "evaluation": "05_evaluate",
    "export": "06_save_and_share",
    "deployment": "07_deploy",
    "preferences": "10_preference_tuning_dpo",
    "reinforced": "11_reinforcement_learning_grpo",
    "encoder": "12_fine_tune_an_encoder_bert",
    "encoder_decoder": "13_fine_tune_an_encoder_decoder_t5",
}


class MissingStage(CourseError):
    """The input of a notebook is not there; the message says which notebook makes it and how to run it."""


@dataclass
class Stage:
    """A stage folder being written. Put files into `folder`, figures for the manifest into `results`."""

    folder: Path
    results: dict[str, object] = field(default_factory=dict)


@contextlib.contextmanager
def write_stage(
    run_name: str | Path,
    stage: str,
    *,
    parameters: Mapping[str, object],
    inputs: Mapping[str, Path] | None = None,
    device: str = "cpu",
) -> Iterator[Stage]:
    """Write `runs/RUN_NAME/STAGE` whole or not at all. `run_name` may also be the Path of a run's folder.

    The body fills `stage.folder`; when it ends well the manifest is added and the folder takes its place, replacing an
    earlier one. When it raises, the earlier one stays. `inputs` names the files or folders read, whose hashes go into
    the manifest; `seconds` there counts from the notebook's setup cell.
    """
    final = run_folder(run_name) / stage
    partial = final.with_name(f".{stage}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    entry = Stage(partial)
    yield entry
    manifest = {
        "stage": stage,
        "parameters": dict(parameters),
        "inputs": {name: hash_of(path) for name, path in (inputs or {}).items()},
        "files": {str(path.relative_to(partial)): path.stat().st_size for path in _files(partial)},
        "results": entry.results,
        "packages": package_versions(),
        "device": device,
        "seconds": round(time.monotonic() - STARTED, 1),
        "peak_memory_gb": round(peak_memory_bytes() / 1e9, 2),
    }
    write_json(partial / MANIFEST, manifest)
    replace_folder(partial, final)


def require_stage(run_name: str, stage: str) -> Path:
    """The folder of a finished stage.

    Raises:
        MissingStage: it was never finished, or a file of it is missing or has another size than when it was written.
    """
    folder = run_folder(run_name) / stage
    maker = MAKERS[stage]
    if not (folder / MANIFEST).is_file():
        raise MissingStage(
            f"runs/{run_name}/{stage} is not there: notebook {maker} makes it. Run that notebook first, with "
            f"run_name = {run_name!r}, or all at once: python3 ci/course.py run --name {run_name} --from {maker[:2]}"
        )
    damaged = _damaged_file(folder)
    if damaged:
        raise MissingStage(
            f"runs/{run_name}/{stage}/{damaged} is missing or damaged. Make the stage again with notebook {maker}: "
            f"python3 ci/course.py run --name {run_name} --from {maker[:2]}"
        )
    return folder


def is_finished(folder: Path) -> bool:
    """True if the folder is a finished stage, and no file of it is missing or has another size than when written."""
    return (folder / MANIFEST).is_file() and _damaged_file(folder) is None


def read_manifest(folder: Path) -> dict:
    """The manifest of a finished stage."""
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_lines(path: Path, rows: list[dict]) -> None:
    """Write JSON Lines whole or not at all."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_lines(path: Path) -> list[dict]:
    """Read JSON Lines written by `write_lines`."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def hash_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder's file names and contents (manifests left out: they hold times).

    Raises:
        FileNotFoundError: there is no such file or folder.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is nothing at {shown(path)}.")
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else _files(path):
        if file.name == MANIFEST:
            continue
        digest.update((file.relative_to(path).as_posix() if file != path else file.name).encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]


def replace_folder(new: Path, old: Path) -> None:
    """Put folder `new` in the place of `old`, which may or may not exist."""
    retired = old.with_name(f".{old.name}.retired")
    shutil.rmtree(retired, ignore_errors=True)
    if old.exists():
        old.replace(retired)
    new.replace(old)
    shutil.rmtree(retired, ignore_errors=True)


def shown(path: Path) -> str:
    """A path as a reader of the course knows it: relative to the project, with forward slashes."""
    return path.resolve().relative_to(ROOT).as_posix() if path.resolve().is_relative_to(ROOT) else path.as_posix()


def _damaged_file(folder: Path) -> str | None:
    """The name of a file of a finished stage that is missing or has another size than when it was written."""
    for name, size in read_manifest(folder)["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return name
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
