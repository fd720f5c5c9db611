"""Fine-tune a model on data of your own, from a file to an evaluated model, with one command.

    python -m utils.finetune --data my.csv --model smollm2-135m --out runs/mine

The steps are those of the notebooks: the data is checked and split, the untuned model answers the test questions, the
model is trained, and the tuned model answers the same questions. Each step leaves a folder under --out, whole or not
at all, so that the same command continues after any interruption.

Several processes train it together, with the same result, when torchrun starts the command (see `utils.distributed`):

    torchrun --nproc_per_node=2 --max-restarts=3 -m utils.finetune --data my.csv --out runs/mine
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ci.errors import FAILED, INTERRUPTED, UsageError, complain, exit_status
from ci.parameters import profile_parameters, read_parameters
from utils.allocator import keep_freed_memory
from utils.data_settings import DataSettings
from utils.distributed import (
    OtherProcessFailed,
    ProcessLost,
    by_first,
    is_first,
    is_restarted,
    process_count,
    process_group,
)
from utils.errors import CourseError
from utils.interrupts import TrainingStopped
from utils.limits import explained
from utils.locks import lock_folder
from utils.options import (
    Groups,
    add_options,
    check_values,
    field_options,
    make_parser,
    notebook_options,
    read_options,
)
from utils.pipeline import Run, claim
from utils.settings import NOTEBOOKS, quiet_libraries, run_folder

COMMAND = "python -m utils.finetune"
RUN_OPTIONS = """
data: str | None = None  # your data: a file (JSON Lines, JSON, CSV, Parquet), a folder, or a Hub dataset OWNER/NAME
model: str = "smollm2-135m"  # the model to tune: an embedded one, a Hub id or a folder
out: str | None = None  # the folder for all that the run writes, such as runs/mine
profile: str | None = None  # values for a kind of machine: smoke, cpu or gpu
fresh: bool = False  # begin anew in a folder that holds another run
"""
LENGTH_OPTIONS = """
method: str = "auto"  # what is trained: full (all weights), lora (an adapter), or auto
max_minutes: float = 60.0  # training is planned to end within this time
patience: int | None = None  # evaluations without a gain after which training stops
validation_answers: int | None = None  # validation questions answered at each evaluation
lora_rank: int = 16  # the width of the adapter
lora_alpha: int = 32  # the adapter counts alpha / rank times
"""
TRAINING = (
    "learning_rate num_train_epochs max_steps per_device_train_batch_size gradient_accumulation_steps max_length "
    "warmup_steps eval_steps loss_examples logging_steps save_steps train_embeddings frozen_layers seed"
).split()
EVALUATION = "evaluation_questions max_new_tokens batch_size constrained".split()
MADE_ELSEWHERE = ("data", "max_length", "seed")  # fields of DataSettings that stand in another group
DEFAULTS = "model seed method max_minutes lora_rank lora_alpha batch_size constrained fresh".split()
LADDER = (
    "Try, in this order: a smaller batch_size if it happened while questions were answered; a smaller max_length; "
    "per_device_train_batch_size = 1; --method lora; a smaller model."
)


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    launcher = "" if process_count() == 1 else "torchrun … -m "
    command = f"{launcher}{COMMAND.removeprefix('python -m ') if launcher else COMMAND}"
    again = f"run the same command again: {command} {shlex.join(_without_fresh(arguments))}"
    try:
        finetune(parse(arguments), again=again)
    except TrainingStopped as error:
        return _complain(error, INTERRUPTED)
    except OtherProcessFailed:
        return FAILED
    except CourseError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return _complain(f"Interrupted. To continue, {again}", INTERRUPTED)
    return 0


def parse(arguments: Sequence[str]) -> dict[str, object]:
    """The settings that a command line gives. Raises UsageError."""
    chosen = "What you do not give is chosen from your data and the speed of this machine, and shown with a reason."
    parser = make_parser(COMMAND, "--data FILE --out FOLDER [--model NAME] [--database FILE]", __doc__, chosen)
    groups = option_groups()
    add_options(parser, groups)
    return read_options(parser, groups, arguments)


def option_groups() -> Groups:
    """All options, by heading. Those of training and evaluation are parameters of notebooks 03 and 05."""
    named = [entry for entry in fields(DataSettings) if entry.name not in MADE_ELSEWHERE]
    return {
        "run": read_parameters(RUN_OPTIONS, "the options of the run"),
        "data": field_options(named),
        "training": notebook_options("03", TRAINING) | read_parameters(LENGTH_OPTIONS, "the options of training"),
        "evaluation": notebook_options("05", EVALUATION),
    }


def finetune(settings: Mapping[str, object], *, again: str = "call it again with the same settings") -> Path:
    """Prepare, train and evaluate as `settings` say, whose names are those of the options; returns the run's folder.

    Needed are `data` and either `out` or `run_name`, which stands for runs/RUN_NAME. `again` says how to continue an
    interrupted run. Steps that an earlier call with the same settings finished are not repeated.

    Raises:
        UsageError: a setting is unknown, missing or of the wrong type.
        CourseError: something foreseeable went wrong; the message says what to do.
    """
    given = complete(settings)
    out, fresh = Path(given.pop("out")), given.pop("fresh")
    keep_freed_memory()
    quiet_libraries()
    with process_group(), explained(out, LADDER), lock_folder(out):
        by_first(lambda: claim(out, given, fresh and not is_restarted()))
        run = Run(out, given, again)
        run.prepare()
        run.plan()
        run.ask_untuned()
        run.train()
        run.evaluate()
    return out


def complete(settings: Mapping[str, object]) -> dict[str, Any]:
    """The settings checked, with those of the profile below them, and the few defaults that do not depend on the data.

    Raises:
        UsageError: a setting is unknown, missing or of the wrong type.
    """
    known = {name: parameter for parameters in option_groups().values() for name, parameter in parameters.items()}
    values = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    name = values.pop("run_name", None)
    given = check_values(values, known, "settings")
    if given.get("profile"):
        given = _profile(given["profile"], known) | given
    if name and not given.get("out"):
        try:
            given["out"] = str(run_folder(name))
        except ValueError as error:
            raise UsageError(str(error)) from None
    for needed, example in (("data", "--data my.csv"), ("out", "--out runs/mine")):
        if not given.get(needed):
            raise UsageError(f"{needed} is missing: give it, such as {example}.")
    return {name: known[name].default for name in DEFAULTS} | given


def _profile(profile: str, known: Mapping[str, object]) -> dict[str, object]:
    """What a profile says for the notebooks whose parameters are taken here."""
    values: dict[str, object] = {}
    for number in ("05", "03"):
        values |= profile_parameters(profile, next(NOTEBOOKS.glob(f"{number}_*.ipynb")))
    return {name: value for name, value in values.items() if name in known}


def _without_fresh(arguments: Sequence[str]) -> list[str]:
    """A command line that continues: with --fresh it would begin anew."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [
        argument
        for before, argument in pairs
        if argument.split("=")[0] != "--fresh" and not (before == "--fresh" and argument in {"true", "false"})
    ]


def _complain(what: object, status: int = FAILED) -> int:
    if not is_first() and isinstance(what, UsageError | ProcessLost):  # which all processes would say
        return exit_status(what, status)
    return complain(what, status)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
