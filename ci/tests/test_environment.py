"""When `.venv` is made, renewed or left alone, and which PyTorch goes into it. Nothing is really installed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ci import environment
from ci.environment import InstallationFailed, Machine, torch_build
from ci.project import Project

LINUX = Machine("Linux", "x86_64", has_nvidia=False)


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A project with requirements and no `.venv`."""
    (tmp_path / "ci").mkdir()
    (tmp_path / "requirements.txt").write_text("torch==2.0.0  # tensors\nuv==0.1.0\n", encoding="utf-8")
    (tmp_path / "requirements-models.txt").write_text("a-model==1.0\n", encoding="utf-8")
    (tmp_path / "ci" / "lock.txt").write_text("torch==2.0.0\n", encoding="utf-8")
    return Project(tmp_path)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that an installation would run; a word in the list `fail_on` at its end makes them fail."""
    ran: list[str] = []

    def succeeds(self: environment.Installer, arguments: list[str]) -> bool:
        ran.append(" ".join(arguments))
        return not any(word in ran[-1] for word in FAIL_ON)

    def make_venv(project: Project) -> None:
        python = environment.python_of(project.venv)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()
        ran.append("venv")

    FAIL_ON.clear()
    monkeypatch.setattr(environment.Installer, "succeeds", succeeds)
    monkeypatch.setattr(environment, "_make_venv", make_venv)
    return ran


FAIL_ON: list[str] = []


@pytest.mark.parametrize(
    ("choice", "machine", "build"),
    [
        ("auto", LINUX, "cpu"),
        ("auto", Machine("Linux", "aarch64", has_nvidia=False), "cpu"),
        ("auto", Machine("Linux", "x86_64", has_nvidia=True), "default"),
        ("auto", Machine("Linux", "riscv64", has_nvidia=False), "default"),
        ("auto", Machine("Darwin", "arm64", has_nvidia=False), "default"),
        ("auto", Machine("Windows", "AMD64", has_nvidia=False), "default"),
        ("cpu", Machine("Linux", "x86_64", has_nvidia=True), "cpu"),
        ("default", LINUX, "default"),
    ],
)
def test_build_of_torch(choice: str, machine: Machine, build: str) -> None:
    assert torch_build(choice, machine) == build


def test_installation_is_stamped_and_not_repeated(bare: Project, commands: list[str]) -> None:
    assert not environment.is_current(bare, "auto", LINUX)
    environment.install(bare, "auto", LINUX)
    assert commands[0] == "venv"
    assert commands[1].endswith("--no-deps torch==2.0.0+cpu")
    assert commands[3].endswith(f"--no-deps -r {bare.root / 'requirements-models.txt'}")
    assert environment.is_current(bare, "auto", LINUX)
    assert environment.is_current(bare, "cpu", LINUX)
    assert not environment.is_current(bare, "default", LINUX)


def test_changed_requirements_are_installed_into_the_same_folder(bare: Project, commands: list[str]) -> None:
    environment.install(bare, "auto", LINUX)
    for name in ("requirements.txt", "requirements-models.txt", "ci/lock.txt"):
        file = bare.root / name
        file.write_text(file.read_text(encoding="utf-8") + "more==1\n", encoding="utf-8")
        assert not environment.is_current(bare, "auto", LINUX)
        commands.clear()
        environment.install(bare, "auto", LINUX)
        assert "venv" not in commands
        assert environment.is_current(bare, "auto", LINUX)


def test_interrupted_installation_starts_anew(
    bare: Project, commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(environment.Installer, "succeeds", interrupt)
        environment.install(bare, "auto", LINUX)
    assert not environment.is_current(bare, "auto", LINUX)
    commands.clear()
    environment.install(bare, "auto", LINUX)
    assert commands[0] == "venv"


def test_other_python_or_build_starts_anew(bare: Project, commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    environment.install(bare, "auto", LINUX)
    stamp = environment.read_stamp(bare)
    assert not environment.must_be_remade(bare, stamp, "cpu")
    assert environment.must_be_remade(bare, stamp, "default")
    assert environment.must_be_remade(bare, stamp | {"python": "3.99"}, "cpu")
    monkeypatch.setattr(environment, "python_version", lambda: "3.99")
    assert not environment.is_current(bare, "auto", LINUX)


def test_environment_made_by_hand_is_kept(bare: Project, commands: list[str]) -> None:
    python = environment.python_of(bare.venv)
    python.parent.mkdir(parents=True)
    python.touch()
    environment.install(bare, "auto", LINUX)
    assert "venv" not in commands
    assert environment.is_current(bare, "auto", LINUX)


def test_uv_fetches_torch_where_pip_cannot(bare: Project, commands: list[str]) -> None:
    FAIL_ON.append("+cpu")
    environment.install(bare, "auto", LINUX)
    assert commands[2].endswith("uv==0.1.0")
    assert commands[3].endswith("--torch-backend cpu torch==2.0.0")
    assert environment.is_current(bare, "auto", LINUX)


def test_no_cpu_build_anywhere_stops_with_advice(bare: Project, commands: list[str]) -> None:
    FAIL_ON.append("torch==")
    with pytest.raises(InstallationFailed, match="--torch default"):
        environment.install(bare, "auto", LINUX)
    assert not any("-r" in command.split() for command in commands)
    assert not environment.is_current(bare, "auto", LINUX)


def test_default_build_needs_no_step_of_its_own(bare: Project, commands: list[str]) -> None:
    environment.install(bare, "auto", Machine("Darwin", "arm64", has_nvidia=False))
    assert not any("torch" in command for command in commands)


def test_broken_stamp_counts_as_none(bare: Project, commands: list[str]) -> None:
    environment.install(bare, "auto", LINUX)
    for content in ("", "{", "[]", json.dumps({"hash": "other"})):
        (bare.venv / environment.STAMP).write_text(content, encoding="utf-8")
        assert not environment.is_current(bare, "auto", LINUX)


def test_old_python_and_full_disk_are_told(bare: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InstallationFailed, match=r"This is Python 3\.10; the course needs Python 3\.11 or newer\."):
        environment.check_python((3, 10))
    monkeypatch.setattr(environment, "NEEDED_GB", {"cpu": 10**9})
    with pytest.raises(InstallationFailed, match="GB are free"):
        environment.check_disk(bare.root, "cpu")


def test_failure_shows_the_end_of_the_log(bare: Project) -> None:
    bare.venv.mkdir()
    installer = environment.Installer(bare.venv)
    installer.python = sys.executable
    with pytest.raises(InstallationFailed, match=r"(?s)\.venv/install\.log.*the reason.*Do this\."):
        installer.step("something", [["-c", "import sys; sys.exit('the reason')"]], otherwise="Do this.")


def test_shell_settings_do_not_mislead_the_installation() -> None:
    cleaned = environment.without_misleading({"PIP_USER": "1", "PIP_TARGET": "x", "PATH": "y"})
    assert cleaned == {"PATH": "y"}
