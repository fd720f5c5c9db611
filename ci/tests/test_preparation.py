"""From files to a dataset: what is left out and reported, how it is split, and that it reads back as it was written."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from utils.data import read_dataset, stage_databases
from utils.data_settings import DataSettings
from utils.errors import CourseError
from utils.evaluation import score
from utils.mojibake import is_damaged, repaired
from utils.preparation import Prepared, prepare, read_recipe, read_split, write_prepared
from utils.sql import build_database, execute
from utils.stages import read_lines

WORDS = "amber birch cedar dune ember fjord grove heath inlet jetty knoll lagoon marsh north oasis plain quarry ridge"
ROWS = [
    {"question": f"Where is the {first} {second}?", "answer": f"By the {second}, {n} km off."}
    for n, (first, second) in enumerate((a, b) for a in WORDS.split() for b in WORDS.split()[:6])
]


class Words:
    """A tokenizer for which every word is a token."""

    all_special_tokens = ("<end>",)

    def __call__(self, text: str) -> dict[str, list[str]]:
        return {"input_ids": text.split()}

    def apply_chat_template(self, messages: list[dict[str, str]], **_: object) -> dict[str, list[str]]:
        """All words of all messages, one more for each; a template that refuses a third message."""
        from jinja2 import TemplateError

        if len(messages) > 2:
            raise TemplateError("Only one turn is supported.")
        return {"input_ids": [word for message in messages for word in (message["content"] + " <end>").split()]}


def write(path: Path, rows: list[dict]) -> str:
    """A JSON Lines file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def prepared(tmp_path: Path, rows: list[dict], tokenizer: object = None, **settings: object) -> Prepared:
    """What becomes of these rows."""
    return prepare(DataSettings(write(tmp_path / "own.jsonl", rows), **settings), tokenizer)


def reasons(found: Prepared) -> dict[int, str]:
    """The reason for each line that was left out."""
    return {reject.line: reject.reason for reject in found.rejects}


def findings(found: Prepared) -> dict[str, int]:
    """What the report wants looked at, and how often."""
    return {finding.what: finding.count for finding in found.report.findings}


# --- What is left out --------------------------------------------------------------------------------------------


def test_sound_rows_are_all_used(tmp_path: Path) -> None:
    found = prepared(tmp_path, ROWS)
    assert found.rejects == []
    assert found.kind == "question/answer"
    assert found.report.counts == {"train": 75, "validation": 11, "test": 22}
    assert str(found.report).startswith("own.jsonl: 108 rows, read as the columns 'question' and 'answer'")


def test_repeated_rows_are_used_once(tmp_path: Path) -> None:
    found = prepared(tmp_path, [*ROWS, ROWS[4]])
    assert reasons(found) == {109: "It says the same as own.jsonl, line 5."}


def test_long_examples_are_left_out_with_their_length(tmp_path: Path) -> None:
    long = {"question": "why " * 40, "answer": "because"}
    found = prepared(tmp_path, [*ROWS, long], Words(), max_length=30)
    assert reasons(found) == {109: "It has 43 tokens, more than max_length = 30."}
    assert len(found.report.lengths) == len(ROWS)
    assert "tokens: 13 at the median" in str(found.report)


def test_special_tokens_are_those_of_the_model(tmp_path: Path) -> None:
    rows = [*ROWS, {"question": "Is <end> a mark?", "answer": "Yes."}, {"question": "And <s>?", "answer": "No."}]
    assert reasons(prepared(tmp_path, rows, Words())) == {
        109: "The text contains <end>, which the model reads as a mark of its own."
    }
    assert list(reasons(prepared(tmp_path, rows))) == [110]


def test_a_conversation_that_the_template_refuses_is_left_out(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": r["question"]}, {"role": "assistant", "content": r["answer"]}]}
        for r in ROWS
    ]
    rows[7]["messages"].insert(0, {"role": "system", "content": "Be kind."})
    found = prepared(tmp_path, rows, Words())
    assert reasons(found) == {8: "The model's chat template refuses this conversation: Only one turn is supported."}


