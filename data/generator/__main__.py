"""The command line of the generator: `python -m data.generator --help`."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data.generator.building import Example, build, examples
from data.generator.lexicon import load_lexicon
from data.generator.shapes import SHAPES
from utils.schema import plain
from utils.settings import DATA
from utils.stages import write_text

DATABASES = DATA / "databases"
TRAINING = DATA / "questions" / "train"


def main() -> int:
    """Write, check or list; the exit status."""
    arguments = _parse()
    if arguments.list:
        print("\n".join(_listing(arguments.seed)))
        return 0
    names = arguments.database or training_databases()
    totals: Counter[str] = Counter()
    changed = []
    for name in names:
        found = generate(name, arguments.per_database, arguments.seed)
        levels = Counter(example.level for example in found)
        totals.update(levels)
        path = arguments.out / f"{name}.generated.jsonl"
        text = as_text(found)
        if arguments.check:
            same = path.is_file() and _hash(path.read_text(encoding="utf-8")) == _hash(text)
            changed += [] if same else [path.name]
        else:
            write_text(path, text)
        print(f"{name}: {len(found)} questions, {_hash(text)}, {dict(sorted(levels.items()))}")
    print(f"{sum(totals.values())} questions, {len(SHAPES)} shapes, {dict(sorted(totals.items()))}")
    if changed:
        print(f"Not as the generator writes them: {', '.join(changed)}. Run python -m data.generator.")
    return int(bool(changed))


def training_databases() -> list[str]:
    """The databases that have written training questions; no other may be used."""
    return sorted(path.stem for path in TRAINING.glob("*.jsonl") if "." not in path.stem)


def generate(name: str, count: int, seed: int) -> list[Example]:
    """The generated questions of one database."""
    lexicon = load_lexicon(name, DATABASES)
    return build(lexicon, count, seed, taken=set(_written(name)))


def as_text(found: list[Example]) -> str:
    """JSON Lines."""
    rows = [{"question": example.question, "sql": example.sql} for example in found]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _written(name: str) -> Iterator[str]:
    path = TRAINING / f"{name}.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield plain(json.loads(line)["question"])


def _listing(seed: int) -> Iterator[str]:
    """Every shape with one example, in Markdown."""
    lexicons = [load_lexicon(name, DATABASES) for name in training_databases()]
    yield f"# {len(SHAPES)} shapes of generated questions\n"
    for number, shape in enumerate(SHAPES):
        order = lexicons[number % len(lexicons) :] + lexicons[: number % len(lexicons)]
        found = next((made[0] for made in (examples(shape, one, seed, kept=1) for one in order) if made), None)
        yield f"## {number + 1}. {shape.name[:1].upper()}{shape.name[1:]}\n\n{len(shape.phrasings)} phrasings.\n"
        if found:
            yield f"> {found.question}\n\n```sql\n{found.sql}\n```\n"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m data.generator", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-database", type=int, default=330, metavar="N", help="questions for each database")
    parser.add_argument("--out", type=Path, default=TRAINING, metavar="FOLDER")
    parser.add_argument("--database", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    parser.add_argument("--list", action="store_true", help="print every shape with an example, in Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
