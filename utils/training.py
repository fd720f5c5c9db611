"""Training on a CPU without waste, on top of TRL: `SharedPrefixTrainer` is an `SFTTrainer` with another collator.

Two things make TRL slow on a CPU: it multiplies every position with the whole vocabulary, though only the answer is
trained, and it reads the same schema again for every question about a database. Here a batch becomes one row,

    [schema][question 1 answer 1][question 2 answer 2] …

with positions that restart after the schema, and attention that lets each question see the schema and itself alone
(`utils.attention`). The loss and the gradients are those of separate examples; only the waiting is less.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTTrainer

from utils.allocator import return_freed_memory
from utils.attention import Tree, has_full_attention, make_tree, shared_attention
from utils.distributed import process_count, sums
from utils.hardware import Choice
from utils.prefixes import group_by_prefix, shared_start_length
from utils.prompts import IGNORED

ENTROPY_STRIDE = 4
MOST_SORTED = 200_000  # examples; to sort them by their starts, all are held in memory
NO_MASK = torch.ones(1, 1, 1, 1, dtype=torch.bool)  # four dimensions: transformers passes it on and builds none itself


def trainer_class(hardware: Choice, model: PreTrainedModel) -> type[SFTTrainer]:
    """`SharedPrefixTrainer` on a CPU with full attention, TRL's own `SFTTrainer` everywhere else."""
    return SharedPrefixTrainer if hardware.device == "cpu" and has_full_attention(model) else SFTTrainer


