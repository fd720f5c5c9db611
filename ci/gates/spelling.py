"""Spelling, by codespell: a list of words that people misspell, so it knows no names and raises few false alarms."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ci.contents import Contents
from ci.project import Project

# Words that are meant as they stand: a German one in notebook 01, and the ending of 22nd.
ACCEPTED = ("als", "nd")
FILES = ("README.md", "docs/*.md", "data/*.md", "utils/**/*.md", "utils/**/*.py", "ci/**/*.py", "requirements*.txt")
# Tests misspell on purpose.
COMMAND = (sys.executable, "-m", "codespell_lib", "--disable-colors", "--quiet-level", "2", "--skip", "*/tests/*")


def misspelt(project: Project, pages: Sequence[Contents]) -> list[str]:
    """The misspelt words of the notebooks' cells, the pages and the modules, each with a proposal."""
    files = [str(path) for pattern in FILES for path in sorted(project.root.glob(pattern))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for page in pages:
            for cell in page.cells:
                (folder / f"{page.path.name}, cell {cell.number:02}").write_text(cell.source, encoding="utf-8")
        command = [*COMMAND, "--ignore-words-list", ",".join(ACCEPTED), name, *files]
        done = subprocess.run(command, capture_output=True, text=True)
        found = done.stdout.replace(f"{folder}/", "").replace(f"{project.root}/", "")
    if done.returncode and not found:
        raise RuntimeError(f"codespell did not run: {done.stderr.strip()}")
    return [re.sub(r":(\d+): (.*) ==> (.*)", r", line \1: “\2” should be “\3”.", line) for line in found.splitlines()]
