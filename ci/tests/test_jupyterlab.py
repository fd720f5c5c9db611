"""JupyterLab in a real browser: notebooks run there to their end, and a widget answers to a hand."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ci.checks.one_click import values_of
from ci.tests.conftest import ROOT
from utils.processes import running

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

BROWSER = shutil.which("chromium")
NOTEBOOKS = ("00_start_here", "01_choose_a_model")
PATIENCE = 5 * 60  # seconds for a notebook; only a broken one needs them
# All cells in the page, not only those in view; and nothing that opens by itself.
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
PROMPTS = f"{PANEL} .jp-CodeCell .jp-InputArea-prompt"
FAILED = '[data-mime-type="application/vnd.jupyter.stderr"]'  # tracebacks, and warnings, of which there are none
# True when a cell failed, or every one has a number in the place of the star that it has while it waits or runs.
ENDED = f"""() => {{
  const prompts = [...document.querySelectorAll("{PROMPTS}")].map(prompt => prompt.textContent.trim());
  const isDone = prompts.length > 3 && prompts.every(text => /^\\[\\d+\\]:$/.test(text));
  return isDone || document.querySelector('{FAILED}');
}}"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here: on Debian, install the package chromium")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course in a folder of its own, since JupyterLab saves what it runs; its notebooks with smoke values."""
    folder = tmp_path_factory.mktemp("lab") / "course"
    shutil.copytree(ROOT / "utils", folder / "utils", ignore=shutil.ignore_patterns("__pycache__"))
    (ROOT / ".cache").mkdir(exist_ok=True)
    for path in [ROOT / ".cache", ROOT / "data", ROOT / "ci", *ROOT.glob("*.txt")]:
        (folder / path.name).symlink_to(path)
    (folder / "notebooks").mkdir()
    for name in NOTEBOOKS:
        write_with_smoke_values(ROOT / "notebooks" / f"{name}.ipynb", folder / "notebooks" / f"{name}.ipynb")
    return folder


def write_with_smoke_values(source: Path, target: Path) -> None:
    """A copy of a notebook with a cell of the profile's values behind its parameters, as papermill adds it."""
    import nbformat
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    notebook = load_notebook_node(str(source))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(parameterize_notebook(notebook, values_of(source)), target)


@pytest.fixture(scope="module")
def lab(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that shows the folder of the course."""
    home = tmp_path_factory.mktemp("home")
    for name, settings in SETTINGS.items():
        path = home / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={course}", "--IdentityProvider.token=", "--ServerApp.port_retries=0"]
    folders = {"SETTINGS": "JUPYTERLAB_SETTINGS_DIR", "WORKSPACES": "JUPYTERLAB_WORKSPACES_DIR"}
    environment = {variable: str(home / name.lower()) for name, variable in folders.items()}
    environment |= {"JUPYTER_RUNTIME_DIR": str(home / "runtime"), "COURSE_MAKE_MISSING": "1", "HF_HUB_OFFLINE": "1"}
    with running(command, log=home / "log.txt", ready="/api", environment=environment) as server:
        yield server.url


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a real browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


def opened(page: Page, lab: str, name: str) -> Locator:
    """The notebook, open in JupyterLab with its kernel at rest."""
    page.goto(f"{lab}/lab/tree/notebooks/{name}.ipynb?reset")
    notebook = page.locator(PANEL)
    notebook.wait_for(timeout=PATIENCE * 1000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=PATIENCE * 1000)  # in the bar below
    return notebook


def run_all(page: Page, notebook: Locator) -> list[int]:
    """Run all cells from the menu; returns the numbers before the cells when all have come to their end."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    cells = page.locator(PROMPTS)
    page.wait_for_function(ENDED, timeout=PATIENCE * 1000, polling=500)
    failed = notebook.locator(FAILED)
    assert failed.count() == 0, failed.first.inner_text()
    return [int(text.strip().strip("[]:")) for text in cells.all_inner_texts()]


def test_the_first_notebook_runs_to_its_end(page: Page, lab: str) -> None:
    notebook = opened(page, lab, NOTEBOOKS[0])
    counts = run_all(page, notebook)
    assert counts == list(range(1, len(counts) + 1))
    assert notebook.locator(".jp-RenderedImage img, .jp-RenderedHTMLCommon table").count() > 0


def test_a_slider_moves_a_number(page: Page, lab: str) -> None:
    """In notebook 01 longer examples take more memory; the planner says how much."""
    notebook = opened(page, lab, NOTEBOOKS[1])
    run_all(page, notebook)
    planner = notebook.locator(".jp-OutputArea-output", has=page.get_by_role("slider")).first
    together = planner.locator("tr", has_text="together").locator("td").nth(1)
    before = float(together.inner_text())
    slider = planner.get_by_role("slider").first
    slider.focus()
    slider.press("ArrowRight")
    page.wait_for_timeout(100)
    for _ in range(100):
        if float(together.inner_text()) > before:
            break
        page.wait_for_timeout(100)
    assert float(together.inner_text()) > before
