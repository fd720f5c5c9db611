"""Ask a database in a web page: a tuned model writes the SQL, and beside it, to compare, the untuned one.

    python -m utils.serving --model runs/course/export/model
    python -m utils.serving --model runs/mine/model --database my.sqlite --untuned smollm2-135m

The page is for this machine only unless --host says otherwise. Ctrl-C stops it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ci.errors import UsageError, complain
from utils.allocator import keep_freed_memory
from utils.asking import Asker, is_constrained, model_folder
from utils.databases import Database, course_databases, find_databases, own_database
from utils.errors import CourseError
from utils.interrupts import handle_signals
from utils.limits import explained
from utils.models import find_model
from utils.options import make_parser, read_all
from utils.settings import quiet_libraries

COMMAND = "python -m utils.serving"
LOCAL = ("127.0.0.1", "localhost", "::1")
OPTIONS = """
model: str = "smollm2-135m"  # the tuned model: a folder of a run or an export, an embedded model or a Hub id
untuned: str | None = None  # the model before training, to compare with; loaded when it is first asked
database: str | None = None  # a SQLite file to ask, beside the examples
databases: str | None = None  # a folder of example databases; the course's own if none is given
host: str = "127.0.0.1"  # who can reach the page: only this machine; 0.0.0.0 lets everyone on the network
port: int = 7860  # where on this machine the page is
"""
LADDER = "Close other programs, or serve a smaller model."


def main(arguments: Sequence[str]) -> int:
    """Run the command until it is stopped; returns the exit status."""
    try:
        values = parse(arguments)
        keep_freed_memory()
        with explained(Path.cwd(), LADDER):
            _serve(values)
    except CourseError as error:
        return complain(error)
    except KeyboardInterrupt:
        print("\nStopped.")
    return 0


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """What a command line asks for. Raises UsageError."""
    parser = make_parser(COMMAND, "--model FOLDER", __doc__)
    values = read_all(parser, OPTIONS, arguments)
    if not 0 < values["port"] < 65536:
        raise UsageError(f"--port {values['port']} is no port: give a number from 1 to 65535.")
    return values


def offered_databases(values: dict[str, Any]) -> list[Database]:
    """The file of --database first, then the examples. Raises CourseError."""
    own = [own_database(Path(values["database"]).expanduser())] if values["database"] else []
    folder = values["databases"]
    return own + (find_databases(Path(folder).expanduser()) if folder else course_databases())


def _serve(values: dict[str, Any]) -> None:
    host, port = values["host"], values["port"]
    databases = offered_databases(values)
    names = [name for name in (values["model"], values["untuned"]) if name is not None]
    for name in names:
        folder = model_folder(name)
        find_model(str(folder) if folder.is_dir() else name)
    _check_port(host, port)
    # Both models get the same help, or the comparison would not be fair.
    constrained = is_constrained(values["model"])
    tuned, *untuned = [Asker.of(name, databases[0].path, constrained=constrained) for name in names]
    with _stopped_on_request() as stopped, _launched(tuned, untuned, databases, host, port) as address:
        quiet_libraries()
        tuned.load()  # the page is there already: a question that comes now waits until the model is, too
        if host not in LOCAL:
            print("Everyone who can reach this machine can ask, and see what is in the databases.")
        print(f"Ask your database: {address} (Ctrl-C stops it)", flush=True)
        stopped.wait()
    print("\nStopped.")


@contextlib.contextmanager
def _launched(
    tuned: Asker, untuned: Sequence[Asker], databases: Sequence[Database], host: str, port: int
) -> Iterator[str]:
    """The page, answering at the address that is given; closed at the end."""
    _reach_directly(host)
    from utils.page import build_page, launch_settings

    page = build_page(tuned, databases, untuned=next(iter(untuned), None))
    try:
        _, address, _ = page.launch(**launch_settings(host, port), prevent_thread_lock=True)
    except OSError as error:
        raise CourseError(f"The page could not be started on {host}:{port}: {error}") from None
    try:
        yield address
    finally:
        page.close(verbose=False)


@contextlib.contextmanager
def _stopped_on_request() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; a second one interrupts whatever is under way."""
    stopped = threading.Event()
    with handle_signals(stopped.set):
        yield stopped


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise CourseError(
            f"The page cannot be served on {host}:{port}: {error.strerror or error}. "
            f"Stop what uses it, or choose another port: --port {port + 1}"
        ) from None


def _reach_directly(host: str) -> None:
    """Keep a proxy out of the way: the page asks itself whether it has started."""
    for name in ("no_proxy", "NO_PROXY"):
        listed = [entry for entry in os.environ.get(name, "").split(",") if entry]
        os.environ[name] = ",".join([*listed, *LOCAL, host])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
