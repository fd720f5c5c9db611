"""The commands of `ci/course.py`. Faults of a request are told before anything is done."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ci import badges, environment
from ci.errors import FAILED, INTERRUPTED, OneLineParser, UsageError, complain, exit_when_terminated
from ci.parameters import Notebook, read_notebooks
from ci.plan import Request, check_request, make_steps
from ci.project import Project
from ci.sweep.options import DESCRIPTION, add_options, make_setting
from utils.errors import CourseError
from utils.settings import run_folder

PROJECT = Project(Path(__file__).resolve().parent.parent)
COMMAND = "python3 ci/course.py"
REFRESH = "refresh"  # the run of the command of that name
BENCH_PARTS = ("all", "train", "memory", "generate", "load")


def main(arguments: Sequence[str], project: Project = PROJECT) -> int:
    """Run a command; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    exit_when_terminated()
    try:
        options = make_parser().parse_args(arguments)
        return options.command(project, options, list(arguments))
    except CourseError as error:
        return complain(error, apart=False)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        return complain("Interrupted. Run the same command again to continue.", INTERRUPTED, apart=False)


def make_parser() -> OneLineParser:
    """The options of all commands."""
    parser = OneLineParser(prog=COMMAND, description="Run and check the course.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="run|test|list|badges|publish|refresh|bench|book|sweep")
    run = commands.add_parser("run", help="run the course; ends with a results page", allow_abbrev=False)
    run.set_defaults(command=run_command)
    run.add_argument("--profile", default="cpu", help="smoke, cpu or gpu: see ci/profiles (default: cpu)")
    run.add_argument("--only", metavar="05", help="run this notebook alone")
    run.add_argument("--from", dest="start", metavar="03", help="run from this notebook on")
    run.add_argument("--name", help="results go to runs/NAME (default: course; smoke and gpu for those profiles)")
    run.add_argument(
        "-p",
        dest="assignments",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter, see the list command",
    )
    run.add_argument("--solutions", action="store_true", help="try the solutions of the exercises too")
    run.add_argument("--fresh", action="store_true", help="delete runs/NAME first")
    test = commands.add_parser("test", help="check style, unit tests and every notebook", allow_abbrev=False)
    test.set_defaults(command=test_command)
    bench = commands.add_parser("bench", help="measure speed and memory against other tools", allow_abbrev=False)
    bench.set_defaults(command=bench_command)
    bench.add_argument("part", nargs="?", default="all", choices=BENCH_PARTS, help="what to compare (default: all)")
    bench.add_argument(
        "--name", default="course", help="the run with the dataset and the tuned model (default: course)"
    )
    bench.add_argument("--steps", type=positive, help="optimizer steps (default: 20 to train, 300 to watch memory)")
    bench.add_argument("--rounds", type=positive, help="how often to measure (default: 3, and 2 to generate)")
    bench.add_argument("--questions", type=positive, help="test questions to answer (default: all)")
    bench.add_argument(
        "--from-log", action="store_true", help="memory: what notebook 03 noted in this run, instead of training again"
    )
    book = commands.add_parser("book", help="build the course as a web book that opens offline", allow_abbrev=False)
    book.set_defaults(command=book_command)
    refresh = commands.add_parser("refresh", help="write a clean run's outputs into the notebooks", allow_abbrev=False)
    refresh.set_defaults(command=refresh_command)
    refresh.add_argument("--only", metavar="03", help="this notebook alone, on what the last refresh made")
    refresh.add_argument("--from-run", metavar="NAME", help="take the outputs of runs/NAME, executing nothing")
    sweep = commands.add_parser(
        "sweep",
        help="search for hyperparameters, on as many machines as you like",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    sweep.set_defaults(command=sweep_command)
    add_options(sweep)
    publishing = commands.add_parser("publish", help="write a run's figures into the README and the notebooks")
    publishing.set_defaults(command=publish_command)
    publishing.add_argument("--name", default="course", help="the run (default: course)")
    for command in (run, test, bench, book, refresh, sweep, publishing):
        command.add_argument(
            "--torch",
            choices=environment.TORCH_CHOICES,
            default="auto",
            help="which build of PyTorch to install (default: auto, the CPU build where there is no NVIDIA GPU)",
        )
    listing = commands.add_parser("list", help="the notebooks and their parameters", allow_abbrev=False)
    listing.set_defaults(command=list_command)
    rename = commands.add_parser("badges", help="point all badges and clone commands at a repository")
    rename.set_defaults(command=badges_command)
    rename.add_argument("--repo", required=True, metavar="OWNER/NAME", help="the repository on GitHub")
    return parser


def run_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Run the course, or a part of it."""
    request = Request(
        profile=options.profile,
        only=options.only,
        start=options.start,
        name=options.name,
        assignments=tuple(options.assignments),
        fresh=options.fresh,
        solved=options.solutions,
    )
    notebooks = read_notebooks(project.notebooks)
    check_request(project, request, notebooks)
    environment.enter(project, options.torch)
    return run_course(project, request, notebooks, arguments)


def run_course(project: Project, request: Request, notebooks: list[Notebook], arguments: list[str]) -> int:
    """Run the notebooks of a request and show the results. Needs the installed environment."""
    from ci.results import print_results
    from ci.runner import run_steps
    from ci.runs import delete_run

    steps = make_steps(project, request, notebooks)
    if request.fresh:
        delete_run(project, request.run_name)
    outcome = run_steps(project, request.run_name, steps, forced=request.forced, solved=request.solved)
    if outcome.failures:
        failure = outcome.failures[0]
        print(f"\n{failure}\nTo continue from there:        {continuing(arguments, failure.number, request)}")
        return FAILED
    if not outcome.executed:
        print(
            "All of these notebooks were done before with the same contents; --fresh deletes the run and starts again."
        )
    print_results(project, request.run_name, notebooks)
    return 0


def test_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Check everything, and tell at the end what failed."""
    read_notebooks(project.notebooks)
    environment.enter(project, options.torch)
    from ci.all_checks import run_checks

    return run_checks(project)


def list_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Print the notebooks and what they take."""
    for notebook in read_notebooks(project.notebooks):
        print(f"{notebook.number}  {notebook.title}")
        for parameter in notebook.parameters.values():
            print(f"      {parameter}")
    return 0


def badges_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Rewrite the repository's name wherever it stands."""
    changed = badges.rename(project, options.repo)
    print(f"{len(changed)} files now point to {options.repo}{': ' if changed else ''}{', '.join(changed)}")
    return 0


def publish_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Write the figures of a run into the README and the notebooks."""
    environment.enter(project, options.torch)  # which tells how fast the processor is
    from ci.publish import publish

    written = publish(project, options.name)
    print(f"The figures of runs/{options.name} are in {', '.join(written)}")
    return 0


def refresh_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Execute the notebooks, or take a run that did, and write them back with their outputs."""
    request = Request(only=options.only, name=options.from_run or REFRESH, all_notebooks=True)
    notebooks = read_notebooks(project.notebooks)
    selected = check_request(project, request, notebooks)
    environment.enter(project, options.torch)
    from ci.refresh import execute, write_back

    if options.from_run is None and not execute(project, request, notebooks):
        return FAILED
    written = write_back(project, request.run_name, selected, whole=options.only is None)
    print(f"The outputs and figures of runs/{request.run_name} are in {', '.join(written)}")
    return 0


def bench_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Compare the course with other tools on this machine."""
    try:
        run_folder(options.name)
    except (ValueError, CourseError) as error:
        raise UsageError(str(error)) from None
    environment.enter(project, options.torch)
    from ci.bench.command import run_bench
    from ci.bench.setting import Setting

    asked = Setting(project, options.name, options.steps, options.rounds, options.questions, options.from_log)
    run_bench(asked, options.part)
    return 0


def sweep_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Search for hyperparameters."""
    setting = make_setting(project, options)
    check_request(project, Request(profile=setting.profile, name=setting.study), read_notebooks(project.notebooks))
    environment.enter(project, options.torch)
    from ci.sweep.command import sweep

    sweep(setting)
    return 0


def book_command(project: Project, options: argparse.Namespace, arguments: list[str]) -> int:
    """Build the web book into `runs/book` from what is committed; nothing is executed."""
    read_notebooks(project.notebooks)
    environment.enter(project, options.torch)
    from ci.book.builder import build_book

    began = time.monotonic()
    print("Building the book …", flush=True)
    page = build_book(project, project.runs / "book")
    print(f"Built in {environment.spoken(time.monotonic() - began)}. Open {project.shown(page)} in a browser.")
    return 0


def continuing(arguments: list[str], number: str, request: Request) -> str:
    """The command that goes on at the notebook that failed, with the options of the one that failed."""
    kept = []
    rest = iter(arguments)
    for argument in rest:
        if argument in {"--only", "--from"}:
            next(rest, None)
        elif not argument.startswith(("--only=", "--from=", "--fresh")):
            kept.append(argument)
    option = "--only" if request.only is not None else "--from"
    return shlex.join([*COMMAND.split(), kept[0], option, number, *kept[1:]])


def positive(text: str) -> int:
    """A whole number from 1 up. Raises ValueError, which argparse tells."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)
