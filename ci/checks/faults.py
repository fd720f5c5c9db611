"""Try what goes wrong with long runs, for real, and write what the user saw to docs/faults.md.

    python -m ci.checks.faults

Every fault is tried on `utils.finetune` with a tiny random model, each in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.checks.kills import largest_difference, running
from ci.checks.tiny_model import make_tiny_model, write_colours
from utils.settings import ROOT
from utils.stages import write_text

PAGE = ROOT / "docs" / "faults.md"
INTRODUCTION = """# What happens when something goes wrong

Made by `python -m ci.checks.faults`, which tries each fault on `python -m utils.finetune` with a tiny model. The right
column is what was printed; the folder is written as `…`.

| what happened | what the user saw |
|---|---|
"""
SETTINGS = "--num-train-epochs 20 --learning-rate 3e-3 --seed 7 --max-new-tokens 12".split()
TMPFS_MB = 12
# Faults that a machine has only when it breaks are put into the process before the command runs.
NOT_A_NUMBER = """
from utils.training import SharedPrefixTrainer
usual = SharedPrefixTrainer.compute_loss
def compute_loss(self, model, inputs, *rest, **named):
    is_bad = "snow" in self.processing_class.decode(inputs["input_ids"][0])
    loss = usual(self, model, inputs, *rest, **named)
    return loss * float("nan") if is_bad and self.state.global_step >= 3 else loss
SharedPrefixTrainer.compute_loss = compute_loss
"""
NO_MEMORY = """
import torch
from utils.training import SharedPrefixTrainer
usual = SharedPrefixTrainer.training_step
def training_step(self, *arguments, **named):
    if self.state.global_step == 3:
        torch.empty(10**15)
    return usual(self, *arguments, **named)
SharedPrefixTrainer.training_step = training_step
"""


@dataclass
class Fault:
    """A fault: its description, and a function that causes it and returns what was printed."""

    title: str
    cause: Callable[[Bench], str]


class Bench:
    """A folder with a tiny model and data, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.model, self.data = folder / "tiny", folder / "my.csv"
        make_tiny_model(self.model)
        write_colours(self.data)

    def command(self, *options: str, before: str = "") -> list[str]:
        """The command with `options` over the usual ones; `before` is code that runs first."""
        usual = ["--data", str(self.data), "--model", str(self.model), "--out", str(self.out), *SETTINGS]
        code = f"{before}\nimport sys\nfrom utils.finetune import main\nsys.exit(main(sys.argv[1:]))"
        return [sys.executable, "-c", code, *usual, *options]

    def run(self, *options: str, before: str = "") -> str:
        """Run to the end; what was printed, errors included."""
        done = subprocess.run(self.command(*options, before=before), cwd=ROOT, capture_output=True, text=True)
        return done.stdout + done.stderr

    def started(self, *options: str) -> contextlib.AbstractContextManager[subprocess.Popen]:
        """A run that goes on beside, killed at the end if it is still there."""
        return running(self.command(*options))

    def wait_for(self, step: int) -> None:
        """Wait until the checkpoint of a step is whole."""
        end = time.monotonic() + 300
        while not (self.out / "checkpoints" / f"checkpoint-{step}" / "complete.json").exists():
            if time.monotonic() > end:
                raise TimeoutError(f"No checkpoint of step {step} after five minutes.")
            time.sleep(0.02)

    def clear(self) -> None:
        """Begin with an empty folder again."""
        shutil.rmtree(self.out, ignore_errors=True)


def lines_with(said: str, *parts: str) -> str:
    """The printed lines that contain one of the parts, each once."""
    found = [line.strip() for line in said.splitlines() if any(part in line for part in parts)]
    return "\n".join(dict.fromkeys(found))


def last_paragraph(said: str) -> str:
    """The message that a command ended with."""
    return said.strip().split("\n\n")[-1]


def killed(bench: Bench) -> str:
    bench.run()
    shutil.move(bench.out, bench.folder / "undisturbed")
    shutil.rmtree(bench.out, ignore_errors=True)
    bench.out.mkdir()
    shutil.copy(bench.folder / "undisturbed" / "plan.json", bench.out)
    with bench.started() as process:
        bench.wait_for(12)
        process.send_signal(signal.SIGKILL)
    said = bench.run()
    off = largest_difference(bench.folder / "undisturbed" / "model", bench.out / "model")
    return f"{lines_with(said, 'Continuing')}\n(largest difference of a final weight from an undisturbed run: {off:g})"


