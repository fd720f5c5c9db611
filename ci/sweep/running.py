"""A trial under way: started, its validation losses followed, stopped when it is pruned, and its folder left tidy."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci.sweep.process import start, stop
from ci.sweep.queue import SECONDS_BETWEEN_BEATS, Queue
from ci.sweep.setting import Setting, steps_of
from ci.sweep.space import Space
from ci.sweep.trial import FAILURE, PLAN, write_plan
from utils.errors import CourseError
from utils.progress import LOSSES
from utils.stages import MANIFEST, is_finished, read_manifest

if TYPE_CHECKING:
    from optuna import Trial

SECONDS_BETWEEN_LOOKS = 0.3
LOG = "trial.log"
PROGRAM = ("-m", "ci.sweep.trial")  # what Python runs for a trial, with its plan
WEIGHTS = ("checkpoints", "model/model.safetensors")


@dataclass(frozen=True)
class Ending:
    """How a trial ended: with a value, pruned, or failed for a reason."""

    value: float | None = None
    reason: str = ""

    @property
    def is_pruned(self) -> bool:
        return self.value is None and not self.reason


def run_trial(queue: Queue, setting: Setting, space: Space, trial: Trial) -> Ending:
    """Run the notebooks of a trial until they end or the study's pruner stops them."""
    folder = setting.trial_folder(trial.number)
    run_name = setting.run_name(trial.number)
    prepare_folder(folder, setting.dataset)
    about = {"study": setting.study, "trial": trial.number, "values": trial.params}
    plan = write_plan(setting.project, run_name, steps_of(setting, space, run_name, trial.params), about)
    process = start([*PROGRAM, str(plan)], folder / LOG)
    try:
        if not _follow(process, folder / LOSSES, queue, trial, space.target.sign):
            return Ending()
    finally:
        stop([process])
    return _ending(process.returncode, folder, space)


def prepare_folder(folder: Path, dataset: Path) -> None:
    """Make a trial's folder, with a link to the dataset, in the place of an earlier trial's.

    Raises:
        CourseError: there is another run in its place.
    """
    if (folder / PLAN).is_file():
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise CourseError(f"runs/{folder.name} is there, and no trial's. Give the study another name.") from None
    share_dataset(dataset, folder)


def share_dataset(dataset: Path, folder: Path) -> None:
    """Link a dataset stage into the folder of another run, unless it has one; where links are not allowed, copy it."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "dataset").exists():
        return
    try:
        (folder / "dataset").symlink_to(os.path.relpath(dataset, folder), target_is_directory=True)
    except OSError:
        shutil.copytree(dataset, folder / "dataset")


def drop_weights(folder: Path) -> None:
    """Remove a trial's weights and checkpoints, half a gigabyte and more; its notebooks and curves stay."""
    for name in WEIGHTS:
        shutil.rmtree(folder / name, ignore_errors=True)
        with contextlib.suppress(OSError):
            (folder / name).unlink()


def _follow(process: subprocess.Popen, losses: Path, queue: Queue, trial: Trial, sign: int) -> bool:
    """Report each new validation loss until the process ends; False as soon as the trial is pruned."""
    reported = 0
    began, beats = time.monotonic(), 0
    while True:
        ended = process.poll() is not None  # looked at first, so that the last losses are not missed
        found = read_losses(losses)
        for step, loss in found[reported:]:
            trial.report(sign * loss, step)
        if len(found) > reported and not ended and trial.should_prune():
            return False
        reported = len(found)
        if ended:
            return True
        if time.monotonic() - began > (beats + 1) * SECONDS_BETWEEN_BEATS:
            beats += 1
            queue.beat(trial, beats)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def read_losses(path: Path) -> list[tuple[int, float]]:
    """Steps and validation losses of a training under way. The loss before the first step, all trials', is left out."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last line end is being written
    except OSError:
        return []
    rows = [json.loads(line) for line in lines]
    return [(row["step"], row["eval_loss"]) for row in rows if row["step"] > 0]


def _ending(status: int, folder: Path, space: Space) -> Ending:
    if status != 0:
        why = folder / FAILURE
        reason = why.read_text(encoding="utf-8").strip() if why.is_file() else f"it ended with status {status}"
        return Ending(reason=reason)
    target = space.target
    value = _results(folder / target.stage).get(target.result)
    if not isinstance(value, int | float) or value != value:
        return Ending(reason=f"{target.stage}/{MANIFEST} has no number for {target.result!r}")
    return Ending(value=float(value))


def _results(stage: Path) -> Mapping[str, object]:
    return read_manifest(stage)["results"] if is_finished(stage) else {}
