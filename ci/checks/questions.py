"""Checks of the databases and questions that the course ships: `python -m ci.checks.questions`.

Each check returns a list of fault sentences: where, what is wrong, what to do. `main` prints them and a summary,
and exits with status 1 if there are any; if there are none, `--seal` seals the question files (see `utils.seal`). The
checks of `utils.data` keep a broken line out of a run; these ones keep the shipped data good: every gold query has
exactly one right answer and is written in the house style.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sqlglot
import yaml
from sqlglot import exp
from sqlglot.errors import SqlglotError

from utils.data import SPLITS, Question, check_questions, find_leaks, load_databases
from utils.difficulty import LEVELS, level
from utils.schema import plain
from utils.seal import SEALS, Seal, make_seal, read_seals
from utils.settings import DATA
from utils.sql import open_read_only
from utils.stages import shown, write_json
from utils.ties import has_tie, is_correlated, tables_of

KINDS = {"id", "key", "name", "category", "text", "money", "count", "measure", "date", "year", "time", "flag"}
TABLES = range(3, 8)
ROWS_OF_LARGEST = 200
VERBATIM_SHARE = 0.5
LEAK_SIMILARITY = 0.8
EVENNESS = 0.1
FUNCTION_SPELLINGS = {name.lower(): name for name in ("COUNT", "SUM", "AVG", "MIN", "MAX", "COALESCE", "ROUND", "CAST")}
FUNCTION_SPELLINGS |= {name: name for name in ("strftime", "julianday", "date")}


@dataclass(frozen=True)
class Layout:
    """The tables of a database: their columns, and the sets of columns that single out a row."""

    columns: dict[str, list[str]]
    keys: dict[str, list[set[str]]]
    rows: dict[str, int]


# --- Reading -----------------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> tuple[list[Question], list[str]]:
    """All questions below a folder, the place of each as its id, and a fault for every line that is none."""
    questions, faults = [], []
    for split in SPLITS:
        for file in sorted((folder / split).glob("*.jsonl")):
            good, bad = read_file(file, split)
            questions += good
            faults += bad
    return questions, faults


def read_file(file: Path, split: str) -> tuple[list[Question], list[str]]:
    """The questions of one file, and a fault for every line that is none."""
    name, *kind = file.stem.split(".")
    origin = kind[0] if kind else "written"
    questions, faults = [], []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        place = f"{shown(file)}, line {number}"
        row = _row_of(line)
        if row is None:
            faults.append(f'{place}: not of the form {{"question": "…", "sql": "…"}}; write it like the other lines.')
            continue
        try:
            difficulty = level(row["sql"])
        except SqlglotError:
            faults.append(f"{place}: the query is not SQL that sqlglot reads; write it more plainly.")
            continue
        questions.append(Question(place, split, name, row["question"], row["sql"], difficulty, origin))
    return questions, faults


def _row_of(line: bytes) -> dict[str, str] | None:
    """The two texts of a line, or None if it does not hold just these."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict) or set(row) != {"question", "sql"}:
        return None
    return row if all(isinstance(text, str) and text.strip() for text in row.values()) else None


@lru_cache(maxsize=50_000)
def parse(sql: str) -> exp.Expression:
    """The tree of a query."""
    return sqlglot.parse_one(sql, read="sqlite")


def read_layout(connection: sqlite3.Connection) -> Layout:
    """The tables of an open database."""
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns, keys, rows = {}, {}, {}
    for name in names:
        information = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
        columns[name] = [row[1] for row in information]
        keys[name] = [{row[1] for row in information if row[5]}, *_unique_columns(connection, name)]
        rows[name] = connection.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]
    return Layout(columns, keys, rows)


def _unique_columns(connection: sqlite3.Connection, table: str) -> list[set[str]]:
    indexes = [row[1] for row in connection.execute(f'PRAGMA index_list("{table}")') if row[2]]
    return [{row[2] for row in connection.execute(f'PRAGMA index_info("{index}")')} for index in indexes]


# --- One question ------------------------------------------------------------------------------------------------


