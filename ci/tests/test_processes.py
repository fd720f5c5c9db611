"""A program is started, answers, and is stopped for sure: when asked, when forgotten, when its parent is killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from utils import processes
from utils.errors import CourseError
from utils.processes import HOST, running, start
from utils.settings import ROOT

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
PROGRAM = """
import http.server, signal, subprocess, sys
if "--stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "--family" in sys.argv:
    print("child", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(b"Well.")
    def log_message(self, *_): pass
print("Here I am.")
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "program.log"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SECONDS_TO_END", 0.5)


def program(*options: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *options]


def is_alive(pid: int) -> bool:
    """True unless there is no such process, or only what its parent has not yet taken notice of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pid: int) -> bool:
    end = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(pid)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def test_program_answers_and_is_gone_afterwards(log: Path) -> None:
    with running(program(), log=log) as server:
        assert server.is_running
        assert server.get("/health") == "Well."
        with pytest.raises(CourseError, match="/elsewhere answered with 404"):
            server.get("/elsewhere")
    assert not server.is_running
    assert not is_listening(server.port)
    assert server.log_end() == "Here I am."


def test_error_in_the_block_stops_it_too(log: Path) -> None:
    with pytest.raises(ZeroDivisionError), running(program(), log=log) as server:
        _ = 1 / 0
    assert not server.is_running


def test_program_that_fails_is_explained_by_its_log(log: Path) -> None:
    command = [sys.executable, "-c", "print('Looking …'); raise SystemExit('There is no model here.')"]
    with pytest.raises(CourseError, match=r"(?s)exit status 1.*Looking …\nThere is no model here"):
        start(command, log=log)


def test_program_that_never_answers_is_stopped(log: Path) -> None:
    command = [sys.executable, "-c", "import os, time; print(os.getpid(), 'thinking'); time.sleep(600)"]
    with pytest.raises(CourseError, match=r"(?s)did not answer within 5 s.*thinking"):
        start(command, log=log, seconds=5)
    assert sys.platform != "linux" or not is_alive(int(log.read_text().split()[0]))


def test_wrong_path_is_no_answer(log: Path) -> None:
    with pytest.raises(CourseError, match="did not answer"):
        start(program(), log=log, ready="/elsewhere", seconds=0.5)


def test_unknown_program_is_a_sentence(log: Path) -> None:
    with pytest.raises(CourseError, match="no program 'llama-serverr'"):
        start(["llama-serverr"], log=log)


def test_stubborn_program_is_killed(log: Path) -> None:
    server = start(program("--stubborn"), log=log)
    server.stop()
    server.stop()
    assert not server.is_running


@LINUX
def test_what_it_started_ends_with_it(log: Path) -> None:
    with running(program("--family"), log=log) as server:
        child = int(server.log_end().split("child ")[1].split()[0])
        assert is_alive(child)
    assert wait_until_gone(child)


def test_forgotten_program_is_stopped(log: Path) -> None:
    server = start(program(), log=log)
    process = server.process
    del server
    assert process.poll() is not None


@LINUX
def test_it_dies_with_a_killed_parent(log: Path, tmp_path: Path) -> None:
    parent = (
        "import os, signal, sys; from pathlib import Path; from utils.processes import start\n"
        f"server = start({program()!r}, log=Path({str(log)!r}))\n"
        "print(server.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", parent], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode < 0
    assert wait_until_gone(int(done.stdout))


def test_variables_are_passed_on(log: Path) -> None:
    command = [sys.executable, "-c", "import os; raise SystemExit(os.environ['SHOP_KEY'])"]
    with pytest.raises(CourseError, match="not said aloud"):
        start(command, log=log, environment={"SHOP_KEY": "not said aloud"})
    assert "SHOP_KEY" not in os.environ
