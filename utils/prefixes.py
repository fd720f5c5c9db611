"""Find sequences that start alike. Questions about one database share the instruction and the schema, which are most
of their tokens; training and generation use this to compute the shared start once."""

from __future__ import annotations

from collections.abc import Sequence

MIN_SHARED_SHARE = 0.5
MIN_COMMON_SHARE = 0.85


def common_prefix_length(left: Sequence[int], right: Sequence[int]) -> int:
    """Number of leading tokens that two sequences have in common."""
    length = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        length += 1
    return length


def shared_start_length(sequences: Sequence[Sequence[int]], lengths: Sequence[int] | None = None) -> int:
    """How many leading tokens all sequences share, leaving each at least one of its own; none for a single sequence.

    `lengths` says how many leading tokens of each sequence count (the prompt without its answer); all by default.
    """
    if len(sequences) == 1:
        return 0
    shortest = min(lengths or map(len, sequences))
    return max(0, min(common_prefix_length(min(sequences), max(sequences)), shortest - 1))


def group_by_prefix(sequences: Sequence[Sequence[int]], lengths: Sequence[int] | None = None) -> list[list[int]]:
    """Indices of the sequences, grouped so that the members of a group share at least half of their tokens.

    A sequence that shares clearly less with a group than the group's members share begins a new one: prompts that all
    start with the same solved examples are grouped by the schema that follows.

    `lengths` says how many leading tokens of each sequence count (the prompt without its answer); all by default.
    Groups and members come in a fixed order that depends on the content alone.
    """
    lengths = lengths or [len(sequence) for sequence in sequences]
    order = sorted(range(len(sequences)), key=lambda i: (list(sequences[i][: lengths[i]]), i))
    groups: list[list[int]] = []
    common = 0  # what the first two members of the last group share
    for index in order:
        if groups:
            first = groups[-1][0]
            shared = common_prefix_length(sequences[first][: lengths[first]], sequences[index][: lengths[index]])
            enough = shared >= MIN_SHARED_SHARE * max(lengths[first], lengths[index])
            if enough and (len(groups[-1]) == 1 or shared >= MIN_COMMON_SHARE * common):
                common = shared if len(groups[-1]) == 1 else common
                groups[-1].append(index)
                continue
        groups.append([index])
    return groups
