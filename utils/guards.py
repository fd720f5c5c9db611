"""Long runs meet interruptions, full disks, too little memory and broken losses: `guarded_training` meets them first.

    with guarded_training(trainer, recipe, again="run this cell again") as checkpoint:
        trainer.train(resume_from_checkpoint=checkpoint)

Whatever ends the training early ends it with a sentence, and with a checkpoint from which it can be continued.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from utils.checkpoints import MarkCompleteCheckpoints, check_disk, find_checkpoint, list_checkpoints, remove_unmarked
from utils.distributed import by_first, process_count
from utils.interrupts import TrainingStopped, handle_signals
from utils.limits import OutOfDisk, check_memory, explained, memory_ladder
from utils.locks import lock_folder
from utils.losses import LossWatch
from utils.stages import shown

if TYPE_CHECKING:
    from trl import SFTTrainer


@contextlib.contextmanager
def guarded_training(
    trainer: SFTTrainer, recipe: dict[str, object], *, again: str = "run the same command again"
) -> Iterator[str | None]:
    """Guard a training run, and give the checkpoint to continue from, or None.

    It holds the lock of the run's folder, the one above the checkpoints; says how much disk and memory training takes;
    marks whole checkpoints; stops on a loss that is no number, with the batch saved, or that runs away; turns a full
    disk and lack of memory into sentences; and on Ctrl-C or SIGTERM finishes the step, saves and stops. A second Ctrl-C
    stops at once. `recipe` is what the run depends on: checkpoints of another one are not continued. `again` says how.
    The trainer's log is kept but not printed: a dictionary for every line is no report.

    Several processes that train together (see `utils.distributed`) end at once when they are asked to, since they could
    only stop together; they continue from the last checkpoint.

    Raises:
        FolderInUse, NotEnoughDisk: training does not begin.
        TrainingDiverged, OutOfDisk, OutOfMemory, TrainingStopped: it ended early.
    """
    checkpoints = Path(trainer.args.output_dir)
    folder = checkpoints.parent
    with lock_folder(folder):
        checkpoint = by_first(lambda: find_checkpoint(checkpoints, recipe))
        by_first(lambda: check_disk(checkpoints, trainer.model, trainer.args.save_total_limit or 1))
        by_first(lambda: check_memory(trainer))
        trainer.remove_callback(PrinterCallback)
        stop = StopOnRequest()
        for callback in (LossWatch(trainer, folder), MarkCompleteCheckpoints(), stop):
            trainer.add_callback(callback)
        try:
            signals = handle_signals(stop.request) if process_count() == 1 else contextlib.nullcontext()
            with explained(folder, memory_ladder(trainer.args)), signals:
                yield checkpoint
        except OutOfDisk:
            remove_unmarked(checkpoints)
            raise
        if stop.requested:
            raise TrainingStopped(_how_to_continue(checkpoints, trainer.state, again))


class StopOnRequest(TrainerCallback):
    """Ends training after the step that is under way, with a checkpoint."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """Ask for the stop."""
        self.requested = True
        print("\nStopping after this step, with a checkpoint. Once more to stop at once.", flush=True)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.requested:
            control.should_save = control.should_training_stop = True


def _how_to_continue(checkpoints: Path, state: TrainerState, again: str) -> str:
    newest = next(iter(list_checkpoints(checkpoints)), None)
    stopped = f"Stopped at step {state.global_step} of {state.max_steps}."
    if newest is None:
        return f"{stopped} Nothing is saved yet. To begin again, {again}."
    return f"{stopped} {shown(newest)} holds all that was learned. To continue, {again}."
