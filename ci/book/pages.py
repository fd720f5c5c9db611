"""Which file of the project becomes which page of the book, and the order of the pages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from ci.project import Project

HOME, DATA_CARD, CODE_MAP = "README.md", "data/README.md", "utils/README.md"
RENAMED = {HOME: "index.md", DATA_CARD: "data.md", CODE_MAP: "api/index.md"}
KEPT = ("notebooks/[0-9][0-9]_*.ipynb", "docs/*.md", "docs/*.png")
# What people look for first, with short titles for the sidebar. What is not listed follows, by name.
TITLES = {
    "docs/decisions": "Decision guide",
    "docs/troubleshooting": "Troubleshooting",
    "docs/glossary": "Glossary",
    "data": "Data card",
    "docs/faults": "Faults that were tried",
    "docs/contributing": "How to contribute",
    "api/index": "Modules of utils",
}


def places(project: Project) -> dict[str, str]:
    """Files of the project and their places in the book, both relative and with forward slashes."""
    kept = [path.relative_to(project.root).as_posix() for pattern in KEPT for path in project.root.glob(pattern)]
    return RENAMED | {name: name for name in sorted(kept)}


def docname(place: str) -> str:
    """What Sphinx calls the page at a place: its name without the ending."""
    return PurePosixPath(place).with_suffix("").as_posix()


def contents(found: Iterable[str]) -> str:
    """The table of contents for the end of the first page, from the places of all pages."""
    names = [docname(place) for place in found if not place.endswith(".png")]
    notebooks = [name for name in names if name.startswith("notebooks/")]
    documents = [name for name in names if name == "data" or name.startswith("docs/")]
    order = list(TITLES)
    documents.sort(key=lambda name: (order.index(name) if name in order else len(order), name))
    parts = {"The course": notebooks, "To look up": documents, "The code": [docname(RENAMED[CODE_MAP])]}
    return "".join(toctree(names, caption) for caption, names in parts.items() if names)


def toctree(names: Iterable[str], caption: str = "") -> str:
    """A list of pages that only the sidebar shows."""
    options = [":hidden:", ":titlesonly:", *([f":caption: {caption}"] if caption else [])]
    entries = [f"{TITLES[name]} <{name}>" if name in TITLES else name for name in names]
    return "\n".join(["", "```{toctree}", *options, "", *entries, "```", ""])
