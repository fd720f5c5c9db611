"""The command `course.py refresh`: execute the notebooks, and write them back with their outputs, times and figures.

Everything runs in `runs/refresh`, so that no run of yours is touched. What is refused is refused before a file changes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ci.errors import UsageError
from ci.outputs import MOST_BYTES, Traces, largest_outputs, with_outputs
from ci.parameters import Notebook
from ci.plan import Request, make_steps
from ci.project import Project
from ci.publish import publish, scores_of, write_time_lines
from ci.record import Record
from ci.runs import renew_run, take_run
from utils.errors import CourseError
from utils.stages import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode


def execute(project: Project, request: Request, notebooks: list[Notebook]) -> bool:
    """Run the notebooks of the request, and the solutions in them; False, with the failure shown, if one fails.

    A run that ended early is continued; one that came to its end is deleted first.

    Raises:
        UsageError: a run of the user's has this name.
    """
    from ci.runner import run_steps

    take_run(project, request.run_name)
    steps = make_steps(project, request, notebooks)
    done = Record.of(project.runs / request.run_name).done
    if request.only is None and all(step.notebook.name in done for step in steps):
        renew_run(project, request.run_name)
    outcome = run_steps(project, request.run_name, steps, forced=request.forced, solved=True)
    for failure in outcome.failures:
        print(f"\n{failure}\nThe notebooks are as they were. Run the same command again to continue.")
    return not outcome.failures


def write_back(project: Project, run_name: str, notebooks: list[Notebook], *, whole: bool) -> list[str]:
    """Write the outputs of a run into these notebooks; returns the files written.

    The lines of times and the README's table of them are renewed too; if the run is `whole`, its scores and figures.

    Raises:
        UsageError: the run lacks scores or a notebook, ran it with other values or code, or the result is too large.
    """
    record = Record.of(project.runs / run_name)
    texts = {notebook.path: _renewed(project, run_name, notebook, record) for notebook in notebooks}
    if whole:
        scores_of(project, run_name)
    for path, text in texts.items():
        write_text(path, text)
    published = publish(project, run_name) if whole else write_time_lines(project, run_name, notebooks)
    return sorted({*published, *(project.shown(path) for path in texts)})


def _renewed(project: Project, run_name: str, notebook: Notebook, record: Record) -> str:
    """The text of the notebook's file with the outputs of the run."""
    import nbformat

    again = f"python3 ci/course.py run --name {run_name} --only {notebook.number}"
    executed_file = project.runs / run_name / "notebooks" / notebook.path.name
    if notebook.name not in record.done or not executed_file.is_file():
        raise UsageError(f"runs/{run_name} has no notebook {notebook.number}. Run it: {again}")
    _check_values(run_name, notebook, record, again)
    executed = nbformat.read(executed_file, as_version=4)
    traces = Traces.of(project, run_name, executed)
    try:
        found = with_outputs(nbformat.read(notebook.path, as_version=4), executed, traces)
    except CourseError as error:
        shown = f"{project.shown(notebook.path)} does not fit its execution in runs/{run_name}."
        raise UsageError(f"{shown} {error} Run it again: {again}") from None
    text = nbformat.writes(found) + "\n"
    _check_size(text, found, project.shown(notebook.path))
    return text


def _check_values(run_name: str, notebook: Notebook, record: Record, again: str) -> None:
    """The values must be those that the notebook shows, its defaults, but for the name of the run."""
    values = record.done[notebook.name].get("parameters")
    others = {name: value for name, value in dict(values or {}).items() if name != "run_name"}
    if others:
        given = ", ".join(f"{name} = {json.dumps(value)}" for name, value in others.items())
        raise UsageError(
            f"runs/{run_name} ran notebook {notebook.number} with {given}, and the notebook shows other values. "
            f"Run it without them: {again}"
        )


def _check_size(text: str, notebook: NotebookNode, shown: str) -> None:
    size = len(text.encode())
    if size > MOST_BYTES:
        largest = ", ".join(f"cell {number} ({size / 1000:.0f} kB)" for number, size in largest_outputs(notebook))
        raise UsageError(
            f"{shown} would have {size / 1000:.0f} kB, and may have {MOST_BYTES / 1000:.0f}. Its largest outputs are "
            f"those of {largest}: show less, or a smaller figure."
        )
