"""Ctrl-C and SIGTERM: the first asks to stop, the second insists."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from utils.errors import CourseError

# What they do unless a program says otherwise. One started in the background may find that they do nothing.
USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


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
    before = {number: signal.getsignal(number) or usual for number, usual in USUAL.items()}

    def handle(number: int, frame: FrameType | None) -> None:
        for signal_number, handler in before.items():
            signal.signal(signal_number, USUAL[signal_number] if handler == signal.SIG_IGN else handler)
        request()

    for number in USUAL:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
