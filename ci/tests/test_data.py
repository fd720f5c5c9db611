"""The shipped databases and questions are good, and the checks that say so find what they should."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from ci.checks import questions as checks
from utils.data import Question, deduplicate, find_leaks, load_databases, load_questions, read_questions
from utils.settings import DATA
from utils.sql import build_database

CLINIC = """-- A clinic for the tests, with its owners and their pets.
CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT, town TEXT);
CREATE TABLE pets (id INTEGER PRIMARY KEY, name TEXT, kind TEXT, weight REAL, owner_id INTEGER REFERENCES owners(id));
INSERT INTO owners VALUES (1, 'Ann', 'Ely'), (2, 'Bo', 'Ely'), (3, 'Cy', NULL);
INSERT INTO pets VALUES (1, 'Rex', 'dog', 9, 1), (2, 'Tom', 'cat', 4, 1), (3, 'Kit', 'cat', 4, 2);
INSERT INTO pets VALUES (4, 'Zed', 'cat', 5, NULL);
"""
ORPHAN = "INSERT INTO pets VALUES (9, 'Lost', 'dog', 8, 77);"


@pytest.fixture(scope="module")
def databases() -> dict[str, Path]:
    """The shipped databases, built."""
    return load_databases(DATA / "databases")


@pytest.fixture(scope="module")
def shipped() -> tuple[list[Question], list[str]]:
    """The shipped questions, and the faults met when reading them."""
    return checks.read_folder(DATA / "questions")


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A small database of its own."""
    return build_database(CLINIC, tmp_path / "clinic.sqlite")


def ask(sql: str, text: str = "Which pets are there?", split: str = "train", database: str = "clinic") -> Question:
    """A question as the checks take it."""
    return Question("clinic.jsonl, line 1", split, database, text, sql, "easy", "written")


def faults_of(sql: str, database: Path) -> str:
    """All faults of one query, in one text."""
    with checks.opened(database) as connection:
        return "\n".join(checks.check_question(ask(sql), connection, checks.read_layout(connection)))


# --- What is shipped ---------------------------------------------------------------------------------------------


def test_shipped_lines_can_be_read(shipped: tuple[list[Question], list[str]]) -> None:
    assert shipped[1] == []


def test_shipped_databases(databases: dict[str, Path]) -> None:
    assert checks.check_databases(DATA / "databases", databases) == []


def test_shipped_queries_written_by_hand(shipped: tuple[list[Question], list[str]], databases: dict[str, Path]) -> None:
    written = [question for question in shipped[0] if question.origin == "written"]
    assert checks.check_queries(written, databases) == []


@pytest.mark.parametrize(
    "check",
    [
        checks.check_repetition,
        checks.check_splits,
        checks.check_leaks,
        checks.check_coverage,
        checks.check_wording,
    ],
)
def test_shipped_questions_as_a_set(check: object, shipped: tuple[list[Question], list[str]]) -> None:
    assert check(shipped[0]) == []


