"""Errors that a user of the course can cause, and how they are shown: as a sentence, without a traceback."""

from __future__ import annotations

import sys
from types import TracebackType


class CourseError(Exception):
    """A foreseen mistake. The message is a sentence that says what is wrong, where, and what to do."""


def show_errors_as_sentences() -> None:
    """In a notebook, show a `CourseError` as its message alone. The cell still fails, so papermill stops there."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None:
        return

    def show(
        shell: object, kind: type, error: BaseException, trace: TracebackType, tb_offset: int | None = None
    ) -> list[str]:
        print(f"{error}", file=sys.stderr)
        return [str(error)]

    shell.set_custom_exc((CourseError,), show)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type's name, as a sentence of at most 300 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".") + "."
