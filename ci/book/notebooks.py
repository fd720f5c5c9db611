"""A notebook as the book shows it: the setup cell folded, the badges as buttons in the header."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from ci.book.markdown import badges, without_badges

# Icons of the theme and of Font Awesome, which comes with it.
ICONS = {
    "Colab": "_static/images/logo_colab.png",
    "Kaggle": "fa-brands fa-kaggle",
    "Binder": "_static/images/logo_binder.svg",
}


def markdown_cells(text: str) -> Iterator[str]:
    """The texts of a notebook's Markdown cells."""
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "markdown":
            yield "".join(cell["source"])


def for_book(text: str, rewrite: Callable[[str], str]) -> str:
    """A notebook's file for Sphinx: without badges, its Markdown rewritten, its code read as IPython's."""
    notebook = json.loads(text)
    notebook["metadata"].setdefault("language_info", {})["pygments_lexer"] = "ipython3"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = rewrite(without_badges("".join(cell["source"])))
        elif "setup" in cell["metadata"].get("tags", ()):
            fold(cell)
    return json.dumps(notebook)


def fold(cell: dict[str, Any]) -> None:
    """Fold a cell that is the same in all notebooks and that no reader came for."""
    cell["metadata"]["tags"].append("hide-cell")
    prompts = {"code_prompt_show": "Show the setup cell", "code_prompt_hide": "Hide the setup cell"}
    cell["metadata"]["mystnb"] = prompts


def launch_buttons(text: str) -> dict[str, Any] | None:
    """The badges of a notebook as a group of buttons, in the form that sphinx-book-theme takes; None without badges."""
    found = [badge for cell in markdown_cells(text) for badge in badges(cell)]
    if not found:
        return None
    buttons = [
        {
            "type": "link",
            "text": where,
            "tooltip": f"Open in {where}",
            "icon": ICONS[where],
            "url": url,
        }
        for where, url in found
    ]
    tooltip = "Run this notebook"
    return {"type": "group", "tooltip": tooltip, "icon": "fas fa-rocket", "buttons": buttons, "label": "launch-buttons"}
