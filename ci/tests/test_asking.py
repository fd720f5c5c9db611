"""From a question to rows, without a page: what is asked, what the model is shown, what is run, and how it is told."""

from __future__ import annotations

import html
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ci.checks.tiny_model import make_tiny_model
from utils import asking, databases, uploads
from utils.asking import (
    Asker,
    OneQuery,
    Refused,
    Stopped,
    advice,
    checked_question,
    decoding_rules,
    fitted_prompt,
    found_query,
    is_constrained,
    ranked_tables,
    run_query,
)
from utils.charts import choose_chart
from utils.constraints import SchemaConstraint
from utils.data import load_databases
from utils.databases import COURSE_QUESTIONS, Database, course_databases, describe, find_databases, own_database
from utils.errors import CourseError
from utils.fence import ANSWERED
from utils.hardware import Choice
from utils.markup import message_html, number_text, result_html, schema_html
from utils.schema import read_schema
from utils.serving import main, parse
from utils.settings import DATA
from utils.sql import Result, execute
from utils.stages import read_lines
from utils.uploads import UnusableUpload, UploadFolder

SHOP = """
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL, kind TEXT);
CREATE TABLE sales (item_id INTEGER REFERENCES items(id), sold_on TEXT, pieces INTEGER);
INSERT INTO items VALUES (1, 'pen', 2.5, 'office'), (2, 'cup', 7, 'kitchen'), (3, 'pan', 30, 'kitchen');
INSERT INTO sales VALUES (1, '2024-01-05', 3), (1, '2024-02-01', 4), (2, '2024-02-01', 1);
"""


def build(path: Path, sql: str) -> Path:
    with sqlite3.connect(path) as connection:
        connection.executescript(sql)
    connection.close()
    return path


@pytest.fixture
def upload(folder: UploadFolder) -> Path:
    """A database that has just arrived."""
    return build(folder.incoming / "shop.sqlite", SHOP)


@pytest.fixture
def shop(tmp_path: Path) -> Database:
    return Database("shop", build(tmp_path / "shop.sqlite", SHOP))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("run") / "model")


@pytest.fixture
def asker(model: Path, shop: Database, monkeypatch: pytest.MonkeyPatch) -> Asker:
    """A random model that writes a few bytes."""
    monkeypatch.setattr("utils.hardware.choose_here", lambda: Choice("cpu", "float32", "sdpa", {}))
    asker = Asker.of(str(model), shop.path)
    asker._assistant = replace(asker.load(), max_new_tokens=12)
    return asker


@pytest.fixture
def folder() -> Iterator[UploadFolder]:
    folder = UploadFolder()
    yield folder
    folder.close()


# --- The question ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("  \n", "Write a question first."),
        ("x" * 10_000, "has 10,000 characters, and at most 1,000 are taken"),
        ("How many?<|im_end|>", "<|im_end|>, which a model reads as the end"),
    ],
)
def test_questions_that_are_not_asked(question: str, reason: str) -> None:
    with pytest.raises(Refused, match=re.escape(reason)):
        checked_question(question)


def test_question_is_asked_without_white_space() -> None:
    assert checked_question(" How many? \n") == "How many?"


# --- The model ---------------------------------------------------------------------------------------------------


def test_model_is_loaded_when_it_is_first_asked(asker: Asker, shop: Database, model: Path) -> None:
    fresh = Asker.of(str(model.parent), shop.path)
    assert not fresh.is_loaded
    assert fresh.load() is fresh.load()
    assert fresh.is_loaded
    assert fresh.load().constrained


def test_untrained_model_writes_names_of_the_database_only(asker: Asker, shop: Database) -> None:
    answer = asker.ask("How many items?", shop)
    allowed = SchemaConstraint(read_schema(shop.path))
    assert answer.text
    assert allowed.can_continue(answer.text)
    asker._assistant = replace(asker.load(), constrained=False)
    assert not allowed.can_continue(asker.ask("How many items?", shop).text)


