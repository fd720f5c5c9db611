"""Small projects with small notebooks, for the tests of the runner."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ci.project import Project

ROOT = Path(__file__).resolve().parents[2]
COMMON = (
    'run_name: str = "course"  # where results go\nprofile: str = "cpu"\nmodel: str = "smollm2-135m"\nseed: int = 1\n'
)

WriteNotebook = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project with the course's profiles; stages are looked for in its `runs`."""
    for name in ("notebooks", "utils", "data"):
        (tmp_path / name).mkdir()
    shutil.copytree(ROOT / "ci" / "profiles", tmp_path / "ci" / "profiles")
    for profile in (tmp_path / "ci" / "profiles").glob("*.yaml"):
        profile.write_text("description: a test\nparameters:\n  model: smollm2-135m\n", encoding="utf-8")
    (tmp_path / "utils" / "module.py").write_text("VALUE = 1\n", encoding="utf-8")
    monkeypatch.setattr("utils.settings.RUNS", tmp_path / "runs")
    return Project(tmp_path)


@pytest.fixture
def write_notebook(project: Project) -> WriteNotebook:
    """Writes a notebook with a title, a parameters cell (the common ones and `parameters`) and `cells`."""

    def write(name: str, *cells: str, parameters: str = "", common: str = COMMON) -> Path:
        sources = [("markdown", f"# {name[:2]} · The {name[3:]}"), ("code", common + parameters)]
        sources += [("code", cell) for cell in cells]
        content = [_cell(kind, source, index) for index, (kind, source) in enumerate(sources)]
        content[1]["metadata"]["tags"] = ["parameters"]
        kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        path = project.notebooks / f"{name}.ipynb"
        notebook = {"cells": content, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
        path.write_text(json.dumps(notebook), encoding="utf-8")
        return path

    return write


def _cell(kind: str, source: str, index: int) -> dict:
    cell = {"id": f"cell-{index}", "cell_type": kind, "metadata": {}, "source": source}
    return cell | {"outputs": [], "execution_count": None} if kind == "code" else cell
