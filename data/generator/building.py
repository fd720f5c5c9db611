"""Fills shapes for one database, keeps what is well defined, and picks a balanced set."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from data.generator import grammar
from data.generator.lexicon import Lexicon
from data.generator.shapes import SHAPES, Draft, Shape
from utils.difficulty import LEVELS, level
from utils.schema import plain

SHARES = dict(zip(LEVELS, (0.27, 0.38, 0.22, 0.13), strict=True))
ATTEMPTS_PER_SHAPE = 90
KEPT_PER_SHAPE = 16
MAX_ROWS = 300
MAX_SAME_SQL = 2
MAX_QUESTION_LENGTH = 190
TOP = re.compile(
    r"^SELECT (?P<columns>.+?) FROM (?P<rest>.+) ORDER BY (?P<key>.+?)(?P<down> DESC)? LIMIT (?P<count>\d+)$"
)


AGGREGATE = re.compile(r"SELECT (AVG|SUM|MIN|MAX)\(")
# How a question may open or run on when people chat.
OPENINGS = ("Quick question: ", "Just wondering: ", "One more thing: ", "For my report: ", "Hi, ", "Help me out: ")


@dataclass(frozen=True)
class Example:
    """A finished question with its SQL, the shape it has, its level and the columns it asks about."""

    question: str
    sql: str
    shape: str
    level: str
    columns: tuple[str, ...]


def build(lexicon: Lexicon, count: int, seed: int, taken: set[str]) -> list[Example]:
    """`count` questions about a database, none of which reads like one in `taken` (in plain spelling)."""
    pools = {shape.name: examples(shape, lexicon, seed) for shape in SHAPES}
    weights = {shape.name: shape.weight for shape in SHAPES}
    return _balanced(pools, weights, count, Random(f"{seed}-{lexicon.name}-balance"), set(taken))


def examples(shape: Shape, lexicon: Lexicon, seed: int, kept: int = KEPT_PER_SHAPE) -> list[Example]:
    """Valid questions of one shape about a database."""
    random = Random(f"{seed}-{lexicon.name}-{shape.name}")
    found: list[Example] = []
    sql_seen: Counter[str] = Counter()
    for _ in range(ATTEMPTS_PER_SHAPE):
        if len(found) == kept:
            break
        draft = shape.make(lexicon, random)
        if draft is None:
            continue
        text = shape.question(draft, random)
        sql = finished_sql(draft, lexicon, text)
        if not text or sql_seen[sql] >= MAX_SAME_SQL or not well_defined(lexicon.connection, sql):
            continue
        question = finished_question(text, random)
        if len(question) > MAX_QUESTION_LENGTH:
            continue
        sql_seen[sql] += 1
        columns = tuple(column.ref for column in draft.columns)
        found.append(Example(question, sql, shape.name, _level(sql), columns))
    return found


def finished_sql(draft: Draft, lexicon: Lexicon, text: str) -> str:
    """The SQL in house style: bare columns where there is no join; the count beside the name if it is asked for."""
    asks_number = re.search(r"how many|count|number(s)? too|with the number", text)
    sql = draft.sql.replace("@", ", COUNT(*)" if asks_number else "", 1) if "@ FROM" in draft.sql else draft.sql
    if draft.bare and " JOIN " not in sql and " AS b" not in sql:
        names = "|".join(re.escape(name) for name in lexicon.tables)
        pieces = re.split(r"('(?:[^']|'')*')", sql)
        sql = "".join(x if x.startswith("'") else re.sub(rf"\b(?:{names})\.(?=\w)", "", x) for x in pieces)
    return sql


def finished_question(text: str, random: Random) -> str:
    """A sentence, or what somebody in a hurry makes of it."""
    typed_small = text[:1].islower() and not text.endswith((".", "?"))
    text = grammar.tidy(text)
    if text.startswith("What is the") and random.random() < 0.3:
        text = text.replace("What is", "What's", 1)
    if re.match(r"(What|Which|How|Who|When)\b", text) and random.random() < 0.04:
        return random.choice(OPENINGS) + text[:1].lower() + text[1:]
    return grammar.hurried(text) if random.random() < (0.5 if typed_small else 0.06) else text


def well_defined(connection: sqlite3.Connection, sql: str) -> bool:
    """True if the query gives rows that do not depend on the order in which SQLite happens to read them."""
    forward = _rows(connection, sql, reverse=False)
    if not forward or len(forward) > MAX_ROWS or not any(value is not None for row in forward for value in row):
        return False
    if len(forward) == 1 and len(forward[0]) == 1 and forward[0][0] in (0, 0.0, None):
        return False
    if re.match(r"SELECT (DISTINCT )?[^(]*FROM", sql) and all(None in row for row in forward):
        return False
    if len(forward) < 2 and " GROUP BY " in sql and " LIMIT " not in sql and " HAVING " not in sql:
        return False
    if AGGREGATE.match(sql) and " GROUP BY " not in sql and _count(connection, sql) < 2:
        return False
    backward = _rows(connection, sql, reverse=True)
    ordered = " ORDER BY " in sql
    if (forward != backward) if ordered else (sorted(map(repr, forward)) != sorted(map(repr, backward))):
        return False
    return not _has_tie(connection, sql)


def _count(connection: sqlite3.Connection, sql: str) -> int:
    """How many rows an aggregate is taken over."""
    return connection.execute(f"SELECT COUNT(*) {sql[sql.index('FROM ') :]}").fetchone()[0]


def _rows(connection: sqlite3.Connection, sql: str, reverse: bool) -> list[tuple[Any, ...]]:
    connection.execute(f"PRAGMA reverse_unordered_selects = {'ON' if reverse else 'OFF'}")
    return [tuple(row) for row in connection.execute(sql).fetchmany(MAX_ROWS + 1)]


def _has_tie(connection: sqlite3.Connection, sql: str) -> bool:
    """True if the rows around the LIMIT, or inside it, share their ORDER BY key, or have none."""
    match = TOP.match(sql)
    if not match:
        return False
    count = int(match["count"])
    query = f"SELECT {match['key']} FROM {match['rest']} ORDER BY {match['key']}{match['down'] or ''} LIMIT {count + 1}"
    keys = [row[0] for row in connection.execute(query)]
    if len(keys) <= count:
        return True
    return None in keys[:count] or len(set(keys)) < len(keys)


def _balanced(
    pools: dict[str, list[Example]], weights: dict[str, int], count: int, random: Random, taken: set[str]
) -> list[Example]:
    """Round after round one example of each shape, for each level until it has its share."""
    usage: Counter[str] = Counter()
    sql_used: Counter[str] = Counter()
    chosen: list[Example] = []
    wanted = {name: round(count * share) for name, share in SHARES.items()}
    wanted["medium"] += count - sum(wanted.values())
    # Levels with the fewest shapes first, so that what they lack can be made up by the others.
    missing = 0
    for name in ("extra hard", "hard", "easy", "medium"):
        quota = wanted[name] + (missing if name != "extra hard" else 0)
        pool = {shape: [x for x in found if x.level == name] for shape, found in pools.items()}
        picked = _rounds(pool, weights, quota, random, usage, sql_used, taken)
        missing = quota - len(picked)
        chosen += picked
    random.shuffle(chosen)
    return chosen


def _rounds(
    pool: dict[str, list[Example]],
    weights: dict[str, int],
    quota: int,
    random: Random,
    usage: Counter[str],
    sql_used: Counter[str],
    taken: set[str],
) -> list[Example]:
    picked: list[Example] = []
    while len(picked) < quota:
        shapes = [shape for shape, found in pool.items() for _ in range(min(weights[shape], len(found)))]
        if not shapes:
            break
        random.shuffle(shapes)
        for shape in shapes:
            example = min(
                pool[shape], key=lambda x: sum(usage[column] for column in x.columns) / max(1, len(x.columns))
            )
            pool[shape].remove(example)
            key = plain(example.question)
            if key in taken or sql_used[example.sql] >= MAX_SAME_SQL or len(picked) >= quota:
                continue
            taken.add(key)
            sql_used[example.sql] += 1
            usage.update(example.columns)
            picked.append(example)
    return picked


@lru_cache(maxsize=100_000)
def _level(sql: str) -> str:
    return level(sql)
