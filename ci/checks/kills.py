"""Kill `utils.finetune` at random moments, run it again, and compare the weights with those of an undisturbed run.

    python -m ci.checks.kills --trials 20

A tiny random model is trained, so that a trial takes seconds; what is written and in which order is as for any other.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ci.checks.tiny_model import make_tiny_model, write_colours
from utils.pipeline import PLAN
from utils.settings import ROOT

MOST_KILLS = 3
MOST_EVENTS, LONGEST_DELAY = 12, 1.0  # files and folders that appear before a kill, and seconds after the last one
SETTINGS = "--num-train-epochs 20 --learning-rate 3e-3 --seed 7 --max-new-tokens 12".split()
TOLERANCE = 1e-6  # of a weight: float noise


@dataclass
class Trial:
    """What one trial did: the moments of the kills in seconds after the start, and how far the weights are off."""

    kills: list[float] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    largest_difference: float = 0.0
    same_answers: bool = False

    @property
    def passed(self) -> bool:
        return self.same_answers and self.largest_difference <= TOLERANCE

    def __str__(self) -> str:
        moments = ", ".join(f"{s} {k:.1f} s" for s, k in zip(self.stages, self.kills, strict=True)) or "never"
        verdict = "same" if self.passed else "DIFFERENT"
        return f"killed: {moments} · largest difference of a weight {self.largest_difference:.1e} · {verdict}"


def main(arguments: list[str]) -> int:
    """Run the trials; returns 0 if all end with the undisturbed run's weights and answers."""
    parser = argparse.ArgumentParser(prog="python -m ci.checks.kills", description=__doc__.split("\n\n")[0])
    parser.add_argument("--trials", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (default: 1)")
    options = parser.parse_args(arguments)
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tiny_model(folder / "tiny")
        write_colours(folder / "colours.csv")
        run(folder, "undisturbed")
        failures = 0
        for number in range(1, options.trials + 1):
            trial = try_once(folder, f"trial{number}", generator)
            failures += not trial.passed
            print(f"{number:>3}  {trial}", flush=True)
            shutil.rmtree(folder / f"trial{number}")
    print(f"{options.trials - failures} of {options.trials} trials ended as the undisturbed run.")
    return 1 if failures else 0


def try_once(folder: Path, name: str, generator: random.Random) -> Trial:
    """Start, kill up to three times at random moments, let it end, and compare."""
    trial = Trial()
    (folder / name).mkdir()
    # Settings that depend on the measured speed must not make the difference.
    shutil.copy(folder / "undisturbed" / PLAN, folder / name / PLAN)
    for _ in range(generator.randint(1, MOST_KILLS)):
        with started(folder, name) as process:
            events, delay = generator.randint(0, MOST_EVENTS), generator.uniform(0, LONGEST_DELAY)
            moment = wait(process, folder / name, events, delay)
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            trial.kills.append(moment)
            trial.stages.append(stage_of(folder / name))
    run(folder, name)
    trial.largest_difference = largest_difference(*(folder / which / "model" for which in ("undisturbed", name)))
    answers = [(folder / w / "evaluation" / "answers_tuned.jsonl").read_bytes() for w in ("undisturbed", name)]
    trial.same_answers = answers[0] == answers[1]
    return trial


def wait(process: subprocess.Popen, run_folder: Path, events: int, delay: float) -> float:
    """Wait until so many new things have appeared in the run's folder and then for `delay`, or for the run's end.

    Returns how many seconds that were. Starting takes longer than all that follows: moments spread evenly over the time
    would hardly ever meet the training, and never the writing of a stage.
    """
    began = time.monotonic()
    seen = set(run_folder.glob("*")) | set(run_folder.glob("checkpoints/*"))
    before = len(seen)
    while process.poll() is None and len(seen) < before + events:
        time.sleep(0.01)
        seen |= set(run_folder.glob("*")) | set(run_folder.glob("checkpoints/*"))
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(delay)
    return time.monotonic() - began


def run(folder: Path, name: str) -> None:
    """Run to the end. Raises RuntimeError with what was said if that fails."""
    with started(folder, name) as process:
        said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"The run {name} ended with status {process.returncode}:\n{said}")


def started(folder: Path, name: str) -> contextlib.AbstractContextManager[subprocess.Popen]:
    """The command, running."""
    files = ["--data", str(folder / "colours.csv"), "--model", str(folder / "tiny"), "--out", str(folder / name)]
    return running([sys.executable, "-m", "utils.finetune", *files, *SETTINGS])


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen]:
    """A command that goes on beside, its output in one pipe; killed at the end if it is still there."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def stage_of(run_folder: Path) -> str:
    """What the run was at, from what it has left so far."""
    for stage in ("evaluation", "model", "checkpoints", "baseline", "dataset"):
        if (run_folder / f".{stage}.partial").exists():
            return f"writing {stage}"
        if (run_folder / stage).exists():
            return "training" if stage == "checkpoints" else f"after {stage}"
    return "at the start"


def largest_difference(left: Path, right: Path) -> float:
    """The largest absolute difference of a weight between two model folders."""
    from safetensors.numpy import load_file

    weights, others = (load_file(folder / "model.safetensors") for folder in (left, right))
    assert weights.keys() == others.keys()
    return max(float(abs(weights[name] - others[name]).max()) for name in weights)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
