"""The command `course.py test`: style, unit tests, every notebook under the smoke profile. All run, whatever fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from ci.display import clock
from ci.parameters import read_notebooks
from ci.plan import Request, make_steps
from ci.project import Project
from ci.runner import run_steps
from ci.runs import renew_run, take_run
from utils.errors import CourseError

RUN_NAME = "test"
# Two tests at a time, each with one thread: most of them use no more, and two that fought for cores would take ages.
PYTEST = ("-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "loadfile")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
RUFF = ("--no-cache", "--output-format", "concise", ".")


def run_checks(project: Project) -> int:
    """Run all checks; returns 1 if any failed.

    Raises:
        UsageError: a run of the user's has the name of the one that is made here.
    """
    take_run(project, RUN_NAME)
    began = time.monotonic()
    faults = [
        *_part("ruff check", lambda: _module(project, "ruff", "check", *RUFF)),
        *_part("ruff format --check", lambda: _module(project, "ruff", "format", "--check", *RUFF)),
        *_part("pytest ci/tests", lambda: _module(project, "pytest", *PYTEST, "ci/tests", **ONE_THREAD)),
    ]
    passed, failed = _notebooks(project)
    faults += failed
    print(f"\nAll checks in {clock(time.monotonic() - began)}. {'Failed:' if faults else 'Nothing failed.'}")
    for fault in faults:
        print(f"  {fault}")
    print(f"Notebooks: {passed} passed, {len(failed)} failed")
    return 1 if faults else 0


def _part(name: str, check: Callable[[], bool]) -> list[str]:
    print(f"\n── {name}", flush=True)
    return [] if check() else [name]


def _module(project: Project, *arguments: str, **variables: str) -> bool:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=project.root, env=os.environ | variables).returncode == 0


def _notebooks(project: Project) -> tuple[int, Sequence[str]]:
    """Every notebook from a fresh start with its solutions, and the results page: how many passed, what failed."""
    from ci.results import print_results

    print("\n── notebooks, profile smoke", flush=True)
    request = Request(profile="smoke", name=RUN_NAME, all_notebooks=True)
    try:
        notebooks = read_notebooks(project.notebooks)
        steps = make_steps(project, request, notebooks)
    except CourseError as error:
        return 0, [f"notebooks: {error}"]
    renew_run(project, RUN_NAME)
    outcome = run_steps(project, RUN_NAME, steps, keep_going=True, solved=True)
    failed = [f"notebook {failure.number} · {failure.title}" for failure in outcome.failures]
    for failure in outcome.failures:
        print(f"\n{failure}")
    try:
        print_results(project, RUN_NAME, notebooks)
    except CourseError as error:
        failed.append(f"results page: {error}")
    return len(outcome.executed), failed
