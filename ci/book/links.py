"""Check a folder of HTML pages: every link has a target, every anchor is there, and nothing comes from the network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that make a browser fetch something at once. `a` is a link that a reader may follow.
FETCHED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src", "audio": "src"}
FETCHED_RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}
FETCHED_BY_STYLE = re.compile(r"""(?:url\(|@import)\s*['"]?((?:https?:)?//[^'")\s]+)""")
ANYWHERE = re.compile(r"\A(?:https?:)?//")


class _Reader(HTMLParser):
    """Collects a page's ids, the links to follow and the things to fetch, each with its line."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[tuple[int, str]] = []
        self.fetched: list[tuple[int, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.ids.update(value for name, value in values.items() if name == "id" or (name == "name" and tag == "a"))
        line = self.getpos()[0]
        if tag == "a" and "href" in values:
            self.links.append((line, values["href"]))
        if FETCHED.get(tag) in values:
            self.fetched.append((line, values[FETCHED[tag]]))
        if tag == "link" and FETCHED_RELATIONS & set(values.get("rel", "").split()):
            self.fetched.append((line, values.get("href", "")))


@dataclass
class Site:
    """The pages of a folder. `faults` has a sentence for everything that is wrong with them."""

    folder: Path
    _read: dict[Path, _Reader] = field(default_factory=dict)

    @cached_property
    def pages(self) -> list[Path]:
        """All HTML files, in order. Those in `_static` are templates of the theme."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*.html"))
        return sorted(self.folder / path for path in found if path.parts[0] != "_static")

    def faults(self) -> list[str]:
        """What is wrong: no target, no anchor, or something that would be fetched from the network."""
        return [*(fault for page in self.pages for fault in self._faults_of(page)), *self._faults_of_styles()]

    def _faults_of(self, page: Path) -> Iterator[str]:
        reader = self._reader(page)
        for line, url in reader.fetched:
            if ANYWHERE.match(url):
                yield f"{self._shown(page)}, line {line}: {url} would be fetched from the network."
        for line, url in [*reader.links, *reader.fetched]:
            fault = self._fault_of_link(page, url)
            if fault:
                yield f"{self._shown(page)}, line {line}: {fault}"

    def _fault_of_link(self, page: Path, url: str) -> str | None:
        """What is wrong with a link from a page; None for one that is well or leads out of the book."""
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            return None
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
        if not target.is_relative_to(self.folder.resolve()):
            return f"{url} leads out of the book."
        if not target.is_file():
            return f"{url} leads to no file."
        anchor = unquote(parts.fragment)
        if anchor and target.suffix == ".html" and anchor not in self._reader(target).ids:
            return f"{url}: there is no #{anchor} on that page."
        return None

    def _faults_of_styles(self) -> Iterator[str]:
        for style in sorted(self.folder.rglob("*.css")):
            for url in FETCHED_BY_STYLE.findall(style.read_text(encoding="utf-8", errors="replace")):
                yield f"{self._shown(style)}: {url} would be fetched from the network."

    def _reader(self, page: Path) -> _Reader:
        page = page.resolve()
        if page not in self._read:
            reader = _Reader()
            reader.feed(page.read_text(encoding="utf-8"))
            self._read[page] = reader
        return self._read[page]

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()
