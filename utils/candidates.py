"""Ways of training that notebook 04 compares, full fine-tuning and adapters of several ranks, each measured once.

What is measured is noted in a folder of its own, so that a run that was interrupted does not train it again.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.adapters import hash_of_weights, train_in_float32
from utils.errors import CourseError
from utils.evaluation import Interval, interval
from utils.models import count_parameters
from utils.peak_memory import PeakMemory
from utils.stages import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from trl import SFTTrainer

RESULT = "result.json"


@dataclass(frozen=True)
class Candidate:
    """What training one way took, and what came of it. `rank` is None for full fine-tuning.

    `peak_memory` is in GB above what the process held before it loaded the model, `seconds` the median of the optimizer
    steps. `frozen` and `moved` are hashes of the weights that are not trained and of those that are, before training
    and after. `correct` has an entry for each validation question, and `log` is the trainer's `log_history`.
    """

    name: str
    rank: int | None
    steps: int
    trainable: int
    peak_memory: float
    seconds: float
    validation_loss: float
    frozen: list[str]
    moved: list[str]
    log: list[dict[str, Any]]
    correct: list[bool]

    @property
    def share(self) -> Interval:
        """The share of right answers."""
        return interval(self.correct)

    def as_row(self) -> dict[str, str]:
        """A line of the table that compares candidates."""
        return {
            "": self.name,
            "trained, millions": f"{self.trainable / 1e6:.2f}",
            "peak memory, GB": f"{self.peak_memory:.2f}",
            "seconds of a step": f"{self.seconds:.2f}",
            "validation loss": f"{self.validation_loss:.3f}",
            f"right of {len(self.correct)}": f"{sum(self.correct)}: {self.share}",
        }

    def summary(self) -> dict[str, object]:
        """The figures alone, answers counted, as plain data."""
        figures = asdict(self) | {"questions": len(self.correct), "correct": sum(self.correct)}
        for name in ("frozen", "moved", "log"):
            del figures[name]
        return figures | {"share": asdict(self.share)}


def candidate_ranks(title: str, ranks: Sequence[int], *, with_full: bool) -> dict[str, int | None]:
    """The rank of each candidate, None for full fine-tuning, by names such as "LoRA, rank 4"; smallest rank first.

    Raises:
        CourseError: there is no rank, or one below 1.
    """
    if not ranks or min(ranks) < 1:
        raise CourseError(f"ranks is {list(ranks)}: give at least one whole number from 1 up, such as 16.")
    adapters: dict[str, int | None] = {f"{title}, rank {rank}": rank for rank in sorted(set(ranks))}
    return {"full": None, **adapters} if with_full else adapters


def spread(count: int, wanted: int, *, block: int = 1) -> list[int]:
    """At most `wanted` of `count` places, in whole blocks of neighbours at equal distances."""
    every = max(1, count // wanted)
    return [place for place in range(count) if place // block % every == 0][:wanted]


def train_measured(
    load: Callable[[], PreTrainedModel],
    make_trainer: Callable[[PreTrainedModel], SFTTrainer],
    recipe: dict[str, object],
    *,
    device: str,
) -> tuple[SFTTrainer, dict[str, Any]]:
    """Load and train a network, guarded as in notebook 03: its trainer, and the figures of its `Candidate`.

    Memory is measured over both; time only over the optimizer steps, and not a number if an interrupted training had
    none left.

    Raises:
        CourseError: training did not begin or ended early (see `utils.guards.guarded_training`).
    """
    from utils.guards import guarded_training
    from utils.trainers import StepClock

    clock = StepClock()
    with PeakMemory(device) as memory:
        network = load()
        trainer = make_trainer(network)
        train_in_float32(network)
        trainer.add_callback(clock)
        frozen, moved = ([hash_of_weights(network, trained=trained)] for trained in (False, True))
        with guarded_training(trainer, recipe, again="run all cells of this notebook again") as checkpoint:
            trainer.train(resume_from_checkpoint=checkpoint)
    return trainer, {
        "steps": trainer.state.global_step,
        "trainable": count_parameters(network, trainable_only=True),
        "peak_memory": memory.gigabytes,
        "seconds": statistics.median(clock.seconds or [math.nan]),
        "validation_loss": trainer.evaluate()["eval_loss"],
        "frozen": [*frozen, hash_of_weights(network, trained=False)],
        "moved": [*moved, hash_of_weights(network, trained=True)],
        "log": trainer.state.log_history,
    }


def keep(folder: Path, recipe: dict[str, object], candidate: Candidate) -> None:
    """Note in the candidate's folder what came of it. `recipe` is all that the result depends on."""
    write_json(folder / RESULT, {"recipe": recipe, "candidate": asdict(candidate)})


def find_kept(folder: Path, recipe: dict[str, object]) -> Candidate | None:
    """What an earlier run has noted in the folder with the same recipe, or None."""
    try:
        noted = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Candidate(**noted["candidate"]) if noted["recipe"] == json.loads(json.dumps(recipe)) else None
