"""Run SQL that a model wrote, without trusting it, and compare its answer with the right one.

`execute` opens the database read-only, lets only reading through (an authorizer denies ATTACH, PRAGMA, writes and
extension loading), and bounds time, memory, rows and the size of any value. SQLite looks at the clock between its steps
only, so what a single step can cost is bounded as well: by the size of values, and by the number of function calls.
`same_result` decides whether two answers are equal.
"""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice, permutations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

MAX_SECONDS = 2.0
MAX_ROWS = 10_000
MAX_VALUE_BYTES = 100_000  # of the query's own text too
MAX_RESULT_BYTES = 20_000_000
MAX_HEAP_BYTES = 128_000_000  # of SQLite in this process; sorting and grouping beyond it go to temporary files
MAX_FUNCTIONS = 100
MAX_SLOW_FUNCTIONS = 8
STEPS_BETWEEN_CHECKS = 50
MAX_PERMUTED_COLUMNS = 6
MAX_PARSED_CHARACTERS = 20_000

ALLOWED_ACTIONS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
DENIED_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
# A single call can compare every part of one long value with every part of another.
SLOW_FUNCTIONS = frozenset({"instr", "replace", "trim", "ltrim", "rtrim"})

Row = tuple[object, ...]


@dataclass(frozen=True)
class Result:
    """What a query gave: `rows` and `columns`, or an `error` sentence. `truncated` if rows were cut off."""

    rows: list[Row] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    error: str | None = None
    truncated: bool = False

    @property
    def ok(self) -> bool:
        return self.error is None


def build_database(sql_text: str, path: Path) -> Path:
    """Make a SQLite file at `path` from the trusted text of a course database. The file appears whole or not at all.

    Raises:
        ValueError: the text is not valid SQL, or its foreign keys point nowhere.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{time.monotonic_ns()}.partial")
    try:
        with contextlib.closing(sqlite3.connect(partial)) as connection:
            # Nothing to roll back to: what breaks off is thrown away with the partial file.
            connection.executescript(f"PRAGMA journal_mode = OFF;\nBEGIN;\n{sql_text}\nCOMMIT;")
            orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
            tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if not tables:
            raise ValueError("The SQL text creates no table.")
        if orphans:
            raise ValueError(f"Table {orphans[0][0]} has a row whose foreign key points to no row in {orphans[0][2]}.")
        partial.replace(path)
    except sqlite3.Error as error:
        raise ValueError(f"The SQL text does not build a database: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def open_read_only(database: Path) -> sqlite3.Connection:
    """A connection that cannot write. For trusted queries; those of a model belong into a `Sandbox`."""
    return sqlite3.connect(f"{Path(database).resolve().as_uri()}?mode=ro", uri=True)


class Sandbox:
    """A connection to a database on which untrusted queries run one after another: it can only read.

    Raises:
        FileNotFoundError: there is no such database.
    """

    def __init__(self, database: Path | str) -> None:
        path = Path(database)
        if not path.is_file():
            raise FileNotFoundError(f"There is no database at {path}.")
        self.connection = open_read_only(path)
        # Views and subqueries can multiply while a query is prepared, before there is a step at which to stop it.
        self.connection.execute(f"PRAGMA hard_heap_limit = {MAX_HEAP_BYTES}")

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def execute(self, query: str, *, max_seconds: float = MAX_SECONDS, max_rows: int = MAX_ROWS) -> Result:
        """Run one query. Never raises for what the query does: the error is in the result.

        Args:
            query: one SQL statement; anything but reading is refused, and so are more than 100 function calls.
            max_seconds: the query is stopped after this time.
            max_rows: at most this many rows come back; `truncated` tells when there were more.
        """
        return _run_bounded(self.connection, query, max_seconds, max_rows)


def execute(database: Path | str, query: str, *, max_seconds: float = MAX_SECONDS, max_rows: int = MAX_ROWS) -> Result:
    """Run one query in a `Sandbox` of its own."""
    with Sandbox(database) as sandbox:
        return sandbox.execute(query, max_seconds=max_seconds, max_rows=max_rows)


def same_result(gold: Result, predicted: Result, *, ordered: bool) -> bool:
    """True if the prediction answers as gold does.

    Rows are compared as a multiset, or in sequence if `ordered` (the gold query has ORDER BY).
    Numbers count by value (3 equals 3.0). Columns may come in another order, as in test-suite
    evaluation (Zhong, Yu and Klein, 2020), since a question rarely fixes it. A query that failed,
    or was cut off at the row limit, never equals anything.
    """
    if not gold.ok or not predicted.ok or gold.truncated or predicted.truncated:
        return False
    if len(gold.rows) != len(predicted.rows) or len(gold.columns) != len(predicted.columns):
        return False
    gold_rows = [tuple(map(_comparable, row)) for row in gold.rows]
    rows = [tuple(map(_comparable, row)) for row in predicted.rows]
    width = len(gold.columns)
    orders = permutations(range(width)) if width <= MAX_PERMUTED_COLUMNS else [tuple(range(width))]
    gold_columns = [Counter(column) for column in zip(*gold_rows, strict=True)]
    columns = [Counter(column) for column in zip(*rows, strict=True)]
    for order in orders:
        if gold_columns and any(gold_columns[i] != columns[j] for i, j in enumerate(order)):
            continue
        reordered = [tuple(row[j] for j in order) for row in rows]
        if reordered == gold_rows if ordered else Counter(reordered) == Counter(gold_rows):
            return True
    return False


def is_ordered(query: str) -> bool:
    """True if the outermost SELECT of the query has an ORDER BY, so that the order of rows is part of the answer.

    ORDER BY … LIMIT 1 counts as unordered: one row has no order. A query that sqlglot cannot parse, though SQLite can,
    is searched for an ORDER BY outside of brackets.
    """
    tree = _parsed(query)
    if tree is None:
        return re.search(r"\bORDER\s+BY\b[^()]*$", query, re.IGNORECASE) is not None
    limit = tree.args.get("limit")
    if limit is not None and limit.expression.name == "1":
        return False
    return tree.args.get("order") is not None


def extract_query(answer: str) -> str:
    """The SQL inside a model's answer: a fenced block if there is one, else from the first SELECT or WITH.

    Kind to models that chat around their query; an answer without SQL comes back stripped and will fail to run.
    """
    fenced = re.search(r"```(?:sqlite|sql)?\s*(.+?)(?:```|$)", answer, re.DOTALL | re.IGNORECASE)
    text = fenced.group(1) if fenced else answer
    # English uses "with" too: as SQL it is followed by a name and AS.
    start = re.search(r"\bSELECT\b|\bWITH\s+(?:RECURSIVE\s+)?\w+\s*(?:\([^)]*\)\s*)?AS\b", text, re.IGNORECASE)
    if start:
        quoted = text[start.start() - 1 : start.start()] == "`"
        text = text[start.start() :]
        text = text.split("`")[0] if quoted else text
    return _before_semicolon(text).strip()


def normalised(query: str) -> str:
    """One spelling for queries that differ only in spaces, quotes or the case of keywords (for exact match)."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    tree = _parsed(query)
    if tree is not None:
        for name in tree.find_all(sqlglot.exp.Identifier):
            name.set("quoted", False)
        with contextlib.suppress(RecursionError, SqlglotError):
            return tree.sql(dialect="sqlite", normalize=True, comments=False)
    return " ".join(query.split()).lower()


