"""Decoding that cannot invent names: a query may use only the tables and columns that the database has.

A language model writes the most probable next token, also when it ends a column name that does not exist. Here each
step takes the most probable token with which the text can still become a query on this schema, the idea of PICARD
(Scholak, Schucher and Bahdanau, 2021). What is checked is small: names exist, a qualified column belongs to its table,
tables are joined along declared foreign keys, and columns come from tables in reach. Values and logic stay the model's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from utils.schema import Schema, read_schema

TOKEN = re.compile(r"'(?:[^']|'')*'?|[A-Za-z_]\w*|\d+(?:\.\d*)?|<>|<=|>=|\S")
KEYWORDS = frozenset(
    "SELECT DISTINCT FROM JOIN LEFT ON AS WHERE AND OR NOT IN BETWEEN LIKE IS NULL EXISTS GROUP BY HAVING ORDER ASC "
    "DESC LIMIT OFFSET UNION ALL INTERSECT EXCEPT CASE WHEN THEN ELSE END".split()
)
AGGREGATES = frozenset("COUNT SUM AVG MIN MAX".split())
FUNCTIONS = AGGREGATES | frozenset("ROUND ABS LENGTH LOWER UPPER SUBSTR CAST COALESCE strftime julianday".split())
TYPES = frozenset("INTEGER REAL TEXT".split())
ENDS_CLAUSE = frozenset({"WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "INTERSECT", "EXCEPT", ")", ""})
NEVER_LAST = KEYWORDS - {"NULL", "END", "ASC", "DESC"}
NAME_FOLLOWS = {"FROM": "(", "JOIN": "(", "AS": ""}  # a name, or else this
CONDITIONS = frozenset("LIKE IN BETWEEN IS NOT OR EXISTS CASE WHEN THEN ELSE END".split())
MAX_BRACKETS = 4
MAX_STATES = 10_000
REREAD_WORDS = 3  # a token may finish a word, add another, and make the one before a function or a table
NAME = re.compile(r"[A-Za-z_]")
ALIAS = re.compile(r"[a-z]\w?")

Column = tuple[str, str]


@dataclass
class _Scope:
    """One SELECT: the clause that the text is in, its tables by alias, and the columns named before FROM."""

    clause: str = "SELECT"
    tables: dict[str, str] = field(default_factory=dict)
    bare: set[str] = field(default_factory=set)
    qualifiers: dict[str, set[str]] = field(default_factory=dict)
    left: Column | None = None

    def copy(self) -> _Scope:
        qualifiers = {name: set(columns) for name, columns in self.qualifiers.items()}
        return replace(self, tables=dict(self.tables), bare=set(self.bare), qualifiers=qualifiers)

    @property
    def has_repeats(self) -> bool:
        """True if a table occurs twice, so that its rows may be compared on any column."""
        return len(set(self.tables.values())) < len(self.tables)


@dataclass
class _State:
    """What has been read: the SELECTs that are still open, and for each open bracket whether it holds one of them."""

    scopes: list[_Scope] = field(default_factory=list)
    brackets: list[bool] = field(default_factory=list)

    def copy(self) -> _State:
        return _State([scope.copy() for scope in self.scopes], list(self.brackets))


class _Refused(Exception):
    """The text cannot become a query on the schema."""


class SchemaConstraint:
    """Tells whether a text can be continued to a query on a schema, and whether it may end as it is."""

    def __init__(self, schema: Schema) -> None:
        self.columns = {table.name: {column.name for column in table.columns} for table in schema.tables}
        self.names = {name for columns in self.columns.values() for name in columns}
        self.links: set[tuple[Column, Column]] = set()
        for table in schema.tables:
            for column in table.columns:
                if column.references:
                    parent = tuple(column.references.split("."))
                    self.links |= {((table.name, column.name), parent), (parent, (table.name, column.name))}
        self._states: dict[tuple[str, ...], _State] = {}

    def can_continue(self, text: str) -> bool:
        """True if nothing written so far is impossible; the last word may be unfinished."""
        try:
            return self._read(text, ended=False)
        except _Refused:
            return False

    def can_end(self, text: str) -> bool:
        """True if the text is complete: brackets and quotes closed, no name unfinished, every table in reach."""
        words = TOKEN.findall(text)
        if not words or words[0].upper() != "SELECT" or words[-1].upper() in NEVER_LAST or words[-1] in {",", "=", "."}:
            return False
        try:
            return self._read(text, ended=True)
        except _Refused:
            return False

    def _read(self, text: str, *, ended: bool) -> bool:
        words = TOKEN.findall(text)
        if words and not "SELECT".startswith(words[0].upper()):
            return False
        if ";" in words and not ended:  # nothing after it is run, and an untuned model may write a lot of it
            return text.endswith(";") and words.count(";") == 1 and self.can_end(text[:-1])
        partial = not ended and bool(words) and bool(re.match(r"\w", text[-1:]) and NAME.match(words[-1]))
        # Of two texts to compare, most is the same: what stands before the last few words was read already.
        known = max(0, len(words) - REREAD_WORDS)
        state = self._state_after(words[: known + 1])
        for index in range(known, len(words)):
            self._read_next(words, index, state, unfinished=partial and index == len(words) - 1)
        if ended:
            if state.brackets or text.count("'") % 2:
                return False
            for scope in state.scopes:
                self._close(scope)
        return True

    def _state_after(self, words: list[str]) -> _State:
        """The state before the last of the words; that one only tells how those before it are to be read."""
        key = tuple(words)
        if key not in self._states:
            state = _State()
            for index in range(len(words) - 1):
                self._read_next(words, index, state, unfinished=False)
            if len(self._states) == MAX_STATES:
                self._states.clear()
            self._states[key] = state
        return self._states[key].copy()

    def _read_next(self, words: list[str], index: int, state: _State, unfinished: bool) -> None:
        word, before = words[index], words[index - 1] if index else ""
        if before == "." and not NAME.match(word):
            raise _Refused
        if before.upper() in NAME_FOLLOWS and not NAME.match(word) and word != NAME_FOLLOWS[before.upper()]:
            raise _Refused
        if before == "(" and words[index - 2] == "strftime" and not "'%".startswith(word[:2]):
            raise _Refused
        if word == "(":
            if before in self.names or before.upper() in {"ASC", "DESC"} or len(state.brackets) == MAX_BRACKETS:
                raise _Refused
            state.brackets.append(False)
        elif word == ")":
            if not state.brackets:
                raise _Refused
            if state.brackets.pop():
                self._close(state.scopes.pop())
        elif word.upper() == "SELECT" and not unfinished:
            if before == "(":
                state.brackets[-1] = True
            elif state.scopes:
                self._close(state.scopes.pop())
            state.scopes.append(_Scope())
        elif NAME.match(word):
            self._read_word(word, words, index, state.scopes, unfinished)
        elif word == "." and words[index - 2 : index - 1] in (["FROM"], ["JOIN"]):
            raise _Refused

    def _read_word(self, word: str, words: list[str], index: int, scopes: list[_Scope], unfinished: bool) -> None:
        before = words[index - 1] if index else ""
        if not scopes:
            _require(word, ["SELECT"], unfinished)
            return
        scope = scopes[-1]
        if before == ".":
            self._read_column(word, words[index - 2], scopes, unfinished)
        elif before.upper() in {"FROM", "JOIN"}:
            _require(word, self._tables_after(before.upper(), scope), unfinished)
            scope.tables[word] = word
        elif before.upper() == "AS":
            if scope.clause != "FROM":
                _require(word, TYPES, unfinished)
                return
            if not ALIAS.fullmatch(word):
                raise _Refused
            table = words[index - 2]
            if table in self.columns:
                scope.tables.pop(table, None)
                scope.tables[word] = table
        else:
            self._read_free_word(word, words, index, scopes, unfinished)

    def _read_free_word(self, word: str, words: list[str], index: int, scopes: list[_Scope], unfinished: bool) -> None:
        """A keyword, a function, a bare column, or the table in front of a dot."""
        scope = scopes[-1]
        after = words[index + 1] if index + 1 < len(words) else ""
        qualifiers = self._qualifiers(scopes)
        bare = self._bare_columns(scopes)
        functions = _functions_at(words, index, scope)
        if unfinished:
            keywords = {keyword for keyword in KEYWORDS if self._keyword_fits(keyword, words[index - 1], scope)}
            _require(word, [*keywords, *functions, *qualifiers, *bare], unfinished=True)
        elif after == ".":
            _require(word, qualifiers, unfinished=False)
            if scope.clause == "SELECT":
                scope.qualifiers.setdefault(word, set())
        elif word in bare:
            if scope.clause == "SELECT":
                scope.bare.add(word)
        elif word.upper() in KEYWORDS:
            if not self._keyword_fits(word.upper(), words[index - 1], scope):
                raise _Refused
            _enter_clause(scope, word.upper())
        elif word not in TYPES and after not in {"(", ""}:
            raise _Refused
        else:
            _require(word, functions, unfinished=False)

    def _keyword_fits(self, keyword: str, before: str, scope: _Scope) -> bool:
        if keyword == "SELECT":
            return before.upper() in {"(", "UNION", "ALL", "INTERSECT", "EXCEPT"}
        if keyword == "DISTINCT":
            return before.upper() in {"SELECT", "("}
        if keyword in CONDITIONS and scope.clause in {"FROM", "LIMIT"}:
            return False
        if keyword in {"JOIN", "LEFT"}:
            return scope.clause == "FROM" and not scope.bare
        if keyword in ENDS_CLAUSE and scope.clause in {"FROM", "SELECT"}:
            return scope.clause == "FROM" and self._is_closed(scope)
        if keyword == "FROM":
            return scope.clause == "SELECT"
        return keyword != "ON" or scope.clause == "FROM"

    def _read_column(self, word: str, qualifier: str, scopes: list[_Scope], unfinished: bool) -> None:
        scope = scopes[-1]
        table = _resolve(qualifier, scopes)
        columns = self.columns[table] if table else self.columns.get(qualifier, self.names)
        if table and scope.clause == "ON" and self.links and not scope.has_repeats:
            columns = {column for column in columns if self._joins((table, column), scope)}
        _require(word, columns, unfinished)
        if scope.clause == "SELECT" and not unfinished:
            scope.qualifiers.setdefault(qualifier, set()).add(word)
        if table and scope.clause == "ON" and not unfinished:
            scope.left, scope.clause = (None, "FROM") if scope.left else ((table, word), "ON")

    def _joins(self, column: Column, scope: _Scope) -> bool:
        if scope.left:
            return (scope.left, column) in self.links
        reach = set(scope.tables.values())
        return any(column == left and right[0] in reach for left, right in self.links)

    def _tables_after(self, keyword: str, scope: _Scope) -> set[str]:
        if keyword == "FROM":
            return {name for name, columns in self.columns.items() if scope.bare <= columns}
        reach = set(scope.tables.values())
        near = {right[0] for left, right in self.links if left[0] in reach}
        # A table twice needs aliases: the first one has its own already, or never will.
        aliased = {table for alias, table in scope.tables.items() if alias != table}
        return (near or set(self.columns)) - reach | aliased

    def _qualifiers(self, scopes: list[_Scope]) -> set[str]:
        if scopes[-1].clause == "SELECT":
            letters = set("abcdefghijklmnopqrstuvwxyz")
            return set(self.columns) | letters
        scope = scopes[-1]
        if scope.clause == "ON" and scope.left and self.links and not scope.has_repeats:
            near = {right[0] for left, right in self.links if left == scope.left}
            return {alias for alias, table in scope.tables.items() if table in near}
        return {alias for scope in scopes for alias in scope.tables}

    def _bare_columns(self, scopes: list[_Scope]) -> set[str]:
        scope = scopes[-1]
        if scope.clause == "SELECT":
            if scope.qualifiers:
                return set()
            fitting = [columns for columns in self.columns.values() if scope.bare <= columns]
            return {column for columns in fitting for column in columns}
        if len(scope.tables) != 1:
            return set()
        return {column for each in scopes for table in each.tables.values() for column in self.columns[table]}

    def _is_closed(self, scope: _Scope) -> bool:
        if not scope.tables or not scope.qualifiers.keys() <= scope.tables.keys():
            return False
        return all(names <= self.columns[scope.tables[alias]] for alias, names in scope.qualifiers.items())

    def _close(self, scope: _Scope) -> None:
        if scope.clause == "SELECT" or not self._is_closed(scope):
            raise _Refused


def _functions_at(words: list[str], index: int, scope: _Scope) -> frozenset[str]:
    """Functions that may stand here: no aggregate in a condition on rows, nothing inside strftime but a column."""
    inside_strftime = index > 1 and words[index - 1] == "," and words[index - 2].startswith("'%")
    if inside_strftime or scope.clause in {"FROM", "ON"}:
        return frozenset()
    return FUNCTIONS - AGGREGATES if scope.clause in {"WHERE", "GROUP"} else FUNCTIONS


def _enter_clause(scope: _Scope, keyword: str) -> None:
    if keyword in {"FROM", "ON"}:
        scope.clause, scope.left = keyword, None
    elif keyword in ENDS_CLAUSE:
        scope.clause = keyword


def _resolve(qualifier: str, scopes: list[_Scope]) -> str | None:
    return next((scope.tables[qualifier] for scope in reversed(scopes) if qualifier in scope.tables), None)


def _require(word: str, allowed: Iterable[str], unfinished: bool) -> None:
    fits: Callable[[str], bool] = (lambda name: name.startswith(word)) if unfinished else (lambda name: name == word)
    if not any(fits(name) for name in allowed):
        raise _Refused


def constraints_for(names: Iterable[str], databases: dict[str, Path]) -> list[SchemaConstraint]:
    """A constraint for each database name, those of the same database shared."""
    known: dict[str, SchemaConstraint] = {}
    found = []
    for name in names:
        if name not in known:
            known[name] = SchemaConstraint(read_schema(databases[name]))
        found.append(known[name])
    return found
