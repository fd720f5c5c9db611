"""Seals tell what a full check of the shipped questions says, and break when anything changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ci.checks.questions import make_seals
from utils import data, seal
from utils.data import SPLITS, check_questions, load_databases, load_questions, read_questions
from utils.settings import DATA
from utils.sql import build_database

NAME = "validation/harbour.jsonl"


@pytest.fixture(scope="module")
def databases() -> dict[str, Path]:
    """The shipped databases, built."""
    return load_databases(DATA / "databases")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A shipped question file in another place."""
    return Path(shutil.copyfile(DATA / "questions" / NAME, tmp_path / "harbour.jsonl"))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if a file is checked line by line."""

    def refuse(file: Path, *_: object) -> None:
        raise AssertionError(f"{file.name} was checked although it has a seal.")

    monkeypatch.setattr(data, "check_questions", refuse)


def test_shipped_seals_say_what_a_full_check_says(databases: dict[str, Path]) -> None:
    assert make_seals(DATA / "questions", databases) == (seal.read_seals(seal.SEALS), []), (
        "Questions, databases or checks changed: run python -m ci.checks.questions --seal"
    )


@pytest.mark.parametrize("split", SPLITS)
def test_a_seal_gives_the_same_questions_as_a_check(split: str, databases: dict[str, Path]) -> None:
    for file in sorted((DATA / "questions" / split).glob("*.jsonl"))[:6]:
        assert read_questions(file, split, databases) == check_questions(file, split, databases)


@pytest.mark.usefixtures("unchecked")
def test_shipped_questions_are_not_checked_again(databases: dict[str, Path]) -> None:
    questions, rejects = load_questions(DATA / "questions", databases)
    assert len(questions) > 20_000
    assert rejects == []


@pytest.mark.usefixtures("unchecked")
def test_a_seal_holds_for_an_equal_file_elsewhere(copy: Path, databases: dict[str, Path]) -> None:
    shipped = read_questions(DATA / "questions" / NAME, "validation", databases)
    assert read_questions(copy, "validation", databases) == shipped


def test_a_changed_line_is_checked(copy: Path, databases: dict[str, Path]) -> None:
    shipped, _ = read_questions(copy, "validation", databases)
    lines = copy.read_bytes().splitlines()
    lines[4] = lines[4].replace(b"FROM ", b"FROM no_")
    copy.write_bytes(b"\n".join(lines))
    questions, rejects = read_questions(copy, "validation", databases)
    assert [reject.line for reject in rejects] == [5]
    assert questions == shipped[:4] + shipped[5:]


def test_a_changed_database_is_checked(copy: Path, tmp_path: Path) -> None:
    text = (DATA / "databases" / "harbour.sql").read_text(encoding="utf-8")
    (tmp_path / "harbour.sql").write_text(f"{text}\nDELETE FROM landings;", encoding="utf-8")
    assert read_questions(copy, "validation", load_databases(tmp_path))[1]


def test_a_database_from_elsewhere_is_checked(copy: Path, tmp_path: Path) -> None:
    database = build_database("CREATE TABLE boats (id INTEGER);", tmp_path / "harbour.sqlite")
    assert not read_questions(copy, "validation", {"harbour": database})[0]


def test_another_version_of_the_checks_breaks_every_seal(
    databases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (DATA / "questions" / NAME).read_bytes().splitlines()
    assert seal.sealed_levels(NAME, lines, databases["harbour"])
    monkeypatch.setattr(seal, "CHECKS", seal.CHECKS + 1)
    assert seal.sealed_levels(NAME, lines, databases["harbour"]) is None


@pytest.mark.parametrize("damage", ["other level", "lost level", "broken off", "missing"])
def test_a_damaged_seal_counts_for_nothing(
    damage: str, databases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (DATA / "questions" / NAME).read_bytes().splitlines()
    found = seal.read_seals(seal.SEALS)[NAME]
    levels = found["levels"]
    levels = {"other level": f"{(int(levels[0]) + 1) % 4}{levels[1:]}", "lost level": levels[1:]}.get(damage, levels)
    text = json.dumps({NAME: found | {"levels": levels}})
    if damage != "missing":
        (tmp_path / "seal.json").write_text(text[:-5] if damage == "broken off" else text, encoding="utf-8")
    monkeypatch.setattr(seal, "SEALS", tmp_path / "seal.json")
    assert seal.sealed_levels(NAME, lines, databases["harbour"]) is None


def test_a_file_with_a_fault_gets_no_seal(copy: Path, databases: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "questions" / "train"
    folder.mkdir(parents=True)
    shutil.copyfile(copy, folder / "harbour.jsonl")
    (folder / "harbour.more.jsonl").write_text('{"question": "Who?", "sql": "SELECT nobody FROM nowhere"}\n')
    seals, faults = make_seals(tmp_path / "questions", databases)
    assert list(seals) == ["train/harbour.jsonl"]
    assert len(faults) == 1
    assert "harbour.more.jsonl, line 1: The gold query fails" in faults[0]
