"""Attention within trees is the attention of separate sequences."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from utils.attention import Tree, has_full_attention, make_tree, prefix_attention, shared_attention, tree_attention

torch.set_num_threads(1)
WIDTH = 4


def layout(*trees: tuple[int, list[int]]) -> list[Tree]:
    """Trees one after another, each given by its shared tokens and the lengths of its branches."""
    made, start = [], 0
    for shared, branches in trees:
        made.append(make_tree(start, shared, branches))
        start += shared + sum(branches)
    return made


def visible(length: int, *trees: tuple[int, list[int]]) -> torch.Tensor:
    """Who sees whom, written plainly: (length, length) of booleans."""
    mask = torch.zeros(length, length, dtype=torch.bool)
    start = 0
    for shared, branches in trees:
        for i in range(shared):
            mask[start + i, start : start + i + 1] = True
        first = start + shared
        for branch in branches:
            for i in range(branch):
                mask[first + i, start : start + shared] = True
                mask[first + i, first : first + i + 1] = True
            first += branch
        start = first
    return mask


def masked_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Softmax attention with a mask; rows that see nothing are zero."""
    group = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    scores = (query @ key.transpose(-1, -2) * scaling).masked_fill(~mask, float("-inf"))
    return torch.nan_to_num(scores.softmax(-1)) @ value


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)], ids=str)
@pytest.mark.parametrize(
    "trees",
    [
        [(5, [3, 1, 4])],
        [(0, [6])],
        [(0, [3, 2])],
        [(1, [1])],
        [(5, [2, 3]), (0, [4]), (2, [1, 1, 6])],
    ],
    ids=str,
)
@pytest.mark.parametrize("padding", [0, 3])
def test_equals_masked_attention(trees: Sequence[tuple[int, list[int]]], heads: tuple[int, int], padding: int) -> None:
    torch.manual_seed(1)
    length = sum(shared + sum(branches) for shared, branches in trees) + padding
    made = [torch.randn(1, count, length, WIDTH, requires_grad=True) for count in (heads[0], heads[1], heads[1])]
    plain = masked_attention(*made, visible(length, *trees), 0.3)
    ours = tree_attention(*made, layout(*trees), 0.3)
    assert ours.shape == plain.shape
    torch.testing.assert_close(ours, plain)
    weights = torch.randn_like(plain)
    wanted = torch.autograd.grad((plain * weights).sum(), made)
    torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), made), wanted)


def test_layout_of_a_tree() -> None:
    tree = make_tree(10, 4, [2, 3])
    assert tree.branches[0, :2].tolist() == [14, 15]
    assert tree.branches[1, :3].tolist() == [16, 17, 18]
    assert tree.branches.flatten()[tree.order].tolist() == [14, 15, 16, 17, 18]


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)], ids=str)
@pytest.mark.parametrize("new", [1, 3])
def test_prefix_attention_equals_masked_attention(heads: tuple[int, int], new: int) -> None:
    torch.manual_seed(1)
    rows, shared, own = 3, 5, 4
    query = torch.randn(rows, heads[0], new, WIDTH)
    key, value = torch.randn(2, rows, heads[1], own, WIDTH)
    start_key, start_value = torch.randn(2, heads[1], shared, WIDTH)
    # The new tokens are the last ones; the second row begins with padding.
    visible = torch.ones(new, own, dtype=torch.bool).tril(own - new).repeat(rows, 1, 1, 1)
    visible[1, :, :, 0] = False
    found = prefix_attention(query, key, value, visible, (start_key, start_value), 0.3)
    whole_key = torch.cat([start_key.expand(rows, -1, -1, -1), key], dim=2)
    whole_value = torch.cat([start_value.expand(rows, -1, -1, -1), value], dim=2)
    mask = torch.cat([torch.ones(rows, 1, new, shared, dtype=torch.bool), visible], dim=-1)
    torch.testing.assert_close(found, masked_attention(query, whole_key, whole_value, mask, 0.3))


@pytest.mark.parametrize(
    ("settings", "full"),
    [
        ({}, True),
        ({"layer_types": None, "sliding_window": None}, True),
        ({"layer_types": ["full_attention", "full_attention"]}, True),
        ({"layer_types": ["full_attention", "sliding_attention"]}, False),
        ({"sliding_window": 4096}, False),
    ],
)
def test_full_attention_is_told_from_others(settings: dict, full: bool) -> None:
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(**settings))
    assert has_full_attention(SimpleNamespace(config=config)) is full


def test_model_reads_branches_as_separate_sequences() -> None:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    usual = config._attn_implementation
    start, branches = [1, 2, 3, 4], [[5, 6], [7, 8, 9]]
    row = torch.tensor([start + branches[0] + branches[1]])
    positions = torch.tensor([[0, 1, 2, 3, 4, 5, 4, 5, 6]])
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    with torch.no_grad():
        with shared_attention(model):
            trees = [make_tree(0, 4, [2, 3])]
            together = model(row, position_ids=positions, attention_mask=mask, trees=trees, use_cache=False).logits[0]
            # Without trees it is the usual attention.
            torch.testing.assert_close(model(row).logits[0, :6], together[:6])
        assert config._attn_implementation == usual
        for branch, found in zip(branches, (together[4:6], together[6:9]), strict=True):
            apart = model(torch.tensor([start + branch])).logits[0]
            torch.testing.assert_close(found, apart[4:], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(together[:4], apart[:4], atol=1e-5, rtol=1e-4)


def test_usual_attention_comes_back_after_an_error() -> None:
    config = LlamaConfig(vocab_size=5, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    model = LlamaForCausalLM(config)
    usual = config._attn_implementation
    with pytest.raises(RuntimeError), shared_attention(model):
        assert config._attn_implementation != usual
        raise RuntimeError
    assert config._attn_implementation == usual