def _parsed(query: str) -> exp.Expression | None:
    """The syntax tree, or None for a text that is no query, or one too long or too deep to parse in reasonable time."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(query) > MAX_PARSED_CHARACTERS:
        return None
    try:
        return sqlglot.parse_one(query, read="sqlite")
    except (RecursionError, SqlglotError):
        return None


def _run_bounded(connection: sqlite3.Connection, query: str, max_seconds: float, max_rows: int) -> Result:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    denied: list[str] = []
    called: Counter[str] = Counter()
    deadline = time.monotonic() + max_seconds

    def authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
        if action in ALLOWED_ACTIONS:
            return sqlite3.SQLITE_OK
        name = (second or "").lower()
        if action == sqlite3.SQLITE_FUNCTION and name not in DENIED_FUNCTIONS:
            called[name] += 1
            slow = sum(called[function] for function in SLOW_FUNCTIONS)
            if called.total() <= MAX_FUNCTIONS and slow <= MAX_SLOW_FUNCTIONS:
                return sqlite3.SQLITE_OK
            denied.append(f"the query calls too many functions ({name})")
        else:
            denied.append(f"only reading is allowed here ({second or first or 'this statement'})")
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(authorize)
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_CHECKS)
    try:
        cursor = connection.execute(query)
        rows = _fetch(cursor, max_rows + 1)
    except MemoryError:
        return Result(error="Stopped: the query needed too much memory.")
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        return Result(error=_sentence(error, denied, deadline, max_seconds))
    if cursor.description is None:
        return Result(error="The text is not a query that returns rows.")
    if time.monotonic() > deadline:
        # A single call of a function is one step, in which SQLite does not look at the clock.
        return Result(error=f"Stopped: the query took longer than {max_seconds:g} s.")
    columns = [description[0] for description in cursor.description]
    return Result(rows[:max_rows], columns, truncated=len(rows) > max_rows)


def _fetch(cursor: sqlite3.Cursor, max_rows: int) -> list[Row]:
    """At most `max_rows` rows. Raises OverflowError when their texts together pass `MAX_RESULT_BYTES`."""
    rows, size = [], 0
    for row in islice(cursor, max_rows):
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if size > MAX_RESULT_BYTES:
            raise OverflowError("the result is too big")
        rows.append(row)
    return rows


def _sentence(error: Exception, denied: list[str], deadline: float, max_seconds: float) -> str:
    if denied:
        return f"Refused: {denied[0]}."
    if time.monotonic() > deadline:
        return f"Stopped: the query took longer than {max_seconds:g} s."
    return f"{str(error)[:1].upper()}{str(error)[1:].rstrip('.')}."


def _comparable(value: object) -> object:
    if isinstance(value, float):
        # Twelve significant digits: sums of money keep their cents, sums of floats lose their noise.
        return float(f"{value:.12g}") if math.isfinite(value) else str(value)
    return value


def _before_semicolon(text: str) -> str:
    quoted = False
    for index, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif character == ";" and not quoted:
            return text[:index]
    return text
