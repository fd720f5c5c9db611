"""How a command ends before its time: a sentence, no traceback, and an exit status that says why."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import NoReturn

from utils.errors import CourseError

FAILED, REFUSED, INTERRUPTED, TERMINATED = 1, 2, 130, 143


class UsageError(CourseError):
    """A request with a fault in it, found before anything was done; the message is one line."""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        """Refuse a command line."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}. Help: {self.prog} --help")


def complain(what: object, status: int = FAILED, *, apart: bool = True) -> int:
    """Print to standard error why a command ends, and give its exit status.

    `apart` begins a new line first, since one of progress may be open.
    """
    print(f"\n{what}" if apart else what, file=sys.stderr)
    return exit_status(what, status)


def exit_status(what: object, status: int = FAILED) -> int:
    """The exit status of a command that `what` ended: a refused request has one of its own, all else has `status`."""
    return REFUSED if isinstance(what, UsageError) else status


def exit_when_terminated() -> None:
    """Let SIGTERM end this process as an exception does, so that whatever it has started is ended too."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(*_: object) -> NoReturn:
    raise SystemExit(TERMINATED)
