"""A model that is asked by a person: the prompt it was trained on, its answer, and what a query in it gives."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from utils.errors import CourseError
from utils.formats import PromptRecipe
from utils.stages import MANIFEST, read_manifest, shown
from utils.terminal import text_table

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from utils.constraints import SchemaConstraint
    from utils.prompts import Message
    from utils.sql import Result

USUAL_TOKENS = 256
SHOWN_ROWS = 20


@dataclass
class Assistant:
    """A model with its tokenizer and the recipe of its prompts; `database` is what the questions are about."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    recipe: PromptRecipe
    database: Path | None
    max_new_tokens: int
    batch_size: int
    constrained: bool = False

    @classmethod
    def load(
        cls, name: str, *, database: str | None = None, max_new_tokens: int | None = None, batch_size: int = 70
    ) -> Assistant:
        """A model: a folder that `utils.finetune` wrote, or its run's folder, an embedded model or one of the Hub.

        Raises:
            CourseError: there is no such model or database, or the model needs a database and none is given.
        """
        from utils.hardware import choose_here
        from utils.models import load_model, load_tokenizer
        from utils.preparation import RECIPE, read_recipe

        folder = Path(name).expanduser()
        folder = folder / "model" if (folder / "model" / "config.json").is_file() else folder
        path = None if database is None else _checked(Path(database).expanduser())
        recipe = read_recipe(folder) if (folder / RECIPE).is_file() else PromptRecipe("messages")
        if recipe.uses_database and path is None:
            raise CourseError("This model was trained on questions about a database: pass it with --database.")
        learned = read_manifest(folder)["parameters"] if (folder / MANIFEST).is_file() else {}
        hardware = choose_here()
        name = str(folder) if folder.is_dir() else name
        return cls(
            name,
            load_model(name, dtype=hardware.torch_dtype, device=hardware.device, attention=hardware.attention),
            load_tokenizer(name),
            replace(recipe, uses_database=path is not None),
            path,
            max_new_tokens or learned.get("max_new_tokens") or USUAL_TOKENS,
            batch_size,
            bool(learned.get("constrained")),
        )

    @cached_property
    def constraint(self) -> SchemaConstraint | None:
        """Keeps the model to the names of the database, if it was tuned and tested so."""
        if self.database is None or not self.constrained:
            return None
        from utils.constraints import SchemaConstraint
        from utils.schema import read_schema

        return SchemaConstraint(read_schema(self.database))

    def answer(
        self, prompts: Sequence[list[Message]], on_progress: Callable[[int, int], None] | None = None
    ) -> list[str]:
        """One greedy answer for each prompt."""
        from utils.generation import generate_answers

        return generate_answers(
            self.model,
            self.tokenizer,
            prompts,
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            constraints=[self.constraint] * len(prompts) if self.constraint else None,
            on_progress=on_progress,
        )

    def ask(self, question: str, earlier: Sequence[Message] = ()) -> str:
        """The answer to a question, after `earlier` turns. A model of plain text continues the text instead."""
        if self.recipe.kind == "text":
            return self._continue(question)
        return self.answer([self.recipe.ask(question, self.database, earlier)])[0]

    def query_result(self, answer: str) -> Result:
        """What the query in an answer gives, run in the sandbox."""
        from utils.sql import execute, extract_query

        return execute(self.database, extract_query(answer))

    def _continue(self, text: str) -> str:
        inputs = self.tokenizer(text, return_tensors="pt").to(self.model.device)
        output = self.model.generate(
            **inputs, max_new_tokens=self.max_new_tokens, do_sample=False, pad_token_id=self.tokenizer.pad_token_id
        )
        return self.tokenizer.decode(output[0, inputs.input_ids.shape[1] :], skip_special_tokens=True)


def ask_once(assistant: Assistant, question: str, *, run: bool = False) -> None:
    """Print the answer, and the rows of its query: with `run`, or if the person at the terminal wants them."""
    answer = assistant.ask(question)
    print(answer)
    if assistant.database is not None and (run or _wants_rows()):
        print(result_text(assistant.query_result(answer)))


def converse(assistant: Assistant, *, run: bool = False) -> None:
    """Ask question after question, until an empty line or the end of the input; /new forgets what was said before.

    Models that were trained on single questions are asked single questions: they would not know what to do with more.
    """
    print("Ask something. An empty line ends, /new begins a new conversation.")
    remembers = assistant.recipe.kind == "messages" and assistant.database is None
    earlier: list[Message] = []
    while question := _read("> "):
        if question == "/new":
            earlier = []
            continue
        answer = assistant.ask(question, earlier)
        print(answer)
        if remembers:
            earlier += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        if assistant.database is not None and (run or _wants_rows()):
            print(result_text(assistant.query_result(answer)))


def result_text(result: Result) -> str:
    """Rows as a table, at most 20 of them, or why there are none."""
    if not result.ok:
        return f"No rows. {result.error}"
    rows = [tuple("NULL" if value is None else str(value) for value in row) for row in result.rows[:SHOWN_ROWS]]
    more = len(result.rows) - len(rows)
    lines = [text_table([tuple(result.columns), *rows])]
    lines += [f"… and {more} more rows"] if more else []
    return "\n".join(lines)


def _checked(database: Path) -> Path:
    from utils.schema import read_schema

    if not database.is_file():
        raise CourseError(f"There is no database at {shown(database)}.")
    try:
        read_schema(database)
    except sqlite3.Error as error:
        raise CourseError(f"{shown(database)} is no SQLite database: {error}.") from None
    return database


def _wants_rows() -> bool:
    return sys.stdin.isatty() and _read("Run this query? [y/N] ").lower() in {"y", "yes"}


def _read(prompt: str) -> str:
    """A line from the person; empty at the end of the input."""
    try:
        return input(prompt).strip()
    except EOFError:
        return ""