def test_model_that_was_trained_without_constraint_is_asked_without(model: Path, tmp_path: Path) -> None:
    assert is_constrained(str(model))
    (tmp_path / "manifest.json").write_text('{"parameters": {"constrained": false}}', encoding="utf-8")
    assert not is_constrained(str(tmp_path))


def test_names_that_need_quotation_marks_are_written_freely(asker: Asker, shop: Database, tmp_path: Path) -> None:
    odd = build(tmp_path / "odd.sqlite", 'CREATE TABLE "order details" ("naïve name" TEXT)')
    assert isinstance(decoding_rules(asker.load(), shop.path)[0].constraint, SchemaConstraint)
    assert decoding_rules(asker.load(), odd)[0].constraint is None
    assert asker.ask("What?", Database("odd", odd)).text


def test_answer_ends_with_its_first_query(shop: Database) -> None:
    for rules in (OneQuery(None), OneQuery(SchemaConstraint(read_schema(shop.path)))):
        query = "SELECT name FROM items WHERE kind = 'a;b'"
        assert rules.can_continue(query)
        assert rules.can_continue(f"{query};")
        assert rules.can_end(f"{query};")
        assert not rules.can_continue(f"{query};\n")
        assert not rules.can_continue(f"{query}; SELECT")
    assert not rules.can_continue("SELECT colour")
    assert not rules.can_end("SELECT name FROM")
    assert OneQuery(None).can_continue("Of course; here it is: SELECT colour")


def test_answer_stops_between_two_tokens(asker: Asker, shop: Database) -> None:
    stop = threading.Event()
    network = asker.load().model
    hook = network.register_forward_hook(lambda *_: stop.set())
    with pytest.raises(Stopped, match=r"^Stopped\.$"):
        asker.ask("How many?", shop, stop)
    hook.remove()
    assert asker.ask("How many?", shop).text  # and goes on to answer others


def test_answer_that_takes_too_long_is_stopped(asker: Asker, shop: Database) -> None:
    asker.max_seconds = 0.0
    with pytest.raises(Stopped, match="longer than 0 s"):
        asker.ask("How many?", shop)


# --- A schema that is too large ----------------------------------------------------------------------------------


def many_tables(count: int) -> str:
    tables = [f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, colour_{n} TEXT, weight_{n} REAL);" for n in range(count)]
    tables.append(
        "CREATE TABLE animals (animal_id INTEGER PRIMARY KEY, species TEXT, keeper INTEGER REFERENCES staff);"
    )
    tables.append("CREATE TABLE staff (staff_id INTEGER PRIMARY KEY, surname TEXT);")
    tables.append("INSERT INTO animals VALUES (1, 'otter', 1); INSERT INTO staff VALUES (1, 'Okoro');")
    return "\n".join(tables)


def test_mentioned_tables_come_first_and_then_what_joins_them(tmp_path: Path) -> None:
    schema = read_schema(build(tmp_path / "zoo.sqlite", many_tables(30)))
    assert [table.name for table in ranked_tables(schema, "Which animals are there?")[:2]] == ["animals", "staff"]
    assert ranked_tables(schema, "Who feeds the otter?")[0].name == "animals"
    assert ranked_tables(schema, "What is the weight 17?")[0].name == "t17"


def test_large_schema_is_cut_to_what_fits(asker: Asker, tmp_path: Path) -> None:
    database = build(tmp_path / "zoo.sqlite", many_tables(200))
    assistant = asker.load()
    messages, notice = fitted_prompt(assistant, "Which animals are there?", database)
    shown = messages[0]["content"].splitlines()[1:]
    assert any(line.startswith("animals: ") for line in shown)
    assert 1 < len(shown) < 200
    assert f"it was shown {len(shown)} of 202" in notice
    assert "animals" in messages[1]["content"]
    text = assistant.tokenizer.apply_chat_template(messages, tokenize=False)
    assert len(text) + assistant.max_new_tokens < assistant.model.config.max_position_embeddings + 100
    assert asker.ask("Which animals are there?", Database("zoo", database)).notice == notice


