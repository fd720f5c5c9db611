"""Examples for notebook 13: a sentence with a spoken value in it, and the value in ISO form. And their honest split.

Three things are held out, each by itself: *values* (by a hash of the value), *phrasings* (ways to say a value) and
*sentences* (the text around it). A phrasing is held out only if each of its words, and each piece of the value that it
says, occurs in a training phrasing of the same kind: what is new is how they are put together, not what a word means.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from random import Random

from utils.errors import CourseError
from utils.settings import DATA
from utils.spoken_values import DRAWS

WORDINGS = DATA / "spoken_values.yaml"
SPLITS = ("train", "validation", "test")
SHARES = {"test": 0.2, "validation": 0.1}  # of the phrasings and of the sentences of a kind
VALUE_SHARES = {"test": 10, "validation": 10}  # of 100 values
# The first with which two full, half and quarter hours fall to the test, and two to the validation.
VALUE_SALT = b"9"
SPLIT_SEED = 13


@dataclass(frozen=True)
class Phrasing:
    """A way to say a value: `pattern` has pieces of the value in braces. `group` names the values it is for."""

    kind: str
    group: str
    pattern: str

    @property
    def words(self) -> set[str]:
        """Its words, and the pieces of the value as they stand in braces."""
        return set(self.pattern.replace(",", " ").split())


@dataclass(frozen=True)
class Wordings:
    """Phrasings, and sentences by kind."""

    phrasings: tuple[Phrasing, ...]
    sentences: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class SpokenExample:
    """`text` is a sentence with a spoken value in it, `value` the value in ISO form; the rest says how it was made."""

    text: str
    value: str
    kind: str
    group: str
    phrasing: str
    sentence: str

    @property
    def row(self) -> dict[str, str]:
        """The example as plain data."""
        return asdict(self)


@lru_cache(maxsize=4)
def read_wordings(path: Path = WORDINGS) -> tuple[Wordings, frozenset[str]]:
    """The wordings of a file, and the groups that have one value only.

    Raises:
        CourseError: a group has no function in `DRAWS`, a sentence has no place for the value, or a text stands twice.
    """
    import yaml

    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    phrasings = tuple(
        Phrasing(kind, group, pattern)
        for kind, groups in content["phrasings"].items()
        for group, patterns in groups.items()
        for pattern in patterns
    )
    for phrasing in phrasings:
        if phrasing.group not in DRAWS.get(phrasing.kind, {}):
            raise CourseError(
                f"{path.name}: {phrasing.kind}, {phrasing.group!r} is no group of utils/spoken_values.py."
            )
    sentences = {kind: tuple(texts) for kind, texts in content["sentences"].items()}
    patterns = [phrasing.pattern for phrasing in phrasings]
    for text, count in Counter([*patterns, *(text for texts in sentences.values() for text in texts)]).items():
        if count > 1:
            raise CourseError(f"{path.name}: “{text}” stands there {count} times. Remove all but one.")
    for text in (text for texts in sentences.values() for text in texts):
        if text.count("{}") != 1:
            raise CourseError(f"{path.name}: the sentence “{text}” needs one {{}}, where the value is to stand.")
    return Wordings(phrasings, sentences), frozenset(content["one_value"])


def split_wordings(path: Path = WORDINGS, seed: int = SPLIT_SEED) -> dict[str, Wordings]:
    """Wordings for training, validation and test; none is in two of them. The order of a seeded shuffle decides."""
    wordings, one_value = read_wordings(path)
    random = Random(seed)
    phrasings: dict[str, list[Phrasing]] = {split: [] for split in SPLITS}
    sentences: dict[str, dict[str, tuple[str, ...]]] = {split: {} for split in SPLITS}
    for kind, texts in wordings.sentences.items():
        of_kind = [phrasing for phrasing in wordings.phrasings if phrasing.kind == kind]
        for split, members in _held_out(of_kind, one_value, random).items():
            phrasings[split] += members
        shuffled, start = random.sample(texts, len(texts)), 0
        for split, share in SHARES.items():
            end = start + round(share * len(texts))
            sentences[split][kind] = tuple(shuffled[start:end])
            start = end
        sentences["train"][kind] = tuple(shuffled[start:])
    return {split: Wordings(tuple(phrasings[split]), sentences[split]) for split in SPLITS}


def split_of_value(value: str) -> str:
    """The split that a value belongs to, decided by its hash: whoever says it, it is new in the test or it is not.

    Values with words of their own belong to training, which needs the words.
    """
    if value in values_with_own_words():
        return "train"
    digest = hashlib.blake2b(value.encode(), digest_size=4, salt=VALUE_SALT).digest()
    place = int.from_bytes(digest) % 100
    for split, share in VALUE_SHARES.items():
        if place < share:
            return split
        place -= share
    return "train"


@cache
def values_with_own_words() -> frozenset[str]:
    """Values that groups of one value name, such as midnight."""
    wordings, one_value = read_wordings()
    named = {(phrasing.kind, phrasing.group) for phrasing in wordings.phrasings if phrasing.group in one_value}
    return frozenset(DRAWS[kind][group](Random(0))[0] for kind, group in named)


def make_examples(
    phrasings: Sequence[Phrasing],
    sentences: Mapping[str, Sequence[str]],
    count: int,
    *,
    values: str = "train",
    seed: int = 0,
) -> list[SpokenExample]:
    """`count` different examples, as many of each kind, from these phrasings and sentences, with the values of a split.

    Raises:
        CourseError: so many different ones cannot be made.
    """
    random = Random(f"{seed} {values}")
    by_kind = {kind: [phrasing for phrasing in phrasings if phrasing.kind == kind] for kind in DRAWS}
    kinds = [kind for kind, members in by_kind.items() if members]
    made: dict[str, SpokenExample] = {}
    for _ in range(100 * count):
        if len(made) == count:
            return list(made.values())
        kind = kinds[len(made) % len(kinds)]
        phrasing = random.choice(by_kind[kind])
        value, words = DRAWS[kind][phrasing.group](random)
        if split_of_value(value) == values:
            sentence = random.choice(sentences[kind])
            text = sentence.format(phrasing.pattern.format(**words))
            made.setdefault(text, SpokenExample(text, value, kind, phrasing.group, phrasing.pattern, sentence))
    raise CourseError(f"Only {len(made)} of {count} different examples could be made: ask for fewer, or add wordings.")


def nearest_phrasing(phrasing: Phrasing, known: Sequence[Phrasing]) -> tuple[str, float]:
    """The known phrasing of the same kind that is most like this one, and how alike they are: 0 to 1.

    Likeness is the share of words that both have (Jaccard); the order of the words does not count.
    """
    rivals = [rival for rival in known if rival.kind == phrasing.kind]
    shares = [len(rival.words & phrasing.words) / len(rival.words | phrasing.words) for rival in rivals]
    best = max(shares)
    return rivals[shares.index(best)].pattern, best


def _held_out(phrasings: Sequence[Phrasing], one_value: frozenset[str], random: Random) -> dict[str, list[Phrasing]]:
    """Phrasings of one kind by split. One is held out while all its words remain in at least one that is not."""
    uses = Counter(word for phrasing in phrasings for word in phrasing.words)
    waiting = random.sample(phrasings, len(phrasings))
    found: dict[str, list[Phrasing]] = {split: [] for split in SPLITS}
    wanted = {split: round(share * len(phrasings)) for split, share in SHARES.items()}
    for phrasing in waiting:
        split = next((name for name in SHARES if len(found[name]) < wanted[name]), "train")
        if phrasing.group in one_value or min(uses[word] for word in phrasing.words) < 2:
            split = "train"
        if split != "train":
            uses.subtract(phrasing.words)
        found[split].append(phrasing)
    return found
