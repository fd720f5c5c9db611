"""Which notebooks of a run are done, and with what: `runs/NAME/notebooks/progress.json`.

A notebook is done if its record has the key that it would get now. The key is a hash of everything that decides its
result: its code, its parameters, `utils/` and `data/`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from ci.contents import code_hash, read_contents
from ci.exercises import all_code
from ci.project import Project
from utils.hardware import PATIENT
from utils.stages import write_text


class Record:
    """The notebooks done in one run. Every change is on disk when the method returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, dict[str, object]] = self._read()

    @classmethod
    def of(cls, run: Path) -> Record:
        """The record in the folder of a run."""
        return cls(run / "notebooks" / "progress.json")

    def key_of(self, name: str) -> str | None:
        """The key with which a notebook was done."""
        return str(self.done[name]["key"]) if name in self.done else None

    def add(self, name: str, key: str, seconds: float, values: Mapping[str, object]) -> None:
        """Note that a notebook is done, and whether it was told to shorten nothing."""
        finished = datetime.now().astimezone().isoformat(timespec="seconds")
        self.done[name] = {
            "key": key,
            "seconds": round(seconds, 1),
            "finished": finished,
            "parameters": dict(values),
            "patient": bool(os.environ.get(PATIENT)),
        }
        self._write()

    def forget(self, names: Iterable[str]) -> None:
        """Notebooks that are to run again."""
        for name in names:
            self.done.pop(name, None)
        self._write()

    def _read(self) -> dict[str, dict[str, object]]:
        try:
            done = json.loads(self.path.read_text(encoding="utf-8"))["notebooks"]
            return {name: entry for name, entry in done.items() if "key" in entry}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _write(self) -> None:
        write_text(self.path, json.dumps({"notebooks": self.done}, indent=2, ensure_ascii=False) + "\n")


def common_hash(project: Project) -> str:
    """Hash of what all notebooks share: the modules of `utils/`, its quizzes, and the contents of `data/`."""
    digest = hashlib.sha256()
    data = sorted(path for path in (project.root / "data").rglob("*") if path.is_file())
    utils = (project.root / "utils").rglob
    for path in [*sorted([*utils("*.py"), *utils("*.yaml")]), *data]:
        if "__pycache__" not in path.parts:
            digest.update(f"\0{path.relative_to(project.root).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(notebook: Path, values: Mapping[str, object], common: str, *, solved: bool = False) -> str:
    """The key of a notebook with these parameters. Outputs and prose, which has the line of times, do not count.

    The solutions of its exercises count where they are tried (`solved`).
    """
    page = read_contents(notebook)
    code = code_hash(all_code(page.cells) if solved else (cell.source for cell in page.code))
    text = json.dumps([code, dict(values), common], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
