"""Write the example files anew. They are the same every time.

python -m data.examples
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from data.examples.opening_hours import opening_hours
from data.examples.orders import orders
from data.examples.tickets import tickets

FOLDER = Path(__file__).parent


def write_all(folder: Path) -> list[Path]:
    """A CSV of instructions and outputs, a JSON Lines file of messages, and a Parquet file with other column names."""
    import pyarrow
    from pyarrow import parquet

    table, chats, columns = (folder / name for name in ("opening_hours.csv", "tickets.jsonl", "orders.parquet"))
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["instruction", "output"])
        writer.writerows(opening_hours(count=500, seed=1))
    lines = (json.dumps({"messages": messages}, ensure_ascii=False) for messages in tickets(count=300, seed=2))
    chats.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    parquet.write_table(pyarrow.Table.from_pylist(orders(count=300, seed=3)), columns)
    return [table, chats, columns]


if __name__ == "__main__":
    for path in write_all(FOLDER):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
