"""SQLite files that strangers upload: checked, copied to a private folder, and never written to.

The copy is opened read-only, like every database here. Nothing else knows its folder, so no journal can appear beside
it, and it is marked as one that needs none: SQLite then treats it as immutable.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
import uuid
from pathlib import Path

from utils.databases import Database
from utils.errors import CourseError
from utils.schema import MAX_INDEXED_VALUES, quoted, read_schema
from utils.sql import Sandbox, open_read_only

MAX_MEGABYTES = 200
MAX_BYTES = MAX_MEGABYTES * 1_000_000
MAX_KEPT_BYTES = 10 * MAX_BYTES
MAX_SECONDS = 20.0
MAX_NAME = 60
HEADER = b"SQLite format 3\0"
JOURNAL_MODES = 18  # two bytes of the header: how the file is written and read; 2 is the write-ahead log
WITHOUT_LOG = b"\1\1"


class UnusableUpload(CourseError):
    """An uploaded file cannot be asked; the message says why."""


class UploadFolder:
    """A private folder of copies, the oldest of which make room for new ones. It is gone when the program ends."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="ask-your-database-")
        self.incoming = Path(self._temporary.name) / "incoming"
        self._copies = Path(self._temporary.name) / "copies"
        for folder in (self.incoming, self._copies):
            folder.mkdir(mode=0o700)

    def accept(self, source: Path) -> Database:
        """Check an uploaded file, keep a copy of it, and remove the upload itself.

        Args:
            source: a file below `incoming`, where uploads arrive.

        Raises:
            UnusableUpload: it is none of the uploads, or it is empty, too large, damaged, encrypted or no SQLite
                database, or it has no tables.
        """
        if not source.resolve().is_relative_to(self.incoming.resolve()) or not source.is_file():
            raise UnusableUpload("The file did not arrive: upload it again.")
        name = source.name if len(source.name) <= MAX_NAME else f"{source.name[: MAX_NAME - 1]}…"
        copy = self._copies / f"{uuid.uuid4().hex}.sqlite"
        try:
            _check_file(source, name)
            self._make_room(source.stat().st_size)
            shutil.copyfile(source, copy)
            _without_log(copy)
            _check_database(copy, name)
        except CourseError:
            copy.unlink(missing_ok=True)
            raise
        finally:
            source.unlink(missing_ok=True)
        copy.chmod(0o400)
        return Database(f"{name} (uploaded)", copy)

    def remove(self, database: Database | None) -> None:
        """Forget a copy that is not needed any more."""
        if database is not None:
            database.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        self._temporary.cleanup()

    def _make_room(self, size: int) -> None:
        """Remove the oldest copies until one more of this size fits in."""
        copies = sorted(self._copies.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        total = size
        for copy in copies:
            total += copy.stat().st_size
            if total > MAX_KEPT_BYTES:
                copy.unlink(missing_ok=True)
        if shutil.disk_usage(self._copies).free < 2 * size:
            raise UnusableUpload("The disk of this machine has no room for the file.")


def _check_file(path: Path, name: str) -> None:
    size = path.stat().st_size
    if size == 0:
        raise UnusableUpload(f"{name} is empty: it has 0 bytes.")
    if size > MAX_BYTES:
        raise UnusableUpload(f"{name} is too large: {size / 1e6:.0f} MB, and at most {MAX_MEGABYTES} MB are taken.")
    with path.open("rb") as file:
        if file.read(len(HEADER)) != HEADER:
            raise UnusableUpload(
                f"{name} is not a SQLite database, or it is encrypted: it does not begin as one does. "
                "Export a plain SQLite file and upload that."
            )


def _without_log(path: Path) -> None:
    """Say in the header that there is no write-ahead log: a lone file has none, and SQLite would make one beside it."""
    with path.open("r+b") as file:
        file.seek(JOURNAL_MODES)
        file.write(WITHOUT_LOG)
        file.flush()
        os.fsync(file.fileno())


def _check_database(path: Path, name: str) -> None:
    try:
        with contextlib.closing(open_read_only(path)) as connection:
            tables = [
                table
                for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if not table.startswith("sqlite_")
            ]
            columns = [(table, row[1]) for table in tables for row in _columns(connection, table)]
        if not tables:
            raise UnusableUpload(f"{name} has no tables, so there is nothing to ask.")
        _check_values(path, columns, name)
        read_schema(path)
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        raise UnusableUpload(f"{name} cannot be read. SQLite says: {error}.") from None


def _columns(connection: sqlite3.Connection, table: str) -> list[tuple]:
    return connection.execute(f"PRAGMA table_info({quoted(table)})").fetchall()


def _check_values(path: Path, columns: list[tuple[str, str]], name: str) -> None:
    """See within limits that all text values can be listed, before `read_schema` does so without any."""
    end = time.monotonic() + MAX_SECONDS
    with Sandbox(path) as sandbox:
        for table, column in columns:
            values = quoted(column)
            query = (
                f"SELECT DISTINCT {values} FROM {quoted(table)} WHERE typeof({values}) = 'text' "
                f"AND length({values}) <= 60 ORDER BY {values} LIMIT {MAX_INDEXED_VALUES}"
            )
            result = sandbox.execute(query, max_seconds=max(0.0, end - time.monotonic()))
            if time.monotonic() > end:
                raise UnusableUpload(
                    f"{name} holds too much: its values could not be listed within {MAX_SECONDS:.0f} s. "
                    "Upload a part of it, or start the page with --database."
                )
            if not result.ok:
                raise UnusableUpload(f"{name} cannot be read. SQLite says: {result.error}")
