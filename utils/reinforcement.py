"""GRPO on a CPU without waste, on top of TRL: the same algorithm, with each prompt read once for all its answers.

GRPO (Shao et al., "DeepSeekMath", 2024) draws a group of answers to each prompt. TRL repeats the prompt for each of
them, when it draws and again when it computes their probabilities, and off the GPU it scores every position with the
whole vocabulary. Here the answers to a prompt are drawn from one reading of it (`utils.generation`), and their
probabilities are computed in one row,

    [prompt 1][answer 1a][answer 1b] … [prompt 2][answer 2a] …

with attention that lets each answer see its prompt and itself alone (`utils.attention`), and at the answers' positions
only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOTrainer

from utils.attention import Tree, has_full_attention, make_tree, shared_attention
from utils.constraints import SchemaConstraint
from utils.generation import generate_ids, render
from utils.hardware import Choice
from utils.prompts import Message
from utils.sampling import Sampler
from utils.training import NO_MASK, ReturnFreeMemory

ROW_MULTIPLE = 64  # so that few shapes occur: the first product of each shape costs the making of a kernel


def grpo_trainer_class(
    hardware: Choice, model: PreTrainedModel, constraints: Mapping[str, SchemaConstraint] | None = None
) -> Callable[..., GRPOTrainer]:
    """`SharedPromptGRPOTrainer` on a CPU with full attention, TRL's own `GRPOTrainer` everywhere else.

    TRL's own draws without `constraints`, of which there is one for each database.
    """
    if hardware.device == "cpu" and has_full_attention(model):
        return partial(SharedPromptGRPOTrainer, constraints=constraints)
    return GRPOTrainer


class SharedPromptGRPOTrainer(GRPOTrainer):
    """A `GRPOTrainer` that reads each prompt once for all its answers.

    Rewards, advantages, loss and logging are TRL's. Questions about one database are drawn together best: let those of
    a batch have it in common. With `constraints`, one for each name in the training data's column `database`, answers
    are drawn among the texts that its constraint allows, as vLLM does for TRL with structured outputs; their
    probabilities are those of the free model. The entropy has no gradient, so `entropy_coef` must stay zero.
    """

    def __init__(
        self, *arguments: Any, constraints: Mapping[str, SchemaConstraint] | None = None, **keywords: Any
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.sampler = Sampler(self.temperature, self.top_p, self.args.seed)
        self.rules: dict[tuple[int, ...], SchemaConstraint] = {}
        for row in self.train_dataset if constraints else ():
            self.rules[tuple(render(self.processing_class, row["prompt"]))] = constraints[row["database"]]
        self.add_callback(ReturnFreeMemory())

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        """An answer for each prompt, with the token that ended it; one without was cut off."""
        limit = self.max_completion_length
        answers = generate_ids(
            self.model,
            self.processing_class,
            prompt_ids,
            max_new_tokens=limit,
            batch_size=len(prompt_ids),
            constraints=[self.rules[tuple(ids)] for ids in prompt_ids] if self.rules else None,
            rescore=self.sampler,
        )
        end = [self.processing_class.eos_token_id]
        return [ids if len(ids) == limit else ids + end for ids in answers], None

    def _get_per_token_logps_and_entropies(
        self,
        model: PreTrainedModel | PeftModel,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Log-probability and entropy of each answer's tokens, of shape (answers, logits_to_keep), 0 where none is."""
        parts = []
        for ids, mask in zip(*(t.split(batch_size or len(t)) for t in (input_ids, attention_mask)), strict=True):
            parts.append(self._score(model, lay_out(*_unpadded(ids, mask.bool(), logits_to_keep)), logits_to_keep))
        log_probabilities, entropies = zip(*parts, strict=True)
        return torch.cat(log_probabilities), torch.cat(entropies), None

    def _score(self, model: PreTrainedModel | PeftModel, row: Layout, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        with self.accelerator.autocast():
            scores = (target_logits(model, row) / self.temperature).log_softmax(-1)
        chosen = scores.gather(-1, row.targets[:, None]).squeeze(-1)
        with torch.no_grad():
            entropy = -(scores.exp() * scores).sum(-1)
        return row.as_table(chosen, length), row.as_table(entropy, length)


def answer_log_probabilities(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[Message]],
    answers: Sequence[Sequence[str]],
) -> list[list[float]]:
    """How probable the model finds each answer to each prompt, its end included: natural logarithms.

    For models with full attention.
    """
    end = [tokenizer.eos_token_id]
    found = []
    for messages, texts in zip(prompts, answers, strict=True):
        written = [tokenizer(text, add_special_tokens=False)["input_ids"] + end for text in texts]
        row = lay_out([render(tokenizer, messages)] * len(texts), written, device=model.device)
        with torch.inference_mode():
            scores = target_logits(model, row).log_softmax(-1)
        chosen = scores.gather(-1, row.targets[:, None]).squeeze(-1)
        found.append(row.as_table(chosen, max(map(len, written))).sum(-1).tolist())
    return found


