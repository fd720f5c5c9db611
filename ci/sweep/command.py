"""The command `course.py sweep`: start workers, tell what becomes of the trials, write the best values as a profile."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ci.sweep.process import start, stop
from ci.sweep.queue import Queue
from ci.sweep.results import PROFILE, ended, summary, trial_line, write_profile
from ci.sweep.setting import Setting, check_setting
from ci.sweep.space import Space
from ci.sweep.study import open_queue, quiet
from utils.errors import CourseError

if TYPE_CHECKING:
    from optuna import Study

SECONDS_BETWEEN_LOOKS = 0.5
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def sweep(setting: Setting) -> Study:
    """Run the trials of a study that are still to be run, and return the study. The best values go to `best.yaml`.

    Workers on the same machine share its cores: each computes with as many threads as there are cores for it, since
    processes that compete for them slow each other down many times over.

    Raises:
        UsageError: the request has a fault; nothing was run.
        CourseError: the workers ended before the study was done, or no trial came to its end.
    """
    quiet()
    space = check_setting(setting)
    queue = open_queue(setting, space)
    Path(setting.folder).mkdir(parents=True, exist_ok=True)
    known = {trial.number for trial in ended(queue.study)}
    print(f"Study {setting.study}: {queue.count} trials, {len(known)} ended before. {_division(setting)}", flush=True)
    workers = [] if queue.is_done() else [_start_worker(setting, number) for number in range(setting.workers)]
    try:
        _watch(workers, queue, space, known)
    finally:
        stop(workers)
    print(summary(queue.study, space), flush=True)
    _check_end(setting, queue)
    profile = write_profile(setting, queue.study, space, Path(setting.folder) / PROFILE)
    print(
        f"Its values as a profile: python3 ci/course.py run --profile {setting.project.shown(profile)} "
        f"--name {setting.study}-best"
    )
    return queue.study


def threads_for(workers: int) -> int:
    """How many threads each of so many workers gets on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workers)


def worker_log(setting: Setting, number: int) -> Path:
    """What a worker prints, which is little."""
    return Path(setting.folder) / f"worker-{number + 1}.log"


def _division(setting: Setting) -> str:
    if setting.workers == 1:
        return "One worker, with all cores."
    threads = threads_for(setting.workers)
    return f"{setting.workers} workers, each with {threads} thread{'s' * (threads > 1)}."


def _start_worker(setting: Setting, number: int) -> subprocess.Popen:
    threads = dict.fromkeys(THREADS, str(threads_for(setting.workers))) if setting.workers > 1 else {}
    return start(["-m", "ci.sweep.worker", setting.to_json()], worker_log(setting, number), threads)


def _watch(workers: list[subprocess.Popen], queue: Queue, space: Space, known: set[int]) -> None:
    """Print a line for each trial that ends, whoever ran it, until the workers have; `known` are those told before."""
    lost: set[int] = set()
    while True:
        running = [worker for worker in workers if worker.poll() is None]
        for trial in ended(queue.study):
            if trial.number not in known:
                known.add(trial.number)
                print(trial_line(trial, space), flush=True)
        for number, worker in enumerate(workers):
            if worker.poll() is not None and worker.returncode != 0 and number not in lost:
                lost.add(number)
                print(f"Worker {number + 1} ended early. Its trial goes to the others.", flush=True)
        if not running:
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _check_end(setting: Setting, queue: Queue) -> None:
    """Raises CourseError if the study is not done, or has nothing to choose from."""
    from optuna.trial import TrialState

    trials = queue.study.get_trials(deepcopy=False)
    if not queue.is_done():
        logs = [worker_log(setting, number) for number in range(setting.workers)]
        said = [log.read_text(encoding="utf-8", errors="replace").strip() for log in logs if log.is_file()]
        last = next((text.splitlines()[-1] for text in said if text), "they were killed.")
        raise CourseError(f"The workers ended before the study: {last} The same command continues it.")
    if not any(trial.state == TrialState.COMPLETE for trial in trials):
        raise CourseError(f"No trial came to its end. Their logs: runs/{setting.study}-trial-*/trial.log")
