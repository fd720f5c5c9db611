"""Experiment trackers: more than one run beside each other in a dashboard, for those who have one installed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from utils.errors import CourseError

TRACKIO = "trackio"
TRACKIO_VERSION = "0.43.0"


def trackers(name: str, folder: Path) -> list[str]:
    """The value of `report_to` for a trainer: none for "", or trackio, which logs to `folder` and needs no account.

    `trackio show` opens its dashboard. A folder that TRACKIO_DIR names already is kept.

    Raises:
        CourseError: the tracker is another one, or is not installed.
    """
    if not name:
        return []
    if name != TRACKIO:
        raise CourseError(f"The tracker {name!r} is not known here: track is empty or {TRACKIO!r}.")
    if find_spec(TRACKIO) is None:
        raise CourseError(f"trackio is not installed: pip install trackio=={TRACKIO_VERSION}, or leave track empty.")
    os.environ.setdefault("TRACKIO_DIR", str(folder))
    return [TRACKIO]