def test_plain_text_is_kept_at_any_length(tmp_path: Path) -> None:
    rows = [{"text": f"{row['question']} {row['answer']}"} for row in ROWS] + [{"text": "word " * 50}]
    found = prepared(tmp_path, rows, Words(), max_length=30)
    assert found.rejects == []
    assert found.metrics.metrics == ()
    assert findings(found)["Texts longer than max_length = 30 tokens"] == 1


def test_nothing_usable_ends_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        CourseError, match=r"No row of own\.jsonl can be used\. The first fault: own\.jsonl, line 1: It has"
    ):
        prepared(tmp_path, [{"question": "why " * 40, "answer": str(n)} for n in range(40)], Words(), max_length=30)


# --- Splits ------------------------------------------------------------------------------------------------------


def test_a_leak_is_taken_out_of_training(tmp_path: Path) -> None:
    test = write(
        tmp_path / "held.jsonl", [ROWS[3], {"question": "Where is the amber fjord??", "answer": ROWS[5]["answer"]}]
    )
    found = prepared(tmp_path, ROWS, test=test)
    left_out = reasons(found)
    assert set(left_out) == {4, 6}
    assert "It is nearly the same (100%) as test/held.jsonl, line 1 of the test set" in left_out[4]
    assert len(found.splits["test"]) == 2
    assert len(found.splits["train"]) + len(found.splits["validation"]) == len(ROWS) - 2


def test_alike_questions_with_other_answers_are_kept_and_told(tmp_path: Path) -> None:
    test = write(tmp_path / "held.jsonl", [{"question": ROWS[3]["question"], "answer": "Nowhere."}])
    found = prepared(tmp_path, ROWS, test=test)
    assert found.rejects == []
    assert findings(found)["Held-out questions that read nearly like a training one, with another answer"] == 1


@pytest.mark.parametrize(("answer", "leaks"), [(" ".join(WORDS.split()), 1), ("SELECT " + ", ".join(WORDS.split()), 0)])
def test_answers_that_differ_a_little_are_copies_in_free_text_only(answer: str, leaks: int, tmp_path: Path) -> None:
    rows = [{"question": row["question"], "answer": f"{answer} FROM t WHERE n = {n}"} for n, row in enumerate(ROWS)]
    held_out = {"question": rows[3]["question"], "answer": f"{answer} FROM t WHERE n = 9999"}
    found = prepared(tmp_path, rows, test=write(tmp_path / "held.jsonl", [held_out]))
    assert len(found.rejects) == leaks


def test_a_test_set_that_repeats_all_training_is_refused(tmp_path: Path) -> None:
    test = write(tmp_path / "held.jsonl", ROWS)
    with pytest.raises(CourseError, match="Every training example is nearly the same as a held-out one"):
        prepared(tmp_path, ROWS, test=test)


def test_groups_stay_together(tmp_path: Path) -> None:
    rows = [row | {"customer": n % 12} for n, row in enumerate(ROWS)]
    found = prepared(tmp_path, rows, group_column="customer")
    sides = [{example.group for example in members} for members in found.splits.values()]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 12


def test_splits_of_a_folder_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "train.jsonl", ROWS[:80])
    write(folder / "test.jsonl", ROWS[80:])
    found = prepare(DataSettings(str(folder)))
    assert {example.file for example in found.splits["test"]} == {"test.jsonl"}
    assert {example.file for example in found.splits["validation"]} == {"train.jsonl"}
    assert found.report.counts == {"train": 72, "validation": 8, "test": 28}


def test_a_folder_with_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "test.jsonl", ROWS)
    with pytest.raises(CourseError, match="data has no training rows, only test"):
        prepare(DataSettings(str(folder)))


@pytest.mark.parametrize(("wanted", "count"), [("auto", 2), ("every", 2), ("last", 1)])
def test_which_answers_are_trained_on_is_decided_once_and_told(wanted: str, count: int, tmp_path: Path) -> None:
    def chat(row: dict) -> list[dict]:
        return [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]

    rows = [{"messages": chat(first) + chat(second)} for first, second in zip(ROWS[::2], ROWS[1::2], strict=True)]
    test = write(tmp_path / "held.jsonl", [{"messages": rows[0]["messages"][:3] + rows[1]["messages"][1:2]}] * 2)
    found = prepared(tmp_path, rows, test=test, trained_turns=wanted)
    assert len(found.splits["train"]) + len(found.splits["validation"]) >= (len(rows) - 2) * count
    which = "the last answer" if wanted == "last" else "every answer"
    assert [which in note for note in found.report.notes] == [True]