def check_answer(question: Question, connection: sqlite3.Connection) -> list[str]:
    """The gold query runs, and returns at least one row and something else than NULL."""
    try:
        rows = connection.execute(question.sql).fetchall()
    except sqlite3.Error as error:
        return [f"{question.id}: the query fails ({error}); correct it."]
    if not rows:
        return [f"{question.id}: the query returns no row; ask for something that is there."]
    if all(value is None for row in rows for value in row):
        return [f"{question.id}: the query returns only NULL; ask for something that is there."]
    return []


def check_scan_order(question: Question, connection: sqlite3.Connection) -> list[str]:
    """The answer does not change when SQLite scans tables backwards."""
    answers = []
    for switch in ("OFF", "ON"):
        connection.execute(f"PRAGMA reverse_unordered_selects = {switch}")
        answers.append(Counter(map(repr, connection.execute(question.sql))))
    connection.execute("PRAGMA reverse_unordered_selects = OFF")
    if answers[0] == answers[1]:
        return []
    return [f"{question.id}: the answer depends on the order in which tables are read; remove the tie."]


def check_ties(question: Question, connection: sqlite3.Connection) -> list[str]:
    """No LIMIT, at the outer level or inside, cuts between rows that are equal in the ORDER BY but read differently."""
    faults = []
    for query in parse(question.sql).find_all(exp.Select, exp.SetOperation):
        if query.args.get("limit") is None:
            continue
        if query.args.get("order") is None:
            faults.append(f"{question.id}: LIMIT without ORDER BY; say which rows come first.")
        elif isinstance(query, exp.SetOperation):
            faults.append(f"{question.id}: LIMIT after {query.key.upper()}, whose ties are hard to see; ask otherwise.")
        elif not is_correlated(query) and has_tie(query, connection):
            faults.append(f"{question.id}: a tie at LIMIT; ask for another number of rows, or for all that tie.")
    return faults


def check_subqueries(question: Question, connection: sqlite3.Connection) -> list[str]:
    """A subquery that stands for one value returns one row, and one after NOT IN returns no NULL."""
    faults = []
    for subquery in parse(question.sql).find_all(exp.Subquery):
        if is_correlated(subquery.this):
            continue
        rows = connection.execute(subquery.this.sql(dialect="sqlite")).fetchall()
        if isinstance(subquery.parent, exp.In):
            negated = isinstance(subquery.parent.parent, exp.Not)
            if negated and any(None in row for row in rows):
                faults.append(f"{question.id}: NULL among the values after NOT IN; use NOT EXISTS or leave NULL out.")
        elif _stands_for_value(subquery) and len(rows) != 1:
            faults.append(f"{question.id}: a subquery that stands for one value returns {len(rows)} rows; use IN.")
    return faults


def _stands_for_value(subquery: exp.Subquery) -> bool:
    return not isinstance(subquery.parent, exp.From | exp.Join | exp.SetOperation | exp.Exists)


def check_values(question: Question, connection: sqlite3.Connection, layout: Layout) -> list[str]:
    """Every text that the query compares a column with stands in such a column, spelled like this."""
    found: dict[str, bool] = {}
    for column, value in _compared_texts(parse(question.sql)):
        table, name = table_of(column, layout)
        if table not in layout.columns:
            continue
        row = connection.execute(f'SELECT 1 FROM "{table}" WHERE "{name}" = ? LIMIT 1', (value,)).fetchone()
        found[value] = found.get(value, False) or row is not None
    return [
        f"{question.id}: {value!r} is nowhere in the column; spell it as the database does."
        for value, is_there in found.items()
        if not is_there and not re.match(r"\d{4}-\d\d|\d\d:\d\d", value)
    ]


def _compared_texts(tree: exp.Expression) -> Iterator[tuple[exp.Column, str]]:
    """Pairs of a column and a text that the query compares with =, <> or IN."""
    for comparison in tree.find_all(exp.EQ, exp.NEQ, exp.In):
        column = comparison.this
        others = comparison.expressions if isinstance(comparison, exp.In) else [comparison.expression]
        if isinstance(column, exp.Column):
            yield from ((column, other.this) for other in others if isinstance(other, exp.Literal) and other.is_string)


