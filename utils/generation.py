"""Answers from a model: greedy, or drawn (`utils.sampling`), in batches, the shared start of prompts computed once.

Prompts about one database start with the same instruction and schema. That start is read once; its keys and values
serve all rows about this database at every step (see `utils.attention`). Prompts about several databases share a batch,
as a step takes about as long for many rows as for few, and rows whose answer has ended leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from utils.allocator import return_freed_memory
from utils.prefixes import group_by_prefix, shared_start_length

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

    from utils.attention import Prefix
    from utils.constraints import SchemaConstraint
    from utils.prompts import Message

    Rescore = Callable[[torch.Tensor], torch.Tensor]

CANDIDATES = 2000
FEWEST_ALIKE = 4  # prompts for which reading their shared start once pays
READ_TOGETHER = 24  # prompts


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

    Raises:
        ValueError: constraints for a model whose attention is not full, which `generate` answers without them.
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

    continued: list[list[int]] = [[] for _ in sequences]
    done = 0
    was_training = model.training
    model.eval()
    together = has_full_attention(model)
    if constraints is not None and not together:
        raise ValueError("This model's attention has a sliding window: generate without constraints.")
    prefixes: dict[tuple[int, ...], Prefix] = {}
    with torch.inference_mode():
        for parts in _batches(sequences, batch_size):
            batch = [index for part in parts for index in part.indices]
            read = [sequences[index] for index in batch]
            if together:
                # Those of the batch before are not needed again, but for the group that it began.
                prefixes = {part.start: prefixes.get(part.start) or _read_prefix(model, part.start) for part in parts}
                rules = [constraints[index] for index in batch] if constraints else None
                starts = [part.start for part in parts for _ in part.indices]
                written = _decode_together(model, tokenizer, read, starts, prefixes, max_new_tokens, rules, rescore)
            else:
                written = _decode_with_generate(model, tokenizer, read, max_new_tokens, rescore)
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


def _read_prefix(model: PreTrainedModel, start: tuple[int, ...]) -> Prefix:
    """Keys and values of the shared start in every layer, each of shape (key heads, shared, width)."""
    import torch

    if not start:
        return []
    ids = torch.tensor([start], device=model.device)
    cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    return [(layer.keys[0], layer.values[0]) for layer in cache.layers]


def _decode_together(
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


def _decode_with_generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: list[list[int]],
    max_new_tokens: int,
    rescore: Rescore | None,
) -> list[list[int]]:
    """The same through `model.generate`, for models with other kinds of attention."""
    ids, mask = _pad_left(sequences, tokenizer.pad_token_id, model.device)
    output = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        logits_processor=[lambda _, logits: rescore(logits)] if rescore else None,
        pad_token_id=tokenizer.pad_token_id,
    )
    return output[:, ids.shape[1] :].tolist()


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
