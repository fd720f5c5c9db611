"""Ctrl-C and SIGTERM: the first asks to stop, the second insists."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from utils.errors import CourseError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingStopped(CourseError):
    """Someone asked training to stop; the message says what was saved and how to go on."""


@contextlib.contextmanager
def handle_signals(request: Callable[[], None]) -> Iterator[None]:
    """Call `request` at the first SIGINT or SIGTERM; the next one interrupts as usual.

    Only the main thread may handle signals; in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def handle(number: int, frame: FrameType | None) -> None:
        restore()
        request()

    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