@dataclass(frozen=True)
class Layout:
    """Prompts and answers in one row, and where the answers' tokens are.

    `input_ids` and `position_ids` have the shape (1, length). `predicting` are the positions whose scores tell the
    probability of the `targets`; `places` are the (answer, token) of these, of which there are `count` answers.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    trees: list[Tree]
    predicting: torch.Tensor
    targets: torch.Tensor
    places: tuple[torch.Tensor, torch.Tensor]
    count: int

    def as_table(self, values: torch.Tensor, length: int) -> torch.Tensor:
        """A value for each target, as a table of shape (answers, length), filled up with 0."""
        return values.new_zeros(self.count, length).index_put(self.places, values)


def lay_out(prompts: Sequence[list[int]], answers: Sequence[list[int]], device: torch.device | str = "cpu") -> Layout:
    """One row for answers and the prompts that they belong to, in which equal prompts stand once."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, prompt in enumerate(prompts):
        groups.setdefault(tuple(prompt), []).append(number)
    ids: list[int] = []
    positions: list[int] = []
    trees: list[Tree] = []
    predicting: list[int] = []
    places: list[tuple[int, int]] = []
    for prompt, members in groups.items():
        # The last token of the prompt predicts the first of each answer, so every branch begins with it.
        shared, start = len(prompt) - 1, len(ids)
        ids += prompt[:shared]
        positions += range(shared)
        for number in members:
            answer = answers[number]
            predicting += range(len(ids), len(ids) + len(answer))
            places += [(number, column) for column in range(len(answer))]
            ids += [prompt[-1], *answer]
            positions += range(shared, shared + 1 + len(answer))
        trees.append(make_tree(start, shared, [1 + len(answers[number]) for number in members], device))
    targets = [ids[position + 1] for position in predicting]
    padding = [0] * (-len(ids) % ROW_MULTIPLE)
    rows, columns = torch.tensor(places, device=device, dtype=torch.long).reshape(-1, 2).unbind(-1)
    return Layout(
        input_ids=torch.tensor([ids + padding], device=device),
        position_ids=torch.tensor([positions + padding], device=device),
        trees=trees,
        predicting=torch.tensor(predicting, device=device, dtype=torch.long),
        targets=torch.tensor(targets, device=device, dtype=torch.long),
        places=(rows, columns),
        count=len(answers),
    )


def target_logits(model: PreTrainedModel | PeftModel, row: Layout) -> torch.Tensor:
    """The scores from which the targets of a row are drawn, of shape (targets, vocabulary), in float32."""
    with shared_attention(model):
        logits = model(
            input_ids=row.input_ids,
            position_ids=row.position_ids,
            attention_mask=NO_MASK,
            trees=row.trees,
            use_cache=False,
            logits_to_keep=row.predicting,
        ).logits[0]
    return logits.float()


def _unpadded(
    input_ids: torch.Tensor, mask: torch.Tensor, completion_length: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts and answers of a batch whose last `completion_length` columns are the answers."""
    cut = input_ids.shape[1] - completion_length
    rows = list(zip(input_ids, mask, strict=True))
    prompts = [ids[:cut][seen[:cut]].tolist() for ids, seen in rows]
    return prompts, [ids[cut:][seen[cut:]].tolist() for ids, seen in rows]
