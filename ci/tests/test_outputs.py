"""Outputs as they are committed: small, and the same on every machine but for measured figures."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image, ImageDraw

from ci.contents import INJECTED, code_hash
from ci.outputs import WIDGET, Traces, as_seen, cleaned, compact_png, with_outputs
from utils.errors import CourseError

ROOT, HOME, TMP = Path("/srv/people/ann/course"), Path("/srv/people/ann"), Path("/tmp")
TRACES = Traces(ROOT, HOME, TMP, "node-17", "refresh", frozenset({"2026-11-26"}))


def png(colours: int, size: int = 64) -> bytes:
    """A picture of vertical bars in this many colours, with a note inside."""
    picture = Image.new("RGBA", (size, size), (255, 255, 255, 0))
    draw = ImageDraw.Draw(picture)
    for index in range(colours):
        shade = (index * 251 % 256, index * 83 % 256, index * 29 % 256, 255)
        draw.rectangle((index * size // colours, 0, size, size), fill=shade)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\ntext\n", "plain\ntext\n"),
        ("half\rdone\n", "done\n"),
        ("100 of 200\r200\n", "200 of 200\n"),
        ("windows\r\nlines\r\n", "windows\nlines\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("  0%|          | 0/3 [00:00<?, ?it/s]\r100%|██████████| 3/3 [00:01<00:00,  2.1it/s]\nsaved\n", "saved\n"),
        ("50%|x| of it stays\n", "50%|x| of it stays\n"),
    ],
)
def test_text_is_what_a_terminal_shows_in_the_end(text: str, seen: str) -> None:
    assert as_seen(text) == seen


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("saved to /srv/people/ann/course/runs/refresh/model", "saved to runs/course/model"),
        ("in /srv/people/ann/course.", "in .."),
        ("/srv/people/ann/courses and /srv/people/anna", "~/courses and /srv/people/anna"),
        ("cache: /srv/people/ann/.cache/x", "cache: ~/.cache/x"),
        ("wrote /tmp/tmpab12cd_4/harbour.jsonl", "wrote tmp/harbour.jsonl"),
        ("runs/refresh-own-data, runs/refreshed", "runs/course-own-data, runs/refreshed"),
        ("python3 ci/course.py run --name refresh --from 03", "python3 ci/course.py run --name course --from 03"),
        ("Study refresh-search: 6 trials", "Study course-search: 6 trials"),
        ("on node-17, not on node-170", "on localhost, not on node-170"),
        ("begun 2026-11-26T15:58:54.123+00:00, ended 2026-11-26 16:01", "begun …, ended …"),
        ("a row of 2024-05-01 10:00", "a row of 2024-05-01 10:00"),
        ("accuracy 21.9% in 31 s", "accuracy 21.9% in 31 s"),
    ],
)
def test_traces_of_a_run_are_removed(text: str, clean: str) -> None:
    assert TRACES.removed_from(text) == clean


def test_a_host_called_by_a_word_is_left_alone() -> None:
    traces = Traces(ROOT, HOME, TMP, "harbour", "course")
    assert traces.removed_from("the harbour database") == "the harbour database"


def test_streams_become_one_and_random_ids_steady() -> None:
    first, second = "0b8d9f5e-33c1-4d2f-9f43-0a4a2f6f5b10", "11111111-33c1-4d2f-9f43-0a4a2f6f5b10"
    outputs = [
        new_output("stream", name="stdout", text="step 1\rst"),
        new_output("stream", name="stdout", text="ep 2\n"),
        new_output("stream", name="stderr", text="\r"),
        new_output(
            "execute_result", {"text/html": f"<i id='{first}'><i id='{second}'><b for='{first}'>"}, execution_count=9
        ),
        new_output("display_data", {"text/plain": "<Model at 0x7f3a2c4d5e60> on http://127.0.0.1:43817/v1"}),
    ]
    stream, result, shown = cleaned(outputs, 4, TRACES)
    assert stream.text == "step 2\n"
    assert result.execution_count == 4
    assert result.data["text/html"] == "<i id='id-1'><i id='id-2'><b for='id-1'>"
    assert shown.data["text/plain"] == "<Model at 0x…> on http://127.0.0.1:PORT/v1"
    assert outputs[0].text == "step 1\rst"


def test_widgets_go_and_their_static_forms_stay() -> None:
    view = {"model_id": "abc", "version_major": 2, "version_minor": 0}
    outputs = [
        new_output("display_data", {WIDGET: view, "text/plain": "HBox(children=())"}),
        new_output("display_data", {WIDGET: view, "text/plain": "Planner", "text/html": "<table></table>"}),
    ]
    (kept,) = cleaned(outputs, 1, TRACES)
    assert kept.data == {"text/plain": "Planner", "text/html": "<table></table>"}


def test_figures_get_a_palette_only_where_it_changes_little() -> None:
    few, many = compact_png(png(12)), compact_png(noise())
    with Image.open(io.BytesIO(few)) as picture, Image.open(io.BytesIO(png(12))) as drawn:
        assert picture.mode == "P"
        assert picture.convert("RGB").tobytes() == drawn.convert("RGB").tobytes()
    with Image.open(io.BytesIO(many)) as picture:
        assert picture.mode == "RGB"
    assert len(few) < len(png(12))
    assert compact_png(few) == few


def noise() -> bytes:
    """A picture in which every pixel has another colour."""
    picture = Image.new("RGB", (128, 128))
    picture.putdata([(x * 2, y * 2, (x * y) % 256) for x in range(128) for y in range(128)])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_transparent_figures_get_a_white_ground() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(buffer, "PNG")
    with Image.open(io.BytesIO(compact_png(buffer.getvalue()))) as picture:
        assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)


def executed_of(sources: list[str], counts: list[int | None]) -> object:
    """A notebook as papermill leaves it, with an added cell after the first."""
    cells = [new_code_cell(source, execution_count=count) for source, count in zip(sources, counts, strict=True)]
    for cell in cells:
        cell.metadata.update({"papermill": {"duration": 1.0}, "execution": {"iopub.status.busy": "2026"}})
        cell.outputs = [new_output("stream", name="stdout", text=f"{cell.source}\n")]
    added = new_code_cell('run_name = "refresh"', execution_count=2, metadata={"tags": [INJECTED]})
    metadata = {"papermill": {"start_time": "2026-11-26T12:00:00+00:00"}, "widgets": {"state": {}}}
    return new_notebook(cells=[cells[0], added, *cells[1:]], metadata=metadata)


def test_notebook_keeps_its_form_and_gets_outputs_counts_and_hash() -> None:
    sources = ["a = 1", "a + 1"]
    text, first, second = new_markdown_cell("# Title"), *map(new_code_cell, sources)
    first.metadata["tags"] = ["parameters"]
    notebook = new_notebook(cells=[text, first, second], metadata={"language_info": {"name": "python"}})
    found = with_outputs(notebook, executed_of(sources, [1, 3]), TRACES)
    assert [cell.id for cell in found.cells] == [text.id, first.id, second.id]
    assert [cell.execution_count for cell in found.cells[1:]] == [1, 2]
    assert [cell.metadata for cell in found.cells] == [{}, {"tags": ["parameters"]}, {}]
    assert found.metadata == {"language_info": {"name": "python"}, "course": {"executed": code_hash(sources)}}
    assert found.cells[2].outputs[0].text == "a + 1\n"
    assert not notebook.cells[1].outputs
    assert with_outputs(found, executed_of(sources, [1, 3]), TRACES) == found


@pytest.mark.parametrize(
    ("sources", "counts", "why"),
    [
        (["a = 1", "a + 2"], [1, 3], "code cell 2"),
        (["a = 1"], [1], "2 code cells, and 1"),
        (["a = 1", "a + 1"], [1, None], "top to bottom"),
        (["a = 1", "a + 1"], [3, 1], "top to bottom"),
    ],
)
def test_another_execution_is_refused(sources: list[str], counts: list[int | None], why: str) -> None:
    notebook = new_notebook(cells=[new_code_cell("a = 1"), new_code_cell("a + 1")])
    with pytest.raises(CourseError, match=why):
        with_outputs(notebook, executed_of(sources, counts), TRACES)


def test_the_name_of_the_repository_is_no_change_of_code() -> None:
    line = 'url = os.environ.get("COURSE_REPO_URL", "https://github.com/{}")'
    assert code_hash([line.format("OWNER/finetuning-course")]) == code_hash([line.format("ann/her-course")])
    assert code_hash(["a = 1"]) != code_hash(["a = 2"])
    assert code_hash(["a", "b"]) != code_hash(["a\nb"])


def test_pictures_in_outputs_are_compacted() -> None:
    drawn = base64.b64encode(png(3)).decode()
    (shown,) = cleaned(
        [new_output("display_data", {"image/png": drawn, "text/plain": "<Figure size 700x340>"})], 1, TRACES
    )
    assert len(shown.data["image/png"]) < len(drawn)
    assert base64.b64decode(shown.data["image/png"]).startswith(b"\x89PNG")
