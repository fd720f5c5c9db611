"""The folders of runs: those of the user, which are theirs, and those that a command makes for itself and deletes."""

from __future__ import annotations

import shutil

from ci.errors import UsageError
from ci.project import Project

MARK = ".made-by-a-command"


def delete_run(project: Project, run_name: str) -> None:
    """Delete `runs/RUN_NAME`, never anything outside `runs`: of a link only the link goes."""
    folder = project.runs / run_name
    if folder.parent != project.runs or run_name in {"", ".", ".."}:
        raise UsageError(f"{run_name!r} is not the name of a run.")
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def take_run(project: Project, run_name: str) -> None:
    """Mark `runs/RUN_NAME`, and the run that notebook 09 puts beside it, as a command's own.

    Raises:
        UsageError: there is such a run without the mark, so that it is somebody's.
    """
    for name in both(run_name):
        folder = project.runs / name
        if folder.exists() and not (folder / MARK).exists():
            raise UsageError(f"runs/{name} is not from this command, which would delete it. Rename it first.")
    for name in both(run_name):
        (project.runs / name).mkdir(parents=True, exist_ok=True)
        (project.runs / name / MARK).touch()


def renew_run(project: Project, run_name: str) -> None:
    """Begin a command's own run anew."""
    for name in both(run_name):
        delete_run(project, name)
    take_run(project, run_name)


def both(run_name: str) -> tuple[str, str]:
    """A run, and the one of own data that notebook 09 writes."""
    return run_name, f"{run_name}-own-data"
