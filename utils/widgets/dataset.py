"""What is in a dataset, and what was left out and why: the rows of a dataset stage, with filters and pages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from utils.difficulty import LEVELS
from utils.findings import KEPT, Entry, read_entries
from utils.widgets.controls import ALL, Choice, Control, Page, Words, contains, page_of
from utils.widgets.markup import bold, code, joined, paragraph, shortened, table
from utils.widgets.view import Explorer

COLUMNS = ("where", "question", "trained answer", "finding")
FILTERS = ("split", "database", "difficulty", "kind")


def browse_dataset(folder: Path, *, page_size: int = 5) -> Explorer:
    """What the checks of a dataset stage left out, each with the finding, and then the examples that were kept.

    Raises:
        CourseError: the folder holds no dataset.
    """
    entries = sorted(read_entries(folder), key=lambda entry: entry.kind == KEPT)
    controls: dict[str, Control] = {
        name: Choice("finding" if name == "kind" else name, options, ALL)
        for name in FILTERS
        if len(options := _options(entries, name)) > 2
    }
    controls |= {"words": Words("words"), "page": Page("page", math.ceil(len(entries) / page_size))}

    def draw(words: str, page: int, **wanted: str) -> Markup:
        return entries_view(matching(entries, words, wanted), page, page_size)

    return Explorer("What is in the dataset", controls, draw)


def matching(entries: Sequence[Entry], words: str, wanted: dict[str, str]) -> list[Entry]:
    """Entries that have the wanted values, and in which every one of the words occurs, in any case."""
    chosen = [e for e in entries if all(value in {ALL, getattr(e, name)} for name, value in wanted.items())]
    return [e for e in chosen if contains(f"{e.question}\n{e.sql}\n{e.database}\n{e.reason}", words)]


def entries_view(entries: Sequence[Entry], page: int, page_size: int) -> Markup:
    """How many there are of each kind, and one page of them."""
    counts = Counter(entry.kind for entry in entries)
    summary = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common()) or "none"
    shown, number = page_of(entries, page, page_size)
    heading = Markup("{} · {}").format(bold(summary), number)
    return joined([paragraph(heading), table(COLUMNS, map(_row, shown))])


def _row(entry: Entry) -> tuple[object, ...]:
    where = " · ".join(filter(None, (entry.split, entry.database, entry.difficulty)))
    finding = entry.kind if entry.kind == KEPT else bold(entry.kind)
    if entry.reason:
        finding = Markup("{}: {}").format(finding, shortened(entry.reason))
    return where, shortened(entry.question), code(shortened(entry.sql)), finding


def _options(entries: Sequence[Entry], name: str) -> list[str]:
    """ "all" and every value that occurs: difficulties from easy to hard, what is frequent first in the others."""
    values = Counter(getattr(entry, name) for entry in entries)
    found = [value for value, _ in values.most_common() if value]
    if name == "difficulty":
        found = [level for level in LEVELS if level in found]
    return [ALL, *(sorted(found) if name == "database" else found)]