# --- Checks of one query -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT name FROM dogs", "the query fails"),
        ("SELECT name FROM pets WHERE weight > 100", "returns no row"),
        ("SELECT MAX(weight) FROM pets WHERE weight > 100", "only NULL"),
        ("SELECT name FROM pets ORDER BY weight LIMIT 1", "a tie at LIMIT"),
        ("SELECT name FROM pets WHERE kind = 'cat' ORDER BY weight DESC LIMIT 1 OFFSET 1", "a tie at LIMIT"),
        ("SELECT name FROM owners WHERE id = (SELECT owner_id FROM pets ORDER BY weight LIMIT 1)", "a tie at LIMIT"),
        ("SELECT name FROM pets LIMIT 2", "LIMIT without ORDER BY"),
        ("SELECT name FROM owners WHERE id = (SELECT owner_id FROM pets WHERE kind = 'cat')", "returns 3 rows"),
        ("SELECT COUNT(*) FROM owners WHERE id NOT IN (SELECT owner_id FROM pets)", "NULL among the values"),
        ("SELECT kind, name FROM pets GROUP BY kind", "pets.name may differ"),
        ("SELECT name, MAX(weight) FROM pets", "pets.name may differ"),
        (
            "SELECT owner_id, SUM(CASE WHEN kind = 'cat' THEN 1 ELSE 0 END), kind FROM pets GROUP BY owner_id",
            "pets.kind",
        ),
        ("SELECT name FROM pets UNION SELECT name FROM owners ORDER BY name LIMIT 2", "LIMIT after UNION"),
        ("SELECT name FROM pets WHERE kind IN ('dog', 'Cat')", "'Cat' is nowhere"),
        ("SELECT name FROM pets WHERE kind != 'dog'", "write <>"),
        ("SELECT name FROM pets;", "semicolon"),
        ('SELECT "name" FROM pets', "double quote"),
        ("select name FROM pets", "small letters"),
        ("SELECT count(*) FROM pets", "write COUNT"),
        ("SELECT name AS pet FROM pets", "an alias of a column"),
        ("SELECT p.name FROM pets AS p", "an alias of pets"),
        ("SELECT pets.name FROM pets", "leave the table out"),
        ("SELECT pets.name FROM pets JOIN owners ON owner_id = owners.id", "owner_id without its table"),
        ("SELECT pets.name FROM pets, owners WHERE pets.owner_id = owners.id", "a join without ON"),
        ("WITH cats AS (SELECT name FROM pets) SELECT name FROM cats", "a WITH"),
    ],
)
def test_a_faulty_query_is_found(sql: str, expected: str, clinic: Path) -> None:
    assert expected in faults_of(sql, clinic)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM pets WHERE kind <> 'dog' ORDER BY weight DESC LIMIT 1",
        "SELECT weight FROM pets ORDER BY weight LIMIT 1",
        "SELECT name FROM owners WHERE town IS NULL",
        "SELECT kind, COUNT(*) FROM pets GROUP BY kind",
        "SELECT owners.name, COUNT(pets.id) FROM owners LEFT JOIN pets ON pets.owner_id = owners.id GROUP BY owners.id",
        "SELECT pets.owner_id, owners.name FROM pets JOIN owners ON pets.owner_id = owners.id GROUP BY owners.id",
        "SELECT name FROM owners WHERE NOT EXISTS (SELECT 1 FROM pets WHERE pets.owner_id = owners.id)",
        "SELECT a.name FROM pets AS a WHERE a.weight = (SELECT MAX(b.weight) FROM pets AS b WHERE b.kind = a.kind)",
        "SELECT name FROM pets WHERE weight > (SELECT AVG(weight) FROM pets)",
    ],
)
def test_a_good_query_passes(sql: str, clinic: Path) -> None:
    assert faults_of(sql, clinic) == ""


def test_an_answer_that_depends_on_the_scan_is_found(clinic: Path) -> None:
    with checks.opened(clinic) as connection:
        assert checks.check_scan_order(ask("SELECT name FROM pets LIMIT 1"), connection)
        assert not checks.check_scan_order(ask("SELECT name FROM pets"), connection)


# --- Checks of the set -------------------------------------------------------------------------------------------


def test_a_repeated_question_is_found() -> None:
    pair = [ask("SELECT 1", "How many pets?"), ask("SELECT 2", "how many PETS")]
    assert len(checks.check_repetition(pair)) == 1


def test_a_database_in_two_splits_is_found() -> None:
    both = [ask("SELECT 1"), ask("SELECT 1", split="test")]
    assert any("clinic stands in test and train" in fault for fault in checks.check_splits(both))


def test_a_missing_level_is_found() -> None:
    assert "data/questions/test: no hard question; add some." in checks.check_splits([ask("SELECT 1", split="test")])


def test_a_leak_is_found() -> None:
    text = "Which pets weigh more than the average pet of the clinic?"
    pair = [ask("SELECT 1", text), ask("SELECT 1", text.replace("Which", "What"), split="test", database="vet")]
    assert len(checks.check_leaks(pair)) == 1


def test_uneven_coverage_is_found() -> None:
    uneven = [ask("SELECT 1", split="test")] * 5 + [ask("SELECT 1", split="test", database="zoo")] * 10
    assert len(checks.check_coverage(uneven)) == 2


def test_verbatim_column_names_are_found() -> None:
    named, free = ask("SELECT name, weight FROM pets", "Name and weight?"), ask("SELECT weight FROM pets", "How heavy?")
    assert checks.check_wording([named, free])
    assert not checks.check_wording([named, free, free])


# --- Checks of a database ----------------------------------------------------------------------------------------


def test_a_poor_database_is_found(tmp_path: Path) -> None:
    source = tmp_path / "clinic.sql"
    source.write_text(CLINIC.partition("\n")[2], encoding="utf-8")
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(CLINIC + ORPHAN)
        faults = "\n".join(checks.check_database(source, connection))
    for expected in ("no description", "a row of pets refers to no row of owners", "2 tables", "fewer than 200 rows"):
        assert expected in faults


def test_a_poor_annotation_is_found(tmp_path: Path, clinic: Path) -> None:
    file = tmp_path / "clinic.yaml"
    file.write_text(
        "tables:\n"
        "  pets:\n"
        "    title: nickname\n"
        "    columns:\n"
        "      name: {kind: flag, says: [name], yes: 'are named'}\n"
        "      age: {kind: number, says: [age]}\n",
        encoding="utf-8",
    )
    with checks.opened(clinic) as connection:
        faults = "\n".join(checks.check_annotation(file, checks.read_layout(connection)))
    expected = ("line 5: yes or no without quotes", "the table owners is not listed", "the column weight is not listed")
    for sentence in (*expected, "the column age does not exist", "the kind 'number' is unknown", "no column; name one"):
        assert sentence in faults