def test_small_schema_is_shown_whole(asker: Asker, shop: Database) -> None:
    assistant = asker.load()
    messages, notice = fitted_prompt(assistant, "How many items?", shop.path)
    assert notice == ""
    assert messages == assistant.recipe.ask("How many items?", shop.path)


def test_wide_table_is_cut_to_its_mentioned_columns(asker: Asker, tmp_path: Path) -> None:
    columns = ", ".join(f"measurement_number_{n} REAL" for n in range(400))
    database = build(tmp_path / "wide.sqlite", f"CREATE TABLE readings ({columns}, humidity REAL)")
    messages, notice = fitted_prompt(asker.load(), "What is the humidity?", database)
    assert "humidity" in messages[0]["content"]
    assert "of 401" in notice


# --- The query ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("SELECT 1", "SELECT 1"),
        ("Here it is:\n```sql\nSELECT 1;\n```", "SELECT 1"),
        ("I like databases.", ""),
        ("DROP TABLE items", ""),
        ("", ""),
    ],
)
def test_query_in_an_answer(text: str, query: str) -> None:
    assert found_query(text) == query


@pytest.mark.parametrize(
    ("query", "said", "tried"),
    [
        ("SELECT nam FROM items", "No such column: nam", "Did you mean name?"),
        ("SELECT * FROM item", "No such table: item", "Did you mean items"),
        ("SELECT id FROM items AS a JOIN items AS b", "Ambiguous column name: id", "a column id: write its table"),
        ("SELECT (1", "Incomplete input", "ends too early"),
        ("SELECT 'pen", "Unrecognized token", "A quotation mark is not closed"),
        ("SELEC 1", "syntax error", "cannot read the query from there on"),
        ("SELECT name FROM items WHERE MAX(price) > 1", "Misuse of aggregate", "put the condition into HAVING"),
        ("SELECT 1; SELECT 2", "one statement at a time", "Leave only one query"),
        ("DELETE FROM items", "Refused: only reading is allowed here", "Write a SELECT"),
        ("PRAGMA writable_schema = 1", "Refused: only reading is allowed here", "Write a SELECT"),
        ("ATTACH 'other.sqlite' AS other", "Refused: only reading is allowed here", "Write a SELECT"),
        ("SELECT shout(name) FROM items", "No such function: shout", "SQLite has no function of that name"),
        ("", "There is no query to run.", ""),
        ("SELECT " + "1," * 10_000 + "1", "20,008 characters", ""),
    ],
)
def test_failures_are_told_in_plain_words(query: str, said: str, tried: str, shop: Database) -> None:
    before = shop.path.read_bytes()
    result = run_query(query, shop)
    assert said in result.error
    found = advice(result.error, shop)
    assert tried in found if tried else found == ""
    assert shop.path.read_bytes() == before


def test_endless_query_is_stopped(shop: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "execute", partial(execute, max_seconds=0.1))
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"
    result = run_query(endless, shop)
    assert "took longer than 0.1 s" in result.error
    assert "Ask for less" in advice(result.error, shop)


def test_file_that_went_away_is_told(tmp_path: Path) -> None:
    gone = Database("gone.sqlite (uploaded)", tmp_path / "gone.sqlite")
    assert "upload it again" in run_query("SELECT 1", gone).error


# --- Charts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "rows", "kind"),
    [
        (["kind", "n"], [("a", 1), ("b", 2)], "bars"),
        (["n", "kind"], [(1, "a"), (2.5, "b")], "bars"),
        (["kind", "n"], [("a", 1), (None, 2)], "bars"),
        (["month", "n"], [("2024-02", 1), ("2024-01", 2), ("2024-03", 3)], "line"),
        (["year", "n"], [(2022, 1), (2023, 2), (2024, 5)], "line"),
        (["month", "n"], [("2024-02", 1), ("2024-01", 2)], "bars"),
        (["kind", "n"], [("a", 1)], None),
        (["kind", "n"], [("a", 1), ("a", 2)], None),
        (["kind", "n"], [("a", 1), ("b", None)], None),
        (["kind", "n"], [("a", "1"), ("b", "2")], None),
        (["kind", "n"], [("a", float("inf")), ("b", 1)], None),
        (["name", "owner_id"], [("a", 1), ("b", 2)], None),
        (["x", "y"], [(1, 2), (3, 4)], None),
        (["a", "b", "n"], [("a", "b", 1), ("c", "d", 2)], None),
        (["kind", "n"], [(f"k{n}", n) for n in range(25)], None),
    ],
)
def test_which_chart_fits(columns: list[str], rows: list[tuple], kind: str | None) -> None:
    chart = choose_chart(Result(rows, columns))
    assert (chart and chart.kind) == kind
    assert choose_chart(Result(rows, columns, truncated=True)) is None


