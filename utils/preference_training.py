"""TRL's `DPOTrainer` on a CPU without waste: what the answers of a batch share is read once.

A pair has two answers to one prompt, and pairs about one database share its schema. `DPOTrainer` asks its model for the
log-probabilities of padded rows, each with a prompt of its own. `share_prompt_starts` lets the model answer the same
from one row in which common starts stand once (as in `utils.training`); all that TRL does with the numbers is its own.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import DPOTrainer
from trl.trainer.utils import FusedCausalLMOutput

from utils.attention import has_full_attention, shared_attention
from utils.hardware import Choice
from utils.prompts import IGNORED
from utils.training import NO_MASK, ReturnFreeMemory, SharedPrefixCollator, SharedPrefixSampler


def preference_trainer_class(hardware: Choice, model: PreTrainedModel) -> type[DPOTrainer]:
    """`SharedPrefixDPOTrainer` on a CPU with full attention, TRL's own `DPOTrainer` everywhere else."""
    return SharedPrefixDPOTrainer if hardware.device == "cpu" and has_full_attention(model) else DPOTrainer


class SharedPrefixDPOTrainer(DPOTrainer):
    """A `DPOTrainer` whose batches hold pairs about one database, and read its schema once."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.add_callback(ReturnFreeMemory(every_steps=1))
        share_prompt_starts(self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        prompts = {
            "input_ids": list(dataset["prompt_ids"]),
            "labels": [[IGNORED] * len(p) for p in dataset["prompt_ids"]],
        }
        return SharedPrefixSampler(Dataset.from_dict(prompts), self.args.train_batch_size, self.args.seed)


def preference_loss(trainer: DPOTrainer, pairs: Dataset) -> float:
    """The mean preference loss of pairs, as the model is now: without the part that a loss of type "sft" adds."""
    weights = trainer.loss_weights
    trainer.loss_weights = [
        0.0 if kind == "sft" else weight for kind, weight in zip(trainer.loss_types, weights, strict=True)
    ]
    try:
        return trainer.evaluate(pairs)["eval_loss"]
    finally:
        trainer.loss_weights = weights


class StopAfter(TrainerCallback):
    """Ends training after so many steps, with the learning rates of a whole run up to there."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step >= self.steps:
            control.should_training_stop = True


def share_prompt_starts(model: PreTrainedModel) -> None:
    """Make `model(…, fused_lm_head=True)`, the call of TRL's trainers for log-probabilities, read shared starts once.

    It takes `input_ids`, `attention_mask` and `labels` of shape (rows, length), padded on either side, and gives
    `log_probs`, `entropy`, `mean_logits` and `is_top1` of shape (rows, length - 1), zero where nothing is labelled.
    Without `fused_lm_head` the model is called as before.
    """
    plain = model.forward
    collate = SharedPrefixCollator()

    def forward(self: PreTrainedModel, *arguments: Any, fused_lm_head: bool = False, **keywords: Any) -> Any:
        if not fused_lm_head:
            return plain(*arguments, **keywords)
        return _fused(self, collate, keywords["input_ids"], keywords["attention_mask"], keywords["labels"])

    model.forward = types.MethodType(forward, model)


def _fused(
    model: PreTrainedModel,
    collate: SharedPrefixCollator,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    labels: torch.Tensor,
) -> FusedCausalLMOutput:
    # In the row, a labelled token has as its label the place that it came from.
    places = torch.arange(labels.numel()).view_as(labels).masked_fill(labels == IGNORED, IGNORED)
    rows = zip(input_ids, places, attention_mask.bool(), strict=True)
    row = collate([{"input_ids": ids[real].tolist(), "labels": place[real].tolist()} for ids, place, real in rows])
    found = row["labels"][0]
    # The token at a position is predicted by the position before it.
    positions = (found[1:] != IGNORED).nonzero().squeeze(-1)
    origins = found[positions + 1]
    with shared_attention(model):
        hidden = model.base_model(
            input_ids=row["input_ids"],
            position_ids=row["position_ids"],
            attention_mask=NO_MASK,
            trees=row["trees"],
            use_cache=False,
        ).last_hidden_state[0, positions]
    logits = model.get_output_embeddings()(hidden).float()
    targets = labels.flatten()[origins]
    total = logits.logsumexp(-1)
    log_probs = logits.gather(-1, targets[:, None]).squeeze(-1) - total
    with torch.no_grad():
        values = logits.detach()
        entropy = total - (torch.softmax(values, -1) * values).sum(-1)
        mean_logits, is_top1 = values.mean(-1), values.argmax(-1) == targets

    def in_place(values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(labels.numel()).scatter(0, origins, values).view_as(labels)[:, 1:]

    return FusedCausalLMOutput(
        loss=-log_probs.mean(),
        log_probs=in_place(log_probs),
        entropy=in_place(entropy),
        mean_logits=in_place(mean_logits),
        is_top1=in_place(is_top1),
        label_mask=labels[:, 1:] != IGNORED,
    )
