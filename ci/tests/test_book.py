"""The web book is built from the sources as they stand, and what is broken in them is refused with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ci.book.builder import BookFault, build_book
from ci.book.links import Site
from ci.book.markdown import Links, badges, badges_as_words, destinations, without_badges
from ci.book.notebooks import for_book, launch_buttons
from ci.book.pages import contents
from ci.book.reference import Theme, mark_literal_blocks, read_themes
from ci.project import Project
from ci.tests.conftest import ROOT, WriteNotebook

BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/x) "
    "[![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/x)"
)


@pytest.fixture
def small(project: Project, write_notebook: WriteNotebook) -> Project:
    """A project with one notebook, one document and the files that a book needs."""
    write_notebook("00_x", "print(1)")
    for name in ("ci", "docs"):
        (project.root / name).mkdir(exist_ok=True)
    texts = {
        "README.md": "# Course\n\n[a notebook](notebooks/00_x.ipynb), [a term](docs/glossary.md#token)\n",
        "data/README.md": "# Data\n\n[the course](../README.md)\n",
        "docs/glossary.md": "# Glossary\n\n## Token\n\nA piece of text. See [the code](../utils/errors.py).\n",
        "utils/README.md": "# Code\n\n**The ground**\n\n- [`errors`](errors.py): faults\n",
        "utils/errors.py": "",
        "ci/repository.txt": "an-owner/a.course\n",
    }
    for name, text in texts.items():
        (project.root / name).write_text(text, encoding="utf-8")
    return project


def append(project: Project, name: str, text: str) -> None:
    path = project.root / name
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def test_links_between_files_become_links_between_pages(small: Project) -> None:
    (small.root / "data" / "generator").mkdir()
    (small.root / "LICENSE").touch()
    places = {"README.md": "index.md", "data/README.md": "data.md", "docs/glossary.md": "docs/glossary.md"}
    links = Links(small, places, "an-owner/a.course")
    expected = {
        "../README.md": "../index.md",
        "../data/README.md#limits": "../data.md#limits",
        "glossary.md": "glossary.md",
        "#token": "#token",
        "../utils/errors.py": "#utils.errors",
        "../data/generator": "https://github.com/an-owner/a.course/tree/main/data/generator",
        "../LICENSE": "https://github.com/an-owner/a.course/blob/main/LICENSE",
        "https://example.org/a.md": "https://example.org/a.md",
    }
    assert {link: links.destination(link, "docs/glossary.md") for link in expected} == expected
    table = "| a |\n|---|\n| [x](../README.md) |\n"
    assert links.rewritten(table, "docs/glossary.md") == table.replace("../README.md", "../index.md")


def test_links_in_code_are_no_links() -> None:
    assert destinations("`[a](b.md)` and [c](d.md)\n\n```\n[e](f.md)\n```\n\n![g](h.png)") == {"d.md", "h.png"}


def test_badges_become_words_or_buttons(project: Project, write_notebook: WriteNotebook) -> None:
    assert dict(badges(BADGES)) == {"Colab": "https://colab.research.google.com/x", "Kaggle": "https://kaggle.com/x"}
    assert badges_as_words(f"| {BADGES} |").startswith("| [Colab](https://colab.research.google.com/x) [Kaggle](")
    assert without_badges(f"# Title\n\n{BADGES}\n\nText.\n") == "# Title\n\n\nText.\n"
    assert launch_buttons(write_notebook("00_x").read_text("utf-8")) is None
    notebook = json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Title\n", "\n", BADGES]}]})
    buttons = launch_buttons(notebook)["buttons"]
    assert [(button["text"], button["url"]) for button in buttons] == list(badges(BADGES))


def test_a_notebook_keeps_its_cells_and_folds_the_setup() -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [f"{BADGES}\n", "[a](b)"]},
        {"cell_type": "code", "metadata": {"tags": ["setup"]}, "source": "import os"},
        {"cell_type": "code", "metadata": {}, "source": "print(1)", "outputs": [{"text": "1"}]},
    ]
    made = json.loads(for_book(json.dumps({"cells": cells, "metadata": {}}), lambda text: text.replace("(b)", "(c)")))
    first, setup, last = made["cells"]
    assert first["source"] == "[a](c)"
    assert setup["metadata"]["tags"] == ["setup", "hide-cell"]
    assert last == cells[2]


def test_contents_list_every_page_in_order() -> None:
    found = [
        "index.md",
        "data.md",
        "api/index.md",
        "docs/a.md",
        "docs/decisions.md",
        "docs/x.png",
        "notebooks/00_x.ipynb",
    ]
    lines = [
        line for line in contents(found).splitlines() if line and not line.startswith(("```", ":hidden", ":titles"))
    ]
    assert lines == [
        ":caption: The course",
        "notebooks/00_x",
        ":caption: To look up",
        "Decision guide <docs/decisions>",
        "Data card <data>",
        "docs/a",
        ":caption: The code",
        "Modules of utils <api/index>",
    ]


def test_themes_come_from_the_map() -> None:
    code_map = (ROOT / "utils" / "README.md").read_text(encoding="utf-8")
    themes = read_themes(code_map)
    described = [module for theme in themes for module in theme.modules]
    assert described == re.findall(r"^- \[`(\w+)`\]", code_map, re.MULTILINE)
    assert len({theme.place for theme in themes}) == len(themes) < len(described) / 5
    theme = Theme("`python -m x` and more", ("errors",))
    assert theme.place == "python-m-x-and-more.md"
    assert ".. automodule:: utils.errors" in theme.page


def test_indented_blocks_of_a_docstring_are_literal() -> None:
    lines = [
        "Files:",
        "",
        "    a.sql",
        "",
        "    b.sql",
        "",
        "More.",
        "",
        "Raises:",
        "    ValueError: no.",
        "",
        "    OSError: no.",
    ]
    assert mark_literal_blocks(lines) == ["Files:", "", "::", "", *lines[2:]]


MISSING_FILES = {
    ("README.md", "[x](docs/missing.md)"): "README.md: the link docs/missing.md leads to nothing.",
    ("docs/glossary.md", "[x](../utils/gone.py)"): "docs/glossary.md: the link ../utils/gone.py leads to nothing.",
}
WARNINGS = {
    ("README.md", "```{nothing}\n```"): "README.md:5: WARNING: Unknown directive type: 'nothing'",
    (
        "docs/glossary.md",
        "[x](../README.md#gone)",
    ): "docs/glossary.md:7: WARNING: local id not found in doc 'index': 'gone'",
}
BROKEN_PAGES = {("docs/glossary.md", '<a href="gone.html">x</a>'): "gone.html leads to no file."}


@pytest.mark.parametrize("faults", [MISSING_FILES, WARNINGS, BROKEN_PAGES], ids=["files", "warnings", "pages"])
def test_faults_are_told_with_their_places_and_the_old_book_stays(small: Project, faults: dict) -> None:
    book = small.runs / "book"
    book.mkdir(parents=True)
    (book / "index.html").write_text("old", encoding="utf-8")
    for name, text in faults:
        append(small, name, f"\n{text}\n")
    with pytest.raises(BookFault, match="not built") as error:
        build_book(small, book)
    assert all(said in str(error.value) for said in faults.values()), error.value
    assert (book / "index.html").read_text(encoding="utf-8") == "old"
    assert [path.name for path in small.runs.iterdir()] == ["book"]


def test_a_small_project_becomes_a_book(small: Project) -> None:
    book = build_book(small, small.runs / "book").parent
    assert 'href="docs/glossary.html#token"' in (book / "index.html").read_text(encoding="utf-8")
    glossary = (book / "docs" / "glossary.html").read_text(encoding="utf-8")
    assert 'href="../api/the-ground.html#module-utils.errors"' in glossary
    name = "notebooks/00_x.ipynb"
    assert (book / "_sources" / name).read_bytes() == (small.root / name).read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<a href="b.html">', "b.html leads to no file."),
        ('<a href="a.html#no">', "a.html#no: there is no #no on that page."),
        ('<a href="#no">', "#no: there is no #no on that page."),
        ('<a href="../x.html">', "../x.html leads out of the book."),
        ('<img src="https://x.org/x.png">', "https://x.org/x.png would be fetched from the network."),
        ('<script src="//x.org/x.js"></script>', "//x.org/x.js would be fetched from the network."),
        (
            '<link rel="stylesheet" href="https://x.org/x.css">',
            "https://x.org/x.css would be fetched from the network.",
        ),
        ('<img src="x.png">', "x.png leads to no file."),
        ('<a href="https://example.org"><link rel="canonical" href="https://example.org">', None),
        ('<p id="yes"></p><a href="#yes"></a><a href="a.html?q=1#yes"></a><img src="data:image/png,A">', None),
    ],
)
def test_links_of_built_pages_are_checked(tmp_path: Path, text: str, said: str | None) -> None:
    (tmp_path / "a.html").write_text(text, encoding="utf-8")
    assert Site(tmp_path).faults() == ([f"a.html, line 1: {said}"] if said else [])


def test_styles_fetch_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text(
        '@import "https://example.org/f.css"; a { background: url(x.png) }', encoding="utf-8"
    )
    assert Site(tmp_path).faults() == ["a.css: https://example.org/f.css would be fetched from the network."]
