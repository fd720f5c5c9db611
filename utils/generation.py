"""Answers from a model: greedy, in batches, with the shared start of the prompts computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.prefixes import common_prefix_length, group_by_prefix

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from utils.prompts import Message


def render(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> list[int]:
    """The token ids that the model reads for these messages, up to where its answer begins."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]


def generate_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[Message]],
    *,
    max_new_tokens: int = 160,
    batch_size: int = 24,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """One greedy answer for each prompt, in the order of the prompts.

    Prompts with the same start (one database) are answered together: the start is read once and its keys and values
    are reused for the whole group. `on_progress(done, total)` is called after each batch.
    """
    import torch

    rendered = [render(tokenizer, messages) for messages in prompts]
    answers = [""] * len(prompts)
    done = 0
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for group in group_by_prefix(rendered):
            shared = _shared_length([rendered[i] for i in group])
            prefix = _read_prefix(model, rendered[group[0]][:shared])
            ordered = sorted(group, key=lambda i: len(rendered[i]))
            for start in range(0, len(ordered), batch_size):
                batch = ordered[start : start + batch_size]
                texts = _generate_batch(model, tokenizer, [rendered[i] for i in batch], shared, prefix, max_new_tokens)
                for index, text in zip(batch, texts, strict=True):
                    answers[index] = text
                done += len(batch)
                if on_progress:
                    on_progress(done, len(prompts))
    model.train(was_training)
    return answers


def _shared_length(sequences: list[list[int]]) -> int:
    """Leading tokens that all share, leaving at least one for each to read; none for a single sequence."""
    if len(sequences) == 1:
        return 0
    return min(common_prefix_length(min(sequences), max(sequences)), min(map(len, sequences)) - 1)


def _read_prefix(model: PreTrainedModel, prefix: list[int]):  # noqa: ANN202 - a transformers Cache or None
    import torch

    if not prefix:
        return None
    ids = torch.tensor([prefix], device=model.device)
    return model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values


def _generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: list[list[int]],
    shared: int,
    prefix: object | None,
    max_new_tokens: int,
) -> list[str]:
    """Answers for sequences that share their first `shared` tokens, whose keys and values are in `prefix`."""
    import copy

    import torch

    longest = max(map(len, sequences))
    ids, mask = [], []
    for sequence in sequences:
        # The padding stands between the shared start and the rest, so that all rests end together.
        padding = longest - len(sequence)
        ids.append(sequence[:shared] + [tokenizer.pad_token_id] * padding + sequence[shared:])
        mask.append([1] * shared + [0] * padding + [1] * (len(sequence) - shared))
    arguments: dict[str, object] = {}
    if prefix is not None:
        cache = copy.deepcopy(prefix)
        cache.batch_repeat_interleave(len(sequences))
        arguments["past_key_values"] = cache
    output: torch.Tensor = model.generate(
        input_ids=torch.tensor(ids, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        **arguments,
    )
    return tokenizer.batch_decode(output[:, longest:], skip_special_tokens=True)
