"""The pages about `utils`: one for each theme of its map, filled from docstrings."""

from __future__ import annotations

import re
from dataclasses import dataclass

THEME = re.compile(r"\*\*(?P<title>.+)\*\*")
ENTRY = re.compile(r"- \[`(?P<module>\w+)`\]")


@dataclass(frozen=True)
class Theme:
    """Modules that belong together, under the title that the map gives them."""

    title: str
    modules: tuple[str, ...]

    @property
    def place(self) -> str:
        """Its page, beside that of the map."""
        return "-".join(re.findall(r"[a-z0-9]+", self.title.lower())) + ".md"

    @property
    def page(self) -> str:
        """The Markdown of its page, which Sphinx fills from the docstrings."""
        return "\n".join([f"# {self.title}", *(_section(module) for module in self.modules), ""])


def read_themes(code_map: str) -> list[Theme]:
    """The themes of `utils/README.md`: a bold line, then a list of modules."""
    themes: list[tuple[str, list[str]]] = []
    for line in code_map.splitlines():
        title, entry = THEME.fullmatch(line), ENTRY.match(line)
        if title:
            themes.append((title["title"], []))
        elif entry and themes:
            themes[-1][1].append(entry["module"])
    return [Theme(title, tuple(modules)) for title, modules in themes if modules]


def mark_literal_blocks(lines: list[str]) -> list[str]:
    """A docstring whose indented blocks are literal, as in Markdown; reStructuredText has `::` before them.

    What is indented right below a line, as after `Raises:`, is no block.
    """
    marked: list[str] = []
    before = ""
    is_inside = False
    for line in lines:
        is_indented = line.startswith("    ")
        if is_indented and not is_inside and not before.strip():
            marked += ["::", ""]
        if line.strip():
            is_inside = is_indented
        marked.append(line)
        before = line
    return marked


def _section(module: str) -> str:
    return f"\n## utils.{module}\n\n```{{eval-rst}}\n.. automodule:: utils.{module}\n   :members:\n```"
