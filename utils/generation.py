"""Answers from a model: greedy, or drawn (`utils.sampling`), in batches, the shared start of prompts computed once.

Prompts about one database start with the same instruction and schema, which is read once. Prompts about several
databases share a batch, as a step takes little longer for many rows than for few. `utils.decoding` answers a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from utils.allocator import return_freed_memory
from utils.prefixes import group_by_prefix, shared_start_length

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from utils.attention import Prefix
    from utils.constraints import SchemaConstraint
    from utils.decoding import Rescore
    from utils.prompts import Message

FEWEST_ALIKE = 4  # prompts for which reading their shared start once pays


@dataclass(frozen=True)
class Part:
    """Sequences of a batch that start alike: their indices and the tokens that all of them begin with."""

    indices: list[int]
    start: tuple[int, ...]


def render(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> list[int]:
    """The token ids that the model reads for these messages, up to where its answer begins."""
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]


def generate_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[Message]],
    *,
    max_new_tokens: int = 160,
    batch_size: int = 72,
    constraints: Sequence[SchemaConstraint] | None = None,
    rescore: Rescore | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """One greedy answer for each prompt, in the order of the prompts.

    With `constraints`, one for each prompt, each token is the most probable one that its constraint allows (see
    `utils.constraints`). `rescore` changes the scores of the next tokens before the highest is taken (see
    `utils.sampling`). `on_progress(done, total)` is called after each batch of at most `batch_size` prompts.
    """
    rendered = [render(tokenizer, messages) for messages in prompts]
    written = generate_ids(
        model,
        tokenizer,
        rendered,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        constraints=constraints,
        rescore=rescore,
        on_progress=on_progress,
    )
    return [tokenizer.decode(ids, skip_special_tokens=True) for ids in written]


def generate_ids(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: Sequence[list[int]],
    *,
    max_new_tokens: int,
    batch_size: int = 72,
    constraints: Sequence[SchemaConstraint] | None = None,
    rescore: Rescore | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[list[int]]:
    """The token ids that `generate_answers` decodes: what follows each sequence, without the token that ends it."""
    import torch

    from utils.attention import has_full_attention
    from utils.decoding import decode_together, decode_with_generate, read_prefix

    continued: list[list[int]] = [[] for _ in sequences]
    done = 0
    was_training = model.training
    model.eval()
    together = has_full_attention(model)
    prefixes: dict[tuple[int, ...], Prefix] = {}
    with torch.inference_mode():
        for parts in _batches(sequences, batch_size):
            batch = [index for part in parts for index in part.indices]
            read = [sequences[index] for index in batch]
            rules = [constraints[index] for index in batch] if constraints else None
            if together:
                # Those of the batch before are not needed again, but for the group that it began.
                prefixes = {part.start: prefixes.get(part.start) or read_prefix(model, part.start) for part in parts}
                starts = [part.start for part in parts for _ in part.indices]
                written = decode_together(model, tokenizer, read, starts, prefixes, max_new_tokens, rules, rescore)
            else:
                written = decode_with_generate(model, tokenizer, read, max_new_tokens, rules, rescore)
            for index, ids in zip(batch, written, strict=True):
                continued[index] = ids
            done += len(batch)
            return_freed_memory()  # each batch has shapes of its own
            if on_progress:
                on_progress(done, len(sequences))
    model.train(was_training)
    return continued


def _batches(sequences: Sequence[list[int]], batch_size: int) -> Iterator[list[Part]]:
    """Batches of at most `batch_size` sequences. Those of no group have batches of their own, being much longer
    without their start than the others."""
    groups, rest = _worthwhile_groups(list(sequences))
    for mixed in (groups, [rest]):
        starts = [_shared_start([sequences[i] for i in group]) for group in mixed]
        ordered = [
            (start, index)
            for start, group in zip(starts, mixed, strict=True)
            for index in sorted(group, key=lambda i: len(sequences[i]))
        ]
        for first in range(0, len(ordered), batch_size):
            batch = groupby(ordered[first : first + batch_size], key=lambda pair: pair[0])
            yield [Part([index for _, index in members], start) for start, members in batch]


def _shared_start(sequences: list[list[int]]) -> tuple[int, ...]:
    return tuple(sequences[0][: shared_start_length(sequences)]) if sequences else ()


def _worthwhile_groups(sequences: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Indices of sequences that start alike, group by group, and those with few of their kind."""
    places: dict[tuple[int, ...], list[int]] = {}
    for index, sequence in enumerate(sequences):
        places.setdefault(tuple(sequence), []).append(index)
    # Equal ones share so much that they would not be grouped with others, so each is looked at once.
    copies = list(places.values())
    groups = [[index for place in group for index in copies[place]] for group in group_by_prefix(list(places))]
    large = [group for group in groups if len(group) >= FEWEST_ALIKE]
    return large, [index for group in groups if len(group) < FEWEST_ALIKE for index in group]
