"""Versions are pinned in one place, requirements.txt: wherever else a version is named, it is the same one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from ci.environment import MODEL_REQUIREMENTS, REQUIREMENTS
from ci.project import Project

PIN = re.compile(r"([A-Za-z][\w.-]*)(?:\[[\w,]*\])?==(\d[\w.+]*\w)")
FILES = ("README.md", "environment.yml", "pyproject.toml", "binder/*", "docs/*.md", "data/*.md", "notebooks/*.ipynb")
MODULES = ("utils/**/*", "ci/**/*.py")  # a Space's requirements among them
TEXTS = {".ipynb", ".md", ".py", ".toml", ".txt", ".yml", ".yaml", ".html", ""}


def pins(project: Project) -> dict[str, str]:
    """The version of each package that the course asks for."""
    text = "\n".join((project.root / name).read_text(encoding="utf-8") for name in (REQUIREMENTS, MODEL_REQUIREMENTS))
    return {normal(name): version for name, version in PIN.findall(text)}


def other_versions(project: Project) -> list[str]:
    """Faults for every version in the project's texts that is not the pinned one."""
    known = pins(project)
    return [
        f"{project.shown(path)}, line {number}: {fault}"
        for path in pages(project)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for fault in faults_of(line, known)
    ]


def faults_of(line: str, known: Mapping[str, str]) -> list[str]:
    """What is wrong with the versions in a line: `name==1.2.3` must be the pin, “Name 1.2” the beginning of it."""
    faults = [
        f"{name}=={version}, and {REQUIREMENTS} pins {known[normal(name)]}."
        for name, version in PIN.findall(line)
        if known.get(normal(name), version) != version
    ]
    for name, version in _mention(tuple(known)).findall(line):
        if not f"{known[normal(name)]}.".startswith(f"{version}."):
            faults.append(f"“{name} {version}”, and {REQUIREMENTS} pins {known[normal(name)]}.")
    return faults


@cache
def _mention(names: tuple[str, ...]) -> re.Pattern[str]:
    """A package with a version in prose. A percentage, and a size in bytes, is no version."""
    alternatives = "|".join(map(re.escape, names))
    return re.compile(rf"\b({alternatives}) v?(\d+\.\d+(?:\.\d+)?)\b(?!\.?\d| ?%| [GMk]?B\b)", re.IGNORECASE)


def pages(project: Project) -> Iterable[Path]:
    """The files in which a version may be named. Tests make up versions of their own."""
    for pattern in (*FILES, *MODULES):
        for path in sorted(project.root.glob(pattern)):
            parts = path.relative_to(project.root).parts
            if path.is_file() and path.suffix in TEXTS and not {"tests", "__pycache__"} & set(parts):
                yield path


def normal(name: str) -> str:
    """A package name as all spellings of it compare equal."""
    return re.sub(r"[-_.]+", "-", name).lower()