def table_of(column: exp.Column, layout: Layout) -> tuple[str, str]:
    """The table of the database, and the name, of a column of a query; looks outwards from a subquery. No table: ""."""
    select = column.find_ancestor(exp.Select)
    while select is not None:
        tables = tables_of(select)
        alias, name = _resolved(column, tables, layout)
        if alias in tables:
            return tables[alias], name
        select = select.find_ancestor(exp.Select)
    return "", column.name


def check_bare_columns(question: Question, layout: Layout) -> list[str]:
    """In a query with aggregates, every column outside them is settled by the GROUP BY."""
    faults = []
    for select in parse(question.sql).find_all(exp.Select):
        for column in unsettled_columns(select, layout):
            faults.append(f"{question.id}: {column} may differ within a group; group by it, or by a key of its table.")
    return faults


def unsettled_columns(select: exp.Select, layout: Layout) -> list[str]:
    """Columns outside the aggregates of a SELECT that its GROUP BY does not settle."""
    group = select.args.get("group")
    if group is None and not any(_of_select(select, exp.AggFunc)):
        return []
    keys = group.expressions if group else []
    parts = [*select.expressions, select.args.get("having"), select.args.get("order")]
    used = [column for part in parts if part is not None for column in _columns_outside(part, keys)]
    tables = tables_of(select)
    known = _settled({_resolved(key, tables, layout) for key in keys if isinstance(key, exp.Column)}, select, layout)
    resolved = [_resolved(column, tables, layout) for column in used]
    return [f"{table}.{name}" for table, name in resolved if table in tables and (table, name) not in known]


def _columns_outside(part: exp.Expression, keys: list[exp.Expression]) -> Iterator[exp.Column]:
    """Columns of an expression that stand neither in an aggregate, nor in a GROUP BY key, nor in a subquery."""
    if isinstance(part, exp.AggFunc | exp.Query) or part in keys:
        return
    if isinstance(part, exp.Column):
        yield part
    for child in part.iter_expressions():
        yield from _columns_outside(child, keys)


def _settled(known: set[tuple[str, str]], select: exp.Select, layout: Layout) -> set[tuple[str, str]]:
    """All columns that are fixed once the known ones are: by a key of their table, by equality, by a constant."""
    tables = tables_of(select)
    equalities = [_sides(equality, tables, layout) for equality in _required_equalities(select)]
    while True:
        before = len(known)
        for left, right in equalities:
            if left is None or left in known:
                known |= {right} - {None}
            if right is None or right in known:
                known |= {left} - {None}
        for alias, table in tables.items():
            if any(key and all((alias, name) in known for name in key) for key in layout.keys.get(table, [])):
                known |= {(alias, name) for name in layout.columns[table]}
        if len(known) == before:
            return known


def _required_equalities(select: exp.Select) -> Iterator[exp.EQ]:
    """The equalities that hold for every row of a SELECT: those in its ON and WHERE that AND joins."""
    where = select.args.get("where")
    conditions = [join.args.get("on") for join in select.args.get("joins") or []]
    conditions.append(where.this if where else None)
    for condition in conditions:
        parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
        yield from (part for part in parts if isinstance(part, exp.EQ))


def _sides(equality: exp.EQ, tables: dict[str, str], layout: Layout) -> list[tuple[str, str] | None]:
    """The two columns that an equality joins; None for a constant. Other expressions give a column of no table."""
    sides = []
    for side in (equality.left, equality.right):
        if isinstance(side, exp.Column):
            sides.append(_resolved(side, tables, layout))
        else:
            sides.append(None if isinstance(side, exp.Literal) else ("", side.sql()))
    return sides


def _resolved(column: exp.Column, tables: dict[str, str], layout: Layout) -> tuple[str, str]:
    if column.table:
        return column.table, column.name
    owners = [alias for alias, table in tables.items() if column.name in layout.columns.get(table, [])]
    return (owners[0] if owners else ""), column.name


def _of_select(select: exp.Select, kind: type[exp.Expression]) -> Iterator[exp.Expression]:
    """Nodes of a kind that belong to this SELECT, not to one inside it."""
    return (node for node in select.find_all(kind) if node.find_ancestor(exp.Select) is select)


# --- House style -------------------------------------------------------------------------------------------------


