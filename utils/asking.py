"""From a question to rows: what the page "Ask your database" does, without the page.

A question is checked and put to the model with as much of the schema as it can read; the query that it writes is run
in the sandbox of `utils.sql`. A model writes one answer at a time, and stops when that takes too long or nobody waits.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from utils.constraints import SchemaConstraint
from utils.data import SPECIAL_TOKENS
from utils.databases import Database
from utils.errors import CourseError
from utils.linking import UNSPECIFIC, likeness, linked_values
from utils.prompts import user_message
from utils.schema import Schema, Table, plain, read_schema, schema_text
from utils.sql import Result, execute, extract_query
from utils.stages import MANIFEST, read_manifest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from utils.chat import Assistant
    from utils.prompts import Message

MAX_QUESTION = 1_000  # characters
MAX_QUERY = 20_000
MAX_PROMPT_TOKENS = 2_000  # more takes a processor too long to read
MAX_ANSWER_TOKENS = 192  # the longest query of the course's data has 183
MAX_SECONDS = 60.0
NAMED_TABLES = 8
PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Refused(CourseError):
    """A question that is not asked; the message says why."""


class Stopped(CourseError):
    """An answer that was not finished: nobody waits for it any more, or it took too long."""


@dataclass(frozen=True)
class Answer:
    """What a model wrote, the query in it (empty if there is none), what running it gave, and how long writing took.

    `notice` tells what the model was not shown.
    """

    text: str
    query: str
    result: Result
    seconds: float
    notice: str = ""


class Asker:
    """A model that answers questions about any database. It is loaded by `load`, or when the first question comes."""

    def __init__(self, name: str, load: Callable[[], Assistant], *, max_seconds: float = MAX_SECONDS) -> None:
        self.name = name
        self.max_seconds = max_seconds
        self._load = load
        self._loading, self._answering = threading.Lock(), threading.Lock()
        self._assistant: Assistant | None = None

    @classmethod
    def of(cls, model: str, database: Path, *, constrained: bool | None = None) -> Asker:
        """The model of a folder, an embedded one, or one of the Hub.

        Args:
            model: what `Assistant.load` takes.
            database: any of those that will be asked; a model that was trained on databases is not loaded without one.
            constrained: whether it may write only names that the database has; if None, as `is_constrained` says.
        """

        def load() -> Assistant:
            from utils.chat import Assistant

            bound = is_constrained(model) if constrained is None else constrained
            assistant = Assistant.load(model, database=str(database))
            tokens = min(assistant.max_new_tokens, MAX_ANSWER_TOKENS)
            return replace(assistant, constrained=bound, max_new_tokens=tokens)

        return cls("/".join(Path(model).parts[-3:]).lstrip("/"), load)

    @property
    def is_loaded(self) -> bool:
        return self._assistant is not None

    def load(self) -> Assistant:
        """The model; loaded now unless it was before. Raises CourseError if that fails."""
        with self._loading:
            if self._assistant is None:
                self._assistant = self._load()
            return self._assistant

    def ask(self, question: str, database: Database, stop: threading.Event | None = None) -> Answer:
        """The answer to a question, once those before it are written.

        Raises:
            Refused: the question is empty, too long, or holds what a model takes for the end of it.
            Stopped: `stop` was set, or writing took longer than `max_seconds`.
        """
        question = checked_question(question)
        self.load()  # takes seconds that are not the answer's
        with self._answering:
            began = time.monotonic()
            text, notice = self.write(question, database, stop or threading.Event())
            seconds = time.monotonic() - began
        query = found_query(text)
        result = run_query(query, database) if query else Result(error="The model wrote no query.")
        return Answer(text, query, result, seconds, notice)

    def write(self, question: str, database: Database, stop: threading.Event) -> tuple[str, str]:
        """What the model writes, and a sentence on what it was not shown, empty if it was shown all."""
        from utils.generation import generate_answers

        assistant = self.load()
        messages, notice = fitted_prompt(assistant, question, database.path)
        with stopping(assistant.model, stop, self.max_seconds):
            (text,) = generate_answers(
                assistant.model,
                assistant.tokenizer,
                [messages],
                max_new_tokens=assistant.max_new_tokens,
                constraints=decoding_rules(assistant, database.path),
            )
        return text, notice


class OneQuery:
    """Decoding that ends with the first query, within the rules of `constraint` if there is one.

    What follows a semicolon is not run, and an untuned model may write a lot of it.
    """

    def __init__(self, constraint: SchemaConstraint | None) -> None:
        self.constraint = constraint

    def can_continue(self, text: str) -> bool:
        """True if the text does not go on after a query, and can still become one."""
        return not text_after_query(text) and (self.constraint is None or self.constraint.can_continue(text))

    def can_end(self, text: str) -> bool:
        """True if the text may end here."""
        return text_after_query(text) == "" or self.constraint is None or self.constraint.can_end(text)


def checked_question(question: str) -> str:
    """The question without white space around it. Raises Refused if it cannot be asked."""
    question = question.strip()
    if not question:
        raise Refused("Write a question first.")
    if len(question) > MAX_QUESTION:
        raise Refused(
            f"The question has {len(question):,} characters, and at most {MAX_QUESTION:,} are taken: shorten it."
        )
    token = next((token for token in SPECIAL_TOKENS if token in question), None)
    if token:
        raise Refused(f"The question contains {token}, which a model reads as the end of a turn: leave it out.")
    return question


def found_query(text: str) -> str:
    """The SQL in an answer, empty if there is none."""
    query = extract_query(text)
    return query if re.match(r"(SELECT|WITH)\b", query, re.IGNORECASE) else ""


def text_after_query(text: str) -> str | None:
    """What stands after the query and its semicolon; None if there is no semicolon yet."""
    query = found_query(text)
    rest = text.partition(query)[2].lstrip() if query else ""
    return rest[1:] if rest.startswith(";") else None


def run_query(query: str, database: Database) -> Result:
    """What a query gives, run in the sandbox. Whatever is wrong with it is told by the result."""
    query = query.strip()
    if not query:
        return Result(error="There is no query to run.")
    if len(query) > MAX_QUERY:
        return Result(error=f"The query has {len(query):,} characters, and at most {MAX_QUERY:,} are run.")
    try:
        return execute(database.path, query)
    except FileNotFoundError:
        return Result(error=f"{database.name} is not here any more: upload it again.")


def advice(error: str, database: Database) -> str:
    """What to try after a query failed with this error; empty if the error says it all."""
    known = (sentence for pattern, sentence in ADVICE if re.search(pattern, error, re.IGNORECASE))
    sentence = next(known, "Change the query and run it again, or put the question in other words.")
    named = re.search(r': "?([^\s"]+?)[".]?(?:\s|$)', error)
    name = named[1].split(".")[-1] if named else ""
    close = _close_names(name, database) if "no such" in error.lower() else []
    return sentence.format(name=name) + (f" Did you mean {' or '.join(close)}?" if close else "")


# What SQLite or the sandbox says, and what a person can do about it.
ADVICE = (
    ("wrote no query", "It may do better if you put the question in other words."),
    ("no such column", "No table in the query has a column of that name. The columns are listed under Schema."),
    ("no such table", "The tables that exist are listed under Schema."),
    ("no such function", "SQLite has no function of that name. Say it with another, or leave it out."),
    ("ambiguous column name", "More than one table has a column {name}: write its table before it, with a dot."),
    ("incomplete input", "The query ends too early: a bracket is open or a part is missing. Complete it."),
    ("unrecognized token", "A quotation mark is not closed, or a character does not belong here. Correct the query."),
    ("syntax error", "SQLite cannot read the query from there on. Correct it, or put the question in other words."),
    ("misuse of aggregate", "COUNT, SUM, AVG, MIN and MAX cannot stand in WHERE: put the condition into HAVING."),
    ("one statement at a time", "Leave only one query, without a semicolon between."),
    ("only reading is allowed", "This page only reads, so nothing can be changed. Write a SELECT."),
    ("took longer than|too much memory|too big", "Ask for less: add a condition, or join the tables on their keys."),
    ("malformed|not a database|disk i/o", "The file is damaged: repair it with `sqlite3 FILE .recover`."),
    ("not here any more|characters, and at most|no query to run", ""),
)


def model_folder(name: str) -> Path:
    """The path that a model's name may be; a run's folder stands for the model in it."""
    folder = Path(name).expanduser()
    return folder / "model" if (folder / "model" / "config.json").is_file() else folder


def is_constrained(model: str) -> bool:
    """Whether a model writes only names that the database has: as its training decided, else yes, as in notebook 05."""
    folder = model_folder(model)
    learned = read_manifest(folder)["parameters"] if (folder / MANIFEST).is_file() else {}
    return bool(learned.get("constrained", True))


def decoding_rules(assistant: Assistant, database: Path) -> list[SchemaConstraint] | None:
    """What a model may write about a database; None if its attention has a window, for which there are no rules."""
    from utils.attention import has_full_attention

    if not has_full_attention(assistant.model):
        return None
    schema = read_schema(database)
    is_bound = assistant.constrained and has_plain_names(schema)
    return [OneQuery(SchemaConstraint(schema) if is_bound else None)]  # type: ignore[list-item]


def has_plain_names(schema: Schema) -> bool:
    """False if a name needs quotation marks, which `utils.constraints` does not know."""
    names = [table.name for table in schema.tables]
    names += [column.name for table in schema.tables for column in table.columns]
    return all(PLAIN_NAME.fullmatch(name) for name in names)


@contextlib.contextmanager
def stopping(model: PreTrainedModel, stop: threading.Event, seconds: float) -> Iterator[None]:
    """Let the model be stopped between two tokens. Raises Stopped when `stop` is set, or after so many seconds."""
    end = time.monotonic() + seconds

    def check(*_: object) -> None:
        if stop.is_set():
            raise Stopped("Stopped.")
        if time.monotonic() > end:
            raise Stopped(f"Stopped: the answer took longer than {seconds:g} s. Ask again, or ask for less.")

    hook = model.register_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()


def fitted_prompt(assistant: Assistant, question: str, database: Path) -> tuple[list[Message], str]:
    """The prompt, with the tables that the question seems to mean if all are too many, and a sentence that says so.

    Raises:
        Refused: not even one table fits.
    """
    from utils.generation import render

    schema = read_schema(database)
    whole = assistant.recipe.ask(question, database)
    context = getattr(assistant.model.config, "max_position_embeddings", None) or MAX_PROMPT_TOKENS
    limit = min(MAX_PROMPT_TOKENS, context - assistant.max_new_tokens)

    def prompt(part: Schema) -> list[Message]:
        system = whole[0]["content"].replace(schema_text(schema), schema_text(part))
        return [{"role": "system", "content": system}, user_message(question, part)]

    def fits(messages: list[Message]) -> bool:
        return len(render(assistant.tokenizer, messages)) <= limit

    if not assistant.recipe.uses_database or fits(whole):
        return whole, ""
    part = fitting_part(schema, question, lambda part: fits(prompt(part)))
    if part is None:
        raise Refused("The question and a single table are more than this model can read: shorten the question.")
    return prompt(part), _left_out(schema, part)


def fitting_part(schema: Schema, question: str, fits: Callable[[Schema], bool]) -> Schema | None:
    """As many tables as fit, those that the question seems to mean first; of one that is too wide, as many columns.

    `fits` must hold for a part of whatever it holds for. None if nothing fits.
    """
    ranked = ranked_tables(schema, question)
    count = _largest(len(ranked), lambda count: fits(_part(schema, ranked[:count])))
    if count:
        return _part(schema, ranked[:count])
    table = ranked[0]
    words = _words(question)
    columns = sorted(table.columns, key=lambda column: -likeness(words, column.name))

    def narrowed(count: int) -> Schema:
        kept = set(columns[:count])
        return _part(schema, [replace(table, columns=tuple(c for c in table.columns if c in kept))])

    count = _largest(len(columns), lambda count: fits(narrowed(count)))
    return narrowed(count) if count else None


def ranked_tables(schema: Schema, question: str) -> list[Table]:
    """The tables, those that the question mentions first: by their name, their columns or values in them.

    A table that a foreign key connects with a mentioned one comes before the rest: it may be needed to join them.
    """
    words = _words(question)
    mentioned = {value.split(".")[0] for value in linked_values(schema, question, limit=len(schema.tables))}
    scores = {
        table.name: 2 * likeness(words, table.name)
        + max((likeness(words, column.name) for column in table.columns), default=0.0)
        + (table.name in mentioned)
        for table in schema.tables
    }
    near = dict.fromkeys(scores, 0.0)
    for table in schema.tables:
        for column in table.columns:
            parent = (column.references or "").split(".")[0]
            if parent in scores and parent != table.name:
                near[table.name] = max(near[table.name], 0.3 * scores[parent])
                near[parent] = max(near[parent], 0.3 * scores[table.name])
    return sorted(schema.tables, key=lambda table: -max(scores[table.name], near[table.name]))


def _part(schema: Schema, tables: Sequence[Table]) -> Schema:
    """Some tables of a schema, in its order, with the values that stand in them."""
    by_name = {table.name: table for table in tables}
    columns = {(table.name, column.name) for table in tables for column in table.columns}
    values = {}
    for text, places in schema.values.items():
        kept = tuple(place for place in places if place[:2] in columns)
        if kept:
            values[text] = kept
    return Schema(tuple(by_name[table.name] for table in schema.tables if table.name in by_name), values)


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """The largest number from 1 to `most` for which `holds` is true, if it holds for all smaller ones; 0 for none."""
    return bisect_right(range(1, most + 1), False, key=lambda number: not holds(number))


def _left_out(schema: Schema, part: Schema) -> str:
    names = [table.name for table in part.tables]
    if len(part.tables) == 1 and len(schema.tables) == 1:
        shown, all_of_it = len(part.tables[0].columns), len(schema.tables[0].columns)
        return f"The table has more columns than the model can read at once: it was shown {shown} of {all_of_it}."
    named = ", ".join(names[:NAMED_TABLES]) + (" …" if len(names) > NAMED_TABLES else "")
    return (
        f"The database has more tables than the model can read at once: it was shown {len(names)} of "
        f"{len(schema.tables)}, those that your question seems to mean ({named})."
    )


def _words(question: str) -> list[str]:
    return [word for word in plain(question).split() if word not in UNSPECIFIC]


def _close_names(name: str, database: Database) -> list[str]:
    try:
        tables = read_schema(database.path).tables
    except Exception:  # the file went away or is damaged: advice is not worth an error
        return []
    columns = {column.name for table in tables for column in table.columns}
    return get_close_matches(name, sorted({table.name for table in tables} | columns), n=2, cutoff=0.6)
