"""HTML from data, in which data stays text: whatever is not `Markup` already is escaped.

It has to read well without styles, because GitHub drops them: bold for what matters, bars of block characters, tables.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

BAR_WIDTH = 20
CELL = Markup('style="text-align:left;vertical-align:top;padding:2px 12px 2px 0"')
# Without these classes, MathJax would set what stands between two dollar signs as a formula.
FRAME = Markup('<div class="tex2jax_ignore mathjax_ignore" style="max-width:60em;line-height:1.4">{}</div>')


def text(value: object) -> Markup:
    """A value as HTML that shows it; a lone surrogate, which cannot be sent to a front-end, becomes a question mark."""
    if isinstance(value, Markup):
        return value
    return escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def framed(content: Markup) -> Markup:
    """The whole of a view."""
    return FRAME.format(content)


def paragraph(content: object) -> Markup:
    """A line of text."""
    return Markup('<p style="margin:4px 0">{}</p>').format(text(content))


def bold(content: object) -> Markup:
    """Text that matters."""
    return Markup("<b>{}</b>").format(text(content))


def code(content: object) -> Markup:
    """Text in the letters of a program, with its line breaks."""
    return Markup('<code style="white-space:pre-wrap">{}</code>').format(text(content))


def table(names: Iterable[object], rows: Iterable[Iterable[object]]) -> Markup:
    """Rows of cells under the names of the columns. Values that are `Markup` are put in as they are."""
    head = joined(Markup("<th {}>{}</th>").format(CELL, text(name)) for name in names)
    body = joined(
        Markup("<tr>{}</tr>").format(joined(Markup("<td {}>{}</td>").format(CELL, text(cell)) for cell in row))
        for row in rows
    )
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)


def bar(share: float) -> str:
    """A share between 0 and 1 as a bar of block characters; what is not nothing is at least a sliver."""
    whole = round(BAR_WIDTH * min(1.0, share))
    return "█" * whole or ("▏" if share > 0 else "")


def joined(parts: Iterable[Markup]) -> Markup:
    """Pieces of HTML one after the other."""
    return Markup("").join(parts)


def shortened(value: object, limit: int = 400) -> str:
    """A text of at most `limit` characters."""
    string = str(value)
    return string if len(string) <= limit else f"{string[:limit]} …"
