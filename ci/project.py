"""Where the parts of the project stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """A checkout of the course; tests make small ones of their own."""

    root: Path

    @property
    def notebooks(self) -> Path:
        return self.root / "notebooks"

    @property
    def profiles(self) -> Path:
        return self.root / "ci" / "profiles"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def shown(self, path: Path) -> str:
        """A path as the user knows it: relative to the project, with forward slashes."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()
