"""Databases that are trained on get other rows too, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.data import Question
from utils.sql import build_database, execute
from utils.training_instances import training_instances

SQL = "CREATE TABLE dish (id INTEGER PRIMARY KEY, price INTEGER);" + "".join(
    f"INSERT INTO dish VALUES ({number}, {number % 5});" for number in range(1, 30)
)
QUESTIONS = [Question("1", "train", "kitchen", "?", "SELECT id FROM dish WHERE price > 2", "easy", "written")]


def test_rows_differ_and_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.training_instances.CACHE", tmp_path / "cache")
    for name in ("kitchen", "cellar"):
        build_database(SQL, tmp_path / "dataset" / "databases" / f"{name}.sqlite")
    found = training_instances(tmp_path / "dataset", QUESTIONS, count=2, seed=1)
    assert list(found) == ["kitchen"]
    assert len(found["kitchen"]) == 3
    answers = [execute(path, QUESTIONS[0].sql).rows for path in found["kitchen"]]
    assert answers[0] != answers[1] != answers[2]
    times = [path.stat().st_mtime_ns for path in found["kitchen"]]
    again = training_instances(tmp_path / "dataset", QUESTIONS, count=2, seed=1)
    assert [path.stat().st_mtime_ns for path in again["kitchen"]] == times
    assert training_instances(tmp_path / "dataset", QUESTIONS, count=2, seed=2)["kitchen"][1] != found["kitchen"][1]
