"""Answers to a batch of prompts, token by token.

What prompts share at their start is read once; its keys and values serve all rows that begin with it at every step (see
`utils.attention`). Rows whose answer has ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    distinct = list({tuple(sequence): start for sequence, start in zip(sequences, starts, strict=True)}.items())
    by_length = sorted(distinct, key=lambda pair: len(pair[0]) - len(pair[1]))
    few_by_few = [
        sorted(by_length[first : first + READ_TOGETHER], key=lambda pair: pair[1])
        for first in range(0, len(by_length), READ_TOGETHER)
    ]
    caches, scores, masks = zip(*(_read_few(model, few, prefixes, pad) for few in few_by_few), strict=True)
    place = {ids: number for number, (ids, _) in enumerate(pair for few in few_by_few for pair in few)}
    rows = torch.tensor([place[tuple(sequence)] for sequence in sequences], device=model.device)
    longest = max(mask.shape[1] for mask in masks)
    mask = torch.cat([torch.nn.functional.pad(mask, (longest - mask.shape[1], 0)) for mask in masks])
    return _join(model, caches, rows), torch.cat(scores)[rows], mask[rows]


def _read_few(
    model: PreTrainedModel,
    few: list[tuple[tuple[int, ...], tuple[int, ...]]],
    prefixes: dict[tuple[int, ...], Prefix],
    pad: int,
) -> tuple[DynamicCache, torch.Tensor, torch.Tensor]:
    """The same for a few sequences, each with its start, of which those with the same start are neighbours."""
    import torch
    from transformers import DynamicCache

    ids, mask = _pad_left([list(ids[len(start) :]) for ids, start in few], pad, model.device)
    # A padding position sees itself, so that no row of the softmax is empty.
    itself = torch.eye(ids.shape[1], dtype=torch.bool, device=model.device)
    visible = (torch.ones_like(itself).tril() & mask[:, None, :]) | itself
    shared = torch.tensor([[len(start)] for _, start in few], device=model.device)
    cache = DynamicCache(config=model.config)
    output = model(
        input_ids=ids,
        attention_mask=visible[:, None],
        position_ids=(shared + mask.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
        prefixes=_by_rows([start for _, start in few], prefixes),
    )
    return cache, output.logits[:, -1], mask


def _join(model: PreTrainedModel, caches: Sequence[DynamicCache], rows: torch.Tensor) -> DynamicCache:
    """One cache of the `rows` of several, the shorter ones filled up on the left."""
    import torch
    from transformers import DynamicCache

    longest = max(cache.get_seq_length() for cache in caches)

    def joined_rows(states: list[torch.Tensor]) -> torch.Tensor:
        filled = [torch.nn.functional.pad(part, (0, 0, longest - part.shape[2], 0)) for part in states]
        return torch.cat(filled)[rows]

    joined = DynamicCache(config=model.config)
    for number, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        keys, values = (joined_rows([getattr(layer, name) for layer in layers]) for name in ("keys", "values"))
        joined.update(keys, values, number)
    return joined


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