def check_style(question: Question) -> list[str]:
    """The query is written as the other ones are."""
    tree = parse(question.sql)
    advice = [*_spelling_advice(question.sql), *_alias_advice(tree), *_join_advice(tree), *_qualifier_advice(tree)]
    return [f"{question.id}: {sentence}." for sentence in advice]


def _spelling_advice(sql: str) -> Iterator[str]:
    code = re.sub(r"'(?:[^']|'')*'", "''", sql)
    for character, name in ((";", "semicolon"), ('"', "double quote"), ("`", "backtick"), ("\n", "line break")):
        if character in code:
            yield f"a {name} in the SQL; leave it out"
    if "!=" in code:
        yield "!= in the SQL; write <>"
    if code != code.strip() or "  " in code:
        yield "needless spaces in the SQL; write one between words"
    for name in re.findall(r"\b(\w+)\(", code):
        right = FUNCTION_SPELLINGS.get(name.lower(), name)
        if name != right:
            yield f"the function {name}; write {right}"
    words = re.findall(r"\b(select|from|where|join|on|group|order|by|having|limit|and|or|not|in|as|desc|asc)\b", code)
    if words:
        yield f"the keyword {words[0]} in small letters; write {words[0].upper()}"


def _alias_advice(tree: exp.Expression) -> Iterator[str]:
    if tree.find(exp.With):
        yield "a WITH; write a subquery"
    if tree.find(exp.Alias):
        yield "an alias of a column; leave it out"
    uses = Counter(table.name for table in tree.find_all(exp.Table))
    for table in tree.find_all(exp.Table):
        if table.alias and uses[table.name] == 1:
            yield f"an alias of {table.name}, which the query names once; write the name of the table"


def _join_advice(tree: exp.Expression) -> Iterator[str]:
    for join in tree.find_all(exp.Join):
        if not join.args.get("on") or join.args.get("using") or join.args.get("method"):
            yield "a join without ON; write JOIN … ON …"
        if (join.side or "").upper() not in ("", "LEFT"):
            yield f"a {join.side} JOIN; write JOIN or LEFT JOIN"


def _qualifier_advice(tree: exp.Expression) -> Iterator[str]:
    """With joins or aliases every column names its table; without, only those of correlated subqueries do."""
    joined = tree.find(exp.Join) is not None or any(table.alias for table in tree.find_all(exp.Table))
    for select in tree.find_all(exp.Select):
        qualified = joined or is_correlated(select)
        for column in _of_select(select, exp.Column):
            if qualified and not column.table:
                yield f"{column.name} without its table in a query with joins, aliases or correlation; add the table"
            elif column.table and not qualified:
                yield f"{column.sql()} in a query of one table; leave the table out"


# --- All questions -----------------------------------------------------------------------------------------------


def check_repetition(questions: Iterable[Question]) -> list[str]:
    """No question stands twice in a database."""
    first: dict[tuple[str, str], Question] = {}
    faults = []
    for question in questions:
        key = (question.database, plain(question.question))
        if key in first:
            faults.append(f"{question.id}: the same question as in {first[key].id}; replace one.")
        first.setdefault(key, question)
    return faults


def check_splits(questions: Iterable[Question]) -> list[str]:
    """No database stands in two splits, and each split has all levels."""
    splits, levels = defaultdict(set), defaultdict(set)
    for question in questions:
        splits[question.database].add(question.split)
        levels[question.split].add(question.difficulty)
    faults = [
        f"data/questions: {database} stands in {' and '.join(sorted(found))}; keep it in one split."
        for database, found in splits.items()
        if len(found) > 1
    ]
    for split in SPLITS:
        missing = [name for name in LEVELS if name not in levels[split]]
        faults += [f"data/questions/{split}: no {name} question; add some." for name in missing]
    return faults


def check_leaks(questions: list[Question]) -> list[str]:
    """No validation or test question reads nearly like a training question."""
    train = [question for question in questions if question.split == "train"]
    held_out = [question for question in questions if question.split != "train"]
    return [
        f"{held.id}: reads like {trained.id} (similarity {similarity:.2f}); word it differently."
        for trained, held, similarity in find_leaks(train, held_out, LEAK_SIMILARITY)
    ]


