"""Terms of the glossary are linked where the course uses them first, so that nobody has to guess what a word means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ci.contents import Cell, Contents
from ci.project import Project

GLOSSARY = "docs/glossary.md"
TERM = re.compile(r"^### (.+)$", re.MULTILINE)
# Inside these a term cannot be linked, or should not be: code, links, headings.
NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|!?\[[^\]]*\]\([^)]*\)|^#+ [^\n]*$|<[^>]*>", re.MULTILINE | re.DOTALL)
# Words of everyday use that the course also uses in their everyday sense.
EVERYDAY = frozenset(
    ["Instance", "Label", "Leak", "Merge", "Parameter", "Profile", "Rank", "Recipe", "Seal", "Space", "Stage", "ZeRO"]
)


def unlinked(project: Project, pages: Sequence[Contents]) -> list[str]:
    """The terms whose first use in the body of the notebooks is no link to the glossary."""
    terms = TERM.findall((project.root / GLOSSARY).read_text(encoding="utf-8"))
    return [
        f"{page.path.name}: cell {cell.number} is the first to use “{term}”; link it to ../{GLOSSARY}#{anchor(term)}."
        for term, page, cell, is_linked in first_uses(terms, pages)
        if not is_linked and term not in EVERYDAY
    ]


def first_uses(terms: Sequence[str], pages: Sequence[Contents]) -> Iterator[tuple[str, Contents, Cell, bool]]:
    """Each term with the notebook and cell that use it first, and whether it is linked there."""
    bodies = [(page, cell, NOT_PROSE.sub(" ", cell.source)) for page in pages for cell in body(page)]
    for term in terms:
        link, word = f"glossary.md#{anchor(term)})", re.compile(spelled(term), re.IGNORECASE)
        for page, cell, text in bodies:
            if link in cell.source or word.search(text):
                yield term, page, cell, link in cell.source
                break


def body(page: Contents) -> list[Cell]:
    """The prose between the parameters and the recap, where terms are explained."""
    end = next((cell.number for cell in page.prose if cell.source.startswith("## Recap")), len(page.cells))
    return [cell for cell in page.prose if 4 < cell.number < end]


def spelled(term: str) -> str:
    """A pattern for a term, in the singular or the plural, with a space or a hyphen between its words."""
    words = r"[ -]".join(re.escape(word) for word in re.split(r"[ -]", term))
    return rf"(?<![\w/-]){words}(?:e?s)?(?![\w-])"


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
