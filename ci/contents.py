"""What a notebook file holds, read without nbformat: its cells, and a hash of its code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.badges import anonymous

INJECTED = "injected-parameters"  # papermill's tag for the cell that it adds
SOLUTION = "solution"  # the tag of the cells that try the solution of an exercise
ADDED = frozenset({INJECTED, SOLUTION})  # no cell of a notebook of the course


@dataclass(frozen=True)
class Cell:
    """A cell. `number` counts all cells of the notebook from 1."""

    number: int
    kind: str
    source: str
    tags: tuple[str, ...] = ()
    execution_count: int | None = None
    outputs: tuple[dict, ...] = ()

    @property
    def is_code(self) -> bool:
        return self.kind == "code"


@dataclass(frozen=True)
class Contents:
    """A notebook with all that its file holds."""

    path: Path
    cells: tuple[Cell, ...]
    metadata: Mapping[str, object]

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.is_code]

    @property
    def prose(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "markdown"]


def read_contents(path: Path) -> Contents:
    """The contents of a notebook file."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Contents(path, cells_of(stored["cells"]), stored["metadata"])


def cells_of(stored: Iterable[Mapping[str, Any]]) -> tuple[Cell, ...]:
    """The cells of a notebook, from those of its file or of nbformat."""
    return tuple(
        Cell(
            number,
            cell["cell_type"],
            "".join(cell["source"]),
            tuple(cell["metadata"].get("tags", ())),
            cell.get("execution_count"),
            tuple(cell.get("outputs", ())),
        )
        for number, cell in enumerate(stored, 1)
    )


def code_hash(sources: Iterable[str]) -> str:
    """A hash of the code of a notebook. The repository in the clone command does not count: `badges` renames it."""
    text = json.dumps([anonymous(source) for source in sources], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