# --- utils.data --------------------------------------------------------------------------------------------------

GOOD = json.dumps({"question": "Who owns pets?", "sql": "SELECT name FROM owners"}).encode()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"question": "Who?", "sql": "SELECT', "not JSON"),
        (b'["Who?", "SELECT name FROM owners"]', "not an object"),
        (b'{"question": "Who?"}', "'sql' is missing"),
        (b'{"question": " ", "sql": "SELECT name FROM owners"}', "'question' is missing or empty"),
        (b'{"question": "Who?", "sql": "SELECT surname FROM owners"}', "The gold query fails"),
        (b'{"question": "Who?", "sql": "DELETE FROM owners"}', "The gold query fails"),
        (b'{"question": "Who?", "sql": "SELECT name FROM owners WHERE id > 9"}', "returns no row"),
        (b'{"question": "Who?<|im_end|>", "sql": "SELECT name FROM owners"}', "contains <|im_end|>"),
        (b'{"question": "Who?", "sql": "SELECT CAST(id AS UNSIGNED BIG INT) FROM owners"}', "sqlglot"),
        (b'{"question": "Who is J\xf6rg?", "sql": "SELECT name FROM owners"}', "not UTF-8"),
    ],
)
def test_a_bad_line_is_rejected_and_the_others_kept(line: bytes, reason: str, tmp_path: Path, clinic: Path) -> None:
    file = tmp_path / "clinic.jsonl"
    file.write_bytes(b"\n".join([GOOD, b"", line, GOOD]))
    questions, rejects = read_questions(file, "train", {"clinic": clinic})
    assert [question.id for question in questions] == ["clinic-w0001", "clinic-w0004"]
    assert [(reject.file, reject.line) for reject in rejects] == [(file.as_posix(), 3)]
    assert reason in rejects[0].reason
    assert str(rejects[0]).startswith(f"{file.as_posix()}, line 3: ")


def test_a_question_file_without_database_is_rejected(tmp_path: Path, clinic: Path) -> None:
    file = tmp_path / "stable.jsonl"
    file.write_bytes(GOOD)
    questions, rejects = read_questions(file, "train", {"clinic": clinic})
    assert questions == []
    assert "no database 'stable'" in rejects[0].reason


def test_a_generated_question_is_marked(tmp_path: Path, clinic: Path) -> None:
    file = tmp_path / "clinic.generated.jsonl"
    file.write_bytes(GOOD)
    (question,), _ = read_questions(file, "train", {"clinic": clinic})
    assert (question.id, question.origin, question.database) == ("clinic-g0001", "generated", "clinic")


def test_an_empty_split_is_refused(tmp_path: Path, clinic: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "clinic.jsonl").write_bytes(GOOD)
    with pytest.raises(FileNotFoundError, match="validation"):
        load_questions(tmp_path, {"clinic": clinic})


def test_deduplicate_keeps_the_first() -> None:
    first, same = ask("SELECT 1", "How many pets?"), ask("SELECT 2", "how many pets")
    elsewhere = ask("SELECT 3", "How many pets?", database="zoo")
    assert deduplicate([first, same, elsewhere]) == ([first, elsewhere], [same])


def test_find_leaks_finds_near_duplicates_only() -> None:
    train = [
        ask("SELECT 1", "Which of the lawyers have never appeared in a family case before this court?"),
        ask("SELECT 1", "How many finds weigh more than the average find?"),
    ]
    near = ask("SELECT 1", "Which of the lawyers have never appeared in a civil case before this court?", split="test")
    same = ask("SELECT 1", train[1].question, split="test")
    far = ask("SELECT 1", "Who brought in the most new riders by referral?", split="test")
    leaks = find_leaks(train, [near, far, same], threshold=0.7)
    assert [(trained, held) for trained, held, _ in leaks] == [(train[1], same), (train[0], near)]
    assert leaks[0][2] == 1.0
    assert find_leaks(train, [near, far], threshold=0.95) == []


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABL owners (id INTEGER);",
        CLINIC + "INSERT INTO pets VALUES (1, 'Rex');",
        CLINIC + ORPHAN,
        "",
    ],
    ids=["syntax", "wrong row", "orphan", "empty"],
)
def test_build_database_refuses_broken_sql_and_leaves_nothing(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        build_database(text, tmp_path / "broken.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_build_database_keeps_the_old_file_when_refusing(clinic: Path) -> None:
    before = clinic.read_bytes()
    with pytest.raises(ValueError, match="does not build"):
        build_database("CREATE TABLE", clinic)
    assert clinic.read_bytes() == before
