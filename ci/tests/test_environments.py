"""An environment is made once for the same requirements, and what was broken off is never taken for whole."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ci.environment import python_of
from utils import environments
from utils.environments import EnvironmentFailed, Run, pip_install, ready_environment

REQUIREMENTS = ["one==1.0", "two==2.0"]


class Commands:
    """Stands in for running commands: notes them, makes the Python of a venv, fails where a word occurs."""

    def __init__(self) -> None:
        self.ran: list[Sequence[str]] = []
        self.failing = ""

    def __call__(self, command: Sequence[str], deadline: float) -> None:
        self.ran.append(command)
        if self.failing and self.failing in command:
            raise EnvironmentFailed("no network.")
        if "venv" in command:
            python = python_of(Path(command[-1]))
            python.parent.mkdir(parents=True)
            python.touch()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The commands run, in a cache of its own."""
    instead = Commands()
    monkeypatch.setattr(environments, "CACHE", tmp_path)
    monkeypatch.setattr(environments, "_run", instead)
    return instead


def make(requirements: Sequence[str] = REQUIREMENTS) -> Path:
    """Make the environment `mine`."""

    def install(python: Path, run: Run) -> None:
        assert python.exists()
        run(pip_install(python, *requirements))

    return ready_environment("mine", requirements, install, size="1 MB")


def test_made_once(commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python = make()
    assert python == python_of(tmp_path / "mine")
    assert capsys.readouterr().out == "Installing one==1.0, two==2.0 into .cache/mine (once, 1 MB) …\n"
    assert make() == python
    assert len(commands.ran) == 2
    assert capsys.readouterr().out == ""


def test_made_anew_for_other_requirements(commands: Commands, tmp_path: Path) -> None:
    make()
    (tmp_path / "mine" / "left-over").touch()
    make(["one==1.1"])
    assert len(commands.ran) == 4
    assert not (tmp_path / "mine" / "left-over").exists()


def test_made_anew_for_another_python(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    monkeypatch.setattr(environments, "python_version", lambda: "3.99")
    make()
    assert len(commands.ran) == 4


def test_half_an_environment_is_made_anew(commands: Commands) -> None:
    commands.failing = "install"
    with pytest.raises(EnvironmentFailed, match=r"^one==1\.0, two==2\.0 could not be installed: no network\.$"):
        make()
    commands.failing = ""
    make()
    assert len(commands.ran) == 4


@pytest.mark.parametrize("text", ["", "{", '["python 3.11"]', "null"])
def test_damaged_stamp_is_no_stamp(commands: Commands, tmp_path: Path, text: str) -> None:
    make()
    (tmp_path / "mine" / environments.STAMP).write_text(text, encoding="utf-8")
    make()
    assert len(commands.ran) == 4


def test_environment_without_its_python_is_made_anew(commands: Commands) -> None:
    make().unlink()
    make()
    assert len(commands.ran) == 4


def test_reason_is_what_pip_calls_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "CACHE", tmp_path)
    said = "print('Looking'); print('ERROR: no such package'); print('[notice] a new pip'); raise SystemExit(1)"
    with pytest.raises(EnvironmentFailed, match="could not be installed: ERROR: no such package"):
        ready_environment("mine", ["one==1.0"], lambda _, run: run([sys.executable, "-c", said]), size="1 MB")


def test_real_environment_does_not_see_the_packages_of_the_course(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "CACHE", tmp_path)

    def look(python: Path, run: Run) -> None:
        run([str(python), "-I", "-c", "import json"])
        with pytest.raises(EnvironmentFailed, match="No module named 'pytest'"):
            run([str(python), "-I", "-c", "import pytest"])

    assert ready_environment("mine", [], look, size="1 MB").exists()
