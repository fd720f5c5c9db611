"""Links of a Markdown text, as the book needs them; badges, which are pictures from the network, become words."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markdown_it import MarkdownIt

from ci.project import Project

BADGE = re.compile(r"\[!\[Open in (?P<where>\w+)\]\([^)\s]*\)\]\((?P<link>[^)\s]*)\)")
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
MODULE = re.compile(r"utils/(?P<name>[a-z]\w*)(?:/__init__)?\.py")


def destinations(text: str) -> set[str]:
    """Where the links and pictures of a text lead. What stands in code is no link."""
    found = set()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for child in token.children or ():
            if child.type in {"link_open", "image"}:
                found.add(str(child.attrs["href" if child.type == "link_open" else "src"]))
    return found


def badges(text: str) -> Iterator[tuple[str, str]]:
    """The badges of a text: where a notebook opens (Colab, Kaggle, Binder), and the address."""
    for match in BADGE.finditer(text):
        yield match["where"], match["link"]


def badges_as_words(text: str) -> str:
    """The text with each badge as a plain link."""
    return BADGE.sub(r"[\g<where>](\g<link>)", text)


def without_badges(text: str) -> str:
    """The text without lines that hold only badges: on a notebook's page the launch button has their links."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not BADGE.search(line) or BADGE.sub("", line).strip())


@dataclass(frozen=True)
class Links:
    """Turns links between files of the project into links between pages of the book.

    `places` has the place of each file that is a page (see `ci.book.pages`). A link to another file or folder of the
    project leads to `repository` (OWNER/NAME) on GitHub, one to a module of `utils` to its description.
    """

    project: Project
    places: Mapping[str, str]
    repository: str

    def rewritten(self, text: str, origin: str) -> str:
        """A text of the file `origin` with its links as the book needs them."""
        for old in destinations(text):
            text = text.replace(f"]({old})", f"]({self.destination(old, origin)})")
        return text

    def destination(self, link: str, origin: str) -> str:
        """Where a link of the file `origin` leads in the book. One that leads nowhere stays."""
        path, mark, anchor = link.partition("#")
        if not path or EXTERNAL.match(link):
            return link
        target = target_of(path, origin)
        place = self.places.get(target)
        if place:
            return posixpath.relpath(place, posixpath.dirname(self.places[origin]) or ".") + mark + anchor
        module = MODULE.fullmatch(target)
        if module:
            return f"#utils.{module['name']}"
        kind = "tree" if (self.project.root / target).is_dir() else "blob"
        return f"https://github.com/{self.repository}/{kind}/main/{target}{mark}{anchor}"

    def faults(self, text: str, origin: str) -> list[str]:
        """A sentence for each relative link of a text of the file `origin` that leads to nothing."""
        return [
            f"{origin}: the link {link} leads to nothing."
            for link in sorted(destinations(text))
            if not EXTERNAL.match(link)
            and link.partition("#")[0]
            and not (self.project.root / target_of(link.partition("#")[0], origin)).exists()
        ]


def target_of(path: str, origin: str) -> str:
    """The file that a relative path in the file `origin` means, relative to the project."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