# --- What to look at ---------------------------------------------------------------------------------------------


def test_faults_that_no_row_shows_are_reported(tmp_path: Path) -> None:
    odd = [
        {"question": ROWS[0]["question"], "answer": "Elsewhere."},
        {"question": "OÃ¹ est la mer?", "answer": "LÃ -bas."},
        {"question": "What is lost?", "answer": "A let\ufffder."},
        {"question": "What is missing here?", "answer": "N/A"},
    ]
    found = findings(prepared(tmp_path, ROWS + odd))
    assert found["Same question, different answers"] == 2
    assert found["Damaged letters, such as Ã© or �"] == 2
    assert found["Answers such as nan or n/a"] == 1
    assert found["Few training examples"] < 200


def test_uneven_labels_are_reported(tmp_path: Path) -> None:
    rows = [{"text": row["question"], "label": "spam" if n % 10 == 0 else "ham"} for n, row in enumerate(ROWS)]
    assert findings(prepared(tmp_path, rows))["Very uneven labels: most are 'ham'"] == 97
    assert findings(prepared(tmp_path, [row | {"label": "ham"} for row in rows]))["Every answer is 'ham'"] == 108
    even = [row | {"label": "spam" if n % 2 else "ham"} for n, row in enumerate(rows)]
    assert not any("label" in what or "Every" in what for what in findings(prepared(tmp_path, even)))


def test_labels_that_training_never_shows_are_reported(tmp_path: Path) -> None:
    rows = [{"text": row["question"], "label": "spam" if n % 2 else "ham"} for n, row in enumerate(ROWS)]
    test = write(
        tmp_path / "held.jsonl", [{"text": f"{word} and nothing else", "label": "news"} for word in WORDS.split()]
    )
    assert findings(prepared(tmp_path, rows, test=test))["Held-out labels that training never shows"] == 18


def test_the_report_counts_reasons_that_differ_in_numbers_together(tmp_path: Path) -> None:
    long = [{"question": "why " * (40 + n), "answer": "because"} for n in range(6)]
    report = prepared(tmp_path, [*ROWS, *long, {"question": "no answer"}], Words(), max_length=30).report
    assert [len(places) for places in report.reasons().values()] == [6, 1]
    assert "6  It has 43 tokens, more than max_length = 30.  [own.jsonl, lines 109, 110, 111, 112 …]" in str(report)
    assert "[own.jsonl, line 115]" in str(report)


@pytest.mark.parametrize(
    ("damaged", "right"),
    [
        ("CafÃ©", "Café"),
        ("â€œquotedâ€\x9d", "“quoted”"),
        ("10 Â°C", "10 °C"),
        ("naÃ¯ve CafÃ©", "naïve Café"),
        ("ÐœÐ¸Ñ€", "Мир"),
    ],
)
def test_mojibake_is_put_right(damaged: str, right: str) -> None:
    assert is_damaged(damaged)
    assert repaired(damaged) == right


@pytest.mark.parametrize(
    "text", ["Café", "NÃO", "ação çã", "“quoted”", "10 °C", "Ã", "größer ÄÖÜ", "€ 5 – „so“", "Мир", ""]
)
def test_sound_text_is_left_alone(text: str) -> None:
    assert not is_damaged(text)
    assert repaired(text) == text


# --- Writing and reading -----------------------------------------------------------------------------------------


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    found = prepared(tmp_path, [*ROWS, {"question": "no answer"}], system_prompt="Be kind.")
    folder = tmp_path / "dataset"
    folder.mkdir()
    results = write_prepared(folder, found)
    assert {split: read_split(folder, split) for split in found.splits} == found.splits
    assert read_recipe(folder) == found.recipe
    assert found.recipe.system_prompt == "Be kind."
    assert [row["line"] for row in read_lines(folder / "rejected.jsonl")] == [109]
    assert (folder / "report.txt").read_text(encoding="utf-8") == f"{found.report}\n"
    assert results["rejected"] == 1
    assert results == write_prepared(folder, found)
    questions, rows = read_dataset(folder, "test")
    assert [q.question for q in questions] == [e.question for e in found.splits["test"]]
    assert [(row["prompt"], row["completion"]) for row in rows] == [tuple(e.row.values()) for e in found.splits["test"]]


