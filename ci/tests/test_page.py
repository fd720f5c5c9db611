"""The page "Ask your database" in a real browser that may not leave this machine: how it is used, and misused."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from ci.checks.tiny_model import make_tiny_model
from utils.asking import Asker, Stopped
from utils.databases import Database, find_databases
from utils.page import build_page, launch_settings
from utils.processes import free_port, running
from utils.settings import RUNS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="There is no chromium: on Debian, install the package chromium."),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio.queueing"),  # it counts events with pandas of old
]
ARTEFACTS = RUNS / "test-artefacts"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOCAL = ("127.0.0.1", "localhost")
SECONDS = 20  # after which something that should happen has not
SHOP = """
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL, kind TEXT);
CREATE TABLE sales (item_id INTEGER REFERENCES items(id), sold_on TEXT, pieces INTEGER);
INSERT INTO items VALUES (1, 'pen', 2.5, 'office'), (2, 'cup', 7, 'kitchen'), (3, 'pan', 30, 'kitchen');
INSERT INTO sales VALUES (1, '2024-01-05', 3), (1, '2024-02-01', 4), (2, '2024-02-09', 1), (3, '2024-03-01', 9);
"""
EXAMPLES = ["How many items of each kind?", "Which things cost more than 5?", "Pieces sold over time?"]
ANSWERS = {
    EXAMPLES[0]: "SELECT kind, COUNT(*) FROM items GROUP BY kind",
    EXAMPLES[1]: "SELECT name, price, kind FROM items WHERE price > 5",
    EXAMPLES[2]: "SELECT sold_on, SUM(pieces) FROM sales GROUP BY sold_on",
    "wrong": "SELECT nam FROM items",
    "chat": "What a lovely <b>shop</b>!",
    "all": "SELECT * FROM things",
    "new": "SELECT title FROM films",
    "last": "SELECT * FROM t199",
}
HOSTILE = {
    "script": "<script>window.broken = 1; alert('script')</script>",
    "image": "<img src=x onerror=\"window.broken = 2; alert('image')\">",
    "attribute": '" autofocus onfocus="window.broken = 3" x=\'',
    "template": "${window.broken = 4} {{constructor.constructor('window.broken = 5')()}}",
    "unicode": "\u202egpj.exe Zürich 東京 🙂",
    "long": "w" * 3_000,
}


class Scripted(Asker):
    """Answers as it is told, so that a test knows what will be there; "slow" waits until somebody stops it."""

    def __init__(self, name: str, answers: dict[str, str]) -> None:
        super().__init__(name, lambda: SimpleNamespace())
        self.answers = answers
        self.waits = threading.Event()

    def write(self, question: str, database: Database, stop: threading.Event) -> tuple[str, str]:
        """The answer of the script."""
        self.load()
        if question == "slow":
            self.waits.set()
            if stop.wait(30):
                raise Stopped("Stopped.")
        return self.answers[question], ""


@pytest.fixture(scope="module")
def scripted() -> Scripted:
    return Scripted("course/model", ANSWERS)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, scripted: Scripted) -> Iterator[str]:
    """The page with one example database, and models that follow a script."""
    folder = tmp_path_factory.mktemp("databases")
    build(folder / "shop.sqlite", SHOP)
    lines = [json.dumps({"question": question}) for question in EXAMPLES]
    (folder / "shop.jsonl").write_text("\n".join(lines), encoding="utf-8")
    untuned = Scripted("base", ANSWERS | {EXAMPLES[0]: ANSWERS["chat"]})
    page = build_page(scripted, find_databases(folder), untuned=untuned)
    _, address, _ = page.launch(**launch_settings("127.0.0.1", free_port()), prevent_thread_lock=True)
    yield address
    page.close(verbose=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What the tests' windows share: scripts that were loaded once."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    """The page as it opens on a desk."""
    with opened(context, address, DESKTOP) as page:
        yield page


@contextlib.contextmanager
def opened(context: BrowserContext, address: str, size: dict[str, int], scheme: str = "light") -> Iterator[Page]:
    """The page in a window of this size. It may ask this machine only, and no script of a database may run in it."""
    page = context.new_page()
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    page.set_default_timeout(SECONDS * 1000)
    asked, faults = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.locator("#question textarea").wait_for()
    yield page
    assert page.evaluate("window.broken") is None
    page.close()
    elsewhere = [
        url for url in asked if urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname not in LOCAL
    ]
    assert len(asked) > 10
    assert elsewhere == []
    assert faults == []


def build(path: Path, sql: str) -> Path:
    with sqlite3.connect(path) as connection:
        connection.executescript(sql)
    connection.close()
    return path


def ask(page: Page, question: str, panel: str = "#tuned") -> None:
    """Type a question and wait until it is answered."""
    page.evaluate("document.querySelectorAll('.result, .message, .empty').forEach(shown => { shown.dataset.old = 1 })")
    page.locator("#question textarea").fill(question)
    page.locator("#ask").click()
    answered(page, panel).wait_for()


def answered(page: Page, panel: str = "#tuned") -> Locator:
    """What came out of a query: rows, or a message; not what stood there when a question was asked."""
    return page.locator(f"{panel} :is(.result, .output .message):not([data-old])")


def upload(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click()
    chooser.value.set_files(path)


def cells(page: Page, panel: str = "#tuned") -> list[list[str]]:
    """The rows of a panel's table as a person reads them."""
    rows = page.locator(f"{panel} .rows tr")
    return rows.evaluate_all("rows => rows.map(row => [...row.children].map(cell => cell.innerText))")