def check_coverage(questions: Iterable[Question]) -> list[str]:
    """Each test database has about as many questions as the others."""
    counts = Counter(question.database for question in questions if question.split == "test")
    mean = sum(counts.values()) / max(1, len(counts))
    return [
        f"data/questions/test/{database}.jsonl: {count} questions, the mean is {mean:.0f}; even them out."
        for database, count in counts.items()
        if abs(count - mean) > EVENNESS * mean
    ]


def check_wording(questions: Iterable[Question]) -> list[str]:
    """Fewer than half of the written questions of each database name a column as the schema spells it."""
    named = defaultdict(list)
    for question in questions:
        if question.origin == "written":
            named[f"data/questions/{question.split}/{question.database}.jsonl"].append(names_column(question))
    return [
        f"{file}: {sum(hits)} of {len(hits)} questions name a column verbatim; reword some."
        for file, hits in named.items()
        if sum(hits) >= VERBATIM_SHARE * len(hits)
    ]


def names_column(question: Question) -> bool:
    """True if the question holds the name of a column of its query, as the schema spells it."""
    words = set(re.findall(r"\w+", question.question.lower()))
    return any(column.name.lower() in words for column in parse(question.sql).find_all(exp.Column))


# --- Databases ---------------------------------------------------------------------------------------------------


def check_database(source: Path, connection: sqlite3.Connection) -> list[str]:
    """The SQL file begins with a description; keys hold; there are enough tables and rows."""
    layout = read_layout(connection)
    place = shown(source)
    faults = []
    if not re.match(r"-- \S.{10,}\.\n", source.read_text(encoding="utf-8")):
        faults.append(f"{place}, line 1: no description; begin with a comment of one sentence.")
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall()[:1]:
        faults.append(f"{place}: a row of {table} refers to no row of {parent}; correct the row.")
    if len(layout.columns) not in TABLES:
        faults.append(f"{place}: {len(layout.columns)} tables; have {TABLES[0]} to {TABLES[-1]}.")
    if max(layout.rows.values()) < ROWS_OF_LARGEST:
        faults.append(f"{place}: the largest table has fewer than {ROWS_OF_LARGEST} rows; add some.")
    return faults


def check_annotation(file: Path, layout: Layout) -> list[str]:
    """The YAML file beside a database lists its tables and columns, all of them and no others, with their kinds."""
    if not file.is_file():
        return [f"{shown(file)}: missing; write one like the other databases have."]
    text = file.read_text(encoding="utf-8")
    faults = _unquoted_answers(file, text)
    tables = yaml.safe_load(text).get("tables", {})
    faults += _differences(shown(file), "table", tables, layout.columns)
    for name in set(tables) & set(layout.columns):
        columns, title = tables[name]["columns"], tables[name].get("title")
        faults += _differences(f"{shown(file)}, {name}", "column", columns, layout.columns[name])
        if title is not None and title not in columns:
            faults.append(f"{shown(file)}, {name}: the title {title!r} is no column; name one, or null.")
        for column, facts in columns.items():
            faults += _column_faults(f"{shown(file)}, {name}.{column}", facts, layout)
    return faults


def _column_faults(place: str, facts: dict, layout: Layout) -> list[str]:
    faults = []
    if facts.get("kind") not in KINDS:
        faults.append(f"{place}: the kind {facts.get('kind')!r} is unknown; choose one of {', '.join(sorted(KINDS))}.")
    if facts.get("kind") == "key" and facts.get("to") not in layout.columns:
        faults.append(f"{place}: a key to {facts.get('to')!r}, which is no table; name one.")
    if not facts.get("says") and facts.get("kind") != "key":
        faults.append(f"{place}: no phrase under says; add the usual one.")
    return faults


def _unquoted_answers(file: Path, text: str) -> list[str]:
    """Unquoted yes and no are read as true and false by YAML."""
    return [
        f'{shown(file)}, line {number}: yes or no without quotes; write "yes": and "no":.'
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(r"(?:^|[{,\s])(?:yes|no|on|off)\s*:", line, re.IGNORECASE)
    ]


def _differences(place: str, what: str, listed: Iterable[str], real: Iterable[str]) -> list[str]:
    listed, real = set(listed), set(real)
    missing, surplus = sorted(real - listed), sorted(map(str, listed - real))
    faults = [f"{place}: the {what} {name} is not listed; add it." for name in missing]
    return faults + [f"{place}: the {what} {name} does not exist; remove it." for name in surplus]


