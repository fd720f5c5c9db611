"""The quiz at the end of a part: a few questions, and feedback for each choice.

Where somebody can click, each choice answers at once. Elsewhere the questions stand with their answers folded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from utils.errors import CourseError
from utils.exercises.verdicts import not_yet, right
from utils.widgets.markup import bold, framed, joined, paragraph, text
from utils.widgets.view import View

if TYPE_CHECKING:
    from ipywidgets import Box

FOLDER = Path(__file__).parent / "quizzes"
LETTERS = "ABCDEF"
FOLD = Markup("<details><summary>{}</summary>{}</details>")


@dataclass(frozen=True)
class Option:
    """A choice, and what is said to whoever takes it."""

    text: str
    feedback: str
    is_right: bool = False

    @property
    def verdict(self) -> str:
        return str((right if self.is_right else not_yet)(self.feedback))


@dataclass(frozen=True)
class Item:
    """A question with its choices, one of which is right."""

    question: str
    options: tuple[Option, ...]


class Quiz(View):
    """The questions of a quiz. `chosen` has the number of the choice taken for each, None before that."""

    def __init__(self, title: str, items: tuple[Item, ...]) -> None:
        self.title, self.items = title, items
        self.chosen: list[int | None] = [None] * len(items)

    def initial(self) -> Markup:
        return framed(joined(_static(number, item) for number, item in enumerate(self.items, 1)))

    @cached_property
    def widget(self) -> Box:
        from ipywidgets import HTML, VBox

        self.score = HTML()
        return VBox([*(self._asked(number) for number in range(len(self.items))), self.score])

    def _asked(self, number: int) -> Box:
        """A question that can be answered. It may be answered again; the last choice counts."""
        from ipywidgets import HTML, Layout, RadioButtons, VBox

        item, said = self.items[number], HTML()
        labels = [(option.text.replace("`", ""), place) for place, option in enumerate(item.options)]
        buttons = RadioButtons(options=labels, index=None, layout=Layout(width="max-content"))

        def answer(change: dict) -> None:
            self.chosen[number] = change["new"]
            said.value = str(framed(paragraph(formatted(item.options[change["new"]].verdict))))
            self.score.value = str(framed(paragraph(bold(self.scored()))))

        buttons.observe(answer, names="value")
        return VBox([HTML(str(framed(_headed(number + 1, item)))), buttons, said])

    def scored(self) -> str:
        """Such as "3 of 5 right." """
        taken = zip(self.items, self.chosen, strict=True)
        count = sum(place is not None and item.options[place].is_right for item, place in taken)
        return f"{count} of {len(self.items)} right."


def quiz(name: str) -> Quiz:
    """The quiz `name` of `quizzes/`.

    Raises:
        CourseError: there is no such quiz, or its file is not one.
    """
    import yaml

    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in names:
        raise CourseError(f"There is no quiz {name!r}; there are {', '.join(names)}.")
    try:
        content = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
        items = tuple(_item(question) for question in content["questions"])
        return Quiz(content["title"], items)
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise CourseError(f"utils/exercises/quizzes/{name}.yaml is not a quiz: {error}") from None


def formatted(content: str) -> Markup:
    """A text as HTML, what stands between backticks in the letters of a program."""
    parts = re.split(r"`([^`]+)`", content)
    return joined(
        Markup("<code>{}</code>").format(part) if place % 2 else text(part) for place, part in enumerate(parts)
    )


def _item(question: dict) -> Item:
    options = tuple(
        Option(str(choice["text"]), str(choice["feedback"]), bool(choice.get("right")))
        for choice in question["choices"]
    )
    if sum(option.is_right for option in options) != 1:
        raise ValueError(f"“{question['question']}” needs one choice with `right: true`.")
    return Item(str(question["question"]), options)


def _static(number: int, item: Item) -> Markup:
    lettered = list(zip(LETTERS, item.options, strict=False))
    choices = joined(paragraph(Markup("{}. {}").format(letter, formatted(option.text))) for letter, option in lettered)
    answers = joined(
        paragraph(Markup("<b>{}.</b> {}").format(letter, formatted(option.verdict))) for letter, option in lettered
    )
    return _headed(number, item) + choices + FOLD.format("Answer", answers)


def _headed(number: int, item: Item) -> Markup:
    return paragraph(bold(Markup("{}. {}").format(number, formatted(item.question))))
