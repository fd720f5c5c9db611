"""Two processes never work in one folder, and a killed one leaves no lock behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from utils.errors import CourseError
from utils.locks import FolderInUse, lock_folder
from utils.settings import ROOT

HOLD = """
import sys, time
from pathlib import Path
from utils.locks import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(FolderInUse, match=f"Process {process.pid} is working in"), lock_folder(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    with lock_folder(tmp_path):
        assert (tmp_path / ".lock.owner").read_text(encoding="utf-8") == str(os.getpid())


def test_same_process_may_take_it_again(tmp_path: Path) -> None:
    with lock_folder(tmp_path / "new"):
        with lock_folder(tmp_path / "new"):
            pass
        command = [sys.executable, "-c", HOLD, str(tmp_path / "new")]
        refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "FolderInUse" in refused.stderr
    with lock_folder(tmp_path / "new"):
        pass


def test_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CourseError, match="cannot be written to"), lock_folder(place):
            pass
