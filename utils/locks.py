"""One run at a time in a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from utils.distributed import by_first
from utils.errors import CourseError
from utils.stages import shown

LOCK = ".lock"
OWNER = ".lock.owner"


class FolderInUse(CourseError):
    """Another process is working in the folder; the message names it."""


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is missing. The same process may take it again.

    The system holds the lock for the process, so nothing is left behind by one that was killed. Of several processes
    that train together (see `utils.distributed`) the first one takes it for all.

    Raises:
        FolderInUse: another process holds it.
        CourseError: the folder cannot be made or written to.
    """
    with contextlib.ExitStack() as held:
        by_first(lambda: held.enter_context(_lock(folder)))
        yield


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).touch()
    except OSError as error:
        raise CourseError(f"{shown(folder)} cannot be written to: {error.strerror}. Choose another folder.") from None
    owner = folder / OWNER
    lock = FileLock(folder.resolve() / LOCK, is_singleton=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FolderInUse(
            f"Process {_read(owner)} is working in {shown(folder)} already. Wait until it ends, stop it, or use "
            "another folder: two runs in one would overwrite each other."
        ) from None
    try:
        owner.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        lock.release()


def _read(owner: Path) -> str:
    try:
        return owner.read_text(encoding="utf-8") or "(unknown)"
    except OSError:
        return "(unknown)"
