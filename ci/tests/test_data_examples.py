"""The example files are what their generator writes, and are read with no options but those that the README gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from data.examples.__main__ import FOLDER, write_all
from data.examples.opening_hours import normal_form
from utils.data_settings import DataSettings
from utils.preparation import prepare


def test_the_files_are_those_of_the_generator(tmp_path: Path) -> None:
    for path in write_all(tmp_path):
        committed = FOLDER / path.name
        if path.suffix == ".parquet":
            assert parquet.read_table(path).equals(parquet.read_table(committed))
        else:
            assert path.read_bytes() == committed.read_bytes()


@pytest.mark.parametrize(
    ("name", "options", "task", "count"),
    [
        ("opening_hours.csv", {}, "short answers", 500),
        ("tickets.jsonl", {}, "labels", 300),
        (
            "orders.parquet",
            {"prompt_column": "mail_text", "completion_column": "office_record", "group_column": "sender"},
            "JSON",
            300,
        ),
    ],
)
def test_the_files_are_clean_and_their_task_is_recognised(name: str, options: dict, task: str, count: int) -> None:
    prepared = prepare(DataSettings(str(FOLDER / name), **options))
    assert prepared.metrics.task == task
    assert prepared.report.rows == count
    assert len(prepared.rejects) <= count // 100
    assert all(len(members) >= count // 13 for members in prepared.splits.values())
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"--{option.replace('_', '-')} {value}" in readme for option, value in options.items())


def test_hours_have_one_normal_form() -> None:
    day, short = ((540, 1020),), ((540, 720),)
    assert normal_form({0: day, 1: day, 2: day, 4: short, 6: short}) == "Mo-We 09:00-17:00; Fr,Su 09:00-12:00"
    assert normal_form({5: (*short, (780, 1020))}) == "Sa 09:00-12:00,13:00-17:00"


def test_orders_are_json_with_the_fields_that_the_mail_names() -> None:
    for row in parquet.read_table(FOLDER / "orders.parquet").to_pylist():
        record = json.loads(row["office_record"])
        assert {"item", "quantity"} <= set(record) <= {"item", "quantity", "colour", "deliver_by"}
        assert record.get("colour", "") in row["mail_text"].lower()