class SharedPrefixTrainer(SFTTrainer):
    """An `SFTTrainer` that computes shared prompt starts once and the head on trained positions only."""

    def __init__(self, *arguments: Any, pad_to_multiple_of: int = 64, **keywords: Any) -> None:
        keywords.setdefault("data_collator", SharedPrefixCollator(pad_to_multiple_of))
        super().__init__(*arguments, **keywords)
        self.add_callback(ReturnFreeMemory())
        # Recomputing activations needs the model that transformers has prepared for it.
        works_alone = self.args.bf16 and not self.args.activation_checkpointing
        self.working_copy = WorkingCopy(self.model) if works_alone else None

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        if len(dataset) > MOST_SORTED:
            return super()._get_train_sampler(dataset)
        # Several processes split a batch (see `utils.data_parallel`), which must not change what is in it.
        together = getattr(self, "sampled_together", self.args.train_batch_size)
        return SharedPrefixSampler(dataset, together, self.args.seed)

    def training_step(self, *arguments: Any, **keywords: Any) -> torch.Tensor:
        # The backward pass too: with activation checkpointing it runs the forward pass again.
        with shared_attention(self.model):
            loss = super().training_step(*arguments, **keywords)
        if self.working_copy and self.accelerator.sync_gradients:
            self.working_copy.hand_over_gradients()
        return loss

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """Mean negative log-likelihood of the trained tokens; logits have the shape (trained tokens, vocabulary)."""
        labels = inputs.pop("labels")[0]
        read_tokens = inputs.pop("read_tokens")
        # The token at a position is predicted by the position before it.
        positions = (labels[1:] != IGNORED).nonzero().squeeze(-1)
        network = self.working_copy.updated() if self.working_copy else model
        network.train(model.training)
        with shared_attention(self.working_copy.network if self.working_copy else self.model):
            outputs = network(**inputs, attention_mask=NO_MASK, use_cache=False, logits_to_keep=positions)
        logits, targets = outputs.logits[0].float(), labels[positions + 1]
        total = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
        loss = total / (len(targets) if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None:  # it counts the tokens of all processes, and their gradients are averaged
            loss = loss * process_count()
        self._record_metrics(logits.detach(), targets, read_tokens)
        return (loss, outputs) if return_outputs else loss

    def _record_metrics(self, logits: torch.Tensor, targets: torch.Tensor, read_tokens: int) -> None:
        mode = "train" if self.model.training else "eval"
        # A quarter of the positions tells the entropy well enough; all of them would cost a twentieth of the step.
        log_probabilities = logits[::ENTROPY_STRIDE].log_softmax(-1)
        entropies = -(log_probabilities.exp() * log_probabilities).sum(-1)
        right = (logits.argmax(-1) == targets).sum()
        found = [entropies.sum().item(), len(entropies), right.item(), len(targets), read_tokens]
        entropy, measured, right, trained, read_tokens = sums(found)
        self._metrics[mode]["entropy"].append(entropy / measured)
        self._metrics[mode]["mean_token_accuracy"].append(right / trained)
        if mode == "train":
            self._total_train_tokens += int(read_tokens)
        self._metrics[mode]["num_tokens"] = [self._total_train_tokens]


class WorkingCopy:
    """A bfloat16 copy of a model that does the arithmetic, while the model keeps its weights in float32.

    Autocast would convert every weight at every use and keep what lies between the matrix products in float32; the
    copy converts once for each optimizer step and moves half the bytes. Frozen weights that are in bfloat16 already,
    such as those beside an adapter, are not copied.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        shared = {id(w): w for w in model.parameters() if w.dtype == torch.bfloat16 and not w.requires_grad}
        self.network = copy.deepcopy(model, shared).to(torch.bfloat16)
        for module in self.network.modules():
            # TRL has replaced `forward` by a function that is bound to the model, and would be to its copy.
            module.__dict__.pop("forward", None)
        pairs = zip(model.parameters(), self.network.parameters(), strict=True)
        self.trained = [(weight, used) for weight, used in pairs if weight.requires_grad]
        # Made once and kept: gradients that come and go at every step would leave holes all over the heap.
        self.gradients = [torch.zeros_like(weight) for weight, _ in self.trained]
        self.is_stale = True  # a checkpoint may be loaded before the first step

    def updated(self) -> PreTrainedModel:
        """The copy, with the model's present weights."""
        if self.is_stale:
            with torch.no_grad():
                for weight, used in self.trained:
                    used.copy_(weight)
            self.is_stale = False
        return self.network

    def hand_over_gradients(self) -> None:
        """Move the gathered gradients to the model, for clipping and the optimizer, which then changes the weights."""
        for (weight, used), gradient in zip(self.trained, self.gradients, strict=True):
            if used.grad is not None:
                weight.grad = gradient.copy_(used.grad)
                used.grad.zero_()
                if process_count() > 1:  # the copy is not wrapped, so nothing else averages over the processes
                    torch.distributed.all_reduce(weight.grad)
                    weight.grad /= process_count()
        self.is_stale = True


@dataclass
class SharedPrefixCollator:
    """Turns tokenised examples into one row in which examples with the same start share it.

    Returns `input_ids`, `position_ids` and `labels` of shape (1, length), the `trees` that say who sees whom (see
    `utils.attention`), and `read_tokens`, the number of tokens that the examples have when counted apart.
    """

    pad_to_multiple_of: int = 64

    def __call__(self, examples: list[dict[str, list[int]]]) -> dict[str, Any]:
        ids: list[int] = []
        labels: list[int] = []
        positions: list[int] = []
        trees: list[Tree] = []

        def add(example: dict[str, list[int]], start: int, stop: int) -> int:
            ids.extend(example["input_ids"][start:stop])
            labels.extend(example["labels"][start:stop])
            if start == 0 and stop:
                labels[-stop] = IGNORED  # nothing stands before an example's first token that could predict it
            positions.extend(range(start, stop))
            return stop - start

        prompts = [_prompt_length(example["labels"]) for example in examples]
        for group in group_by_prefix([example["input_ids"] for example in examples], prompts):
            shared = shared_start_length([examples[i]["input_ids"] for i in group], [prompts[i] for i in group])
            start = len(ids)
            add(examples[group[0]], 0, shared)
            lengths = [add(examples[i], shared, len(examples[i]["input_ids"])) for i in group]
            trees.append(make_tree(start, shared, lengths))
        padding = -len(ids) % self.pad_to_multiple_of
        return {
            "input_ids": torch.tensor([ids + [0] * padding]),
            "labels": torch.tensor([labels + [IGNORED] * padding]),
            "position_ids": torch.tensor([positions + [0] * padding]),
            "trees": trees,
            # Not those of an example that only fills up a batch (see `utils.data_parallel`).
            "read_tokens": sum(len(e["input_ids"]) for e in examples if _prompt_length(e["labels"]) < len(e["labels"])),
        }


class SharedPrefixSampler(Sampler[int]):
    """Shuffles so that each batch holds examples with the same start, in another order every epoch."""

    def __init__(self, dataset: Dataset, batch_size: int, seed: int) -> None:
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        lengths = [_prompt_length(labels) for labels in dataset["labels"]]
        self.groups = group_by_prefix(list(dataset["input_ids"]), lengths)
        self.size = len(dataset)

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer's data loader at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)

        def shuffled(items: list) -> list:
            return [items[i] for i in torch.randperm(len(items), generator=generator).tolist()]

        full, rest = [], []
        for group in self.groups:
            members = shuffled(group)
            cut = len(members) - len(members) % self.batch_size
            full += [members[i : i + self.batch_size] for i in range(0, cut, self.batch_size)]
            rest += members[cut:]
        full += [rest[i : i + self.batch_size] for i in range(0, len(rest), self.batch_size)]
        # A short batch must come last: the data loader cuts the stream into batches of equal size.
        short = [batch for batch in full if len(batch) < self.batch_size]
        for batch in [*shuffled([batch for batch in full if len(batch) == self.batch_size]), *short]:
            yield from batch


class ReturnFreeMemory(TrainerCallback):
    """Gives freed memory back to the system now and then (see `utils.allocator`)."""

    def __init__(self, every_steps: int = 10) -> None:
        self.every_steps = every_steps

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step % self.every_steps == 0:
            return_freed_memory()


def _prompt_length(labels: list[int]) -> int:
    """Tokens before the first trained one; the whole length if none is trained."""
    return next((i for i, label in enumerate(labels) if label != IGNORED), len(labels))