def test_plain_text_reads_back(tmp_path: Path) -> None:
    found = prepared(tmp_path, [{"text": row["question"]} for row in ROWS])
    write_prepared(tmp_path, found)
    assert read_split(tmp_path, "train") == found.splits["train"]


@pytest.mark.parametrize("content", [None, "{", '{"colour": 1}', "[]"])
def test_a_recipe_that_is_missing_or_damaged_ends_in_a_sentence(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "recipe.json").write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=r"recipe\.json is (missing|damaged)"):
        read_recipe(tmp_path)


def test_the_system_prompt_of_the_data_is_kept_for_later_questions(tmp_path: Path) -> None:
    rows = [row | {"system": "Be kind."} for row in ROWS]
    assert prepared(tmp_path, rows).recipe.ask("And?")[0] == {"role": "system", "content": "Be kind."}


# --- Databases ---------------------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> str:
    """A database of places."""
    rows = "".join(f"INSERT INTO places VALUES ({n}, '{word}', {n * 3});" for n, word in enumerate(WORDS.split()))
    text = f"CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT, height INTEGER);{rows}"
    return str(build_database(text, tmp_path / "places.sqlite"))


QUERIES = [
    {"question": f"How high is {word}{mark}", "sql": f"SELECT height{plus} FROM places WHERE name = '{word}'"}
    for mark, plus in (("?", ""), (" with a tree on it?", " + 12"))
    for word in WORDS.split()
]


def test_queries_are_run_and_scored_by_what_they_return(tmp_path: Path, places: str) -> None:
    odd = [
        {"question": "Which are blue?", "sql": "SELECT name FROM places WHERE colour = 'blue'"},
        {"question": "Delete all.", "sql": "DELETE FROM places"},
        {"question": "Which are higher than all?", "sql": "SELECT name FROM places WHERE height > 999"},
    ]
    found = prepared(tmp_path, QUERIES + odd, database=places)
    assert reasons(found) == {
        37: "The query in the answer fails: No such column: colour.",
        38: "The query in the answer fails: Refused: only reading is allowed here (places).",
    }
    assert findings(found)["Queries that return no row"] == 1
    assert found.metrics.primary.name == "execution accuracy"
    assert found.recipe.uses_database
    folder = tmp_path / "dataset"
    folder.mkdir()
    write_prepared(folder, found)
    questions, _ = read_dataset(folder, "test")
    outcomes = score(questions, [question.sql for question in questions], stage_databases(folder))
    assert all(outcome.correct for outcome in outcomes)
    assert {question.difficulty for question in questions} == {"easy"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "There is no database at"), (b"no database" * 99, "is no SQLite database"), (b"", "has no tables")],
)
def test_a_file_that_is_no_database_is_refused(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CourseError, match=sentence):
        prepared(tmp_path, QUERIES, database=str(path))


def test_a_database_is_copied_with_what_its_journal_holds(tmp_path: Path, places: str) -> None:
    path = Path(places).rename(tmp_path / "my.places.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO places VALUES (99, 'quay', 7)")
        connection.commit()
        found = prepared(tmp_path, QUERIES, database=str(path))
        folder = tmp_path / "dataset"
        folder.mkdir()
        write_prepared(folder, found)
    assert [file.name for file in (folder / "databases").iterdir()] == ["my_places.sqlite"]
    copy = stage_databases(folder)[read_dataset(folder, "train")[0][0].database]
    assert execute(copy, "SELECT height FROM places WHERE name = 'quay'").rows == [(7,)]


def test_a_stage_folder_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from utils import stages

    monkeypatch.setattr("utils.settings.RUNS", tmp_path / "runs")
    with stages.write_stage("own", "dataset", parameters={}) as stage:
        stage.results |= write_prepared(stage.folder, prepared(tmp_path, ROWS))
    folder = stages.require_stage("own", "dataset")
    assert SimpleNamespace(**stages.read_manifest(folder)).results["test"] == len(read_split(folder, "test"))
