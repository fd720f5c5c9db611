"""Rows to examples: which columns hold the prompt and the answer, and how they become messages.

Recognised by their names are conversations (`messages`), pairs (`prompt` and `completion`, `instruction` and `output`
with `input` between, `question` and `answer`, `text` and `label` …) and plain `text`. `DataSettings` tells other names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cells import Unusable, cell_text, is_missing
from utils.conversations import answers_of, read_messages, with_system_prompt
from utils.data import Reject
from utils.data_settings import DataSettings, listed
from utils.errors import CourseError
from utils.records import Row, reject

if TYPE_CHECKING:
    from utils.prompts import Message

# The first name that a file has is taken.
NAMES = {
    "messages": "messages conversations conversation chat dialogue dialog",
    "prompt": "prompt instruction question input user request source text sentence query document article dialogue",
    "completion": "completion output answer response assistant reply target label category class sql sql_query query "
    "summary translation",
    "input": "input context passage",
    "text": "text content document",
    "system": "system system_prompt",
    "tools": "tools functions",
}
EXPECTED = (
    "Known are messages; prompt and completion; instruction, input and output; question and answer; text and label; "
    "and text alone."
)


@dataclass(frozen=True)
class Format:
    """The columns that are used, by what they hold. `reason` says how they were recognised."""

    messages: str | None = None
    prompt: str | None = None
    input: str | None = None
    completion: str | None = None
    text: str | None = None
    system: str | None = None
    tools: str | None = None
    group: str | None = None
    reason: str = ""

    @property
    def kind(self) -> str:
        """ "messages", "text", or the names of the two columns as in "instruction/output"."""
        if self.messages:
            return "messages"
        return "text" if self.text else f"{self.prompt}/{self.completion}"


@dataclass(frozen=True)
class Example:
    """A prompt and the answer to learn. `question` is the last thing the user said, without what was added to it.

    Plain text (`is_text`) has no prompt; the text is the completion. Examples of a `group` stay on one side of a split.
    """

    id: str
    file: str
    line: int
    group: str
    prompt: list[Message]
    completion: str
    question: str
    is_text: bool = False

    @property
    def row(self) -> dict[str, object]:
        """What TRL trains on: prompt and completion as messages, or the text."""
        if self.is_text:
            return {"text": self.completion}
        return {"prompt": self.prompt, "completion": [{"role": "assistant", "content": self.completion}]}

    @property
    def asked(self) -> str:
        """What was said before the answer, without the system message; of plain text, the text."""
        if self.is_text:
            return self.completion
        said = [message["content"] for message in self.prompt if message["role"] != "system"]
        return self.question if len(said) == 1 else "\n".join(said)

    @property
    def place(self) -> str:
        """Where it stands, such as "my.csv, line 12"."""
        return f"{self.file}, line {self.line}"


Conversation = tuple[Row, "list[Message]"]


@dataclass(frozen=True)
class PromptRecipe:
    """How a question becomes the prompt that a model was trained on."""

    kind: str
    system_prompt: str | None = None
    uses_database: bool = False

    def ask(self, question: str, database: Path | None = None, earlier: Sequence[Message] = ()) -> list[Message]:
        """The prompt for a question, after the `earlier` messages of the conversation.

        Raises:
            CourseError: the prompts contain a schema, and no database is given.
        """
        if not self.uses_database:
            return with_system_prompt([*earlier, {"role": "user", "content": question}], self.system_prompt)
        if database is None:
            raise CourseError("This model was trained on questions about a database: pass the SQLite file as well.")
        from utils.prompts import INSTRUCTION, user_message
        from utils.schema import read_schema, schema_text

        schema = read_schema(database)
        system = f"{self.system_prompt or INSTRUCTION}\n{schema_text(schema)}"
        return [{"role": "system", "content": system}, *earlier, user_message(question, schema)]

    def as_dict(self) -> dict[str, object]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> PromptRecipe:
        """The recipe that `as_dict` gave."""
        return cls(**values)  # type: ignore[arg-type]


def detect_format(name: str, columns: Sequence[str], rows: Sequence[Row], settings: DataSettings) -> Format:
    """Which columns of the data `name` hold what, from the settings and else from their names.

    Raises:
        CourseError: a column of the settings does not exist, or prompt and answer cannot be told.
    """
    given = settings.columns
    _check_columns(name, columns, given)
    how = "as the settings say" if given.keys() - {"group", "system", "tools"} else "recognised by their names"
    group = given.get("group")
    side = {part: given.get(part) or _known(part, columns) for part in ("system", "tools")} | {"group": group}
    also = "".join(f", with {side[part]!r}" for part in ("system", "tools") if side[part])
    pair_is_given = bool({"prompt", "completion"} & given.keys())
    if "text" in given:
        return Format(text=given["text"], group=group, reason=f"plain text in {given['text']!r}, {how}")
    messages = given.get("messages") or (None if pair_is_given else _messages_column(columns, rows))
    if messages:
        return Format(messages=messages, **side, reason=f"conversations in {messages!r}{also}, {how}")
    pair = _detect_pair(given, [column for column in columns if column not in side.values()])
    if pair:
        names = " and ".join(repr(column) for column in pair.values())
        return Format(**pair, **side, reason=f"the columns {names}{also}, {how}")
    text = None if pair_is_given else _known("text", columns)
    if text:
        return Format(text=text, group=group, reason=f"plain text in {text!r}, {how}")
    raise CourseError(_not_recognised(name, columns))


def make_recipe(form: Format, rows: Sequence[Row], settings: DataSettings) -> PromptRecipe:
    """How prompts are built.

    An instruction that all rows share, above an input of their own, becomes the system prompt. With a database the
    prompts get its schema, unless they bring one.
    """
    system = settings.system_prompt
    if system is None and form.input and form.prompt and not form.system:
        instructions = {row.values.get(form.prompt) for row in rows if isinstance(row.values.get(form.prompt), str)}
        if len(instructions) == 1 and not any(is_missing(row.values.get(form.input)) for row in rows):
            system = instructions.pop().strip() or None
    is_question = form.prompt is not None and not any(isinstance(row.values.get(form.prompt), list) for row in rows)
    needs_schema = settings.database is not None and is_question and not _bring_schema(rows, form)
    return PromptRecipe(form.kind, system, needs_schema)


def usual_system_prompt(examples: Sequence[Example]) -> str | None:
    """The system message that most examples begin with, None if there is none."""
    first = [example.prompt[0] for example in examples if example.prompt]
    counts = Counter(message["content"] for message in first if message["role"] == "system")
    text, count = counts.most_common(1)[0] if counts else ("", 0)
    return text if count > len(examples) / 2 else None


def read_conversations(
    rows: Sequence[Row], form: Format, recipe: PromptRecipe
) -> tuple[list[Conversation], list[Reject]]:
    """Each row with its messages, and the rows that cannot be used."""
    found: list[Conversation] = []
    rejects = []
    for row in rows:
        try:
            found.append((row, _messages(row, form, recipe)))
        except Unusable as error:
            rejects.append(_reject(row, str(error)))
        except RecursionError:
            rejects.append(_reject(row, "The row is nested too deeply."))
    return found, rejects


def make_examples(
    conversations: Sequence[Conversation],
    form: Format,
    recipe: PromptRecipe,
    *,
    every: bool = True,
    database: Path | None = None,
) -> list[Example]:
    """An example for every answer of the conversations, or for the last one of each, in their order.

    With a recipe that uses a `database`, the prompts get its schema.
    """
    examples: list[Example] = []
    rows_on_line: Counter[tuple[str, int]] = Counter()
    for row, messages in conversations:
        rows_on_line[row.file, row.line] += 1
        number = rows_on_line[row.file, row.line]  # a JSON file may have all its rows on one line
        name = f"{row.file}:{row.line}" + (f"-{number}" if number > 1 else "")
        for example in _examples(name, row, messages, form, every):
            prompt = recipe.ask(example.question, database) if recipe.uses_database else example.prompt
            examples.append(replace(example, prompt=prompt))
    return examples


def _detect_pair(given: dict[str, str], columns: Sequence[str]) -> dict[str, str] | None:
    """The columns of prompt, input and completion, or None if prompt or completion cannot be told."""
    others = [column for column in columns if column not in given.values()]
    completion = given.get("completion")
    prompt = given.get("prompt") or _known("prompt", others)
    completion = completion or _known("completion", [column for column in others if column != prompt])
    rest = [column for column in others if column not in (prompt, completion)]
    if len(columns) == 2 and len(rest) == 1 and bool(prompt) != bool(completion) and given:
        prompt, completion = prompt or rest[0], completion or rest[0]
    if not prompt or not completion:
        return None
    below = given.get("input") or (_known("input", rest) if "prompt" not in given else None)
    return {"prompt": prompt} | ({"input": below} if below else {}) | {"completion": completion}


def _check_columns(name: str, columns: Sequence[str], given: dict[str, str]) -> None:
    for part, column in given.items():
        if column not in columns:
            near = get_close_matches(column, columns, n=1, cutoff=0.5)
            raise CourseError(
                f"{name} has no column {column!r} ({part}_column). Its columns are {listed(columns)}."
                + (f" Did you mean {near[0]!r}?" if near else "")
            )


def _messages_column(columns: Sequence[str], rows: Sequence[Row]) -> str | None:
    """The column that is named like conversations and holds lists or JSON text."""
    column = _known("messages", columns)
    values = (row.values.get(column) for row in rows)
    first = next((value for value in values if not is_missing(value)), None)
    return column if isinstance(first, list) or (isinstance(first, str) and first.lstrip()[:1] == "[") else None


def _bring_schema(rows: Sequence[Row], form: Format) -> bool:
    """True if the prompts contain CREATE TABLE statements already."""
    columns = [column for column in (form.prompt, form.input, form.system) if column]
    return all("create table" in " ".join(str(row.values.get(c)) for c in columns).casefold() for row in rows[:20])


def _messages(row: Row, form: Format, recipe: PromptRecipe) -> list[Message]:
    """The conversation of a row, ending with an answer; of plain text, one message of the assistant."""
    values = row.values
    if form.text:
        return [{"role": "assistant", "content": cell_text(values.get(form.text), form.text)}]
    tools = values.get(form.tools) if form.tools else None
    system = recipe.system_prompt
    if form.system and not is_missing(values.get(form.system)):
        system = cell_text(values[form.system], form.system)
    if form.messages:
        return read_messages(values.get(form.messages), form.messages, tools, system)
    prompt, completion = values.get(form.prompt), values.get(form.completion)
    if isinstance(prompt, list):
        answer = completion if isinstance(completion, list) else [{"role": "assistant", "content": completion}]
        return read_messages(prompt + answer, form.prompt, tools, system)
    question = _question(row, form, recipe)
    answer = {"role": "assistant", "content": cell_text(completion, form.completion)}
    return with_system_prompt([{"role": "user", "content": question}, answer], system, tools)


def _question(row: Row, form: Format, recipe: PromptRecipe) -> str:
    prompt = cell_text(row.values.get(form.prompt), form.prompt)
    below = row.values.get(form.input) if form.input else None
    if is_missing(below):
        return prompt
    text = cell_text(below, form.input)
    return text if prompt == recipe.system_prompt else f"{prompt}\n\n{text}"


def _examples(identifier: str, row: Row, messages: list[Message], form: Format, every: bool) -> list[Example]:
    if form.text:
        text = messages[0]["content"]
        return [Example(identifier, row.file, row.line, _group(row, form, text), [], text, "", is_text=True)]
    positions = answers_of(messages, every=every)
    examples = []
    for number, position in enumerate(positions, start=1):
        prompt, answer = messages[:position], messages[position]["content"]
        # Rows that ask the same belong on one side of the split, and so do the answers of one conversation.
        group = _group(row, form, identifier if len(positions) > 1 else _said(prompt))
        name = f"{identifier}.{number}" if len(positions) > 1 else identifier
        examples.append(Example(name, row.file, row.line, group, prompt, answer, prompt[-1]["content"]))
    return examples


def _group(row: Row, form: Format, otherwise: str) -> str:
    value = row.values.get(form.group) if form.group else None
    return otherwise if is_missing(value) else f"{form.group} = {value}"


def _said(messages: Sequence[Message]) -> str:
    return "\n".join(message["content"] for message in messages).casefold()


def _reject(row: Row, reason: str) -> Reject:
    try:
        text = json.dumps(row.values, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        text = "(nested too deeply to be written)"
    return reject(row.file, row.line, reason, text)


def _known(part: str, columns: Sequence[str]) -> str | None:
    """The column whose name is the first of the known names of a part."""
    by_name = {_plain_name(column): column for column in reversed(columns)}
    return next((by_name[name] for name in NAMES[part].split() if name in by_name), None)


def _plain_name(column: str) -> str:
    return column.strip().casefold().replace(" ", "_").replace("-", "_")


def _not_recognised(name: str, columns: Sequence[str]) -> str:
    message = f"{name}: the columns do not tell which is the prompt and which the answer. They are {listed(columns)}. "
    message += EXPECTED
    for part in ("prompt", "completion", "messages"):
        for known in NAMES[part].split():
            near = get_close_matches(known, [_plain_name(column) for column in columns], n=1, cutoff=0.8)
            if near and near[0] != known:
                column = next(column for column in columns if _plain_name(column) == near[0])
                message += f" Did you mean {known} by {column!r}?"
                break
    first, last = columns[0], columns[-1]
    return message + f" Name them: prompt_column = {first!r}, completion_column = {last!r}, or whichever they are."