def truncated(bench: Bench) -> str:
    with bench.started() as process:
        bench.wait_for(18)
        process.send_signal(signal.SIGKILL)
    newest = max(bench.out.glob("checkpoints/checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return lines_with(bench.run(), "damaged", "Continuing")


def interrupted(bench: Bench) -> str:
    with bench.started() as process:
        bench.wait_for(12)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    return lines_with(said, "Stopping", "Stopped")


def two_writers(bench: Bench) -> str:
    with bench.started():
        bench.wait_for(6)
        return last_paragraph(bench.run())


def full_disk(bench: Bench) -> str:
    with small_disk(bench.out), bench.started() as process:
        bench.wait_for(12)
        with contextlib.suppress(OSError), (bench.out / ".filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(10_000))
        said, _ = process.communicate()
        return last_paragraph(said)


def too_small_disk(bench: Bench) -> str:
    with small_disk(bench.out):
        (bench.out / ".filler").write_bytes(bytes((TMPFS_MB - 2) * 1_000_000))
        return last_paragraph(bench.run())


def broken_rows(bench: Bench) -> str:
    path = bench.folder / "broken.jsonl"
    rows = [json.dumps({"question": f"What is {n} times {n}?", "answer": f"{n * n}"}) for n in range(30)]
    rows[3], rows[7], rows[9] = '{"question": "cut off', '{"question": "no answer", "answer": ""}', rows[8]
    path.write_text("\n".join(rows), encoding="utf-8")
    said = bench.run("--data", str(path), "--max-steps", "1")
    return lines_with(said, "broken.jsonl", "left out")


def no_database(bench: Bench) -> str:
    path = bench.folder / "text.sqlite"
    path.write_text("This is no database.", encoding="utf-8")
    return last_paragraph(bench.run("--database", str(path)))


def other_settings(bench: Bench) -> str:
    bench.run("--max-steps", "1")
    return last_paragraph(bench.run("--max-steps", "2"))


FAULTS = (
    Fault("`kill -9` while training, then the same command", killed),
    Fault("The newest checkpoint is truncated", truncated),
    Fault("Ctrl-C while training", interrupted),
    Fault("A second run in the same folder", two_writers),
    Fault("The disk fills up while training (a small tmpfs)", full_disk),
    Fault("The disk is too small from the start", too_small_disk),
    Fault("A batch gives a loss that is no number", lambda bench: last_paragraph(bench.run(before=NOT_A_NUMBER))),
    Fault(
        "The learning rate is far too high",
        lambda bench: last_paragraph(bench.run("--learning-rate", "3", "--warmup-steps", "10")),
    ),
    Fault("The memory runs out while training", lambda bench: last_paragraph(bench.run(before=NO_MEMORY))),
    Fault("Broken rows in the data", broken_rows),
    Fault("The data file is missing", lambda bench: last_paragraph(bench.run("--data", "mine.csv"))),
    Fault("The model's name is misspelt", lambda bench: last_paragraph(bench.run("--model", "smolm2-135m"))),
    Fault("The database is no database", no_database),
    Fault("Other settings, the same folder", other_settings),
    Fault("An option is misspelt", lambda bench: last_paragraph(bench.run("--learning-rte", "1e-4"))),
    Fault("A value has the wrong type", lambda bench: last_paragraph(bench.run("--learning-rate", "fast"))),
)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A tmpfs of some megabytes at `folder`. Needs the right to mount."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def main(names: Sequence[str]) -> int:
    """Try all faults, or those whose titles contain one of `names`, and write the page if all were tried."""
    rows = []
    for fault in FAULTS:
        if names and not any(name in fault.title for name in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                said = fault.cause(Bench(Path(folder))).replace(folder, "…")
            except subprocess.CalledProcessError as error:
                print(f"{fault.title}: could not be tried here: {error}", file=sys.stderr)
                return 1
        print(f"{fault.title}\n    {said}\n".replace("\n", "\n    ").rstrip(), flush=True)
        if not said or "Traceback" in said:
            print("That is no sentence.", file=sys.stderr)
            return 1
        cell = said.replace("|", "\\|").replace("\n", "<br>")
        rows.append(f"| {fault.title} | {cell} |\n")
    if not names:
        write_text(PAGE, INTRODUCTION + "".join(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
