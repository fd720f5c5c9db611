"""The trainer of notebook 03 for a command: the same settings, from a dictionary, and the same class."""

from __future__ import annotations

import functools
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from utils.data_parallel import data_parallel
from utils.distributed import process_count, shared_step
from utils.hardware import Choice
from utils.limits import explained, memory_ladder
from utils.models import decoder_layers, load_model
from utils.selection import ACCURACY, SCORE
from utils.settings import set_seed
from utils.terminal import StatusLine, minutes
from utils.training import trainer_class

if TYPE_CHECKING:
    from utils.formats import Example

KEPT_CHECKPOINTS = 2
PROBE_STEPS, PROBE_EXAMPLES = 4, 512


def training_arguments(values: Mapping[str, Any], hardware: Choice, folder: Path, **changes: object) -> SFTConfig:
    """The settings of notebook 03 with these values, and with `changes`.

    Several processes (see `utils.distributed`) share the examples of a step.

    Raises:
        CourseError: they cannot be split evenly.
    """
    processes = process_count()
    mine = shared_step(values, processes)
    arguments = {
        "output_dir": str(folder),
        "learning_rate": values["learning_rate"],
        "lr_scheduler_type": "cosine",
        "warmup_steps": values["warmup_steps"],
        "num_train_epochs": values["num_train_epochs"],
        "max_steps": values["max_steps"],
        "per_device_train_batch_size": mine["per_device_train_batch_size"],
        "per_device_eval_batch_size": -(-values["per_device_train_batch_size"] // processes),
        "gradient_accumulation_steps": mine["gradient_accumulation_steps"],
        "ddp_find_unused_parameters": False,  # all that is trained takes part in every step
        "max_grad_norm": 1.0,
        "adam_beta2": 0.99,
        "weight_decay": 0.0,
        "optim": "adamw_torch_fused",
        "activation_checkpointing": False,
        "max_length": values["max_length"],
        "completion_only_loss": None,  # on the answer where there is one, on all of a plain text
        "eval_strategy": "steps",
        "eval_steps": values["eval_steps"],
        "eval_on_start": True,
        "save_steps": values["save_steps"],
        "save_total_limit": KEPT_CHECKPOINTS,
        "metric_for_best_model": SCORE,
        "greater_is_better": True,
        "logging_steps": values["logging_steps"],
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
        "seed": values["seed"],
    }
    return SFTConfig(**(arguments | hardware.trainer_arguments() | changes))


def load_network(values: Mapping[str, Any], hardware: Choice) -> PreTrainedModel:
    """The untuned model, its weights marked as trained or not: as in notebook 03, or an adapter's alone."""
    network = load_model(values["model"], device=hardware.device, attention=hardware.attention)
    if values["method"] == "full":
        network.get_input_embeddings().requires_grad_(values["train_embeddings"])
        for layer in decoder_layers(network)[: values["frozen_layers"]]:
            layer.requires_grad_(False)
        return network
    from peft import LoraConfig, get_peft_model

    set_seed(values["seed"])  # the adapter starts from random numbers
    config = LoraConfig(
        r=values["lora_rank"], lora_alpha=values["lora_alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(network, config)


def load_tuned(values: Mapping[str, Any], checkpoint: Path, hardware: Choice) -> PreTrainedModel:
    """The weights of a checkpoint as a plain model, an adapter merged into the model that it was trained on."""
    if values["method"] == "full":
        return load_model(str(checkpoint), device=hardware.device, attention=hardware.attention)
    from peft import PeftModel

    network = load_model(values["model"], device=hardware.device, attention=hardware.attention)
    return PeftModel.from_pretrained(network, str(checkpoint)).merge_and_unload()


def make_trainer(
    network: PreTrainedModel,
    arguments: SFTConfig,
    hardware: Choice,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[Example] | Dataset,
    validation: Sequence[Example],
    callbacks: Sequence[TrainerCallback] = (),
    *,
    examples_together: int,
) -> SFTTrainer:
    """The trainer that suits the hardware, with seeded random numbers.

    `train` may also be a `Dataset` that is tokenised already. `examples_together` is the size of a batch when one
    process computes it; several share it.
    """
    set_seed(arguments.seed)
    kind = trainer_class(hardware, network)
    if process_count() > 1:
        kind = functools.partial(data_parallel(kind), examples_together=examples_together)
    trainer = kind(
        model=network,
        args=arguments,
        train_dataset=train if isinstance(train, Dataset) else Dataset.from_list([e.row for e in train]),
        eval_dataset=Dataset.from_list([example.row for example in validation]),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)  # a dictionary for every step is no report
    return trainer


def measure_step(
    values: Mapping[str, Any], hardware: Choice, tokenizer: PreTrainedTokenizerBase, train: Sequence[Example]
) -> float:
    """Seconds of one optimizer step here: the median of a few, made with a model of their own that is thrown away.

    Of several processes all must take part.
    """
    clock = StepClock()
    sample = random.Random(values["seed"]).sample(list(train), min(len(train), PROBE_EXAMPLES))
    settings = dict(values) | {"num_train_epochs": 1.0, "max_steps": PROBE_STEPS, "warmup_steps": 1}
    settings |= {"eval_steps": PROBE_STEPS, "save_steps": PROBE_STEPS, "logging_steps": 1}
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"eval_strategy": "no", "eval_on_start": False, "save_strategy": "no", "metric_for_best_model": None}
        arguments = training_arguments(settings, hardware, Path(folder), **quiet)
        network = load_network(values, hardware)
        with explained(Path(folder), memory_ladder(arguments)):
            together = values["per_device_train_batch_size"]
            trainer = make_trainer(
                network, arguments, hardware, tokenizer, sample, sample[:1], [clock], examples_together=together
            )
            trainer.train()
    return statistics.median(clock.seconds[1:])  # the first step also makes kernels


class TrainingReport(TrainerCallback):
    """Shows how far training is, and a line for each evaluation. `metric` names what the accuracy is."""

    def __init__(self, metric: str) -> None:
        self.metric, self.line = metric, StatusLine()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.began, self.first_step = time.monotonic(), state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        seconds = (time.monotonic() - self.began) / (state.global_step - self.first_step)
        left = minutes(seconds * (state.max_steps - state.global_step))
        self.line(f"step {state.global_step} of {state.max_steps}, at most {left} left")

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        text = f"step {state.global_step} of {state.max_steps}: validation loss {metrics['eval_loss']:.3f}"
        if ACCURACY in metrics:
            text += f", {self.metric} {metrics[ACCURACY]:.1%}"
        self.line.keep(text)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.line.clear()


class StepClock(TrainerCallback):
    """Notes how long each optimizer step takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.began)
