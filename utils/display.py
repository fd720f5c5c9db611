"""Tables for notebooks. Each returns something that Jupyter, papermill and GitHub can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.sql import Result

if TYPE_CHECKING:
    import pandas
    from IPython.display import HTML


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
