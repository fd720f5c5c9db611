"""How much memory and time the preparation of large data takes: `python -m ci.checks.large_data --rows 2000000`.

The file is generated, in a temporary folder, and prepared in a process of its own, whose peak memory is told.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ci.bench.children import report, run_child

ITEMS = ("mugs", "plates", "lamps", "chairs", "towels", "books", "pens", "clocks", "vases", "bowls")
TOWNS = ("Graz", "Porto", "Lyon", "Turku", "Brno", "Ghent", "Split", "Bergen", "Malmö", "Lublin")


def write_rows(path: Path, rows: int) -> Path:
    """A JSON Lines file of questions and answers, about one in a hundred a repetition of an earlier one."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            n = number // 2 if number % 50 == 49 else number
            question = f"Order {n}: please send {n % 97 + 2} {ITEMS[n % 10]} to {TOWNS[n // 10 % 10]}. What is ordered?"
            answer = json.dumps(
                {"item": ITEMS[n % 10], "count": n % 97 + 2, "town": TOWNS[n // 10 % 10]}, ensure_ascii=False
            )
            file.write(json.dumps({"question": question, "answer": answer}, ensure_ascii=False) + "\n")
    return path


def measured(data: Path, folder: Path) -> dict[str, Any]:
    """Prepare `data` in a process of its own; returns counts, seconds, and its peak memory in bytes."""
    return run_child("ci.checks.large_data", "--prepare", str(data), "--out", str(folder / f"shards-{data.stem}"))


def prepare(data: Path, folder: Path) -> None:
    """Prepare `data` here and print what `measured` returns."""
    from utils.data_settings import DataSettings
    from utils.models import load_tokenizer
    from utils.shards import prepare_shards

    tokenizer = load_tokenizer("smollm2-135m")
    began = time.perf_counter()
    found = prepare_shards(DataSettings(data), tokenizer, folder)
    report(rows=found.rows, train=found.train, duplicates=found.duplicates, seconds=time.perf_counter() - began)


def main(arguments: list[str]) -> None:
    """Measure, or do what is measured."""
    parser = argparse.ArgumentParser(prog="python -m ci.checks.large_data", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.prepare:
        prepare(options.prepare, options.out)
        return
    with tempfile.TemporaryDirectory() as name:
        data = write_rows(Path(name) / "rows.jsonl", options.rows)
        found = measured(data, Path(name))
        size = data.stat().st_size
    print(
        f"{found['rows']:,} rows of {size / 1e6:,.0f} MB: {found['seconds']:.0f} s, at most "
        f"{found['peak_memory_bytes'] / 1e9:.2f} GB of memory; {found['train']:,} training examples, "
        f"{found['duplicates']:,} repeated rows left out"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
