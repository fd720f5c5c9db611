"""Mutated copies of a database, and what they catch."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from ci.checks.mutants import columns_swapped, mutants, shares_of_split
from utils.evaluation import agrees
from utils.instances import make_instance, make_instances
from utils.sql import build_database, execute
from utils.ties import is_decided

CLINIC = """CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT);
CREATE TABLE visits (
  id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL REFERENCES owners, day TEXT, fee REAL,
  paid INTEGER CHECK (paid IN (0, 1))
);
CREATE TABLE tags (visit_id INTEGER REFERENCES visits(id), tag TEXT, PRIMARY KEY (visit_id, tag));
""" + "\n".join(
    [f"INSERT INTO owners VALUES ({n}, 'Owner {n}', '{('Cork', 'Clare', 'Kerry')[n % 3]}');" for n in range(1, 31)]
    + [
        f"INSERT INTO visits VALUES ({n}, {n % 20 + 1}, '20{20 + n % 4}-0{n % 9 + 1}-11', {n % 13 * 10}, {n % 2});"
        for n in range(1, 121)
    ]
    + [f"INSERT INTO tags VALUES ({n}, '{('urgent', 'check')[n % 2]}');" for n in range(1, 90)]
)
GOLD = [
    "SELECT name FROM owners WHERE town = 'Cork'",
    "SELECT COUNT(*) FROM visits WHERE fee > 100",
    "SELECT owners.name FROM owners JOIN visits ON visits.owner_id = owners.id WHERE paid = 0 AND fee >= 50",
    "SELECT town, COUNT(*) FROM owners GROUP BY town HAVING COUNT(*) > 2",
    "SELECT name FROM owners WHERE id NOT IN (SELECT owner_id FROM visits)",
    "SELECT COUNT(DISTINCT owner_id) FROM visits WHERE strftime('%Y', day) = '2021'",
    "SELECT SUM(fee) FROM visits WHERE day >= '2022-03-11'",
]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Owners and their visits."""
    return build_database(CLINIC, tmp_path_factory.mktemp("instances") / "clinic.sqlite")


@pytest.fixture(scope="module")
def instances(clinic: Path) -> list[Path]:
    """The clinic and four mutated copies of it."""
    return make_instances(clinic, clinic.parent, GOLD, 4)


def rows(database: Path, table: str) -> list[tuple]:
    return execute(database, f"SELECT * FROM {table} ORDER BY 1, 2").rows


def test_copies_are_valid_and_differ(instances: list[Path]) -> None:
    assert [path.name for path in instances] == ["clinic.sqlite", *(f"clinic.{n}.sqlite" for n in range(1, 5))]
    for path in instances:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert {paid for *_, paid in rows(path, "visits")} <= {0, 1}
        names = [name for _, name, _ in rows(path, "owners")]
        assert len(set(names)) == len(names)
    for table in ("owners", "visits", "tags"):
        assert len({str(rows(path, table)) for path in instances}) == len(instances)


def test_same_seed_gives_the_same_rows(clinic: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = make_instance(clinic, tmp_path / "a.sqlite", GOLD, seed=3)
    again = make_instance(clinic, tmp_path / "other" / "b.sqlite", GOLD, seed=3)
    assert all(rows(first, table) == rows(again, table) for table in ("owners", "visits", "tags"))


def test_database_itself_is_left_alone(clinic: Path, tmp_path: Path) -> None:
    before = clinic.read_bytes()
    make_instance(clinic, tmp_path / "copy.sqlite", GOLD, seed=1)
    assert clinic.read_bytes() == before


@pytest.mark.parametrize(
    ("gold", "wrong"),
    [
        (GOLD[1], "SELECT COUNT(*) FROM visits WHERE fee >= 100"),
        (GOLD[1], "SELECT COUNT(*) FROM visits WHERE fee > 101"),
        (GOLD[2], GOLD[2].replace(">=", ">")),
        (GOLD[5], "SELECT COUNT(owner_id) FROM visits WHERE strftime('%Y', day) = '2021'"),
        (GOLD[6], GOLD[6].replace(">=", ">")),
        (GOLD[4], "SELECT name FROM owners WHERE id > 20"),
    ],
)
def test_wrong_queries_are_caught(gold: str, wrong: str, instances: list[Path]) -> None:
    assert agrees(gold, gold, instances)
    assert not agrees(gold, wrong, instances)


def test_luck_on_the_committed_rows_is_caught(instances: list[Path]) -> None:
    gold, lucky = GOLD[4], "SELECT name FROM owners WHERE id > 20"
    assert agrees(gold, lucky, instances[:1])
    assert not agrees(gold, lucky, instances)


def test_instance_with_a_tie_does_not_count(tmp_path: Path) -> None:
    tied = build_database(CLINIC + "UPDATE visits SET fee = 500 WHERE id IN (7, 9);", tmp_path / "tied.sqlite")
    gold = "SELECT id FROM visits ORDER BY fee DESC LIMIT 1"
    with contextlib.closing(sqlite3.connect(tied)) as connection:
        assert not is_decided(gold, connection)
        assert is_decided("SELECT id FROM visits ORDER BY fee DESC LIMIT 2", connection)
        assert is_decided("SELECT fee FROM visits ORDER BY fee DESC LIMIT 1", connection)
    untied = build_database(CLINIC + "UPDATE visits SET fee = 500 WHERE id = 7;", tmp_path / "untied.sqlite")
    other = "SELECT id FROM visits ORDER BY fee DESC, id DESC LIMIT 1"
    assert not agrees(gold, other, [tied])
    assert agrees(gold, other, [untied, tied])


def test_mutants_are_changed_queries() -> None:
    found = mutants("SELECT COUNT(DISTINCT a) FROM t WHERE b > 3 AND c = 'x' ORDER BY a LIMIT 5")
    kinds = {mutant.kind for mutant in found}
    assert kinds == {"comparison", "condition dropped", "AND for OR", "DISTINCT", "order", "number"}
    assert len({mutant.sql for mutant in found}) == len(found) >= 8
    swapped = list(columns_swapped("SELECT a FROM t", {"t": ["a", "b"]}))
    assert [mutant.sql for mutant in swapped] == ["SELECT b FROM t"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_instances_tell_wrong_queries_from_gold(split: str) -> None:
    first, everywhere, count = map(sum, zip(*shares_of_split(split, copies=4).values(), strict=True))
    assert count >= 5 * (200 if split == "validation" else 400)
    assert first < everywhere
    assert everywhere / count >= 0.95
