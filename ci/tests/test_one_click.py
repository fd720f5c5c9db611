"""A notebook that is opened alone fetches the course, installs what is missing and runs; Binder has an image for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ci.checks.one_click import MISSING, OUTDATED, NotReachable, run_alone
from ci.checks.tiny_model import make_tiny_model
from ci.tests.conftest import ROOT
from utils.setup import EXACT

BINDER = ROOT / "binder"


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to fetch the course with")
def test_a_notebook_alone_runs_to_its_end(tmp_path: Path) -> None:
    """A cheap notebook with a tiny model: what is tried is the setup, which is the same in all of them."""
    model = make_tiny_model(tmp_path / "tiny")
    try:
        outcome = run_alone("00", tmp_path, {"model": str(model), "first_questions": 2})
    except NotReachable as error:
        pytest.skip(str(error))
    assert outcome.faults() == []


def test_the_machine_lacks_what_setup_must_add() -> None:
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for name in (*MISSING, OUTDATED):
        assert re.search(rf"^{name}(?:\[\w+\])?==", requirements, re.MULTILINE)
    assert OUTDATED in EXACT
    assert not set(MISSING) & set(EXACT)


def test_binder_finds_its_files() -> None:
    """A folder `binder` hides environment.yml, with which Binder would install the CUDA build of PyTorch."""
    assert re.fullmatch(r"python-3\.\d+\n", (BINDER / "runtime.txt").read_text(encoding="utf-8"))
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!")
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    for name in re.findall(r"[\w/-]+\.txt", text):
        assert (ROOT / name).is_file(), name
    assert "--torch-backend cpu" in text
    assert "requirements-models.txt" in text
    assert "://" not in text