def keep(page: Page, name: str) -> None:
    """A picture of the whole page, to look at after the tests."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


def is_too_wide(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


# --- Asking ------------------------------------------------------------------------------------------------------


def test_question_gives_sql_rows_and_a_chart(page: Page) -> None:
    ask(page, EXAMPLES[0])
    page.locator("#tuned .query .cm-content", has_text=ANSWERS[EXAMPLES[0]]).wait_for()
    assert cells(page) == [["kind", "COUNT(*)"], ["kitchen", "2"], ["office", "1"]]
    assert page.locator("#tuned .bars li").all_inner_texts() == ["kitchen\n2", "office\n1"]
    assert "Bars, because" in page.locator("#tuned figcaption").inner_text()
    assert page.locator("#tuned h2").inner_text().startswith("Tuned model")
    assert page.locator("#tuned .query button[aria-label='Copy']").is_visible()
    keep(page, "desktop")


def test_schema_can_be_read(page: Page) -> None:
    schema = page.locator("#schema")
    assert schema.locator("summary").all_inner_texts() == ["items\n3 rows", "sales\n4 rows"]
    assert "price" in schema.inner_text()
    schema.locator("summary").nth(1).click()
    assert "→ items.id" in schema.inner_text()


def test_one_click_asks_an_example(page: Page) -> None:
    page.get_by_role("button", name=EXAMPLES[2]).click()
    page.locator("#tuned .line polyline").wait_for()
    assert page.locator("#question textarea").input_value() == EXAMPLES[2]
    assert "A line, because" in page.locator("#tuned figcaption").inner_text()
    assert len(cells(page)) == 5


def test_enter_asks(page: Page) -> None:
    page.locator("#question textarea").fill(EXAMPLES[1])
    page.keyboard.press("Enter")
    page.locator("#tuned .rows").wait_for()
    assert cells(page)[1] == ["cup", "7", "kitchen"]
    assert page.locator("#tuned .chart").count() == 0


def test_failed_query_says_what_to_try(page: Page) -> None:
    ask(page, "wrong")
    said = page.locator("#tuned .message.error").inner_text()
    assert "No such column: nam." in said
    assert "Did you mean name?" in said


def test_edited_sql_is_run(page: Page) -> None:
    ask(page, "wrong")
    page.locator("#tuned .query .cm-content").fill("SELECT name FROM items WHERE id = 2")
    page.locator("#tuned .run").click()
    page.locator("#tuned .rows").wait_for()
    assert cells(page) == [["name"], ["cup"]]


def test_writing_is_refused(page: Page) -> None:
    ask(page, EXAMPLES[0])
    page.locator("#tuned .query .cm-content").fill("DELETE FROM items")
    page.locator("#tuned .run").click()
    page.locator("#tuned .message.error").wait_for()
    assert "This page only reads" in page.locator("#tuned .message.error").inner_text()
    ask(page, EXAMPLES[0])
    assert len(cells(page)) == 3


def test_both_models_side_by_side(page: Page) -> None:
    assert not page.locator("#untuned").is_visible()
    page.get_by_label("Compare with the untuned model").check()
    ask(page, EXAMPLES[0], "#untuned")
    assert len(cells(page)) == 3
    said = page.locator("#untuned .output").first.inner_text()
    assert "The model wrote no query." in said
    assert ANSWERS["chat"] in said
    left, right = (page.locator(panel).bounding_box() for panel in ("#tuned", "#untuned"))
    assert left["x"] + left["width"] <= right["x"]
    keep(page, "side-by-side")


def test_long_question_is_refused_in_a_sentence(page: Page) -> None:
    page.locator("#question textarea").fill("long " * 2_000)
    page.locator("#ask").click()
    page.locator("#status .message.error").wait_for()
    assert "has 9,999 characters, and at most 1,000 are taken" in page.locator("#status").inner_text()
    assert not is_too_wide(page)
    ask(page, EXAMPLES[0])


def test_answer_can_be_stopped(page: Page, scripted: Scripted) -> None:
    scripted.waits.clear()
    page.locator("#question textarea").fill("slow")
    page.locator("#ask").click()
    assert scripted.waits.wait(SECONDS)
    page.locator("#stop").click()
    page.get_by_text("Stopped.").wait_for()
    ask(page, EXAMPLES[0])
    assert len(cells(page)) == 3


def test_unforeseen_failure_leaves_a_working_page(page: Page) -> None:
    page.locator("#question textarea").fill("what the script does not know")
    page.locator("#ask").click()
    page.locator("#status .message.error").wait_for()
    assert "only the server's log tells" in page.locator("#status").inner_text()
    keep(page, "unforeseen")
    ask(page, EXAMPLES[0])
    assert len(cells(page)) == 3


# --- Uploads -----------------------------------------------------------------------------------------------------


def test_uploaded_database_is_asked(page: Page, tmp_path: Path) -> None:
    upload(
        page, build(tmp_path / "films.sqlite", "CREATE TABLE films (title TEXT); INSERT INTO films VALUES ('Alien')")
    )
    page.locator("#schema").get_by_text("films").wait_for()
    assert page.locator("#database input").input_value() == "films.sqlite (uploaded)"
    ask(page, "new")
    assert cells(page) == [["title"], ["Alien"]]


def test_hostile_database_is_shown_as_text(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "<img src=x onerror=alert(1)>.sqlite"
    with sqlite3.connect(path) as connection:
        names = ['"' + value[:200].replace('"', '""') + '"' for value in HOSTILE.values()]
        columns = ", ".join(f"{name} TEXT" for name in names)
        connection.execute(f"CREATE TABLE things ({columns})")
        connection.execute(f"CREATE TABLE {names[1]} (a)")
        marks = ", ".join("?" * len(HOSTILE))
        connection.execute(f"INSERT INTO things VALUES ({marks})", list(HOSTILE.values()))
    connection.close()
    upload(page, path)
    page.locator("#schema").get_by_text("things").wait_for()
    assert HOSTILE["script"] in page.locator("#schema").inner_text()
    assert HOSTILE["image"] in page.locator("#schema summary").nth(1).inner_text()
    ask(page, "all")
    head, row = cells(page)
    for name in ("script", "image", "attribute", "template"):
        assert HOSTILE[name] in row
        assert any(HOSTILE[name][:70] in cell for cell in head)
    assert "Zürich 東京 🙂" in row[4]
    assert not is_too_wide(page)
    keep(page, "hostile")


def test_database_of_200_tables(page: Page, tmp_path: Path) -> None:
    tables = "".join(f"CREATE TABLE t{n} (id INTEGER, name TEXT);" for n in range(200))
    upload(page, build(tmp_path / "many.sqlite", f"{tables} INSERT INTO t199 VALUES (1, 'x');"))
    page.locator("#schema").get_by_text("200 tables").wait_for()
    ask(page, "last")
    assert cells(page) == [["id", "name"], ["1", "x"]]


def test_files_that_cannot_be_asked_are_refused(page: Page, tmp_path: Path) -> None:
    for content, said in [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "is not a SQLite database, or it is encrypted"),
        (b"SQLite format 3\0" + b"\xff" * 3_000, "cannot be read"),
    ]:
        path = tmp_path / "wrong.sqlite"
        path.write_bytes(content)
        upload(page, path)
        page.locator("#status").get_by_text(said).wait_for()
    assert page.locator("#schema summary").count() == 2
    ask(page, EXAMPLES[0])
    assert len(cells(page)) == 3


# --- Screens -----------------------------------------------------------------------------------------------------


def test_phone(context: BrowserContext, address: str) -> None:
    with opened(context, address, PHONE) as page:
        assert not is_too_wide(page)
        page.get_by_label("Compare with the untuned model").check()
        ask(page, EXAMPLES[1], "#untuned")
        assert not is_too_wide(page)
        upper, lower = (page.locator(panel).bounding_box() for panel in ("#tuned", "#untuned"))
        assert upper["y"] + upper["height"] <= lower["y"]
        keep(page, "phone")


def test_dark(context: BrowserContext, address: str) -> None:
    with opened(context, address, DESKTOP, "dark") as page:
        ask(page, EXAMPLES[2])
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert colour == "rgb(23, 25, 28)"
        keep(page, "dark")


# --- What is closed ----------------------------------------------------------------------------------------------


def request(address: str, method: str, path: str, body: bytes = b"") -> tuple[int, str, dict[str, str]]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace"), dict(answer.getheaders())
    finally:
        connection.close()


def dependencies(address: str) -> list[dict]:
    """What the page can call, as Gradio lists it."""
    return json.loads(request(address, "GET", "/config")[1])["dependencies"]


def call(address: str, where: str, index: int, data: list) -> tuple[int, str]:
    """Call a function of the page past the page."""
    body = json.dumps({"fn_index": index, "data": data, "session_hash": "stranger"}).encode()
    return request(address, "POST", f"/gradio_api/{where}", body)[:2]


def test_server_answers_nothing_but_the_page(address: str) -> None:
    for path in (
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/docs",
        "/monitoring",
    ):
        assert request(address, "GET", path)[0] == 404, path
    status, _, headers = request(address, "GET", "/")
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert str(Path.home()) not in request(address, "GET", "/config")[1]


def test_nothing_is_offered_as_an_api_and_the_queue_cannot_be_skipped(address: str) -> None:
    queued = [entry for entry in dependencies(address) if entry["queue"]]
    assert len(queued) >= 5
    assert {entry["api_visibility"] for entry in dependencies(address)} == {"private"}
    for entry in queued:
        assert call(address, "run/predict", entry["id"], [None] * len(entry["inputs"]))[0] == 404


def test_file_that_was_not_uploaded_is_left_alone(address: str, tmp_path: Path) -> None:
    victim = build(tmp_path / "private.sqlite", SHOP)
    before = victim.read_bytes()
    index = next(e["id"] for e in dependencies(address) if any(event == "upload" for _, event in e["targets"]))
    for path in (victim, "/etc/passwd"):
        forged = {"path": str(path), "orig_name": "x.sqlite", "meta": {"_type": "gradio.FileData"}}
        assert call(address, "queue/join", index, [forged, None])[0] == 200
        events = request(address, "GET", "/gradio_api/queue/data?session_hash=stranger")[1]
        assert '"success":false' in events.replace(" ", "")
        assert "root:" not in events
    assert victim.read_bytes() == before


def test_large_request_is_refused(address: str) -> None:
    assert request(address, "POST", "/gradio_api/queue/join", b" " * 1_000_001)[0] == 413
    assert request(address, "GET", "/")[0] == 200


# --- The command -------------------------------------------------------------------------------------------------


def test_command_serves_a_model_until_it_is_stopped(context: BrowserContext, tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    database = build(tmp_path / "shop.sqlite", SHOP)
    command = [sys.executable, "-m", "utils.serving", "--model", str(model), "--database", str(database)]
    log = tmp_path / "page.log"
    with running(command, log=log, ready="/") as server:
        with opened(context, server.url, DESKTOP) as page:
            assert page.locator("#database input").input_value() == "shop.sqlite"
            page.locator("#question textarea").fill("How many items are there?")
            page.locator("#ask").click()
            answered(page).wait_for(timeout=4 * SECONDS * 1000)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
    lines = log.read_text(encoding="utf-8").split("\n")
    assert f"Ask your database: {server.url}/ (Ctrl-C stops it)" in lines
    assert "Stopped." in lines
    assert "Traceback" not in "".join(lines)
