"""The settings of Sphinx, its extensions and the theme."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STATIC = Path(__file__).with_name("static")
TITLE = "Fine-tune a language model"


def sphinx_settings(repository: str) -> dict[str, Any]:
    """What would stand in a conf.py. `repository` is OWNER/NAME on GitHub."""
    return (
        READING
        | DOCSTRINGS
        | PAGES
        | {"html_theme_options": THEME | {"repository_url": f"https://github.com/{repository}"}}
    )


READING = {
    "project": TITLE,
    "language": "en",
    "extensions": ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"],
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    # Widgets are shown by what stands beside them: their own view needs a kernel and scripts from the network.
    "nb_ipywidgets_js": {},
    "nb_mime_priority_overrides": [("html", "application/vnd.jupyter.widget-view+json", None)],
    "myst_heading_anchors": 4,
    "highlight_language": "none",
    "smartquotes": False,  # options begin with two hyphens, also in running text
}
DOCSTRINGS = {
    "default_role": "literal",  # one backtick, as in Markdown
    "add_module_names": False,
    "autodoc_member_order": "bysource",
    "autodoc_preserve_defaults": True,
    "python_maximum_signature_line_length": 88,
    "python_use_unqualified_type_names": True,
    "toc_object_entries_show_parents": "hide",
}
PAGES = {
    "html_theme": "sphinx_book_theme",
    "html_title": TITLE,
    "html_context": {"default_mode": "auto"},  # light or dark as the reader's system is
    "html_static_path": [str(STATIC)],
    "html_css_files": ["book.css"],
    "html_js_files": ["book.js"],
    "html_favicon": str(STATIC / "favicon.svg"),
    "html_sourcelink_suffix": "",  # a downloaded notebook keeps its name
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "html_use_index": False,
    "html_domain_indices": False,
}
THEME = {
    "repository_branch": "main",
    "use_repository_button": True,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_persistent": [],  # the search stands in the sidebar
    "footer_content_items": [],
}
