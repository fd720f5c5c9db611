"""The course's own book, built as it is and opened from the disk in a real browser that may not leave the machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci.book.builder import Sources, build_book
from ci.book.links import Site
from ci.project import Project
from ci.tests.conftest import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSER = shutil.which("chromium")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LEAST_CONTRAST = 4.5  # what WCAG 2 asks of running text
FAINT_TEXTS = """least => {
  const light = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(value => value / 255);
    const [r, g, b] = parts.map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const papers = new Map();
  const paper = element => {
    if (!papers.has(element)) {
      const colour = getComputedStyle(element).backgroundColor;
      const isClear = colour === "rgba(0, 0, 0, 0)" && element.parentElement;
      papers.set(element, isClear ? paper(element.parentElement) : light(colour));
    }
    return papers.get(element);
  };
  const faint = new Set();
  const texts = document.createTreeWalker(document.querySelector("article, #search-results"), NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    const [a, b] = [light(getComputedStyle(element).color), paper(element)].sort((x, y) => x - y);
    if ((b + 0.05) / (a + 0.05) < least) faint.add(texts.currentNode.data.trim().slice(0, 60));
  }
  return [...faint];
}"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built course."""
    return build_book(Project(ROOT), tmp_path_factory.mktemp("built") / "book").parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser. It is not allowed to leave the machine."""
    if BROWSER is None:
        pytest.skip("There is no chromium on this machine: on Debian, install the package chromium.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_every_source_has_a_page(book: Path) -> None:
    sources = Sources(Project(ROOT), book)
    names = set(sources.origins.values())
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*.ipynb")} <= names
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")} <= names
    assert all((book / f"{page}.html").is_file() for page in sources.origins)


def test_nothing_is_missing_and_nothing_comes_from_the_network(book: Path) -> None:
    site = Site(book)
    assert len(site.pages) > 15
    assert site.faults() == []


def test_modules_and_their_functions_are_described(book: Path) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (book / "api").glob("*.html"))
    for name in ("utils.stages.write_stage", "utils.sql.Sandbox", "utils.training.trainer_class"):
        assert f'id="{name}"' in pages, name


def opened(browser: Browser, path: Path, *, query: str = "", **options: object) -> tuple[Page, list[str]]:
    """A page from the disk, and the faults that the browser sees while it loads, offline."""
    faults: list[str] = []
    page = browser.new_page(offline=True, **options)
    page.on("console", lambda message: faults.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(f"{request.url} failed"))
    page.goto(path.as_uri() + query)
    return page, faults


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def test_every_page_reads_well(book: Path, browser: Browser, viewport: dict, scheme: str) -> None:
    """It opens without errors, is as wide as the window, and its text stands out from what is behind it."""
    for path in Site(book).pages:
        page, faults = opened(browser, path, viewport=viewport, color_scheme=scheme)
        assert faults == [], path.name
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], f"{path.name} is {width} pixels wide"
        assert page.locator("main").inner_text().strip(), f"{path.name} is empty"
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert page.evaluate(FAINT_TEXTS, LEAST_CONTRAST) == [], path.name
        page.close()


def test_search_finds_packing(book: Path, browser: Browser) -> None:
    page, faults = opened(browser, book / "search.html", query="?q=packing")
    result = page.locator("#search-results li a").first
    result.wait_for()
    result.click()
    page.wait_for_load_state()
    assert "packing" in page.locator("article").inner_text().lower()
    assert faults == []
    page.close()


def test_search_is_reached_from_a_page(book: Path, browser: Browser) -> None:
    page, _ = opened(browser, book / "notebooks" / "00_start_here.html", viewport=PHONE)
    page.locator("button.search-button").locator("visible=true").first.click()
    page.keyboard.type("learning rate")
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.wait_for()
    page.close()


def test_a_notebook_has_launch_buttons_and_no_badges(book: Path, browser: Browser) -> None:
    page, _ = opened(browser, book / "notebooks" / "03_fine_tune_with_sft.html")
    links = page.locator(".dropdown-launch-buttons a")
    addresses = [link.get_attribute("href") for link in links.all()]
    assert [address.split("/")[2] for address in addresses] == [
        "colab.research.google.com",
        "kaggle.com",
        "mybinder.org",
    ]
    assert all("03_fine_tune_with_sft.ipynb" in address for address in addresses)
    assert page.locator("article img[src*=badge]").count() == 0
    page.close()


def test_hints_and_solutions_unfold(book: Path, browser: Browser) -> None:
    page, _ = opened(browser, book / "notebooks" / "00_start_here.html")
    for name, content in (("Hint", "p"), ("Solution", "pre")):
        fold = page.locator("article details", has=page.get_by_text(name, exact=True)).first
        inside = fold.locator(content).first
        assert not inside.is_visible()
        fold.locator("summary").click()
        assert inside.is_visible()
    page.close()