def test_line_runs_through_time(shop: Database) -> None:
    rows = [("2024-03-01", 3), ("2024-01-01", 1), ("2024-01-16", 2)]
    chart = choose_chart(Result(rows, ["sold_on", "pieces"]))
    assert chart.labels == ("2024-01-01", "2024-01-16", "2024-03-01")
    assert chart.places == pytest.approx((0, 0.25, 1))
    shown = result_html(Result(rows, ["sold_on", "pieces"]))
    assert 'points="0.0,133.3 250.0,66.7 1000.0,0.0"' in shown
    assert "A line, because one column holds dates" in shown


def test_bars_begin_at_zero() -> None:
    shown = result_html(Result([("loss", -50), ("gain", 150)], ["what", "euros"]))
    assert 'style="margin-left:0.00%;width:25.00%"' in shown
    assert 'style="margin-left:25.00%;width:75.00%"' in shown


def test_values_that_are_all_zero_can_be_drawn() -> None:
    assert "bars" in result_html(Result([("a", 0), ("b", 0)], ["what", "n"]))
    assert "polyline" in result_html(Result([("2022", 0), ("2023", 0), ("2024", 0)], ["y", "n"]))


# --- What is shown -----------------------------------------------------------------------------------------------

ALLOWED = set("class role aria-label aria-hidden tabindex scope style open".split())
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "'; --",
    "\u202egpj.exe",
]


