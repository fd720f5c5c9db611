"""Hostile SQL, composed at random: the database stays as it is, nothing is written, and no query runs on.

The clock of the sandbox is replaced by one that moves on a little at every look, so that a query is stopped after a
number of steps that is the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from utils.sql import MAX_RESULT_BYTES, MAX_ROWS, MAX_SECONDS, Sandbox, build_database, extract_query, normalised

TABLES = "CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, weight REAL);" + "".join(
    f"INSERT INTO pets VALUES ({number}, 'pet {number}', {number}.5);" for number in range(40)
)
LOOK = 0.001  # seconds by which the clock moves on at each look
LONG = "x" * 10_000_000


class Clock:
    """A clock that counts how often it was looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        """The time, in seconds."""
        self.looks += 1
        return self.looks * LOOK


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder, with a database in it and a clock that is looked at."""
    path = tmp_path_factory.mktemp("fuzz")
    build_database(TABLES, path / "pets.sqlite")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


# --- Statements --------------------------------------------------------------------------------------------------

names = st.sampled_from(["pets", "name", "main", "temp", "sqlite_master", "sqlite_temp_master", "x", '"pets"', "[x]"])
files = st.sampled_from(["pets.sqlite", "copy.sqlite", ":memory:", "file:pets.sqlite?mode=rwc", "../up.sqlite", ""])
pragmas = st.sampled_from(
    "query_only writable_schema journal_mode hard_heap_limit user_version wal_checkpoint trusted_schema temp_store "
    "incremental_vacuum optimize table_info database_list foreign_keys mmap_size locking_mode".split()
)
values = st.sampled_from(["0", "1", "ON", "DELETE", "MEMORY", "WAL", "'x'", "NULL", "-1", "9223372036854775807"])
hungry = st.sampled_from(
    [
        "load_extension('x')",
        "load_extension('pets.sqlite', 'init')",
        "writefile('copy.txt', 'x')",
        "readfile('pets.sqlite')",
        "edit('x')",
        "fts3_tokenizer('simple', x'00')",
        "zeroblob(2147483647)",
        "randomblob(100000)",
        "printf('%.*c', 99000, 'x')",
        "instr(printf('%.*c', 99000, 'a'), printf('%.*c', 50000, 'a') || 'b')",
        "replace(hex(zeroblob(40000)), '0', 'xxxx')",
        "group_concat(printf('%.*c', 9000, 'x'))",
        "(SELECT COUNT(*) FROM pets a, pets b, pets c, pets d, pets e, pets f)",
        "json_extract('[[[[1]]]]', '$[0]')",
        "hex(name) LIKE '%a%b%c%d%e%f%'",
    ]
)
sources = st.sampled_from(
    [
        "pets",
        ", ".join(f"pets p{number}" for number in range(8)),
        "pragma_table_info('pets')",
        "json_each('[1, 2]')",
        "sqlite_master",
        "dbstat",
        "generate_series(1, 1000000000)",
        "(VALUES (1), (2))",
        "pets NATURAL JOIN pets AS other CROSS JOIN pets AS third CROSS JOIN pets AS fourth",
    ]
)
endless = st.sampled_from(
    [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)",
        "WITH RECURSIVE n(i) AS (SELECT 'x' UNION ALL SELECT i || i FROM n)",
        "WITH RECURSIVE n(i) AS (SELECT zeroblob(90000) UNION ALL SELECT i FROM n)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n ORDER BY 1 DESC)",
    ]
)
endings = st.sampled_from(["", " ORDER BY random()", " GROUP BY 1", " LIMIT 10", " LIMIT -1", " WHERE 0"])


@st.composite
def selects(draw: st.DrawFn) -> str:
    """A query that reads too much, or asks for what it must not have."""
    kind = draw(st.sampled_from(["endless", "join", "any"]))
    if kind == "endless":
        columns = draw(st.sampled_from(["i", "COUNT(*)", "i, i, i", "SUM(i)", "length(i)", "group_concat(i)"]))
        return f"{draw(endless)} SELECT {columns} FROM n{draw(endings)}"
    if kind == "join":
        tables = ", ".join(f"pets p{number}" for number in range(draw(st.integers(1, 8))))
        columns = draw(st.sampled_from(["COUNT(*)", "DISTINCT p0.name", "*", "p0.name", "MAX(p0.name)"]))
        return f"SELECT {columns}, {draw(hungry)} FROM {tables}{draw(endings)}"
    columns = ", ".join(draw(st.lists(hungry | names | st.just("*"), min_size=1, max_size=12)))
    return f"SELECT {columns} FROM {draw(sources)}{draw(endings)}"


writes = st.one_of(
    st.builds("ATTACH '{}' AS {}".format, files, names),
    st.builds("DETACH {}".format, names),
    st.builds("PRAGMA {} = {}".format, pragmas, values),
    st.builds("PRAGMA main.{}".format, pragmas),
    st.builds("VACUUM INTO '{}'".format, files),
    st.builds("INSERT INTO {} VALUES (1, 'x', {})".format, names, hungry),
    st.builds("WITH y AS ({}) INSERT INTO pets SELECT * FROM y".format, selects()),
    st.builds("INSERT INTO pets VALUES (1, 'x', 1) ON CONFLICT DO UPDATE SET name = {} RETURNING *".format, hungry),
    st.builds("UPDATE {} SET name = {} RETURNING *".format, names, hungry),
    st.builds("DELETE FROM {} RETURNING id".format, names),
    st.builds("REPLACE INTO sqlite_master SELECT * FROM {}".format, sources),
    st.builds("CREATE TABLE {} AS {}".format, names, selects()),
    st.builds("CREATE TEMP TABLE {} AS {}".format, names, selects()),
    st.builds("CREATE VIEW {} AS {}".format, names, selects()),
    st.builds("CREATE VIRTUAL TABLE {} USING fts5(x)".format, names),
    st.builds("CREATE TRIGGER t AFTER INSERT ON pets BEGIN {}; END".format, selects()),
    st.builds("DROP TABLE IF EXISTS {}".format, names),
    st.builds("ALTER TABLE {} RENAME TO dogs".format, names),
    st.sampled_from(
        ["VACUUM", "ANALYZE", "REINDEX", "BEGIN EXCLUSIVE", "COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "END"]
    ),
)
noise = st.just("") | st.sampled_from(
    ["", " ", ";", "; ;", "\0", "--\n", "/* */", "/*", "\ufeff", "\ud800", "'", '"', ")", "(" * 500]
)


@st.composite
def statements(draw: st.DrawFn) -> str:
    """One or two statements with something before, between and behind them."""
    parts = draw(st.lists(selects() | writes | st.text(max_size=20), min_size=1, max_size=2))
    prefix = draw(st.just("") | st.sampled_from(["EXPLAIN ", "EXPLAIN QUERY PLAN ", "SELECT 1; ", "/* SELECT */ "]))
    text = prefix + f"{draw(noise)};{draw(noise)}".join(parts) + draw(noise)
    return draw(st.sampled_from([str, str, str.lower, str.upper]))(text)


# --- Tests -------------------------------------------------------------------------------------------------------


def run_all(folder: Path, texts: list[str]) -> None:
    """Run hostile texts in one sandbox and assert what must hold after each."""
    database = folder / "pets.sqlite"
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    with pytest.MonkeyPatch.context() as patch, Sandbox(database) as sandbox:
        for text in texts:
            clock = Clock()
            patch.setattr("utils.sql.time", SimpleNamespace(monotonic=clock.monotonic))
            answer = sandbox.execute(text)
            assert clock.looks <= MAX_SECONDS / LOOK + 5, text[:500]
            assert answer.ok or (answer.rows == [] and answer.error.endswith(".")), text[:500]
            assert len(answer.rows) <= MAX_ROWS
            assert sum(len(v) for row in answer.rows for v in row if isinstance(v, str | bytes)) <= MAX_RESULT_BYTES
        # Whatever was tried, the sandbox still answers, and from the same rows.
        patch.setattr("utils.sql.time", SimpleNamespace(monotonic=Clock().monotonic))
        assert sandbox.execute("SELECT COUNT(*), MAX(name) FROM pets").rows == [(40, "pet 9")]
        assert not sandbox.execute("DELETE FROM pets").ok
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    assert [path.name for path in folder.iterdir()] == ["pets.sqlite"]
    assert not (folder.parent / "up.sqlite").exists()


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(texts=st.lists(statements(), min_size=1, max_size=4))
@example(texts=[f"SELECT '{LONG}'", f"SELECT 1 -- {LONG}", f'SELECT "{LONG}" FROM pets'])
@example(texts=["ATTACH 'copy.sqlite' AS x; CREATE TABLE x.t AS SELECT * FROM pets", "SELECT * FROM x.t"])
@example(texts=["PRAGMA query_only = 0", "PRAGMA writable_schema = 1", "DELETE FROM sqlite_master"])
@example(texts=["SELECT 1\0; DROP TABLE pets", "SELECT 1;\0DROP TABLE pets", "SELECT 1; DROP TABLE pets"])
@example(texts=["SELECT " + "1 + " * 20_000 + "1", "SELECT 1" + " UNION ALL SELECT 1" * 4_000])
def test_hostile_statements_change_nothing_and_end(folder: Path, texts: list[str]) -> None:
    run_all(folder, texts)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(query=selects())
@example(query="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n")
def test_hungry_queries_end(folder: Path, query: str) -> None:
    run_all(folder, [query])


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(text=statements())
@example(text="SELECT " + "(" * 900 + "1" + ")" * 900)
@example(text="```sql\n" * 2_000)
@example(text="WITH " * 5_000)
def test_reading_a_hostile_answer_gives_text(text: str) -> None:
    query = extract_query(text)
    assert isinstance(query, str) and isinstance(normalised(query), str)
