"""What a person can move. A control is plain data; the widget that moves it is made only where somebody can see it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ipywidgets import ValueWidget

T = TypeVar("T")
ALL = "all"  # the option of a filter that lets everything through
STYLE = {"description_width": "initial"}


@dataclass(frozen=True)
class Choice:
    """One of a few names, in a menu."""

    label: str
    options: Sequence[str]
    value: str

    def widget(self) -> ValueWidget:
        from ipywidgets import Dropdown

        return Dropdown(options=list(self.options), value=self.value, description=self.label, style=STYLE)


@dataclass(frozen=True)
class Steps:
    """One of a row of numbers, on a slider."""

    label: str
    options: Sequence[float]
    value: float

    def widget(self) -> ValueWidget:
        from ipywidgets import SelectionSlider

        shown = [(number_text(option), option) for option in self.options]
        return SelectionSlider(options=shown, value=self.value, description=self.label, style=STYLE)


@dataclass(frozen=True)
class Switch:
    """On or off."""

    label: str
    value: bool = False

    def widget(self) -> ValueWidget:
        from ipywidgets import Checkbox

        return Checkbox(value=self.value, description=self.label, indent=False)


@dataclass(frozen=True)
class Words:
    """Text to look for; it counts when Enter is pressed."""

    label: str
    value: str = ""

    def widget(self) -> ValueWidget:
        from ipywidgets import Text

        return Text(value=self.value, description=self.label, continuous_update=False, style=STYLE)


@dataclass(frozen=True)
class Page:
    """A number from 1 to `last`. It goes back to 1 when another control changes what there is to page through."""

    label: str
    last: int
    value: int = 1

    def widget(self) -> ValueWidget:
        from ipywidgets import BoundedIntText

        return BoundedIntText(value=self.value, min=1, max=max(1, self.last), description=self.label, style=STYLE)


Control = Choice | Steps | Switch | Words | Page


def number_text(value: Any) -> str:
    """Such as "1,024" or "5e-4"."""
    if not isinstance(value, float) or value >= 1 or not value:
        return f"{value:,}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def setting_text(control: Control) -> str:
    """A control at its starting value, such as "batch 8", for where there is nothing to move; "" if it says nothing."""
    if isinstance(control, Page | Words) or control.value == ALL:
        return ""
    if isinstance(control, Switch):
        return f"{control.label} {'on' if control.value else 'off'}"
    return f"{control.label} {number_text(control.value) if isinstance(control, Steps) else control.value}"


def as_list(value: float, options: Sequence[float]) -> list[float]:
    """The options in order, with `value` among them: what a notebook asks for is never rounded to what is on offer."""
    return sorted({value, *options})


def page_of(items: Sequence[T], page: int, size: int) -> tuple[Sequence[T], str]:
    """The items of a page, counted from 1, or of the last one if there are fewer; and such as "page 2 of 9"."""
    pages = max(1, math.ceil(len(items) / size))
    page = min(page, pages)
    return items[(page - 1) * size : page * size], f"page {page} of {pages:,}"


def contains(content: str, words: str) -> bool:
    """True if every one of the words occurs, in any case."""
    return all(word in content.lower() for word in words.lower().split())