# --- All together ------------------------------------------------------------------------------------------------


def check_question(question: Question, connection: sqlite3.Connection, layout: Layout) -> list[str]:
    """All checks of one question; those that run parts of a query only if the whole runs."""
    faults = check_answer(question, connection)
    if not faults:
        faults += check_scan_order(question, connection)
        faults += check_ties(question, connection)
        faults += check_subqueries(question, connection)
        faults += check_values(question, connection, layout)
        faults += check_bare_columns(question, layout)
    return faults + check_style(question)


def check_set(questions: list[Question]) -> list[str]:
    """All checks of the questions as a set."""
    checks = (check_repetition, check_splits, check_leaks, check_coverage, check_wording)
    return [fault for check in checks for fault in check(questions)]


def check_databases(folder: Path, databases: dict[str, Path]) -> list[str]:
    """All checks of the databases and of what is written about them."""
    faults = []
    for name, database in databases.items():
        with opened(database) as connection:
            faults += check_database(folder / f"{name}.sql", connection)
            faults += check_annotation(folder / f"{name}.yaml", read_layout(connection))
    return faults


def check_queries(questions: Iterable[Question], databases: dict[str, Path]) -> list[str]:
    """All checks of single questions, database by database."""
    grouped = defaultdict(list)
    for question in questions:
        grouped[question.database].append(question)
    faults = []
    for name, group in grouped.items():
        if name not in databases:
            faults.append(f"{group[0].id}: there is no database {name}; name the file after its database.")
            continue
        with opened(databases[name]) as connection:
            layout = read_layout(connection)
            faults += [fault for question in group for fault in check_question(question, connection, layout)]
    return faults


def opened(database: Path) -> contextlib.closing[sqlite3.Connection]:
    """A connection that only reads."""
    return contextlib.closing(open_read_only(database))


def summary(questions: Iterable[Question]) -> str:
    """A table of how many questions of each level each split has."""
    counts = defaultdict(Counter)
    for question in questions:
        counts[question.split, question.origin][question.difficulty] += 1
    lines = [f"{'split':<12}{'origin':<12}" + "".join(f"{name:>12}" for name in (*LEVELS, "all"))]
    for (split, origin), levels in counts.items():
        figures = (*(levels[name] for name in LEVELS), sum(levels.values()))
        lines.append(f"{split:<12}{origin:<12}" + "".join(f"{figure:>12}" for figure in figures))
    return "\n".join(lines)


def make_seals(folder: Path, databases: dict[str, Path]) -> tuple[dict[str, Seal], list[str]]:
    """The seal of each question file below a folder, and a fault for every line that a run would leave out."""
    seals, faults = {}, []
    for split in SPLITS:
        for file in sorted((folder / split).glob("*.jsonl")):
            questions, rejects = check_questions(file, split, databases)
            faults += [f"{reject} Correct it." for reject in rejects]
            if questions and not rejects:
                lines, levels = file.read_bytes().splitlines(), [question.difficulty for question in questions]
                seals[f"{split}/{file.name}"] = make_seal(lines, databases[questions[0].database], levels)
    return seals, faults


def main() -> int:
    """Check everything, print the faults and the summary."""
    parser = argparse.ArgumentParser(prog="python -m ci.checks.questions", description=__doc__)
    parser.add_argument("--seal", action="store_true", help="write data/questions/seal.json if there is no fault")
    arguments = parser.parse_args()
    databases = load_databases(DATA / "databases")
    questions, faults = read_folder(DATA / "questions")
    faults += check_databases(DATA / "databases", databases)
    faults += check_queries(questions, databases)
    faults += check_set(questions)
    seals, rejects = make_seals(DATA / "questions", databases)
    faults += rejects
    if arguments.seal and not faults:
        write_json(SEALS, seals)
    elif not arguments.seal and seals != read_seals(SEALS):
        faults.append(f"{shown(SEALS)}: out of date; run python -m ci.checks.questions --seal.")
    for fault in faults:
        print(fault)
    print(summary(questions))
    print(f"{len(questions)} questions, {len(databases)} databases, {len(faults)} faults.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
