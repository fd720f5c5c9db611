"""The steps of a run, from a file to an evaluated model. Each leaves its result whole or not at all.

    dataset/      the splits, what was left out and why
    plan.json     every setting, chosen or given, and what the machine can do
    baseline/     the untuned model's answers to the test questions
    checkpoints/  while training
    model/        the tuned model, with tokenizer, prompt recipe and card
    evaluation/   the tuned model's answers, and both compared

A step whose result is there is not repeated, so a run that was interrupted continues where it was.

Of several processes that train together (see `utils.distributed`), the first one does everything but the training.
"""

from __future__ import annotations

import json
import random
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from utils.cards import own_data_card
from utils.data_settings import DataSettings
from utils.distributed import by_first, process_count, sharing_line
from utils.errors import CourseError
from utils.examiner import Examiner, fitting_constraint
from utils.hardware import Choice
from utils.settings import CACHE
from utils.stages import (
    hash_of,
    is_finished,
    read_lines,
    read_manifest,
    shown,
    write_json,
    write_lines,
    write_stage,
    write_text,
)
from utils.terminal import StatusLine, minutes, result_rows, text_table

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from utils.constraints import SchemaConstraint
    from utils.formats import Example
    from utils.metrics import MetricChoice
    from utils.recipes import Facts, Recipe

Values = dict[str, Any]
Item = TypeVar("Item")

STAGES = ("dataset", "baseline", "model", "evaluation")
PLAN, CHECKPOINTS, BAD_BATCH = "plan.json", "checkpoints", "bad_batch.jsonl"
SUMMARY, LOG, ANSWERS = "summary.json", "training_log.json", "answers.jsonl"
INPUTS = ("data", "test", "validation", "database")
SMALL_FILES = ("train.jsonl", "validation.jsonl", "test.jsonl", "rejected.jsonl", "recipe.json")  # of large data
LONGEST_EXAMPLE = 4096  # tokens, unless max_length says otherwise
PROBE_QUESTIONS = 32


class OtherRun(CourseError):
    """The folder holds something else; the message says what, and how to keep both."""


