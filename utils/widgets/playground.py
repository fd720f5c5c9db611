"""Ask a model something and watch the answer come, token by token; for a database, run the query and see the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from utils.errors import CourseError
from utils.widgets.markup import bold, code, framed, joined, paragraph, table
from utils.widgets.view import View

if TYPE_CHECKING:
    from ipywidgets import Box

    from utils.chat import Assistant
    from utils.constraints import SchemaConstraint
    from utils.sql import Result

SHOWN_ROWS = 8
CURSOR = "▌"


@dataclass(frozen=True)
class Watched:
    """A decoding constraint that allows what `rule` allows, or anything, and tells each text that is written."""

    rule: SchemaConstraint | None
    tell: Callable[[str], None]

    def can_continue(self, written: str) -> bool:
        allowed = self.rule is None or self.rule.can_continue(written)
        if allowed:  # decoding takes the first token that is allowed
            self.tell(written)
        return allowed

    def can_end(self, written: str) -> bool:
        return self.rule is None or self.rule.can_end(written)


def stream_answer(assistant: Assistant, question: str, tell: Callable[[str], None]) -> str:
    """The assistant's answer. `tell` gets the text so far after each token, where the model's attention allows it.

    Raises:
        CourseError: the model needs a database, and has none.
    """
    from utils.attention import has_full_attention
    from utils.generation import generate_answers

    if assistant.recipe.kind == "text" or not has_full_attention(assistant.model):
        return assistant.ask(question)
    return generate_answers(
        assistant.model,
        assistant.tokenizer,
        [assistant.recipe.ask(question, assistant.database)],
        max_new_tokens=assistant.max_new_tokens,
        constraints=[Watched(assistant.constraint, tell)],  # type: ignore[list-item]
    )[0]


class Playground(View):
    """A question, a button, and the answer while it is written. What is seen first is a real answer to `question`.

    `databases` are those to choose from, by name; the assistant's own comes first.
    """

    title = "Ask the model"

    def __init__(self, assistant: Assistant, question: str, databases: Mapping[str, Path] | None = None) -> None:
        self.assistant, self.question = assistant, question
        own = {} if assistant.database is None else {assistant.database.stem: assistant.database}
        self.databases = own | dict(databases or {})

    @cached_property
    def first(self) -> Markup:
        """The conversation about the first question, generated once."""
        return self._answered(self.assistant, self.question, lambda _: None)

    def initial(self) -> Markup:
        return framed(self.first)

    @cached_property
    def widget(self) -> Box:
        from ipywidgets import HTML, Button, Dropdown, Layout, Textarea, VBox

        wide = Layout(width="40em")
        self.asked = Textarea(value=self.question, rows=2, layout=wide)
        self.button = Button(description="Ask", button_style="primary")
        self.output = HTML(value=str(framed(self.first)))
        self.menu = Dropdown(options=list(self.databases), description="database", layout=wide)
        self.button.on_click(lambda _: self._ask())
        return VBox([*([self.menu] if self.databases else []), self.asked, self.button, self.output])

    def _ask(self) -> None:
        question = self.asked.value.strip()
        if not question:
            self._show(paragraph("Write a question first."))
            return
        assistant = self.assistant
        if self.databases:
            assistant = replace(assistant, database=self.databases[self.menu.value])
        self.button.disabled = True
        try:
            self._show(self._answered(assistant, question, self._show))
        finally:
            self.button.disabled = False

    def _answered(self, assistant: Assistant, question: str, show: Callable[[Markup], None]) -> Markup:
        """The conversation, shown anew with each token; stopped by an interrupt, it ends with what was written."""
        written = ""

        def tell(so_far: str) -> None:
            nonlocal written
            written = so_far
            show(conversation(question, so_far + CURSOR))

        try:
            answer = stream_answer(assistant, question, tell)
        except CourseError as error:
            return conversation(question, "") + paragraph(error)
        except KeyboardInterrupt:
            return conversation(question, written) + paragraph("Stopped.")
        if assistant.database is None:
            return conversation(question, answer)
        return conversation(question, answer) + rows_view(assistant.query_result(answer))

    def _show(self, content: Markup) -> None:
        self.output.value = str(framed(content))


def conversation(question: str, answer: str) -> Markup:
    """A question and the answer to it."""
    return joined([paragraph(bold(question)), paragraph(code(answer))])


def rows_view(result: Result) -> Markup:
    """The rows of a query, or why there are none."""
    if not result.ok:
        return paragraph(f"No rows. {result.error}")
    shown = [["NULL" if value is None else value for value in row] for row in result.rows[:SHOWN_ROWS]]
    count = f"{len(result.rows):,} row{'s' * (len(result.rows) != 1)}"
    more = f", the first {SHOWN_ROWS} of them" if len(result.rows) > SHOWN_ROWS else ""
    return joined([paragraph(f"{count}{more}."), table(result.columns, shown)])
