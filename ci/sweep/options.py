"""The options of `course.py sweep`, and the setting that they make. Standard library only."""

from __future__ import annotations

import argparse
from pathlib import Path

from ci.plan import PROFILE_FILE
from ci.project import Project
from ci.sweep.setting import SAMPLERS, Setting

SPACE = "ci/sweep/space.yaml"
JOURNAL = "study.journal"
DESCRIPTION = """\
Search for hyperparameters. Optuna proposes values; each trial is a papermill run of notebook 03 and, where the
objective is execution accuracy, of 05. Trials are judged by validation questions, never by test questions.

A trial whose loss is worse than the median of the earlier ones at the same step is stopped. How each trial ended, and
its folder, are kept; weights are kept of the best one only. A trial whose worker was killed is run again. The same
command continues a study, and goes on with more --trials. The best values become a profile for `run --profile`.

On several machines, run the command on each, with the same --study and a --storage that all can reach: a database
server, or a journal file on a shared disk. Each needs the dataset of --run, made from the same data. On a machine with
several GPUs, start one command for each, with CUDA_VISIBLE_DEVICES. The workers of one command share the cores between
them; those of two commands on one machine would slow each other down."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the parser the options of a sweep."""
    option = parser.add_argument
    option("--study", required=True, metavar="NAME", help="trials go to runs/NAME-trial-0000 and so on")
    option(
        "--storage",
        metavar="URL",
        help="a database, such as sqlite:///study.db or postgresql://user@host/name, or the path of a journal file "
        f"(default: runs/NAME/{JOURNAL})",
    )
    option("--trials", type=_positive, default=20, help="how many there shall be in the study (default: 20)")
    option("--workers", type=_positive, default=1, help="trials at a time on this machine (default: 1)")
    option("--space", metavar="FILE.yaml", help=f"what is searched (default: {SPACE}, which explains the form)")
    option("--sampler", choices=SAMPLERS, default="tpe", help="grid tries every combination (default: tpe)")
    option("--no-pruning", action="store_true", help="let every trial run to its end")
    option("--run", default="course", metavar="NAME", help="the run whose dataset is used (default: course)")
    option("--profile", default="cpu", help="gives the values that the space does not name (default: cpu)")


def make_setting(project: Project, options: argparse.Namespace) -> Setting:
    """What was asked for. Paths are meant from where the command was typed."""
    folder = project.runs / options.study
    return Setting(
        root=str(project.root),
        study=options.study,
        storage=_absolute(options.storage) if options.storage else str(folder / JOURNAL),
        space=_absolute(options.space) if options.space else str(project.root / SPACE),
        folder=str(folder),
        trials=options.trials,
        workers=options.workers,
        sampler=options.sampler,
        prunes=not options.no_pruning,
        run=options.run,
        profile=_absolute(options.profile) if options.profile.endswith(PROFILE_FILE) else options.profile,
    )


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).expanduser().absolute())


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)
