"""How a request that cannot be carried out is told: a sentence, no traceback, exit status 2."""

from __future__ import annotations

from utils.errors import CourseError


class UsageError(CourseError):
    """A request with a fault in it, found before anything was done; the message is one line."""
