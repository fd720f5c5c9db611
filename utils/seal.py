"""Seals on question files that passed their checks, so that they need not be checked at every start.

To check a line is to parse its gold query and to run it, which takes seconds for the 20,000 lines of the course.
`data/questions/seal.json` holds a hash and the difficulty levels of each shipped file; `utils.data` takes the levels
from there while the hash fits.

That is safe because the hash covers all that the outcome depends on: the lines of the file, the SQL text of its
database, the levels, and `CHECKS`, the version of the checks. Whatever changes breaks the seal, and the file is checked
line by line again; so is every file of your own. `python -m ci.checks.questions --seal` writes the seals, only when no
check finds a fault, and the tests compare them with what a full check of all files says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from utils.difficulty import LEVELS
from utils.settings import DATA

SEALS = DATA / "questions" / "seal.json"
CHECKS = 1  # to be raised when a check of a line or the rule of difficulty changes

Seal = dict[str, str]
"""`hash`, and in `levels` for each line the place of its level in `LEVELS`."""


def make_seal(lines: Sequence[bytes], database: Path, levels: Sequence[str]) -> Seal:
    """The seal of a question file all of whose lines are good.

    `database` is a file that `load_databases` built: its name holds the hash of its SQL text.
    """
    places = "".join(str(LEVELS.index(level)) for level in levels)
    return {"hash": _hash(lines, database, places), "levels": places}


def sealed_levels(name: str, lines: Sequence[bytes], database: Path) -> list[str] | None:
    """The levels of the lines of a question file (`SPLIT/FILE.jsonl`), or None if no seal fits it."""
    seal = read_seals(SEALS).get(name)
    if seal is None or seal["hash"] != _hash(lines, database, seal["levels"]):
        return None
    return [LEVELS[int(place)] for place in seal["levels"]]


@lru_cache(maxsize=1)
def read_seals(path: Path) -> dict[str, Seal]:
    """The seals by file. A file of seals that is missing or damaged seals nothing."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _hash(lines: Sequence[bytes], database: Path, places: str) -> str:
    head = f"{CHECKS} {database.stem} {places}".encode()
    return hashlib.sha256(b"\n".join([head, *lines])).hexdigest()[:16]
