"""Answers to a batch of prompts, token by token.

What prompts share at their start is read once; its keys and values serve all rows that begin with it at every step (see
`utils.attention`). Rows whose answer has ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

    from utils.attention import Prefix
    from utils.constraints import SchemaConstraint

    Rescore = Callable[[torch.Tensor], torch.Tensor]

CANDIDATES = 2000  # most probable tokens among which a constraint looks for one that it allows
READ_TOGETHER = 24  # prompts


def read_prefix(model: PreTrainedModel, start: tuple[int, ...]) -> Prefix:
    """Keys and values of the shared start in every layer, each of shape (key heads, shared, width)."""
    import torch

    if not start:
        return []
    ids = torch.tensor([start], device=model.device)
    cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    return [(layer.keys[0], layer.values[0]) for layer in cache.layers]


def decode_together(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: list[list[int]],
    starts: list[tuple[int, ...]],
    prefixes: dict[tuple[int, ...], Prefix],
    max_new_tokens: int,
    constraints: list[SchemaConstraint] | None,
    rescore: Rescore | None,
) -> list[list[int]]:
    """New token ids for sequences that begin with `starts`, whose keys and values are in `prefixes`.

    Sequences with the same start are neighbours.
    """
    import torch

    from utils.attention import shared_attention

    ends = torch.tensor(sorted(_end_tokens(model, tokenizer)), device=model.device)
    answers: list[list[int]] = [[] for _ in sequences]
    alive = list(range(len(sequences)))
    with shared_attention(model):
        cache, logits, mask = _read_prompts(model, sequences, starts, prefixes, tokenizer.pad_token_id)
        positions = torch.tensor([[len(sequence)] for sequence in sequences], device=model.device)
        for left in reversed(range(max_new_tokens)):
            logits = rescore(logits) if rescore else logits
            chosen = logits.argmax(-1)
            if constraints:
                written = [(answers[row], constraints[row]) for row in alive]
                chosen = _choose_allowed(logits, written, tokenizer, ends.tolist())
            going = ~torch.isin(chosen, ends)
            for row, token, goes_on in zip(alive, chosen.tolist(), going.tolist(), strict=True):
                if goes_on:
                    answers[row].append(token)
            if not left or not going.any():
                break
            if not going.all():
                kept = going.nonzero().squeeze(-1)
                cache.batch_select_indices(kept)
                alive = [alive[i] for i in kept.tolist()]
                chosen, positions, mask = chosen[kept], positions[kept], mask[kept]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=-1)
            logits = model(
                input_ids=chosen[:, None],
                attention_mask=mask[:, None, None, :],
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                prefixes=_by_rows([starts[row] for row in alive], prefixes),
            ).logits[:, -1]
            positions = positions + 1
    return answers


def _read_prompts(
    model: PreTrainedModel,
    sequences: list[list[int]],
    starts: list[tuple[int, ...]],
    prefixes: dict[tuple[int, ...], Prefix],
    pad: int,
) -> tuple[DynamicCache, torch.Tensor, torch.Tensor]:
    """What follows the start of each sequence is read: its keys and values, the scores of the next token, and the mask
    of shape (sequences, longest) that is false where the row is padding.

    Sequences that are the same, of which several answers are drawn, are read once; and few at a time, of about the
    same length, as padding is computed too.
    """
    import torch
    from transformers import DynamicCache

    distinct = list({tuple(sequence): start for sequence, start in zip(sequences, starts, strict=True)}.items())
    by_length = sorted(distinct, key=lambda pair: len(pair[0]) - len(pair[1]))
    caches, scores, masks = [], [], []
    order: list[tuple[int, ...]] = []
    for first in range(0, len(by_length), READ_TOGETHER):
        few = sorted(by_length[first : first + READ_TOGETHER], key=lambda pair: pair[1])
        ids, mask = _pad_left([list(ids[len(start) :]) for ids, start in few], pad, model.device)
        length = ids.shape[1]
        # A padding position sees itself, so that no row of the softmax is empty.
        itself = torch.eye(length, dtype=torch.bool, device=model.device)
        visible = (torch.ones_like(itself).tril() & mask[:, None, :]) | itself
        cache = DynamicCache(config=model.config)
        shared = torch.tensor([[len(start)] for _, start in few], device=model.device)
        output = model(
            input_ids=ids,
            attention_mask=visible[:, None],
            position_ids=(shared + mask.cumsum(-1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            prefixes=_by_rows([start for _, start in few], prefixes),
        )
        caches.append(cache)
        scores.append(output.logits[:, -1])
        masks.append(mask)
        order += [ids for ids, _ in few]
    place = {ids: number for number, ids in enumerate(order)}
    rows = torch.tensor([place[tuple(sequence)] for sequence in sequences], device=model.device)
    longest = max(mask.shape[1] for mask in masks)
    mask = torch.cat([_wider(mask, longest, 1) for mask in masks])
    return _join(model, caches, longest, rows), torch.cat(scores)[rows], mask[rows]


def _join(model: PreTrainedModel, caches: list[DynamicCache], longest: int, rows: torch.Tensor) -> DynamicCache:
    """One cache of the `rows` of several, filled up on the left to the length `longest`."""
    import torch
    from transformers import DynamicCache

    joined = DynamicCache(config=model.config)
    for number, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        keys = torch.cat([_wider(layer.keys, longest, 2) for layer in layers])[rows]
        values = torch.cat([_wider(layer.values, longest, 2) for layer in layers])[rows]
        joined.update(keys, values, number)
    return joined


def _wider(tensor: torch.Tensor, length: int, dimension: int) -> torch.Tensor:
    """The tensor with zeros before it along a dimension, which has then the given length."""
    import torch

    missing = length - tensor.shape[dimension]
    shape = [*tensor.shape[:dimension], missing, *tensor.shape[dimension + 1 :]]
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dimension)


def _by_rows(starts: list[tuple[int, ...]], prefixes: dict[tuple[int, ...], Prefix]) -> list[tuple[int, Prefix]]:
    """How many rows have the same start one after another, and what was computed for it."""
    return [(len(list(rows)), prefixes[start]) for start, rows in groupby(starts)]


def decode_with_generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: list[list[int]],
    max_new_tokens: int,
    constraints: list[SchemaConstraint] | None,
    rescore: Rescore | None,
) -> list[list[int]]:
    """The same through `model.generate`, for models with other kinds of attention."""
    import torch

    ids, mask = _pad_left(sequences, tokenizer.pad_token_id, model.device)
    length = ids.shape[1]
    ends = _end_tokens(model, tokenizer)

    def choose(read: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The scores; with constraints, only those of the tokens that are chosen stay above minus infinity."""
        logits = rescore(logits) if rescore else logits
        if not constraints:
            return logits
        rows = read[:, length:].tolist()
        going = [row for row, ids in enumerate(rows) if ends.isdisjoint(ids)]
        written = [(rows[row], constraints[row]) for row in going]
        allowed = torch.full_like(logits, float("-inf"))
        allowed[going, _choose_allowed(logits[going], written, tokenizer, sorted(ends))] = 0
        return allowed

    output = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        logits_processor=[choose],
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=sorted(ends),
    )
    return [list(takewhile(lambda token: token not in ends, row)) for row in output[:, length:].tolist()]


def _choose_allowed(
    logits: torch.Tensor,
    written: list[tuple[list[int], SchemaConstraint]],
    tokenizer: PreTrainedTokenizerBase,
    ends: list[int],
) -> torch.Tensor:
    """For each row the most probable token that its constraint allows after what is written; else an end token."""
    import torch

    ranked = logits.topk(min(CANDIDATES, logits.shape[-1]), dim=-1).indices.tolist()
    chosen = []
    for tokens, (ids, constraint) in zip(ranked, written, strict=True):
        text = tokenizer.decode(ids)
        allowed = (
            token
            for token in tokens
            if (constraint.can_end(text) if token in ends else constraint.can_continue(tokenizer.decode([*ids, token])))
        )
        chosen.append(next(allowed, ends[0]))
    return torch.tensor(chosen, device=logits.device)


def _pad_left(sequences: list[list[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of shape (sequences, longest), all sequences ending together; the mask is false at padding."""
    import torch

    longest = max(map(len, sequences))
    ids = [[pad] * (longest - len(sequence)) + sequence for sequence in sequences]
    mask = [[False] * (longest - len(sequence)) + [True] * len(sequence) for sequence in sequences]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return {token for token in [*listed, tokenizer.eos_token_id] if token is not None}
