"""A renamed schema asks the same questions: rewritten queries give the same rows on the renamed data."""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sqlglot

from utils.data import Question, load_databases, read_questions
from utils.schema import Schema, read_schema, schema_text
from utils.settings import DATA
from utils.sql import build_database, execute, is_ordered, same_result
from utils.variants import RESERVED, Variant, make_variant, read_words, training_rows

NAMES = ("village_library", "bakery", "payroll", "regional_airline", "university", "zoo")
GROUP = 8
CLINIC = """CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT, town TEXT);
CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, kind TEXT, weight REAL, owner_id INTEGER REFERENCES owners(id));
CREATE TABLE visits (visit_date TEXT, pet_id INTEGER REFERENCES pets(id), price REAL);
INSERT INTO owners VALUES (1, 'Ann', 'Ely'), (2, 'Bo', 'Ely'), (3, 'Cy', 'Rye'), (4, 'name', 'id');
INSERT INTO pets VALUES (1, 'Rex', 'dog', 9, 1), (2, 'Tom', 'cat', 4, 1), (3, 'Kit', 'cat', 3, 2);
INSERT INTO pets VALUES (4, 'Bo', 'cat', 5, 3);
INSERT INTO visits VALUES ('2024-01-01', 1, 30), ('2024-02-01', 1, 20), ('2024-02-03', 2, 50), ('2024-03-03', 4, 10);
"""


# None of these words is the old name, so that nothing passes by staying as it was.
WORDS = {
    "owners": {"": ["keeper", "keepers"], "id": ["keeper number"], "name": ["full name"], "town": ["home", "place"]},
    "pets": {
        "": ["animal", "beasts"],
        "id": ["animal code"],
        "name": ["called", "full name"],
        "kind": ["species", "group"],
        "weight": ["kilos", "order"],
        "owner_id": ["belongs to", "keeper"],
    },
    "visits": {
        "": ["check", "appointments"],
        "visit_date": ["day"],
        "pet_id": ["patient"],
        "price": ["cost", "select"],
    },
}


