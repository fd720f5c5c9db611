"""Answers from a model: greedy, or drawn (`utils.sampling`), in batches, the shared start of prompts computed once.

Prompts about one database start with the same instruction and schema. That start is read once; its keys and values
serve the whole batch at every step (see `utils.attention`), and rows whose answer has ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from utils.allocator import return_freed_memory
from utils.prefixes import group_by_prefix, shared_start_length

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from utils.attention import Prefix
    from utils.constraints import SchemaConstraint
    from utils.prompts import Message

    Rescore = Callable[[torch.Tensor], torch.Tensor]

CANDIDATES = 2000
FEWEST_ALIKE = 4  # prompts for which reading their shared start once pays more than one larger batch


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
    decode = _decode_together if has_full_attention(model) else _decode_with_generate
    if constraints is not None and decode is _decode_with_generate:
        raise ValueError("This model's attention has a sliding window: generate without constraints.")
    with torch.inference_mode():
        for group in _worthwhile_groups(list(sequences)):
            shared = shared_start_length([sequences[i] for i in group])
            prefix = _read_prefix(model, sequences[group[0]][:shared]) if decode is _decode_together else None
            ordered = sorted(group, key=lambda i: len(sequences[i]))
            for start in range(0, len(ordered), batch_size):
                batch = ordered[start : start + batch_size]
                rules = [constraints[i] for i in batch] if constraints else None
                read = [sequences[i] for i in batch]
                written = decode(model, tokenizer, read, shared, prefix, max_new_tokens, rules, rescore)
                for index, ids in zip(batch, written, strict=True):
                    continued[index] = ids
                done += len(batch)
                return_freed_memory()  # each batch has shapes of its own
                if on_progress:
                    on_progress(done, len(sequences))
    model.train(was_training)
    return continued


def _worthwhile_groups(sequences: list[list[int]]) -> list[list[int]]:
    """Indices of sequences that start alike, group by group; those with few of their kind make one more group."""
    places: dict[tuple[int, ...], list[int]] = {}
    for index, sequence in enumerate(sequences):
        places.setdefault(tuple(sequence), []).append(index)
    # Equal ones share so much that they would not be grouped with others, so each is looked at once.
    copies = list(places.values())
    groups = [[index for place in group for index in copies[place]] for group in group_by_prefix(list(places))]
    large = [group for group in groups if len(group) >= FEWEST_ALIKE]
    loose = [index for group in groups if len(group) < FEWEST_ALIKE for index in group]
    return [*large, loose] if loose else large


def _read_prefix(model: PreTrainedModel, prefix: list[int]) -> Prefix | None:
    """Keys and values of the shared start in every layer, each of shape (key heads, shared, width)."""
    import torch

    if not prefix:
        return None
    ids = torch.tensor([prefix], device=model.device)
    cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    return [(layer.keys[0], layer.values[0]) for layer in cache.layers]


def _decode_together(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: list[list[int]],
    shared: int,
    prefix: Prefix | None,
    max_new_tokens: int,
    constraints: list[SchemaConstraint] | None,
    rescore: Rescore | None,
) -> list[list[int]]:
    """New token ids for sequences that share their first `shared` tokens, whose keys and values are in `prefix`.

    Sequences that are the same, of which several answers are drawn, are read once.
    """
    import torch
    from transformers import DynamicCache

    from utils.attention import shared_attention

    distinct = {sequence: place for place, sequence in enumerate(dict.fromkeys(map(tuple, sequences)))}
    copies = torch.tensor([distinct[tuple(sequence)] for sequence in sequences], device=model.device)
    ids, mask = _pad_left([list(sequence[shared:]) for sequence in distinct], tokenizer.pad_token_id, model.device)
    positions = (shared + mask.cumsum(-1) - 1).clamp(min=0)
    ends = torch.tensor(sorted(_end_tokens(model, tokenizer)), device=model.device)
    length = ids.shape[1]
    # A padding position sees itself, so that no row of the softmax is empty.
    visible = torch.ones(length, length, dtype=torch.bool, device=model.device).tril()[None] & mask[:, None, :].bool()
    visible = (visible | torch.eye(length, dtype=torch.bool, device=model.device))[:, None]
    cache = DynamicCache(config=model.config)
    answers: list[list[int]] = [[] for _ in sequences]
    alive = list(range(len(sequences)))
    with shared_attention(model):
        for step in range(max_new_tokens):
            logits = model(
                input_ids=ids,
                attention_mask=visible,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
                prefix=prefix or (),
            ).logits[:, -1]
            if step == 0 and len(distinct) < len(sequences):
                cache.batch_select_indices(copies)
                logits, positions, mask = logits[copies], positions[copies], mask[copies]
            logits = rescore(logits) if rescore else logits
            chosen = logits.argmax(-1)
            if constraints:
                written = [(answers[row], constraints[row]) for row in alive]
                chosen = _choose_allowed(logits, written, tokenizer, ends.tolist())
            going = ~torch.isin(chosen, ends)
            for row, token, goes_on in zip(alive, chosen.tolist(), going.tolist(), strict=True):
                if goes_on:
                    answers[row].append(token)
            if not going.any():
                break
            if not going.all():
                kept = going.nonzero().squeeze(-1)
                cache.batch_select_indices(kept)
                alive = [alive[i] for i in kept.tolist()]
                chosen, positions, mask = chosen[kept], positions[kept], mask[kept]
            ids = chosen[:, None]
            positions = positions[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=-1)
            visible = mask[:, None, None, :].bool()
    return answers


def _decode_with_generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: list[list[int]],
    shared: int,
    prefix: Prefix | None,
    max_new_tokens: int,
    constraints: list[SchemaConstraint] | None,
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
    """Token ids and mask of shape (sequences, longest), all sequences ending together."""
    import torch

    longest = max(map(len, sequences))
    ids = [[pad] * (longest - len(sequence)) + sequence for sequence in sequences]
    mask = [[0] * (longest - len(sequence)) + [1] * len(sequence) for sequence in sequences]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return {token for token in [*listed, tokenizer.eos_token_id] if token is not None}