class Run:
    """A run in the folder `out` with the settings `given`; `again` says how to continue it."""

    def __init__(self, out: Path, given: Values, again: str) -> None:
        self.out, self.given, self.again = out, given, again
        self.dataset, self.model = out / "dataset", out / "model"

    # --- Data ----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Read, check and split the data.

        Raises:
            CourseError: the data cannot be used, or the processes do not see the same folder.
        """
        by_first(self._prepare)
        if not is_finished(self.dataset):
            raise CourseError(
                f"The first process has written {shown(self.dataset)}, but this one does not see it. Give --out a "
                "folder on a disk that all machines share."
            )

    def _prepare(self) -> None:
        from utils.preparation import prepare, write_prepared
        from utils.shards import is_large

        if is_finished(self.dataset):
            return
        names = {field.name for field in fields(DataSettings)}
        settings = {name: value for name, value in self.given.items() if name in names and value is not None}
        # Some tokenizers know no limit and say so with a huge number.
        longest = min(LONGEST_EXAMPLE, self.tokenizer.model_max_length)
        chosen = DataSettings(**({"max_length": longest} | settings))
        with write_stage(self.out, "dataset", parameters=self.given, inputs=input_files(self.given)) as stage:
            if is_large(chosen):
                stage.results |= self._prepare_shards(chosen, stage.folder)
                return
            prepared = prepare(chosen, self.tokenizer)
            print(prepared.report)
            stage.results |= write_prepared(stage.folder, prepared)

    def _prepare_shards(self, settings: DataSettings, folder: Path) -> dict[str, object]:
        """Tokenise data that is larger than the memory. Shards are kept for later runs; the rest is as always."""
        from utils.shards import key_of, prepare_shards

        shards = CACHE / "shards" / key_of(settings, self.tokenizer)
        print(f"This is much data: it is read in parts and kept, tokenised, in {shown(shards)}.", flush=True)
        with StatusLine() as line:
            report = prepare_shards(settings, self.tokenizer, shards, lambda what, count: line(f"{count:,} {what}"))
        print(report)
        for name in SMALL_FILES:
            shutil.copy(shards / name, folder / name)
        counts = {name: getattr(report, name) for name in ("train", "validation", "test", "rejected")}
        return counts | {"dataset_hash": report.key, "shards": shards.name}

    @property
    def training_data(self) -> list[Example] | Dataset:
        """The training examples; those of large data tokenised, and mapped into memory."""
        shards = read_manifest(self.dataset)["results"].get("shards")
        if shards is None:
            return self.splits["train"]
        from utils.shards import load_shards

        return load_shards(CACHE / "shards" / str(shards))

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        from utils.models import load_tokenizer

        return load_tokenizer(self.given["model"])

    @cached_property
    def splits(self) -> dict[str, list[Example]]:
        """The prepared examples; of the test questions at most as many as `evaluation_questions` says."""
        from utils.preparation import read_split

        splits = {name: read_split(self.dataset, name) for name in ("train", "validation", "test")}
        return splits | {"test": self._sample(splits["test"], self.given.get("evaluation_questions"))}

    @property
    def training_examples(self) -> int:
        """How many there are; of large data `splits` holds a sample."""
        return int(read_manifest(self.dataset)["results"]["train"])

    @cached_property
    def metrics(self) -> MetricChoice:
        from utils.metrics import choose_metrics

        return choose_metrics(
            [example.completion for split in self.splits.values() for example in split],
            is_text=self.is_text,
            database=self.database,
            metric=self.given.get("metric") or "auto",
        )

    @property
    def is_text(self) -> bool:
        return self.splits["train"][0].is_text

    @property
    def database(self) -> Path | None:
        return next(iter(sorted((self.dataset / "databases").glob("*.sqlite"))), None)

    def _sample(self, items: Sequence[Item], count: int | None) -> list[Item]:
        """At most `count` of the items (all for 0 or None), chosen by chance, in their order."""
        if not count or count >= len(items):
            return list(items)
        return [items[i] for i in sorted(random.Random(self.given["seed"]).sample(range(len(items)), count))]

    # --- Plan ----------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Choose what was not given, and say how long it will take. What was chosen once stays.

        Raises:
            CourseError: several processes cannot share the examples of a step.
        """
        path = self.out / PLAN
        if not by_first(path.is_file):
            self._write_plan(path)
        plan = json.loads(path.read_text(encoding="utf-8"))
        self.values: Values = plan["values"]
        self.hardware = Choice(**plan["hardware"], reasons={})
        print("\n".join(plan["lines"]), flush=True)
        if process_count() > 1:
            print(by_first(lambda: sharing_line(self.values, process_count())), flush=True)

    def _write_plan(self, path: Path) -> None:
        from utils.trainers import measure_step

        recipe, facts, hardware, answer = by_first(self._choose_step)
        step = measure_step(recipe.values, hardware, self.tokenizer, self.splits["train"])
        by_first(lambda: self._choose_length(path, recipe, facts, hardware, answer=answer, step=step))

    def _choose_step(self) -> tuple[Recipe, Facts, Choice, float]:
        """What a step looks like, on which facts and hardware, and the seconds that an answer takes."""
        from utils.hardware import choose_here
        from utils.models import load_model
        from utils.recipes import choose_step

        hardware = choose_here()
        network = load_model(
            self.given["model"], dtype=hardware.torch_dtype, device=hardware.device, attention=hardware.attention
        )
        facts = self._facts(network)
        recipe = choose_step(facts, self.given)
        recipe.values |= {name: self.given[name] for name in ("model", "seed", "lora_rank", "lora_alpha", "batch_size")}
        recipe.values["constrained"] = self._choose_constraint(network)
        if process_count() > 1:
            sharing_line(recipe.values, process_count())  # which says so if they cannot
        print("Measuring the speed of this machine …", flush=True)
        answer = 0.0 if self.is_text else self._measure_answer(network, recipe.values)
        return recipe, facts, hardware, answer

    def _choose_length(
        self, path: Path, recipe: Recipe, facts: Facts, hardware: Choice, *, answer: float, step: float
    ) -> None:
        """Choose how long to train, from the seconds that an answer and a step take, and write the plan."""
        from utils.recipes import choose_length, examples_per_step

        example = step / examples_per_step(recipe.values)
        asked = recipe.values.get("validation_answers", 0)
        # The validation loss needs no backward pass, a third of the work.
        evaluation = answer * asked + example * recipe.values["loss_examples"] / 3
        recipe = choose_length(recipe, facts, self.given, example_seconds=example, evaluation_seconds=evaluation)
        lines = self._plan_lines(recipe, example, evaluation, answer)
        chosen = {"device": hardware.device, "dtype": hardware.dtype, "attention": hardware.attention}
        write_json(path, {"values": recipe.values, "hardware": chosen, "lines": lines})

    def _facts(self, network: PreTrainedModel) -> Facts:
        from utils.models import count_parameters, decoder_layers
        from utils.prompts import token_lengths
        from utils.recipes import Facts

        if self.is_text:
            lengths = [(0, len(self.tokenizer(example.completion).input_ids) + 1) for example in self.splits["train"]]
        else:
            both = self.splits["train"] + self.splits["validation"]
            lengths = [token_lengths(self.tokenizer, example.row) for example in both]
        return Facts(
            examples=self.training_examples,
            validation_examples=len(self.splits["validation"]),
            longest_example=max(map(sum, lengths)),
            answer_tokens=0 if self.is_text else sorted(answer for _, answer in lengths)[99 * len(lengths) // 100],
            weights=count_parameters(network),
            layers=len(decoder_layers(network)),
        )

    def _choose_constraint(self, network: PreTrainedModel) -> bool:
        from utils.attention import has_full_attention

        wanted = self.given["constrained"] and has_full_attention(network)
        return wanted and self.constraint is not None

    @cached_property
    def constraint(self) -> SchemaConstraint | None:
        """Keeps answers to the names of the database; None without one, or if it would forbid a right answer."""
        queries = [example.completion for name in ("train", "validation") for example in self.splits[name]]
        return fitting_constraint(self.database, queries) if self.database else None

    def _measure_answer(self, network: PreTrainedModel, values: Values) -> float:
        """Seconds that the untuned model takes for an answer; it rarely stops by itself, so later ones take less."""
        questions = self.splits["validation"][:PROBE_QUESTIONS]
        began = time.perf_counter()
        self._examiner(values).answers(network, questions)
        return (time.perf_counter() - began) / len(questions)

    def _plan_lines(self, recipe: Recipe, example: float, evaluation: float, answer: float) -> list[str]:
        from utils.recipes import total_steps

        counts = {name: len(split) for name, split in self.splits.items()} | {"train": self.training_examples}
        steps = total_steps(recipe.values, counts["train"])
        evaluations = -(-steps // recipe.values["eval_steps"])
        longest = steps * recipe.values["per_device_train_batch_size"] * recipe.values["gradient_accumulation_steps"]
        longest = longest * example + evaluations * evaluation
        asking = f", and {minutes(2 * counts['test'] * answer)} to answer the test questions, twice" if answer else ""
        return [
            "",
            f"Data: {counts['train']} training, {counts['validation']} validation, {counts['test']} test examples.",
            f"Score: {self.metrics.reason}",
            "Settings; each can be given as an option:",
            str(recipe),
            f"Time: {minutes(example * counts['train'])} for one pass over the training examples and "
            f"{minutes(evaluation)} for an evaluation, so at most {minutes(longest)} for {steps} steps{asking}. "
            "Training ends earlier when the validation score no longer rises.",
            "",
        ]

    # --- Asking, training, comparing -----------------------------------------------------------------------------

    def ask_untuned(self) -> None:
        """Let the untuned model answer the test questions."""
        by_first(self._ask_untuned)

    def _ask_untuned(self) -> None:
        if is_finished(self.out / "baseline"):
            return
        with write_stage(self.out, "baseline", parameters=self.values, inputs={"dataset": self.dataset}) as stage:
            write_lines(stage.folder / ANSWERS, self._ask(self.given["model"], "the untuned model"))

    def train(self) -> None:
        """Train, and put the weights of the best evaluation into `model`."""
        if not by_first(lambda: is_finished(self.model)):
            log = self._train()
            by_first(lambda: self._write_model(log))
        by_first(lambda: shutil.rmtree(self.out / CHECKPOINTS, ignore_errors=True))

    def _write_model(self, log: list[dict[str, float]]) -> None:
        """Put the weights of the best evaluation in the log into `model`."""
        from utils.preparation import RECIPE
        from utils.selection import best_row
        from utils.trainers import load_tuned

        best = best_row(log)
        tuned = load_tuned(self.values, self.out / CHECKPOINTS / f"checkpoint-{best['step']}", self.hardware)
        inputs, device = {"dataset": self.dataset}, self.hardware.device
        with write_stage(self.out, "model", parameters=self.values, inputs=inputs, device=device) as stage:
            tuned.save_pretrained(stage.folder)
            self.tokenizer.save_pretrained(stage.folder)
            shutil.copy(self.dataset / RECIPE, stage.folder / RECIPE)
            write_json(stage.folder / LOG, log)
            stage.results |= {"steps": best["step"], "validation_loss": best["eval_loss"]}

    def _train(self) -> list[dict[str, float]]:
        """Train to the end, or to where the validation score stops rising. Returns the log."""
        from transformers import TrainerState

        from utils.guards import guarded_training
        from utils.selection import KeepBest, is_over
        from utils.trainers import TrainingReport, load_network, make_trainer, training_arguments

        arguments = training_arguments(self.values, self.hardware, (self.out / CHECKPOINTS).resolve())
        network = load_network(self.values, self.hardware)
        validation = self._sample(self.splits["validation"], self.values["loss_examples"])
        train, together = self.training_data, self.values["per_device_train_batch_size"]
        trainer = make_trainer(
            network, arguments, self.hardware, self.tokenizer, train, validation, examples_together=together
        )
        trainer.add_callback(KeepBest(trainer, self._accuracy(), self.values["patience"]))
        trainer.add_callback(TrainingReport("" if self.is_text else self.metrics.primary.name))
        recipe = {"values": self.values, "data": hash_of(self.dataset)}
        with guarded_training(trainer, recipe, again=self.again) as checkpoint:
            if checkpoint:
                trainer.state = TrainerState.load_from_json(str(Path(checkpoint) / "trainer_state.json"))
                trainer.args.eval_on_start = False
            if not is_over(trainer.state, self.values["patience"]):
                trainer.train(resume_from_checkpoint=checkpoint)
        return trainer.state.log_history

    def _accuracy(self) -> Callable[[PreTrainedModel], float] | None:
        """How well a model answers validation questions; None for plain text."""
        if self.is_text:
            return None
        examiner = self._examiner(self.values)
        asked = self._sample(self.splits["validation"], self.values["validation_answers"])
        return lambda model: examiner.accuracy(model, asked)

    def evaluate(self) -> None:
        """Let the tuned model answer the test questions, compare both models and write the model's card."""
        by_first(self._evaluate)

    def _evaluate(self) -> None:
        folder = self.out / "evaluation"
        if not is_finished(folder):
            inputs = {"dataset": self.dataset, "baseline": self.out / "baseline", "model": self.model}
            with write_stage(self.out, "evaluation", parameters=self.values, inputs=inputs) as stage:
                base = read_lines(self.out / "baseline" / ANSWERS)
                tuned = self._ask(str(self.model), "the tuned model")
                write_lines(stage.folder / "answers_base.jsonl", base)
                write_lines(stage.folder / "answers_tuned.jsonl", tuned)
                write_json(stage.folder / SUMMARY, self._compare(base, tuned))
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        write_text(self.model / "README.md", own_data_card(summary, self.dataset, self.model))
        print(final_lines(summary, self.model, self.database))

    def _ask(self, name: str, what: str) -> list[dict[str, object]]:
        """What a model says to the test questions; of plain text, how well it predicts it."""
        from utils.models import load_model
        from utils.perplexity import text_losses

        hardware, test = self.hardware, self.splits["test"]
        model = load_model(name, dtype=hardware.torch_dtype, device=hardware.device, attention=hardware.attention)
        print(f"{len(test)} test examples for {what} …", flush=True)
        with StatusLine() as line:
            if self.is_text:
                texts = [example.completion for example in test]
                losses = text_losses(model, self.tokenizer, texts, self.values["max_length"], line.count(what))
                return [
                    {"id": e.id, "loss": loss, "tokens": count} for e, (loss, count) in zip(test, losses, strict=True)
                ]
            answers = self._examiner(self.values).answers(model, test, line.count(what))
        return [
            {"id": e.id, "question": e.question, "reference": e.completion, "answer": answer}
            for e, answer in zip(test, answers, strict=True)
        ]

    def _compare(self, base: list[dict[str, Any]], tuned: list[dict[str, Any]]) -> dict[str, object]:
        """Base against tuned as plain data, in the form of `utils.evaluation.comparison`."""
        from utils.metrics import compare_scores
        from utils.perplexity import compare_perplexity

        if self.is_text:
            rows = [compare_perplexity(*([(row["loss"], row["tokens"]) for row in said] for said in (base, tuned)))]
        else:
            examiner, test = self._examiner(self.values), self.splits["test"]
            marks = [examiner.marks(test, [row["answer"] for row in said]) for said in (base, tuned)]
            rows = compare_scores(*marks)
        about = {"model": self.given["model"], "questions": len(tuned), "base_prompt": "zero-shot"}
        return about | {"task": self.metrics.task, "reason": self.metrics.reason, "rows": rows, "by_difficulty": {}}

    def _examiner(self, values: Values) -> Examiner:
        return Examiner(
            self.tokenizer,
            self.metrics.metrics,
            values["max_new_tokens"],
            values["batch_size"],
            self.constraint if values["constrained"] else None,
        )


def claim(out: Path, given: Values, fresh: bool) -> None:
    """Make sure that `out` is free, or holds a run with the same settings and data. `fresh` removes another run.

    Raises:
        OtherRun: it holds something else.
    """
    known = {*STAGES, CHECKPOINTS, PLAN, BAD_BATCH}
    if fresh:
        for name in known:
            path = out / name
            path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
    others = sorted(path.name for path in out.iterdir() if path.name not in known and not path.name.startswith("."))
    if others:
        raise OtherRun(f"{shown(out)} holds other files ({others[0]}). Give the run a folder of its own with --out.")
    if not is_finished(out / STAGES[0]):
        return
    manifest = read_manifest(out / STAGES[0])
    before = manifest["parameters"]
    changed = [name for name in sorted({*before, *given}) if before.get(name) != given.get(name)]
    hashes = {name: hash_of(path) for name, path in input_files(given).items()}
    changed += [f"the content of {name}" for name in sorted(hashes) if hashes[name] != manifest["inputs"].get(name)]
    if changed:
        raise OtherRun(
            f"{shown(out)} holds a run with other settings ({', '.join(changed)}). To keep it, give another --out; to "
            "replace it, add --fresh."
        )


def input_files(given: Values) -> dict[str, Path]:
    """The files and folders that a run reads, by the option that names them."""
    paths = {name: Path(given[name]).expanduser() for name in INPUTS if given.get(name)}
    return {name: path for name, path in paths.items() if path.exists()}


def final_lines(summary: dict[str, Any], model: Path, database: Path | None) -> str:
    """The result for the terminal: the table, what it shows, and how to ask the model, about its database if any."""
    first = summary["rows"][0]
    gained = first["gain"]["high"] < 0 if first["metric"] == "perplexity" else first["gain"]["low"] > 0
    verdict = "better" if gained else "not shown to be better: the interval of the gain reaches zero"
    ask = ["python", "-m", "utils.inference", "--model", shown(model)]
    ask += ["--database", shown(database)] if database else []
    return "\n".join(
        [
            "",
            f"{summary['model']} on {summary['questions']} test examples, before and after, with 95% intervals:",
            "",
            text_table(result_rows(summary["rows"])),
            "",
            f"By {first['metric']} the tuned model is {verdict}. It is in {shown(model)}; ask it something:",
            f'{shlex.join(ask)} "…"',
        ]
    )
