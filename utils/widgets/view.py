"""What all widgets share: one function draws the view from plain values, with or without controls above it.

In a cell that a person runs, the controls call the function again and the picture changes. Run by papermill or
nbconvert, and so on GitHub and in a book, the cell's output is what the function draws at the starting values: HTML or
a PNG, no widget and no widget state. The interactive output carries the same picture for whoever opens it without a
kernel.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from utils.front_end import is_interactive
from utils.widgets.controls import Control, Page, setting_text
from utils.widgets.markup import framed, paragraph

if TYPE_CHECKING:
    from ipywidgets import Box, ValueWidget

Picture = Markup | bytes
Bundle = dict[str, Any]


class View:
    """Something to put at the end of a cell. Subclasses say what is drawn first, and what can be moved."""

    title = ""

    def initial(self) -> Picture:
        """What is seen before anything is moved: HTML, or a PNG."""
        raise NotImplementedError

    def static(self) -> Bundle:
        """The representations that need no kernel, by MIME type."""
        picture = self.initial()
        if isinstance(picture, bytes):
            return {"image/png": base64.b64encode(picture).decode(), "text/plain": self.title}
        return {"text/html": str(picture), "text/plain": self.title}

    @cached_property
    def widget(self) -> Box:
        """The interactive form. Making it opens a channel to the front-end, so it is made on demand."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_: object) -> Bundle:
        return self.static() | (self.widget._repr_mimebundle_() if is_interactive() else {})


class Explorer(View):
    """A view that is a function of its controls: `draw(**values)`, a value for each name in `controls`."""

    def __init__(self, title: str, controls: Mapping[str, Control], draw: Callable[..., Picture]) -> None:
        self.title, self.controls, self.draw = title, dict(controls), draw

    def drawn(self) -> Picture:
        """The picture at the starting values, as the interactive form shows it."""
        return self.draw(**{name: control.value for name, control in self.controls.items()})

    def initial(self) -> Picture:
        picture = self.drawn()
        if isinstance(picture, bytes):
            return picture
        settings = " · ".join(filter(None, map(setting_text, self.controls.values())))
        return framed(paragraph(settings) + picture if settings else picture)

    @cached_property
    def widget(self) -> Box:
        from ipywidgets import HBox, Layout, VBox

        self.movers = {name: control.widget() for name, control in self.controls.items()}
        self.output = picture_widget(self.drawn())
        for name, mover in self.movers.items():
            mover.observe(lambda _, name=name: self._redraw(name), names="value")
        return VBox([HBox(list(self.movers.values()), layout=Layout(flex_flow="row wrap")), self.output])

    def _redraw(self, moved: str) -> None:
        for name, control in self.controls.items():
            if isinstance(control, Page) and name != moved and self.movers[name].value != 1:
                self.movers[name].value = 1  # which draws
                return
        picture = self.draw(**{name: mover.value for name, mover in self.movers.items()})
        self.output.value = picture if isinstance(picture, bytes) else str(framed(picture))


def picture_widget(picture: Picture) -> ValueWidget:
    """A widget that shows HTML or a PNG."""
    from ipywidgets import HTML, Image

    if isinstance(picture, bytes):
        return Image(value=picture, format="png")
    return HTML(value=str(framed(picture)))
