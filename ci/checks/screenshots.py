"""The picture of the page in the README, taken with a real model and a real browser:

    python -m ci.checks.screenshots --model runs/course/export/model

writes `docs/ask_your_database.png`. `--question` asks another question, `--untuned` shows the untuned model beside it.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path

from utils.databases import COURSE_QUESTIONS
from utils.errors import CourseError
from utils.processes import running
from utils.settings import ROOT, RUNS
from utils.stages import shown

PICTURE = ROOT / "docs" / "ask_your_database.png"
LOG = RUNS / "test-artefacts" / "screenshot.log"
WINDOW = {"width": 1240, "height": 1060}
MAX_BYTES = 200_000
COLOURS = 256
SECONDS_TO_ANSWER = 120


def main() -> int:
    """Take the picture; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ci.checks.screenshots", description=__doc__)
    parser.add_argument("--model", required=True, help="the tuned model, as utils.serving takes it")
    parser.add_argument("--untuned", help="the model before training, shown beside it")
    parser.add_argument(
        "--question", default=next(iter(COURSE_QUESTIONS.values()))[0], help="what to ask the first example"
    )
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    values = parser.parse_args()
    command = [sys.executable, "-m", "utils.serving", "--model", values.model]
    command += ["--untuned", values.untuned] if values.untuned else []
    try:
        with running(command, log=LOG, ready="/") as server:
            picture = photograph(server.url, values.question, compare=bool(values.untuned), dark=values.dark)
        write_compact(picture, PICTURE)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{shown(PICTURE)}: {PICTURE.stat().st_size / 1000:.0f} kB.")
    return 0


def photograph(address: str, question: str, *, compare: bool = False, dark: bool = False) -> bytes:
    """A PNG of the page after a question was answered. Raises CourseError if there is no browser."""
    browser = shutil.which("chromium")
    if browser is None:
        raise CourseError("There is no chromium on this machine: on Debian, install the package chromium.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = window.new_page(viewport=WINDOW, color_scheme="dark" if dark else "light", reduced_motion="reduce")
        page.goto(address)
        if compare:
            page.get_by_label("Compare with the untuned model").check()
        page.locator("#question textarea").fill(question)
        page.locator("#ask").click()
        page.locator("#stop").wait_for()
        page.locator("#ask").wait_for(timeout=1000 * SECONDS_TO_ANSWER)
        if page.locator("#status .message").count():
            raise CourseError(f"The question was not answered: {page.locator('#status').inner_text()}")
        page.mouse.move(0, 0)
        picture = page.screenshot()
        window.close()
        return picture


def write_compact(picture: bytes, path: Path) -> None:
    """Write a PNG with a palette, which takes a third of the room. Raises CourseError if it is still too large."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    compact = io.BytesIO()
    image.save(compact, "PNG", optimize=True)
    if compact.tell() > MAX_BYTES:
        raise CourseError(f"The picture has {compact.tell() / 1000:.0f} kB, more than {MAX_BYTES / 1000:.0f}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(compact.getvalue())
    partial.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
