"""Tables and token views for notebooks. Each returns something that Jupyter, papermill and GitHub can show."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.prompts import IGNORED
from utils.sql import Result

if TYPE_CHECKING:
    import pandas
    from IPython.display import HTML
    from transformers import PreTrainedTokenizerBase


def rows_table(result: Result, limit: int = 8) -> pandas.DataFrame | str:
    """The rows of a query as a table, or its error as a sentence."""
    import pandas

    if not result.ok:
        return f"No rows. {result.error}"
    return pandas.DataFrame(result.rows[:limit], columns=result.columns)


def table(rows: Sequence[dict]) -> HTML:
    """Dictionaries with the same keys as a table without an index column, long text wrapped."""
    import pandas
    from IPython.display import HTML

    frame = pandas.DataFrame(rows)
    with pandas.option_context("display.max_colwidth", None):
        return HTML(frame.to_html(index=False, border=0, justify="left"))


def token_view(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], labels: Sequence[int]) -> HTML:
    """Every token in a box: grey ones are only read, coloured ones are trained on. Hover for the id."""
    from IPython.display import HTML

    boxes = []
    for token, label in zip(ids, labels, strict=True):
        text = tokenizer.decode([token])
        shown = html.escape(text).replace("\n", "⏎<br>").replace(" ", "&nbsp;")
        style = "background:#e8e8e8;color:#555" if label == IGNORED else "background:#f9c26b;color:#222"
        boxes.append(f'<span title="{token}" style="{style};border-radius:3px;margin:1px;padding:0 2px">{shown}</span>')
    return HTML(f'<div style="font-family:monospace;line-height:1.7;max-width:60em">{"".join(boxes)}</div>')
