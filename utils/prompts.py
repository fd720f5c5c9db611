"""From a question and a database to the messages that the model reads.

The schema stands in the system message, so that all questions about a database start with the same tokens:
training and generation compute that shared start once (see `utils.training` and `utils.generation`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from utils.data import Question
from utils.difficulty import LEVELS
from utils.linking import linked_names, linked_values
from utils.schema import Schema, read_schema, schema_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # the label of a token that is read and not trained
INSTRUCTION = "Write one SQLite query that answers the question."

Message = dict[str, str]


def system_message(schema: Schema) -> Message:
    """The instruction and the schema."""
    return {"role": "system", "content": f"{INSTRUCTION}\n{schema_text(schema)}"}


def user_message(question: str, schema: Schema) -> Message:
    """The question, the values of the database that it mentions, and the names that its words are spelled like."""
    values = linked_values(schema, question)
    shown = {value.split(" = ")[0] for value in values}
    names = [name for name in linked_names(schema, question) if name not in shown]
    return {"role": "user", "content": "\n".join([question, *values, *([", ".join(names)] if names else [])])}


def prompt(question: str, database: Path | Schema) -> list[Message]:
    """The zero-shot prompt, the one that training uses too, for a SQLite file or a schema."""
    schema = database if isinstance(database, Schema) else read_schema(database)
    return [system_message(schema), user_message(question, schema)]


def few_shot_prompt(question: str, database: Path, examples: list[tuple[str, str, Path]]) -> list[Message]:
    """A prompt that first shows solved `examples`: (question, SQL, database), each with its own schema."""
    turns: list[Message] = [{"role": "system", "content": INSTRUCTION}]
    for shown_question, sql, shown_database in examples:
        turns += [_with_schema(shown_question, shown_database), {"role": "assistant", "content": sql}]
    return [*turns, _with_schema(question, database)]


def choose_examples(questions: list[Question], databases: dict[str, Path], count: int) -> list[tuple[str, str, Path]]:
    """Solved training examples for a few-shot prompt: short, of different databases, the easy levels first."""
    chosen: dict[str, Question] = {}
    pool = [question for question in questions if question.split == "train" and question.origin == "written"]
    for question in sorted(pool, key=lambda q: (LEVELS.index(q.difficulty) % 2, len(q.sql), q.id)):
        if len(chosen) < count and question.difficulty not in [other.difficulty for other in chosen.values()][-1:]:
            chosen.setdefault(question.database, question)
    return [(question.question, question.sql, databases[name]) for name, question in chosen.items()]


def training_row(question: str, sql: str, database: Path | Schema) -> dict[str, list[Message]]:
    """A conversational prompt/completion row, TRL's format in which the prompt is masked by itself."""
    return {"prompt": prompt(question, database), "completion": [{"role": "assistant", "content": sql}]}


def _with_schema(question: str, database: Path) -> Message:
    schema = read_schema(database)
    message = user_message(question, schema)
    return message | {"content": f"{schema_text(schema)}\n{message['content']}"}


def tokenize_row(tokenizer: PreTrainedTokenizerBase, row: dict[str, list[Message]]) -> tuple[list[int], list[int]]:
    """Token ids and labels of a training row, as TRL makes them: labels are -100 where a token is only read."""
    read = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)["input_ids"]
    ids = tokenizer.apply_chat_template(row["prompt"] + row["completion"], return_dict=True)["input_ids"]
    return ids, [IGNORED] * len(read) + ids[len(read) :]


def token_lengths(tokenizer: PreTrainedTokenizerBase, row: dict[str, list[Message]]) -> tuple[int, int]:
    """Tokens of the prompt and of the completion of a training row."""
    _, labels = tokenize_row(tokenizer, row)
    trained = sum(label != IGNORED for label in labels)
    return len(labels) - trained, trained
