"""How alike two texts read: equal but for case and spaces, or nearly the same by their character 5-grams."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

GRAM = 5
COMPARED_CHARACTERS = 2_000
# A lower threshold for the sketch than for the answer, and its misses count more than its false alarms.
SKETCH_MARGIN = 0.15
FEW_MISSES = (0.1, 0.9)

Alike = tuple[int, int, float]
"""Index on the left, index on the right, similarity."""


def find_alike(left: Sequence[str], right: Sequence[str], threshold: float) -> list[Alike]:
    """Pairs of texts that read nearly the same, the most alike first.

    Similarity is the Jaccard index of their character 5-grams, without regard to case and punctuation, over their first
    2,000 characters; found by MinHash with 128 permutations (Broder, 1997) and then computed exactly.
    """
    from datasketch import MinHash, MinHashLSH

    def sketch(text: str) -> MinHash:
        minhash = MinHash(num_perm=128, hashfunc=zlib.crc32)
        minhash.update_batch([gram.encode() for gram in sorted(grams(text))])
        return minhash

    index = MinHashLSH(threshold=max(0.05, threshold - SKETCH_MARGIN), num_perm=128, weights=FEW_MISSES)
    for number, text in enumerate(left):
        index.insert(number, sketch(text))
    pairs = []
    for number, text in enumerate(right):
        for other in sorted(index.query(sketch(text))):
            similarity = jaccard(left[other], text)
            if similarity >= threshold:
                pairs.append((other, number, similarity))
    return sorted(pairs, key=lambda pair: -pair[2])


def jaccard(left: str, right: str) -> float:
    """Share of the character 5-grams of two texts that they have in common."""
    return len(grams(left) & grams(right)) / len(grams(left) | grams(right))


@lru_cache(maxsize=20_000)
def plain_text(text: str) -> str:
    """One spelling for texts that differ only in case, white space and the form of their letters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=20_000)
def grams(text: str) -> frozenset[str]:
    """The character 5-grams of a text, in any script."""
    words = re.findall(r"\w+", plain_text(text[:COMPARED_CHARACTERS])) or [text[:COMPARED_CHARACTERS]]
    joined = f" {' '.join(words)} "
    return frozenset(joined[i : i + GRAM] for i in range(max(1, len(joined) - GRAM + 1)))
