"""The lists of packages agree with each other, and name no place that only one machine has."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from ci.tests.conftest import ROOT

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    """Package names in lower case, with their versions."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {package.lower().replace("_", "-"): version for package, version in PIN.findall(text)}


def test_every_requirement_is_pinned_and_explained() -> None:
    for name in ("requirements.txt", "requirements-models.txt"):
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        for line in lines:
            assert not line or line.startswith("#") or re.match(r"\S+==\S+ +# \w", line), line


def test_lock_covers_the_requirements() -> None:
    locked = pins("ci/lock.txt")
    assert {name: locked.get(name) for name in pins("requirements.txt")} == pins("requirements.txt")
    assert len(locked) > 100


def test_conda_environment_installs_the_requirements() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == "finetune_env"
    *packages, from_pip = environment["dependencies"]
    assert packages == ["python=3.11", "pip"]
    assert from_pip == {"pip": ["-r requirements.txt", "-c ci/lock.txt"]}


def test_no_list_names_an_index_or_a_path() -> None:
    lists: list[Path] = [ROOT / "requirements.txt", ROOT / "requirements-models.txt", ROOT / "environment.yml"]
    for path in [*lists, ROOT / "ci" / "lock.txt"]:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path.name
        assert not re.search(r"--(?:extra-)?index-url|--find-links|file:", text), path.name
