"""The form of a notebook: its opening, its ending, its badges, and links that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ci.contents import Cell, Contents
from ci.parameters import TAG

SETUP = "setup"
BADGES = {
    "Open in Colab": (
        "https://colab.research.google.com/assets/colab-badge.svg",
        "https://colab.research.google.com/github/{slug}/blob/main/notebooks/{file}",
    ),
    "Open in Kaggle": (
        "https://kaggle.com/static/images/open-in-kaggle.svg",
        "https://kaggle.com/kernels/welcome?src=https://github.com/{slug}/blob/main/notebooks/{file}",
    ),
    "Open in Binder": (
        "https://mybinder.org/badge_logo.svg",
        "https://mybinder.org/v2/gh/{slug}/main?labpath=notebooks/{file}",
    ),
}
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
FOLDERS = "home|root|Users|tmp|var|usr|opt|mnt|private|srv|work|workspace"
ABSOLUTE_PATH = re.compile(rf"(?:file://|(?<![\w.:/~<-]))(?:/(?:{FOLDERS})/|[A-Z]:\\Users\\)[\w.-]+")


def opening(page: Contents) -> list[str]:
    """Title and promise; what is learnt, needed and taken; then the setup cell and the parameters cell."""
    if len(page.cells) < 4:
        return ["It has no opening: title, what is learnt, setup cell, parameters cell."]
    title, learnt, setup, parameters = page.cells[:4]
    faults = []
    heading, _, promise = (part.strip() for part in _three_paragraphs(title.source))
    if not re.fullmatch(rf"# {page.path.name[:2]} · \S.*", heading):
        faults.append(f"Cell 1 begins with “{heading}”, not with “# {page.path.name[:2]} · Title”.")
    if not promise.endswith(".") or re.search(r"[.!?]\s|\n\n", promise):
        faults.append("Cell 1 ends without a promise of one sentence.")
    bullets = re.search(r"\*\*You will learn\*\*\n((?:[-* ] .*\n?)+)", learnt.source)
    count = len(re.findall(r"^- ", bullets[1], re.MULTILINE)) if bullets else 0
    if not 3 <= count <= 5:
        faults.append(f"Cell 2 lists {count} things under “**You will learn**”; three to five are to be listed.")
    for mark in ("**You need**", "**It takes**"):
        if not re.search(rf"^{re.escape(mark)} \S", learnt.source, re.MULTILINE):
            faults.append(f"Cell 2 has no line that begins with “{mark}”.")
    for cell, tag in ((setup, SETUP), (parameters, TAG)):
        if not cell.is_code or tag not in cell.tags:
            faults.append(f"Cell {cell.number} is not the code cell tagged `{tag}`.")
    return faults


def ending(page: Contents) -> list[str]:
    """A recap, and the way on in the last cell."""
    start = next((cell.number for cell in page.prose if cell.source.startswith("## Recap")), None)
    if start is None:
        return ["There is no cell that begins with “## Recap”."]
    recap = page.cells[start - 1].source.partition("## Exercises")[0]
    faults = []
    if len(re.findall(r"^- ", recap, re.MULTILINE)) < 3:
        faults.append("The recap has fewer than three points.")
    last = page.cells[-1]
    if last.is_code or not re.search(r"\*\*(?:Next|Back):\*\*", _last_line(last)):
        faults.append("The last cell does not end with the line of “**Next:**” and “**Back:**”.")
    return faults


def badges(page: Contents, slug: str) -> list[str]:
    """The three badges of cell 1 open this very file of the repository `slug` (OWNER/NAME)."""
    line = " ".join(
        f"[![{label}]({picture})]({target.format(slug=slug, file=page.path.name)})"
        for label, (picture, target) in BADGES.items()
    )
    return [] if line in page.cells[0].source.splitlines() else [f"Cell 1 lacks the line of badges: {line}"]


def navigation(pages: Sequence[Contents]) -> list[str]:
    """The last line of each notebook names its neighbours in the list of files, with their titles."""
    faults = []
    for index, page in enumerate(pages):
        line = _last_line(page.cells[-1])
        back = f"**Back:** {_link(pages[index - 1])}" if index else ""
        if index + 1 < len(pages):
            wanted = " · ".join(filter(None, [f"**Next:** {_link(pages[index + 1])}", back]))
            right = line == wanted
        else:  # the last one leads out of the course
            wanted = f"**Next:** … · {back}"
            right = line.startswith("**Next:** ") and line.endswith(f" · {back}")
        if not right:
            faults.append(f"{page.path.name}: the last line is “{line}”, and should be “{wanted}”.")
    return faults


def links(page: Contents) -> list[str]:
    """Files that the prose links to exist."""
    return [
        f"Cell {cell.number} links to {target}, which is not there."
        for cell in page.prose
        for target in LINK.findall(cell.source)
        if not (page.path.parent / target).exists()
    ]


def same_setup(pages: Sequence[Contents]) -> list[str]:
    """The setup cell is the same everywhere: nobody reads it eleven times to find a difference."""
    cells = {page.path.name: next((cell.source for cell in page.code if SETUP in cell.tags), "") for page in pages}
    first = next(iter(cells.values()))
    return [
        f"{name}: its setup cell is another than that of the first notebook." for name in cells if cells[name] != first
    ]


def listed(pages: Sequence[Contents], readme: Path) -> list[str]:
    """The README lists every notebook, in order."""
    found = re.findall(r"\]\(notebooks/([\w.-]+\.ipynb)\)", readme.read_text(encoding="utf-8"))
    wanted = [page.path.name for page in pages]
    in_table = list(dict.fromkeys(name for name in found if name in wanted))
    missing = [name for name in wanted if name not in in_table]
    faults = [f"{readme.name} does not list {name}." for name in missing]
    if not missing and in_table != wanted:
        faults.append(f"{readme.name} lists the notebooks in another order than that of their numbers.")
    return faults


def paths(page: Contents) -> list[str]:
    """No cell names a place that only one machine has."""
    return [
        f"Cell {cell.number} names the absolute path {match[0]}."
        for cell in page.cells
        for match in ABSOLUTE_PATH.finditer(cell.source)
    ]


def _three_paragraphs(source: str) -> list[str]:
    return [*source.split("\n\n", 2), "", "", ""][:3]


def _last_line(cell: Cell) -> str:
    return (cell.source.rstrip().splitlines() or [""])[-1]


def _link(page: Contents) -> str:
    title = page.cells[0].source.splitlines()[0].lstrip("# ")
    return f"[{title}]({page.path.name})"
