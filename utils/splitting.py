"""Training, validation and test examples of one set: nothing twice, no group on two sides, no answer to be copied."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from utils.errors import CourseError
from utils.formats import Example
from utils.likeness import jaccard, plain_text

MIN_EXAMPLES = 20
MIN_HELD_OUT = {"test": 5, "validation": 3}
MAX_HELD_OUT = 1000


def drop_duplicates(examples: Sequence[Example]) -> tuple[list[Example], list[tuple[Example, Example]]]:
    """Keep the first of the examples that ask and answer the same. Returns them, and the others with their firsts."""
    first: dict[tuple[str, ...], Example] = {}
    dropped = []
    for example in examples:
        key = (*(plain_text(message["content"]) for message in example.prompt), " ".join(example.completion.split()))
        if key in first:
            dropped.append((example, first[key]))
        else:
            first[key] = example
    return list(first.values()), dropped


def split_examples(examples: Sequence[Example], shares: Mapping[str, float], seed: int) -> dict[str, list[Example]]:
    """Examples by split: "train", and one for each of `shares` ("test", "validation").

    Whole groups are drawn, in an order that the seed decides, as long as they fit into the share; at most 1,000
    examples are held out for a split. Within a split the examples keep their order.

    Raises:
        CourseError: there are fewer than 20 examples, or too few groups.
    """
    if len(examples) < MIN_EXAMPLES:
        raise CourseError(
            f"There are {len(examples)} usable examples. At least {MIN_EXAMPLES} are needed to train, validate and "
            "test; some hundreds make a useful start."
        )
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.group, []).append(example)
    if len(groups) <= len(shares):
        raise CourseError(
            f"No group may stand on two sides, so at least {len(shares) + 1} groups are needed; the examples form "
            f"{len(groups)}. Group by another column, or by none."
        )
    order = list(groups)
    random.Random(seed).shuffle(order)
    split_of: dict[str, str] = {}
    for number, (split, share) in enumerate(shares.items()):
        wanted = min(MAX_HELD_OUT, max(MIN_HELD_OUT[split], round(share * len(examples))))
        free = [name for name in order if name not in split_of]
        keep = len(shares) - number  # a group for each split that is still to come, training among them
        chosen = _fill({name: len(groups[name]) for name in free}, wanted, len(free) - keep)
        split_of |= dict.fromkeys(chosen, split)
    splits: dict[str, list[Example]] = {split: [] for split in ("train", *shares)}
    for example in examples:
        splits[split_of.get(example.group, "train")].append(example)
    return splits


def is_copied(train: Example, held_out: Example, threshold: float, *, free_text: bool) -> bool:
    """True if copying the training answer would be right for the held-out example; of free text, nearly right."""
    if plain_text(train.completion) == plain_text(held_out.completion):
        return True
    # Two dates or two queries that differ in one character are different answers; two stories are not.
    return free_text and jaccard(train.completion, held_out.completion) >= threshold


def _fill(sizes: Mapping[str, int], wanted: int, at_most: int) -> list[str]:
    """Groups, in their order, that together do not exceed `wanted`; the smallest one if none fits."""
    chosen: list[str] = []
    for name, size in sizes.items():
        if size <= wanted and len(chosen) < at_most:
            chosen.append(name)
            wanted -= size
    return chosen or [min(sizes, key=lambda name: sizes[name])]