@pytest.fixture(scope="module")
def databases() -> dict[str, Path]:
    """The shipped databases, built."""
    return load_databases(DATA / "databases")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small database of its own."""
    return build_database(CLINIC, tmp_path_factory.mktemp("variants") / "clinic.sqlite")


def questions_of(name: str, databases: dict[str, Path]) -> list[Question]:
    """The hand-written training questions about a database."""
    return read_questions(DATA / "questions" / "train" / f"{name}.jsonl", "train", databases)[0]


def variant_of(name: str, database: Path, queries: list[str], seed: int) -> Variant:
    """A variant of a database, in the words of its YAML file or of `WORDS`."""
    schema = read_schema(database)
    words = WORDS if name == "clinic" else read_words(DATA / "databases" / f"{name}.yaml", schema)
    return make_variant(schema, words, queries, random.Random(seed))


def renamed_copy(database: Path, variant: Variant, target: Path) -> Path:
    """The database with only the tables and columns of the variant, under their new names."""
    target.unlink(missing_ok=True)
    tables = {names[""]: (table, names) for table, names in variant.names.items()}
    with contextlib.closing(sqlite3.connect(target)) as connection:
        connection.execute("ATTACH ? AS old", (str(database),))
        for table in variant.schema.tables:
            old_table, names = tables[table.name]
            old_columns = {new: old for old, new in names.items() if old}
            declared = ", ".join(f"{column.name} {column.type}" for column in table.columns)
            connection.execute(f"CREATE TABLE {table.name} ({declared})")
            read = ", ".join(f'"{old_columns[column.name]}"' for column in table.columns)
            connection.execute(f'INSERT INTO {table.name} SELECT {read} FROM old."{old_table}"')
        connection.commit()
    return target


def check_rows(database: Path, variant: Variant, queries: list[str], target: Path) -> None:
    """Every query gives on the renamed copy what it gives on the original."""
    renamed_copy(database, variant, target)
    for query in queries:
        rewritten = variant.rewrite(query)
        wanted, got = execute(database, query), execute(target, rewritten)
        assert wanted.ok, query
        assert got.ok, f"{query}\n{rewritten}\n{got.error}"
        assert same_result(wanted, got, ordered=is_ordered(query)), f"{query}\n{rewritten}"


@pytest.mark.parametrize("name", NAMES)
def test_rewritten_queries_give_the_same_rows(name: str, databases: dict[str, Path], tmp_path: Path) -> None:
    queries = [question.sql for question in questions_of(name, databases)]
    for seed, start in enumerate(range(0, len(queries), GROUP)):
        group = queries[start : start + GROUP]
        variant = variant_of(name, databases[name], group, seed)
        check_rows(databases[name], variant, group, tmp_path / "variant.sqlite")


QUERIES = [
    "SELECT name FROM pets WHERE kind = 'cat' ORDER BY weight DESC",
    "SELECT owners.name, pets.name FROM pets JOIN owners ON pets.owner_id = owners.id",
    "SELECT owners.name, COUNT(*) AS number FROM pets JOIN owners ON pets.owner_id = owners.id GROUP BY owners.id "
    "HAVING COUNT(*) > 1 ORDER BY number DESC",
    "SELECT name FROM owners WHERE id NOT IN (SELECT owner_id FROM pets WHERE owner_id > 0)",
    "SELECT a.name, b.name FROM pets AS a JOIN pets AS b ON a.kind = b.kind AND a.id < b.id",
    "SELECT name FROM pets WHERE weight = (SELECT MAX(weight) FROM pets)",
    "SELECT town FROM owners WHERE name = 'name' OR town = 'id'",
    "SELECT kind, AVG(weight) FROM pets GROUP BY kind",
    "SELECT SUBSTR(visit_date, 1, 7), SUM(price) FROM visits GROUP BY SUBSTR(visit_date, 1, 7)",
    "SELECT name FROM pets UNION SELECT name FROM owners",
    "SELECT name FROM owners WHERE EXISTS (SELECT 1 FROM pets WHERE pets.owner_id = owners.id AND pets.kind = 'dog')",
    "SELECT CASE WHEN weight > 4 THEN 'name' ELSE kind END FROM pets",
    "SELECT AVG(total) FROM (SELECT SUM(price) AS total FROM visits GROUP BY pet_id)",
    "WITH spent AS (SELECT pet_id, SUM(price) AS total FROM visits GROUP BY pet_id) SELECT MAX(total) FROM spent",
    "SELECT DISTINCT owners.town FROM owners LEFT JOIN pets ON pets.owner_id = owners.id WHERE pets.id IS NULL",
]


@pytest.mark.parametrize("seed", range(6))
def test_all_kinds_of_queries_are_rewritten(clinic: Path, seed: int, tmp_path: Path) -> None:
    check_rows(clinic, variant_of("clinic", clinic, QUERIES, seed), QUERIES, tmp_path / "variant.sqlite")


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("SELECT p.name FROM pets p WHERE p.weight > 4", id="alias without AS"),
        pytest.param("SELECT Name FROM Pets WHERE WEIGHT > 4", id="other case"),
        pytest.param('SELECT "name" FROM "pets"', id="quoted names"),
        pytest.param("SELECT owners.name FROM pets, owners WHERE pets.owner_id = owners.id", id="comma join"),
    ],
)
def test_query_in_another_spelling_keeps_its_schema(clinic: Path, query: str, tmp_path: Path) -> None:
    asked = Question("clinic-w0001", "train", "clinic", "Which?", query, "easy", "written")
    for seed in range(4):
        _, rows = training_rows([asked], {"clinic": clinic}, tmp_path, group_size=8, share=1.0, seed=seed)
        system, completion = rows[0]["prompt"][0]["content"], rows[0]["completion"][0]["content"]
        if completion == query:
            continue
        # What was rewritten names tables of the schema that is shown with it.
        assert any(f"{word}:" in system for word in re.findall(r"\w+", completion.split("FROM")[1]))


def test_what_is_not_a_name_stays_to_the_letter(clinic: Path) -> None:
    variant = variant_of("clinic", clinic, [], 1)
    assert variant.rewrite("SELECT  COUNT( * ),\n'pets name' FROM pets") == (
        f"SELECT  COUNT( * ),\n'pets name' FROM {variant.names['pets']['']}"
    )
    identity = {table: {name: name or table for name in names} for table, names in variant.names.items()}
    for query in QUERIES:
        assert replace(variant, names=identity).rewrite(query) == query


def test_variant_depends_on_the_seed_alone(clinic: Path) -> None:
    texts = [schema_text(variant_of("clinic", clinic, QUERIES, seed).schema) for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def check_names(variant: Variant, schema: Schema) -> None:
    """No keyword, no name twice, nothing that SQLite or sqlglot trip over, and references that lead somewhere."""
    names = [table.name.lower() for table in variant.schema.tables]
    assert max(Counter(names).values()) == 1
    columns = {f"{table.name}.{column.name}" for table in variant.schema.tables for column in table.columns}
    for table in variant.schema.tables:
        own = [column.name.lower() for column in table.columns]
        assert own
        assert max(Counter(own).values()) == 1
        for name in (table.name, *(column.name for column in table.columns)):
            assert name.isidentifier()
            assert name.lower() not in RESERVED
        for column in table.columns:
            assert column.references is None or column.references in columns, (table.name, column)
    for places in variant.schema.values.values():
        assert {f"{table}.{column}" for table, column, _ in places} <= columns
    assert len(variant.schema.tables) <= len(schema.tables)


@pytest.mark.parametrize("seed", range(3))
def test_names_are_usable(databases: dict[str, Path], seed: int) -> None:
    for name, database in databases.items():
        variant = variant_of(name, database, [], seed)
        if variant.schema.tables:
            check_names(variant, read_schema(database))
        for names in variant.names.values():
            for new in names.values():
                sqlglot.parse_one(f"SELECT {new}, {new}.{new} FROM {new} WHERE {new} = 1", read="sqlite")


def test_every_new_name_is_one_to_sqlite(databases: dict[str, Path]) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for name, database in databases.items():
            for names in variant_of(name, database, [], 7).names.values():
                columns = ", ".join(new for old, new in names.items() if old)
                connection.execute(f"CREATE TABLE {names['']} ({columns})")
                connection.execute(f"DROP TABLE {names['']}")


def test_what_no_query_needs_is_left_out_at_times(clinic: Path) -> None:
    tables: Counter[str] = Counter()
    for seed in range(40):
        variant = variant_of("clinic", clinic, [QUERIES[0]], seed)
        old = {names[""]: table for table, names in variant.names.items()}
        tables.update(old[table.name] for table in variant.schema.tables)
        kept = next(table for table in variant.schema.tables if old[table.name] == "pets")
        needed = {variant.names["pets"][column] for column in ("name", "kind", "weight")}
        assert needed <= {column.name for column in kept.columns}
    assert tables["pets"] == 40
    assert 5 < tables["owners"] < 35
    assert 5 < tables["visits"] < 35


def test_words_of_a_database_without_description(clinic: Path, tmp_path: Path) -> None:
    words = read_words(tmp_path / "none.yaml", read_schema(clinic))
    assert words["visits"][""] == ["visits"]
    assert words["visits"]["visit_date"] == ["visit date"]


def test_training_rows(clinic: Path, databases: dict[str, Path]) -> None:
    questions = questions_of("bakery", databases)[:10] + questions_of("zoo", databases)[:10]
    asked = [*questions, questions[0]]

    def rows(share: float, seed: int = 1) -> tuple[list[Question], list[dict]]:
        return training_rows(asked, databases, DATA / "databases", group_size=4, share=share, seed=seed)

    ordered, plain_rows = rows(0.0)
    assert sorted(question.id for question in ordered) == sorted(question.id for question in asked)
    assert [row["completion"][0]["content"] for row in plain_rows] == [question.sql for question in ordered]
    assert len({row["prompt"][0]["content"] for row in plain_rows}) == 2
    varied = rows(1.0)
    assert varied == rows(1.0)
    assert varied != rows(1.0, seed=2)
    # Ten questions of the bakery in groups of four, the repeated one apart; ten of the zoo.
    shared = Counter(row["prompt"][0]["content"] for row in varied[1])
    assert sorted(shared.values()) == [1, 2, 2, 4, 4, 4, 4]
    for question, row in zip(*varied, strict=True):
        assert row["prompt"][1]["content"].startswith(question.question)
