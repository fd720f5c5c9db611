"""What a question mentions of a database: the values and names in it that its words point to.

A person writes "stations with the most docks"; the table is called `stns` and the column `dock_cnt`. Finding such
pairs by spelling alone is cheap, and a small model that is shown them need not search the whole schema for each word
(schema linking; see Lei et al., "Re-examining the Role of Schema Linking in Text-to-SQL", 2020).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from utils.schema import Schema, plain

MIN_VALUE_CHARACTERS = 2
MAX_VALUE_WORDS = 8
MIN_PREFIX = 3
UNSPECIFIC = frozenset(
    "a about above all also am an and any anyone are as at average be been before below between both but by can did do "
    "does each ever every find first for from get give go had has have he her his how i if in into is it its last "
    "least less like list made make many me more most much my need no not of on one only or other our out over per "
    "please see she show since so some still tell than that the their them then there these they those to total under "
    "up was we were what when where which who whom whose why will with without would you your".split()
)


def linked_values(schema: Schema, question: str, limit: int = 4) -> list[str]:
    """Values of the database that the question mentions, whatever their case or accents, as `table.column = 'value'`.

    Longer mentions come first and hide the shorter ones inside.
    """
    words = plain(question).split()
    found: list[str] = []
    taken: set[int] = set()
    for length in range(min(MAX_VALUE_WORDS, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            span = range(start, start + length)
            text = " ".join(words[start : start + length])
            if taken.intersection(span) or text in UNSPECIFIC:
                continue
            places = _places(schema, text)
            if not places:
                continue
            taken.update(span)
            for table, column, value in places[:2]:
                literal = value.replace("'", "''")
                found.append(f"{table}.{column} = '{literal}'")
    return found[:limit]


def linked_names(schema: Schema, question: str, limit: int = 5) -> list[str]:
    """Tables and columns that the question's words are spelled like, as `table` or `table.column`, best first.

    A column counts more if its table is mentioned too; a table is named by itself only if none of its columns is.
    """
    words = [word for word in plain(question).split() if word not in UNSPECIFIC]
    scores: dict[str, float] = {}
    for table in schema.tables:
        in_table = likeness(words, table.name)
        if in_table:
            scores[table.name] = 0.4 * in_table
        for column in table.columns:
            in_column = likeness(words, column.name)
            if in_column:
                scores[f"{table.name}.{column.name}"] = in_column + 0.5 * in_table
    ranked = sorted(scores, key=lambda name: -scores[name])[:limit]
    described = {name.split(".")[0] for name in ranked if "." in name}
    return [name for name in ranked if name not in described]


def likeness(words: Sequence[str], name: str) -> float:
    """How well the words of a name are found among `words`: 0 not at all, 1 each of them."""
    parts = name_words(name)
    return sum(max((_word_likeness(part, word) for word in words), default=0.0) for part in parts) / len(parts)


def _places(schema: Schema, text: str) -> list[tuple[str, str, str]]:
    """Where a value stands that is spelled like this, or else like its singular or plural."""
    for spelling in (text, text.removesuffix("s"), text.removesuffix("es"), f"{text}s"):
        places = [place for place in schema.values.get(spelling, ()) if len(place[2]) >= MIN_VALUE_CHARACTERS]
        if places:
            return places
    return []


@lru_cache(maxsize=10_000)
def name_words(name: str) -> tuple[str, ...]:
    """The words of an identifier: `dateOfBirth` and `date_of_birth` become ("date", "of", "birth")."""
    return tuple(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\W]+", " ", name).lower().split()) or (name.lower(),)


@lru_cache(maxsize=200_000)
def _word_likeness(part: str, word: str) -> float:
    part, word = _stem(part), _stem(word)
    if part == word:
        return 1.0
    shorter, longer = sorted((part, word), key=len)
    if len(shorter) >= MIN_PREFIX and longer.startswith(shorter):
        return 0.8
    if word[0] == part[0] and len(part) >= MIN_PREFIX and not re.search("[aeiou]", part[1:]) and _within(part, word):
        return 0.8
    return 0.0


def _stem(word: str) -> str:
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= MIN_PREFIX and not word.endswith("ss"):
            return word.removesuffix(ending) + instead
    return word


def _within(letters: str, word: str) -> bool:
    """True if the letters occur in the word in this order: `qty` in quantity."""
    rest = iter(word)
    return all(letter in rest for letter in letters)
