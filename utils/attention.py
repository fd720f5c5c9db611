"""Attention for sequences that share their start: the start is attended to once, by all that follow it.

A row holds trees one after another, each a shared start and the branches that continue it:

    [start A][branch A1][branch A2] … [start B][branch B1] …

A token sees the earlier tokens of its start and of its own branch. A masked kernel would compute the scores of all
pairs in the row and throw most away; here only the visible blocks are multiplied. The same idea speeds up inference
in Hydragen (Juravsky et al., 2024).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "shared_prefix"

Prefix = list[tuple[torch.Tensor, torch.Tensor]]
"""For each layer the keys and values of a shared start, each of shape (key heads, shared, width)."""


@dataclass(frozen=True)
class Tree:
    """A shared start of `shared` tokens at `start`, and the positions of its branches.

    `branches` has the shape (branches, longest branch) and repeats an arbitrary position where a branch is shorter.
    `order` picks the real positions, in row order, from the flattened `branches`.
    """

    start: int
    shared: int
    branches: torch.Tensor
    order: torch.Tensor


def make_tree(start: int, shared: int, branch_lengths: Sequence[int], device: torch.device | str = "cpu") -> Tree:
    """The layout of a tree whose branches stand one after another behind the shared start."""
    # Rounded up, so that fewer shapes occur: the first product of each shape costs the making of a kernel.
    longest = -(-max(branch_lengths) // 16) * 16
    positions = torch.full((len(branch_lengths), longest), start)
    order = []
    first = start + shared
    for number, length in enumerate(branch_lengths):
        positions[number, :length] = torch.arange(first, first + length)
        order.append(torch.arange(number * longest, number * longest + length))
        first += length
    return Tree(start, shared, positions.to(device), torch.cat(order).to(device))


def tree_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, trees: Sequence[Tree], scaling: float
) -> torch.Tensor:
    """Attention within trees.

    `query` has the shape (1, heads, length, width), `key` and `value` (1, key heads, length, width); the heads are a
    multiple of the key heads. Returns (1, heads, length, width), zero where no tree is.
    """
    _, heads, length, width = query.shape
    key_heads = key.shape[1]
    # (key heads, queries that share a key head, length, width)
    query = query[0].view(key_heads, heads // key_heads, length, width) * scaling
    parts, end = [], 0
    for tree in trees:
        if tree.shared:
            parts.append(_attend_start(query, key[0], value[0], tree))
        parts.append(_attend_branches(query, key[0], value[0], tree))
        end = tree.start + tree.shared + len(tree.order)
    parts.append(query.new_zeros(key_heads, heads // key_heads, length - end, width))
    return torch.cat(parts, dim=2).view(1, heads, length, width)


@contextlib.contextmanager
def shared_attention(model: PreTrainedModel) -> Iterator[None]:
    """While it lasts, the model takes an argument `trees` or `prefixes` and attends accordingly."""
    config = model.config.get_text_config()
    usual = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = usual


def _attend_start(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, tree: Tree) -> torch.Tensor:
    """Causal attention inside the shared start. Returns (key heads, group, shared, width)."""
    own = slice(tree.start, tree.start + tree.shared)
    scores = query[:, :, own] @ key[:, None, own].transpose(-1, -2)
    return (scores + _no_future(tree.shared, query)).softmax(-1) @ value[:, None, own]


def _attend_branches(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, tree: Tree) -> torch.Tensor:
    """Every branch to the start and to itself. Returns (key heads, group, tokens in branches, width)."""
    key_heads, group, _, width = query.shape
    count, longest = tree.branches.shape
    rows = query.index_select(2, tree.branches.flatten()).view(key_heads, group, count, longest, width)
    rows = rows.transpose(1, 2).reshape(key_heads * count, group * longest, width)
    scores = rows @ _seen_by_branches(key, tree).transpose(-1, -2)
    mask = torch.nn.functional.pad(_no_future(longest, query), (tree.shared, 0)).repeat(group, 1)
    output = (scores + mask).softmax(-1) @ _seen_by_branches(value, tree)
    output = output.view(key_heads, count, group, longest, width).transpose(1, 2)
    return output.reshape(key_heads, group, count * longest, width).index_select(2, tree.order)


def _seen_by_branches(states: torch.Tensor, tree: Tree) -> torch.Tensor:
    """Keys or values of the start and of each branch, of shape (key heads * branches, shared + longest, width)."""
    key_heads, _, width = states.shape
    count, longest = tree.branches.shape
    own = states.index_select(1, tree.branches.flatten()).view(key_heads, count, longest, width)
    start = states[:, None, tree.start : tree.start + tree.shared].expand(-1, count, -1, -1)
    return torch.cat([start, own], dim=2).view(key_heads * count, tree.shared + longest, width)


def prefix_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    visible: torch.Tensor,
    prefix: tuple[torch.Tensor, torch.Tensor],
    scaling: float,
) -> torch.Tensor:
    """Attention of every row of a batch to a shared start and to its own tokens.

    `query` has the shape (rows, heads, new tokens, width), `key` and `value` (rows, key heads, own tokens, width),
    `visible` (rows, 1, new tokens, own tokens) says which own tokens may be seen, and `prefix` holds the keys and
    values of the start. Returns (rows, heads, new tokens, width).
    """
    rows, heads, new, width = query.shape
    start_key, start_value = prefix
    key_heads, shared, _ = start_key.shape
    group = heads // key_heads
    blocks = query.reshape(rows, key_heads, group * new, width) * scaling
    own = (blocks @ key.transpose(-1, -2)).view(rows, key_heads, group, new, -1)
    own = own.masked_fill(~visible[:, :, None], float("-inf"))
    # All rows together against the start: one matrix product for each key head.
    together = blocks.transpose(0, 1).reshape(key_heads, rows * group * new, width)
    start = (together @ start_key.transpose(-1, -2)).view(key_heads, rows, group, new, shared).transpose(0, 1)
    weights = torch.cat([start, own], dim=-1).softmax(-1)
    own_weights = weights[..., shared:].reshape(rows, key_heads, group * new, -1)
    start_weights = weights[..., :shared].transpose(0, 1).reshape(key_heads, rows * group * new, shared)
    from_start = (start_weights @ start_value).view(key_heads, rows, group * new, width).transpose(0, 1)
    return (own_weights @ value + from_start).reshape(rows, heads, new, width)


def prefixes_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    visible: torch.Tensor,
    prefixes: Sequence[tuple[int, tuple[torch.Tensor, torch.Tensor]]],
    scaling: float,
) -> torch.Tensor:
    """`prefix_attention` of a batch whose rows have several starts: how many rows, and their start, in row order."""
    counts = [count for count, _ in prefixes]
    parts = zip(*(whole.split(counts) for whole in (query, key, value, visible)), strict=True)
    starts = (start for _, start in prefixes)
    return torch.cat([prefix_attention(*part, start, scaling) for part, start in zip(parts, starts, strict=True)])


def has_full_attention(model: PreTrainedModel) -> bool:
    """True if every layer sees all earlier tokens, which the functions of this module assume."""
    config = model.config.get_text_config()
    layer_types = set(getattr(config, "layer_types", None) or ["full_attention"])
    return layer_types == {"full_attention"} and not getattr(config, "sliding_window", None)


def _no_future(length: int, like: torch.Tensor) -> torch.Tensor:
    """What to add to scores of shape (length, length) so that no token sees a later one."""
    return torch.full((length, length), float("-inf"), dtype=like.dtype, device=like.device).triu(1)


def _forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    trees: Sequence[Tree] | None = None,
    prefixes: Sequence[tuple[int, Prefix]] = (),
    **arguments: object,
) -> tuple[torch.Tensor, None]:
    """The function that transformers calls. Without `trees` and `prefixes` it is PyTorch's own attention."""
    scale = scaling or query.shape[-1] ** -0.5
    if any(prefix for _, prefix in prefixes):
        starts = [(count, prefix[module.layer_idx]) for count, prefix in prefixes]
        output = prefixes_attention(query, key, value, attention_mask, starts, scale)
        return output.transpose(1, 2).contiguous(), None
    if trees is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **arguments)
    output = tree_attention(query, key, value, trees, scale)
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, _forward)
AttentionMaskInterface.register(NAME, sdpa_mask)
