"""The repository's name on GitHub: it stands in `ci/repository.txt`, and from there in badges and clone commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ci.errors import UsageError
from ci.project import Project
from utils.stages import write_text

FILE = "ci/repository.txt"
SLUG = r"[A-Za-z0-9-]+/[A-Za-z0-9._-]*?[A-Za-z0-9_-]"
# What stands before the name in a badge. Links to other repositories begin otherwise or belong to another owner.
BEFORE = (
    r"colab\.research\.google\.com/github/",
    r"kaggle\.com/kernels/welcome\?src=https://github\.com/",
    r"mybinder\.org/v2/gh/",
    r"git clone (?:--depth 1 )?https://github\.com/",
    r"COURSE_REPO_URL\\?\", \\?\"https://github\.com/",
)
AFTER = r"(?=(?:\.git)?\.?(?:[^A-Za-z0-9._-]|$))"
IN_BADGE = re.compile(rf"(?P<before>{'|'.join(BEFORE)})(?P<slug>{SLUG}){AFTER}", re.MULTILINE)


def repository(project: Project) -> str:
    """The repository that the badges point to, as OWNER/NAME."""
    return (project.root / FILE).read_text(encoding="utf-8").strip()


def rename(project: Project, slug: str) -> list[str]:
    """Let everything point to the repository `slug`; returns the files changed. Raises UsageError."""
    if not re.fullmatch(SLUG, slug):
        raise UsageError(f"{slug!r} is not a repository: write OWNER/NAME, as in its address on GitHub.")
    old = repository(project)
    changed = []
    for path in pages(project):
        text = path.read_text(encoding="utf-8")
        renamed = IN_BADGE.sub(lambda match: match["before"] + slug, text)
        renamed = re.sub(rf"(?<=github\.com/){re.escape(old)}(?![\w-])", slug, renamed)
        if renamed != text:
            write_text(path, renamed)
            changed.append(project.shown(path))
    if old != slug:
        write_text(project.root / FILE, slug + "\n")
        changed.append(FILE)
    return changed


def anonymous(text: str) -> str:
    """The text with OWNER/NAME in badges and clone commands, whatever repository they point to."""
    return IN_BADGE.sub(lambda match: match["before"] + "OWNER/NAME", text)


def found(path: Path) -> Iterator[str]:
    """The repositories that the badges and clone commands of a file point to."""
    for match in IN_BADGE.finditer(path.read_text(encoding="utf-8")):
        yield match["slug"]


def pages(project: Project) -> list[Path]:
    """The files with badges and clone commands."""
    return [path for path in [project.root / "README.md", *sorted(project.notebooks.glob("*.ipynb"))] if path.is_file()]
