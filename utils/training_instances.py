"""Several sets of rows for databases that are trained on, so that a sampled query is not called right by luck.

The dataset stage has them for validation and test only (see `utils.instances`). Where queries are sampled for training
questions and judged, as in notebooks 10 and 11, they are made for those databases too, once, and kept in `.cache`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from utils.data import Question, stage_databases
from utils.instances import make_instances
from utils.settings import CACHE
from utils.stages import hash_of, replace_folder


def training_instances(
    dataset_folder: Path, questions: Sequence[Question], *, count: int = 4, seed: int = 0
) -> dict[str, list[Path]]:
    """For each database that is asked about its SQLite file and `count` mutated copies of it.

    `questions` are training questions of the dataset stage in `dataset_folder`.
    """
    databases = stage_databases(dataset_folder)
    queries: dict[str, list[str]] = {}
    for question in questions:
        queries.setdefault(question.database, []).append(question.sql)
    place = CACHE / "instances" / f"{hash_of(dataset_folder)}-{count}-{seed}"
    found = {}
    for name, asked in queries.items():
        # The constants of the queries decide which values come in.
        digest = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:8]
        folder = place / f"{name}-{digest}"
        if not folder.is_dir():
            _make(databases[name], folder, asked, count, seed)
        found[name] = [databases[name], *sorted(folder.glob("*.sqlite"))]
    return found


def _make(database: Path, folder: Path, queries: Sequence[str], count: int, seed: int) -> None:
    """Fill the folder whole or not at all."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    make_instances(database, partial, queries, count, seed)
    replace_folder(partial, folder)
