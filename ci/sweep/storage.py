"""Where a study is kept: a journal file or a database, which workers on several machines may share."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UsageError
from ci.sweep.process import is_alive, is_of_this_host, this_process

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

SECONDS_TO_WAIT = 60  # for a locked SQLite file, and for another machine's lock on a study
OWNER = "owner"


def open_storage(place: str) -> BaseStorage:
    """The storage of a database URL, such as `sqlite:///study.db`, or else of a journal file, made if it is missing.

    Raises:
        UsageError: there is no such database or folder, or its driver is not installed.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return _open_database(place) if "://" in place else _open_journal(Path(place))


@contextlib.contextmanager
def locked(storage: BaseStorage, study_name: str) -> Iterator[None]:
    """Hold the lock of a study: one worker at a time, on whatever machine.

    No two studies of a storage have the same name, so one that is made for a moment serves as the lock, in a journal as
    in any database. What a killed process left behind is removed.
    """
    study_id = _acquire(storage, f"{study_name} (locked)")
    try:
        storage.set_study_user_attr(study_id, OWNER, this_process())
        yield
    finally:
        storage.delete_study(study_id)


def _acquire(storage: BaseStorage, name: str) -> int:
    from optuna.exceptions import DuplicatedStudyError
    from optuna.study import StudyDirection

    seen, since = None, time.monotonic()
    while True:
        try:
            return storage.create_new_study([StudyDirection.MINIMIZE], name)
        except DuplicatedStudyError:
            holder = _holder(storage, name)
            if holder != seen:
                seen, since = holder, time.monotonic()
            if seen and _is_left_behind(seen[1], time.monotonic() - since) and _holder(storage, name) == seen:
                with contextlib.suppress(KeyError):  # another one was quicker
                    storage.delete_study(seen[0])
        time.sleep(random.uniform(0.02, 0.1))


def _holder(storage: BaseStorage, name: str) -> tuple[int, dict[str, object]] | None:
    """Number and owner of the lock; None if it is free again."""
    try:
        study_id = storage.get_study_id_from_name(name)
        return study_id, storage.get_study_user_attrs(study_id).get(OWNER, {})
    except KeyError:
        return None


def _is_left_behind(owner: dict[str, object], seconds: float) -> bool:
    if owner and is_of_this_host(owner):
        return not is_alive(owner)
    return seconds > SECONDS_TO_WAIT


def _open_journal(file: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Windows lets only administrators make the links that are the default lock.
        lock = JournalFileOpenLock(str(file)) if os.name == "nt" else None
        return JournalStorage(JournalFileBackend(str(file), lock_obj=lock))
    except OSError as error:
        raise UsageError(f"The journal {file} cannot be written: {error.strerror}.") from None
    except (ValueError, KeyError):
        raise UsageError(f"{file} is no journal of Optuna. Name another file with --storage.") from None


def _open_database(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import ArgumentError, OperationalError

    settings = {"connect_args": {"timeout": SECONDS_TO_WAIT}} if url.startswith("sqlite") else {}
    try:
        return RDBStorage(url, engine_kwargs=settings)
    except ArgumentError:
        raise UsageError(
            f"--storage {url} is no database URL. Examples: sqlite:///study.db, postgresql://user@host/name, or the "
            "path of a journal file."
        ) from None
    except ImportError as error:
        raise UsageError(f"--storage: {error} Install its driver into .venv.") from None
    except OperationalError as error:
        raise UsageError(f"The database of --storage does not open: {str(error.orig).strip()}") from None
