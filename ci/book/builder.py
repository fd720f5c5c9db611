"""Build the book: copy the sources to a folder of their own, let Sphinx make the pages, check every link."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.badges import repository
from ci.book.links import Site
from ci.book.markdown import Links, badges_as_words
from ci.book.notebooks import for_book, launch_buttons, markdown_cells
from ci.book.pages import CODE_MAP, HOME, contents, docname, places, toctree
from ci.book.reference import mark_literal_blocks, read_themes
from ci.book.settings import sphinx_settings
from ci.project import Project
from utils.errors import CourseError
from utils.stages import replace_folder, write_text

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SHOWN_LINES = 40
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Classes of `utils` are derived from theirs. Dummies will do for reading docstrings, and save most of the time.
DUMMIES = ["torch", "transformers", "trl", "peft", "datasets", "accelerate", "optuna", "sklearn"]
# After the theme, which makes the list of buttons that ours joins; before Napoleon, which reads the docstrings.
AFTER_THE_THEME, BEFORE_NAPOLEON = 900, 100


class BookFault(CourseError):
    """The book was not built; the message has a line for each fault in its sources."""


def build_book(project: Project, folder: Path) -> Path:
    """Build the book into `folder`, whole or not at all, and return its first page. Nothing is executed or downloaded.

    Raises:
        BookFault: a link leads nowhere, or Sphinx has a warning. An earlier book stays as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".book-", dir=folder.parent) as work:
        sources = Sources(project, Path(work) / "source")
        _refuse(sources.faults())
        sources.copy()
        pages = Path(work) / "pages"
        _refuse(run_sphinx(sources, pages, Path(work) / "doctrees"))
        _refuse(Site(pages).faults())
        replace_folder(pages, folder)
    return folder / "index.html"


class Sources:
    """The files of the project that the book is made of, and what Sphinx reads in their place."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.folder = folder
        self.places = places(project)
        self.repository = repository(project)
        self.links = Links(project, self.places, self.repository)

    @cached_property
    def origins(self) -> dict[str, str]:
        """The file that a page is made from, by the page's docname. Pages about `utils` are made from several."""
        return {docname(place): name for name, place in self.places.items() if not place.endswith(".png")}

    def faults(self) -> list[str]:
        """A sentence for each link in the sources that leads to nothing."""
        found = []
        for name in self.origins.values():
            text = self.text(name)
            parts = markdown_cells(text) if name.endswith(".ipynb") else [text]
            found += [fault for part in parts for fault in self.links.faults(part, name)]
        return found

    def copy(self) -> None:
        """Copy the sources to where Sphinx reads them, and add the pages about `utils`."""
        for name, place in self.places.items():
            target = self.folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.project.root / name, target)
        for theme in read_themes(self.text(CODE_MAP)):
            write_text((self.folder / self.places[CODE_MAP]).with_name(theme.place), theme.page)

    def text(self, name: str) -> str:
        """The text of a file of the project."""
        return (self.project.root / name).read_text(encoding="utf-8")

    def for_sphinx(self, page: str, text: str) -> str:
        """What Sphinx reads instead of the text of a page; readers may download the text as it is."""
        name = self.origins.get(page)
        if name is None:
            return text
        if name.endswith(".ipynb"):
            return for_book(text, lambda part: self.links.rewritten(part, name))
        text = self.links.rewritten(badges_as_words(text), name)
        if name == HOME:
            text += contents(self.places.values())
        if name == CODE_MAP:
            text += toctree(docname(theme.place) for theme in read_themes(text))
        return text

    def launch_buttons(self, page: str) -> dict[str, Any] | None:
        """The buttons that open a page's notebook elsewhere; None for a page that is no notebook."""
        name = self.origins.get(page, "")
        return launch_buttons(self.text(name)) if name.endswith(".ipynb") else None


def run_sphinx(sources: Sources, pages: Path, doctrees: Path) -> list[str]:
    """Make the HTML pages, in a process of its own. Returns the warnings, with the names of the project's files."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        text = process.submit(make_pages, sources, pages, doctrees).result()
    for name, place in sources.places.items():
        text = text.replace(f"{sources.folder / place}", name)
    return [line for line in text.splitlines() if line.strip()]


def make_pages(sources: Sources, pages: Path, doctrees: Path) -> str:
    """Run Sphinx and return its warnings. Leaves modules of `utils` behind whose torch is a dummy."""
    from sphinx.application import Sphinx
    from sphinx.ext.autodoc.mock import mock
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace(), mock(DUMMIES):
        app = Sphinx(
            srcdir=sources.folder,
            confdir=None,
            outdir=pages,
            doctreedir=doctrees,
            buildername="html",
            confoverrides=sphinx_settings(sources.repository),
            status=None,
            warning=warnings,
        )
        connect(app, sources)
        app.build(force_all=True)
    return COLOUR.sub("", warnings.getvalue())


def connect(app: Sphinx, sources: Sources) -> None:
    """Let Sphinx read the sources as the book needs them, and the theme show the buttons of a notebook."""

    def read(_: Sphinx, page: str, text: list[str]) -> None:
        text[0] = sources.for_sphinx(page, text[0])

    def read_docstring(
        _app: Sphinx, _kind: str, _name: str, _object: object, _options: object, lines: list[str]
    ) -> None:
        lines[:] = mark_literal_blocks(lines)

    def show(_app: Sphinx, page: str, _template: str, context: dict[str, Any], _tree: object) -> None:
        buttons = sources.launch_buttons(page)
        if buttons:
            context["header_buttons"].insert(0, buttons)

    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", read_docstring, priority=BEFORE_NAPOLEON)
    app.connect("html-page-context", show, priority=AFTER_THE_THEME)


def _refuse(faults: list[str]) -> None:
    if faults:
        more = [f"… and {len(faults) - SHOWN_LINES} more lines"] if len(faults) > SHOWN_LINES else []
        raise BookFault("\n  ".join(["The book was not built. What has to be mended:", *faults[:SHOWN_LINES], *more]))
