"""Run notebooks through papermill: one after the other, each result whole or not at all, done ones skipped."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.contents import Cell
from ci.display import NotebookProgress, clock
from ci.exercises import refused, seconds_of_solutions, with_solutions
from ci.plan import Step, stage_is_whole
from ci.project import Project
from ci.record import Record, common_hash, key_of
from utils.stages import MAKERS, write_text

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode

ENGINE = "course"
KERNEL_LOG = "kernel.log"
SHOWN_LINES = 12


@dataclass
class Failure:
    """Why a notebook did not finish. `source` and `lines` are those of the cell and of its error."""

    title: str
    number: str
    cell: str
    source: str
    lines: list[str]
    kept: str

    def __str__(self) -> str:
        source = "\n".join(f"    {line}" for line in _shortened(self.source.rstrip().splitlines()))
        error = "\n".join(f"    {line}" for line in self.lines)
        return (
            f"Notebook {self.number} · {self.title} failed in cell {self.cell}:\n\n{source}\n\n"
            f"with\n\n{error}\n\nThe notebook as far as it came: {self.kept}"
        )


class WrongSolution(Exception):
    """The solution of an exercise does not pass its check."""

    def __init__(self, check: Cell, said: str) -> None:
        super().__init__(said)
        self.check, self.said = check, said


@dataclass
class Outcome:
    """What became of the notebooks of one command."""

    executed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def run_steps(
    project: Project,
    run_name: str,
    steps: list[Step],
    *,
    forced: bool = False,
    keep_going: bool = False,
    solved: bool = False,
) -> Outcome:
    """Run the notebooks in order into `runs/RUN_NAME/notebooks`, leaving out those done before (unless `forced`).

    Stops at the first failure unless `keep_going`. With `solved` the solutions of the exercises are tried too; what
    that takes is not counted.
    """
    register_engine()
    folder = project.runs / run_name / "notebooks"
    record = Record.of(project.runs / run_name)
    common = common_hash(project)
    outcome = Outcome()
    began = time.monotonic()
    for step in steps:
        key = key_of(step.notebook.path, step.values, common, solved=solved)
        if not forced and _is_done(record, key, folder, step, run_name):
            print(f"✓ {label(step)}  done before, skipped", flush=True)
            outcome.skipped.append(step.notebook.name)
            continue
        record.forget(_invalidated(step, record))
        seconds, failure = _run_step(project, folder, step, began, solved=solved)
        if failure:
            outcome.failures.append(failure)
            if not keep_going:
                break
        else:
            record.add(step.notebook.name, key, seconds, step.values)
            outcome.executed.append(step.notebook.name)
    if outcome.executed:
        count = len(outcome.executed)
        print(f"{count} notebook{'s' * (count != 1)} in {clock(time.monotonic() - began)}", flush=True)
    return outcome


def label(step: Step) -> str:
    """Such as `03 · Fine-tune with SFT`."""
    return f"{step.notebook.number} · {step.notebook.title}"


def register_engine() -> None:
    """Teach papermill an engine that tells an observer which cell is running; keep its log off the screen."""
    from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

    class ObservedEngine(NBClientEngine):
        """papermill's own engine, with `observer.start_cell(number)` called before each cell.

        With `solved`, the solutions of the exercises are put in.
        """

        @classmethod
        def execute_notebook(
            cls, nb: NotebookNode, kernel_name: str, *, solved: bool, **options: object
        ) -> NotebookNode:
            return super().execute_notebook(with_solutions(nb) if solved else nb, kernel_name, **options)

        @classmethod
        def execute_managed_notebook(
            cls, nb_man: NotebookExecutionManager, kernel_name: str, observer: NotebookProgress, **options: object
        ) -> NotebookNode:
            start = nb_man.cell_start

            def observed_start(cell: NotebookNode, cell_index: int = 0, **rest: object) -> None:
                observer.cells = len(nb_man.nb.cells)
                observer.start_cell(cell_index + 1)
                start(cell, cell_index, **rest)

            nb_man.cell_start = observed_start
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register(ENGINE, ObservedEngine)
    for name in ("papermill", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def kernel_manager(log: Path) -> type[AsyncKernelManager]:
    """A kernel manager whose kernels write into `log` what they would write on the screen, such as a crash report."""
    from jupyter_client.manager import AsyncKernelManager

    class LoggingKernelManager(AsyncKernelManager):
        async def _async_start_kernel(self, **options: Any) -> None:
            with log.open("w", encoding="utf-8") as file:
                await super()._async_start_kernel(**options, stdout=file, stderr=file)

        start_kernel = _async_start_kernel

    return LoggingKernelManager


def _is_done(record: Record, key: str, folder: Path, step: Step, run_name: str) -> bool:
    return (
        record.key_of(step.notebook.name) == key
        and (folder / step.notebook.path.name).is_file()
        and stage_is_whole(run_name, step.notebook)
    )


def _invalidated(step: Step, record: Record) -> list[str]:
    """This notebook and, if it makes a stage, those after it: they will have been done from something older."""
    if step.notebook.name not in MAKERS.values():
        return [step.notebook.name]
    return [name for name in record.done if name >= step.notebook.name]


def _run_step(
    project: Project, folder: Path, step: Step, began: float, *, solved: bool
) -> tuple[float, Failure | None]:
    """Run a notebook: the seconds that it took, and why it failed."""
    import nbformat

    folder.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(step.notebook.path, as_version=4)
    progress = NotebookProgress(label(step), len(notebook.cells), folder.parent / "progress.txt", began)
    partial = folder / f".{step.notebook.name}.partial.ipynb"
    failed = folder / f"{step.notebook.name}.failed.ipynb"
    failed.unlink(missing_ok=True)
    try:
        with kernel_environment(step), progress:
            executed = _execute(step, partial, project.notebooks, progress, solved=solved)
            _require_right(executed)
        _finish(partial, folder / step.notebook.path.name, project)
    except Exception as error:
        if partial.exists():
            _finish(partial, failed, project)
        return progress.seconds, _failure(step, error, failed, progress.cell, project)
    finally:
        partial.unlink(missing_ok=True)
    return progress.seconds - seconds_of_solutions(executed), None


def _execute(step: Step, target: Path, folder: Path, progress: NotebookProgress, *, solved: bool) -> NotebookNode:
    import papermill

    return papermill.execute_notebook(
        _literal(step.notebook.path),
        _literal(target),
        parameters=step.values,
        engine_name=ENGINE,
        kernel_name="python3",
        progress_bar=False,
        cwd=str(folder),
        start_timeout=180,
        observer=progress,
        solved=solved,
        **kernel_options(target.with_name(KERNEL_LOG)),
    )


def kernel_options(log: Path) -> dict[str, object]:
    """Arguments of papermill for kernels that only this process can talk to, and that write no word on the screen."""
    import zmq
    from traitlets.config import Config

    # Other users of this machine must not read along; without it, the kernel warns at every start.
    encryption = "auto" if zmq.has("curve") else "disabled"
    config = Config({"KernelManager": {"transport_encryption": encryption}})
    return {"config": config, "kernel_manager_class": kernel_manager(log)}


def kernel_environment(step: Step) -> contextlib.AbstractContextManager[None]:
    """Environment variables for the notebook's kernel: this interpreter, repeatable, offline if the model is here."""
    jupyter = [str(Path(sys.prefix) / "share" / "jupyter"), os.environ.get("JUPYTER_PATH", "")]
    changes = {
        # A kernel named python3 that the user installed elsewhere must not be found first.
        "JUPYTER_PATH": os.pathsep.join(filter(None, jupyter)),
        # A notebook whose input is missing makes it when opened alone; here that would run notebooks twice.
        "COURSE_MAKE_MISSING": "0",
        "PYTHONHASHSEED": "0",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if step.offline:
        changes |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return variables(changes)


@contextlib.contextmanager
def variables(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process, which its kernels inherit, and put them back at the end."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _literal(path: Path) -> str:
    """A path that survives `str.format`, through which papermill sends it."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _finish(partial: Path, final: Path, project: Project) -> None:
    """Give a notebook its name, without the paths of this machine that papermill notes in it."""
    import nbformat

    notebook = nbformat.read(partial, as_version=4)
    noted = notebook.metadata.get("papermill", {})
    if noted.get("input_path"):
        noted["input_path"] = project.shown(Path(noted["input_path"]))
        noted["output_path"] = project.shown(final)
    write_text(final, nbformat.writes(notebook) + "\n")


def _require_right(executed: NotebookNode) -> None:
    """Raise WrongSolution for the first check that does not call its solution right."""
    for check, said in refused(executed):
        raise WrongSolution(check, said)


def _failure(step: Step, error: Exception, failed: Path, cell: int, project: Project) -> Failure:
    """The failure as the user should see it. `cell` counts all cells from 1."""
    from papermill.exceptions import PapermillExecutionError

    source, lines, name = "", [], str(cell)
    if isinstance(error, PapermillExecutionError):
        name = f"[{error.exec_count}]" if error.exec_count else str(cell)
        source = error.source
        lines = _plain("\n".join(error.traceback)) or _printed_by(failed, source)
    elif isinstance(error, WrongSolution):
        name, source, lines = f"[{error.check.execution_count}]", error.check.source, _plain(error.said)
    elif failed.exists():
        source = _sources(failed)[cell - 1] if cell else ""
    if not lines:
        lines = [f"{type(error).__name__}: {line}" for line in _plain(str(error))[:1]] or [type(error).__name__]
        if type(error).__name__ == "DeadKernelError":
            log = project.shown(failed.with_name(KERNEL_LOG))
            lines.append(f"The notebook's Python process ended, mostly because the memory was full. Its log: {log}")
    kept = project.shown(failed) if failed.exists() else "nowhere, it did not start"
    return Failure(step.notebook.title, step.notebook.number, name, source, lines[-SHOWN_LINES:], kept)


def _printed_by(notebook: Path, source: str) -> list[str]:
    """What a cell wrote to its error stream: the course's own errors are sentences there, without a traceback."""
    import nbformat

    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.source == source and cell.cell_type == "code":
            streams = [output.text for output in cell.outputs if output.output_type == "stream"]
            return _plain("".join(streams))
    return []


def _sources(notebook: Path) -> list[str]:
    import nbformat

    return [cell.source for cell in nbformat.read(notebook, as_version=4).cells]


def _plain(text: str) -> list[str]:
    """The lines of a text that say something, without colours."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return [line.rstrip() for line in plain.splitlines() if line.strip()]


def _shortened(lines: list[str], limit: int = 25) -> list[str]:
    return lines if len(lines) <= limit else [*lines[:limit], "…"]