class Elements(HTMLParser):
    """The elements of a text and their attributes, as a browser finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_stays_text(value: str, tmp_path: Path) -> None:
    name = value.replace('"', '""')
    sql = f'CREATE TABLE "{name}" ("{name}" TEXT, n INTEGER);'
    path = build(tmp_path / "hostile.sqlite", sql)
    with sqlite3.connect(path) as connection:
        connection.executemany(f'INSERT INTO "{name}" VALUES (?, ?)', [(value, 1), (value + "2", 2)])
    result = run_query(f'SELECT * FROM "{name}"', Database("hostile", path))
    assert result.ok
    shown = [result_html(result), schema_html(describe(path)), message_html(value), result_html(Result(error=value))]
    for markup in shown:
        assert html.escape(value).replace("\u202e", "�") in markup
        parser = Elements()
        parser.feed(markup)
        assert not parser.tags & {"script", "img"}
        assert parser.attributes <= ALLOWED


def test_long_values_are_shortened() -> None:
    shown = result_html(Result([("x" * 5_000,)], ["y" * 500]))
    assert "x" * 299 + "…" in shown
    assert "x" * 300 not in shown
    assert "y" * 79 + "…" in shown


def test_rows_are_counted_and_cut() -> None:
    assert "1 row<" in result_html(Result([(1,)], ["n"]))
    assert "No rows" in result_html(Result([], ["n"]))
    shown = result_html(Result([(n, None, b"abc") for n in range(300)], ["n", "m", "b"]))
    assert "300 rows, the first 200 of them shown" in shown
    assert shown.count("<tr>") == 201
    assert "NULL" in shown
    assert "3 bytes" in shown
    assert "More than 2 rows" in result_html(Result([(1,), (2,)], ["n"], truncated=True))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.5, "2.5"),
        (2.0, "2"),
        (1 / 3, "0.3333"),
        (0.00012345, "0.0001234"),
        (0.0, "0"),
        (-1.5, "-1.5"),
        (1e20, "1e+20"),
    ],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number_text(value) == shown


# --- Databases ---------------------------------------------------------------------------------------------------


def test_schema_is_described(shop: Database) -> None:
    items, sales = describe(shop.path)
    assert (items.name, items.rows, sales.rows) == ("items", 3, 3)
    assert [facts.is_key for facts in items.columns] == [True, False, False, False]
    assert items.columns[2].values == (2.5, 7.0, 30.0)
    assert items.columns[3].values == ("kitchen", "office")
    assert sales.columns[0].column.references == "items.id"
    shown = schema_html((items, sales))
    for part in ("2 tables", "3 rows", "REAL", "→ items.id", "kitchen, office"):
        assert part in shown


def test_counting_stops_in_time(shop: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT i FROM n"
    path = build(tmp_path / "long.sqlite", f"CREATE TABLE numbers AS {numbers}")
    monkeypatch.setattr(databases, "MAX_SECONDS", 0.0)
    (table,) = describe(path)
    assert table.rows is None
    assert "many rows" in schema_html((table,))


def test_examples_of_the_course_are_validation_questions() -> None:
    for name, questions in COURSE_QUESTIONS.items():
        known = {row["question"] for row in read_lines(DATA / "questions" / "validation" / f"{name}.jsonl")}
        assert set(questions) <= known
        assert max(map(len, questions)) <= 60  # Gradio cuts what is longer
    found = course_databases()
    files = load_databases(DATA / "databases")
    assert [(database.path, database.questions) for database in found] == [
        (files[name], questions) for name, questions in COURSE_QUESTIONS.items()
    ]


def test_databases_of_a_folder(tmp_path: Path) -> None:
    build(tmp_path / "shop.sqlite", SHOP)
    (tmp_path / "zoo.sql").write_text("CREATE TABLE animals (name TEXT);", encoding="utf-8")
    (tmp_path / "shop.jsonl").write_text('{"question": "How many?", "sql": "SELECT 1"}\n', encoding="utf-8")
    found = find_databases(tmp_path)
    assert [(database.name, database.questions) for database in found] == [("shop", ("How many?",)), ("zoo", ())]


def test_files_of_ones_own_that_are_no_databases(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello " * 100, encoding="utf-8")
    build(tmp_path / "bare.db", "PRAGMA user_version = 1")
    for name, reason in [("none.db", "There is no database"), ("text.db", "no SQLite"), ("bare.db", "no tables")]:
        with pytest.raises(CourseError, match=reason):
            own_database(tmp_path / name)
    with pytest.raises(CourseError, match="holds no databases"):
        find_databases(make_folder(tmp_path / "empty"))


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


# --- Uploads -----------------------------------------------------------------------------------------------------


def test_upload_is_copied_and_removed(folder: UploadFolder, upload: Path) -> None:
    database = folder.accept(upload)
    assert not upload.exists()
    assert database.name == "shop.sqlite (uploaded)"
    assert database.path.stat().st_mode & 0o777 == 0o400
    assert database.path.parent.stat().st_mode & 0o077 == 0
    assert run_query("SELECT COUNT(*) FROM items", database).rows == [(3,)]
    folder.remove(database)
    assert not database.path.exists()
    folder.close()
    assert not folder.incoming.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty: it has 0 bytes"),
        (b"id,name\n1,pen\n", "is not a SQLite database, or it is encrypted"),
        (bytes(range(256)) * 16, "is not a SQLite database, or it is encrypted"),
        (b"SQLite format 3\0" + b"\xff" * 4000, "cannot be read"),
    ],
)
def test_files_that_are_no_databases_are_refused(content: bytes, reason: str, folder: UploadFolder) -> None:
    path = folder.incoming / "my.sqlite"
    path.write_bytes(content)
    with pytest.raises(UnusableUpload, match=re.escape(f"my.sqlite {reason}")):
        folder.accept(path)
    assert not path.exists()
    assert not list(folder._copies.iterdir())


def test_only_uploads_are_taken(folder: UploadFolder, shop: Database) -> None:
    for path in (shop.path, folder.incoming / ".." / "copies" / "x.sqlite", folder.incoming / "gone.sqlite"):
        with pytest.raises(UnusableUpload, match="did not arrive"):
            folder.accept(path)
    (folder.incoming / "link.sqlite").symlink_to(shop.path)
    with pytest.raises(UnusableUpload, match="did not arrive"):
        folder.accept(folder.incoming / "link.sqlite")
    assert shop.path.is_file()


def test_damaged_and_bare_databases_are_refused(folder: UploadFolder) -> None:
    with pytest.raises(UnusableUpload, match="no tables"):
        folder.accept(build(folder.incoming / "bare.sqlite", "PRAGMA user_version = 1"))
    whole = build(folder.incoming / "half.sqlite", SHOP).read_bytes()
    (folder.incoming / "half.sqlite").write_bytes(whole[:5000] + b"\x99" * (len(whole) - 5000))
    with pytest.raises(UnusableUpload, match=r"cannot be read\. SQLite says: "):
        folder.accept(folder.incoming / "half.sqlite")


def test_upload_that_is_too_large_is_refused(
    folder: UploadFolder, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 1_000)
    with pytest.raises(UnusableUpload, match="too large"):
        folder.accept(upload)


def test_upload_that_takes_too_long_to_read_is_refused(
    folder: UploadFolder, upload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_SECONDS", 0.0)
    with pytest.raises(UnusableUpload, match="holds too much"):
        folder.accept(upload)


def test_database_with_a_write_ahead_log_is_read_alone(folder: UploadFolder) -> None:
    path = build(folder.incoming / "log.sqlite", f"PRAGMA journal_mode = WAL; {SHOP}")
    assert path.read_bytes()[18:20] == b"\2\2"
    database = folder.accept(path)
    assert run_query("SELECT COUNT(*) FROM items", database).rows == [(3,)]
    assert list(database.path.parent.iterdir()) == [database.path]


def test_oldest_copies_make_room(folder: UploadFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [build(folder.incoming / f"{name}.sqlite", SHOP) for name in "abc"]
    monkeypatch.setattr(uploads, "MAX_KEPT_BYTES", 2 * files[0].stat().st_size)
    kept = [folder.accept(file) for file in files]
    assert [database.path.exists() for database in kept] == [False, True, True]


def test_long_file_names_are_shortened(folder: UploadFolder) -> None:
    database = folder.accept(build(folder.incoming / f"{'n' * 200}.sqlite", SHOP))
    assert database.name == "n" * 59 + "… (uploaded)"


# --- The command -------------------------------------------------------------------------------------------------


def test_command_line() -> None:
    values = parse(["--model", "runs/a/model", "--port", "8000"])
    assert (values["model"], values["host"], values["port"]) == ("runs/a/model", "127.0.0.1", 8000)
    for arguments, reason in [(["--modle", "x"], "Did you mean --model"), (["--port", "70000"], "is no port")]:
        with pytest.raises(CourseError, match=reason):
            parse(arguments)


def test_mistakes_are_sentences(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--model", str(model)]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command, reason in [
            (["--model", "nowhere"], "There is no model 'nowhere'"),
            ([*common, "--untuned", "nowhere"], "There is no model 'nowhere'"),
            ([*common, "--database", "nowhere.sqlite"], "There is no database"),
            ([*common, "--databases", str(tmp_path)], "holds no databases"),
            ([*common, "--port", port], f"choose another port: --port {int(port) + 1}"),
        ]:
            assert main(command) == 1, command
            said = capsys.readouterr().err
            assert reason in said
            assert "Traceback" not in said


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/queue/join", "/gradio_api/upload", "/assets/index.js"])
def test_what_the_page_asks_for_is_answered(path: str) -> None:
    assert ANSWERED.fullmatch(path)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/info",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=https://example.org",
        "/gradio_api/openapi.json",
        "/gradio_api/deep_link",
        "/gradio_api/vibe-edit",
        "/monitoring",
        "/docs",
    ],
)
def test_everything_else_is_not(path: str) -> None:
    assert not ANSWERED.fullmatch(path)
