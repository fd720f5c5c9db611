"""The outputs of an executed notebook as they are committed: small, and without what differs by machine.

Measured figures stay. Times of day, paths, host names, random ids, widgets and what progress bars leave behind go.
"""

from __future__ import annotations

import base64
import copy
import io
import re
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ci.badges import anonymous
from ci.contents import ADDED, cells_of, code_hash
from ci.exercises import all_code, printed, tried, with_results
from ci.project import Project
from utils.errors import CourseError
from utils.exercises.verdicts import RIGHT

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from PIL.Image import Image

MOST_BYTES = 400_000  # of a notebook: GitHub stops showing larger ones before long
COURSE, EXECUTED = "course", "executed"  # metadata["course"]["executed"] is the hash of the code that was executed
WIDGET = "application/vnd.jupyter.widget-view+json"
RUN_OF_DEFAULTS = "course"  # the default of `run_name` in every notebook
# Notes of the front end and of papermill in the metadata of a cell, mostly times.
NOTES = ("execution", "papermill", "ExecuteTime", "collapsed", "scrolled")
COLOURS, NOTICEABLE, SHARE_NOTICEABLE = 256, 24, 0.001

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRESS_BAR = re.compile(r"^[^\n]*\d+%\|[^|\n]*\|[^\n]*\[\d+:\d\d[^\n]*\n?", re.MULTILINE)
ADDRESS = re.compile(r"\b0x[0-9a-f]{8,}\b")
RANDOM_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TEMPORARY_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{5}\b|(?<=localhost:)\d{5}\b")
TIME_OF_DAY = r"(?:[ T]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"


@dataclass(frozen=True)
class Traces:
    """What a run on this machine leaves in texts and no reader needs: where, when, and under which name it ran.

    `days` are dates such as 2026-11-26. Texts then read as if the run had had the notebooks' default name.
    """

    root: Path
    home: Path
    temporary: Path
    host: str
    run_name: str
    days: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, project: Project, run_name: str, executed: NotebookNode) -> Traces:
        """The traces of a run on this machine; `executed` says when it was."""
        noted = executed.metadata.get("papermill", {})
        moments = [datetime.fromisoformat(noted[name]) for name in ("start_time", "end_time") if noted.get(name)]
        days = {f"{moment.astimezone(zone):%Y-%m-%d}" for moment in moments for zone in (UTC, None)}
        temporary = Path(tempfile.gettempdir())
        return cls(project.root, Path.home(), temporary, socket.gethostname(), run_name, frozenset(days))

    def removed_from(self, text: str) -> str:
        """The text without them."""
        for pattern, replacement in self._patterns():
            text = re.sub(pattern, replacement, text)
        return text

    def _patterns(self) -> Iterator[tuple[str, str]]:
        root, home, temporary = (re.escape(path.as_posix()) for path in (self.root, self.home, self.temporary))
        yield rf"(?:file://)?{root}/", ""
        yield rf"{root}(?![\w-])", "."
        yield rf"{temporary}(?:/tmp\w{{8}})?(?![\w-])", "tmp"
        if self.home != Path(self.home.anchor):
            yield rf"{home}(?![\w-])", "~"
        # A host that is called by a plain word cannot be told from that word.
        if re.search(r"[\d.-]", self.host):
            yield rf"\b{re.escape(self.host)}\b", "localhost"
        if self.days:
            yield rf"\b(?:{'|'.join(sorted(self.days))}){TIME_OF_DAY}", "…"
        name = rf"{re.escape(self.run_name)}(?![A-Za-z0-9_])"
        yield rf"(?:(?<=\bruns/)|(?<=--name )|(?<=\b[Ss]tudy )){name}", RUN_OF_DEFAULTS


def with_outputs(notebook: NotebookNode, executed: NotebookNode, traces: Traces) -> NotebookNode:
    """The notebook with the outputs of its execution, cleaned, and the hash of the code that made them.

    Raises:
        CourseError: other code was executed, or not all of it from top to bottom.
    """
    result = copy.deepcopy(notebook)
    cells = [cell for cell in result.cells if cell.cell_type == "code"]
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    done = [cell for cell in code if not ADDED & set(cell.metadata.get("tags", ()))]
    _check_execution(cells, done)
    for number, (cell, source) in enumerate(zip(cells, done, strict=True), 1):
        cell.execution_count = number
        cell.outputs = cleaned(source.outputs, number, traces)
    for cell in result.cells:
        for note in NOTES:
            cell.metadata.pop(note, None)
    for name in ("widgets", "papermill"):
        result.metadata.pop(name, None)
    result.metadata[COURSE] = {EXECUTED: code_hash(all_code(cells_of(result.cells)))}
    with_results(result, results_of(executed, traces))
    return result


def results_of(executed: NotebookNode, traces: Traces) -> dict[str, str]:
    """What came out of the solutions that were tried, by the names of the exercises.

    It is what the solution printed; else its answer; else, for a function, which has no text, what the check said.
    """
    results = {}
    for name, solution, check in tried(executed):
        answers = [output["data"].get("text/plain", "") for output in solution.outputs if "data" in output]
        answer = next((text for text in answers if not text.startswith("<")), "")
        said = printed(solution) or answer or printed(check).removeprefix(RIGHT).lstrip()
        results[name] = _clean_text(said, traces)
    return results


def cleaned(outputs: list[NotebookNode], number: int, traces: Traces) -> list[NotebookNode]:
    """The outputs of the code cell that ran as `number`, as they are committed."""
    found = []
    for output in _joined([output for output in outputs if _is_static(output)]):
        if output.output_type == "stream":
            output.text = _clean_text(output.text, traces)
            if not output.text.strip():
                continue
        elif output.output_type in {"display_data", "execute_result"}:
            _clean_bundle(output, traces)
            if output.output_type == "execute_result":
                output.execution_count = number
        found.append(output)
    return found


def as_seen(text: str) -> str:
    """A text as a terminal shows it in the end: overwritten lines once, no colours, no progress bars."""
    lines = (_overwritten(line) for line in ESCAPE.sub("", text).split("\n"))
    return PROGRESS_BAR.sub("", "\n".join(lines))


def compact_png(png: bytes) -> bytes:
    """The picture with a palette, where that changes next to nothing that one sees, and without notes inside."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as opened:
        drawn = opened.convert("RGBA")
    flat = Image.new("RGB", drawn.size, "white")
    flat.paste(drawn, mask=drawn.getchannel("A"))
    reduced = flat.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    chosen = reduced if _share_changed(flat, reduced) <= SHARE_NOTICEABLE else flat
    buffer = io.BytesIO()
    chosen.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def largest_outputs(notebook: NotebookNode, count: int = 3) -> list[tuple[int, int]]:
    """The cells with the largest outputs: (number of the cell, from 1, and characters of its outputs)."""
    sizes = [(number, len(str(cell.get("outputs", "")))) for number, cell in enumerate(notebook.cells, 1)]
    return sorted(sizes, key=lambda size: -size[1])[:count]


def _check_execution(cells: list[NotebookNode], done: list[NotebookNode]) -> None:
    for number, (cell, source) in enumerate(zip(cells, done, strict=False), 1):
        if anonymous(cell.source) != anonymous(source.source):
            raise CourseError(f"Its code cell {number} is not the one that was executed.")
    if len(cells) != len(done):
        raise CourseError(f"It has {len(cells)} code cells, and {len(done)} were executed.")
    counts = [cell.execution_count for cell in done]
    if None in counts or counts != sorted(set(counts)):
        raise CourseError("Not all of its cells were executed from top to bottom.")


def _is_static(output: NotebookNode) -> bool:
    """False for a widget without any other form: outside a running notebook there is nothing to see of it."""
    kinds = set(output.get("data", {}))
    return WIDGET not in kinds or bool(kinds - {WIDGET, "text/plain"})


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Copies of the outputs. Streams come in pieces that depend on timing; neighbours become one."""
    found: list[NotebookNode] = []
    for output in copy.deepcopy(outputs):
        if found and output.output_type == found[-1].output_type == "stream" and output.name == found[-1].name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def _clean_bundle(output: NotebookNode, traces: Traces) -> None:
    """Clean every form in which an output is stored, in place."""
    output.data.pop(WIDGET, None)
    for kind, value in output.data.items():
        if kind == "image/png":
            output.data[kind] = base64.b64encode(compact_png(base64.b64decode(value))).decode() + "\n"
        elif kind.startswith("text/"):
            output.data[kind] = _clean_text(value, traces)
    output.metadata = {kind: value for kind, value in output.metadata.items() if kind in output.data}


def _clean_text(text: str, traces: Traces) -> str:
    """A text without traces; addresses of objects lose their digits, random ids are numbered as they come."""
    numbers: dict[str, int] = {}
    text = ADDRESS.sub("0x…", TEMPORARY_PORT.sub("PORT", traces.removed_from(as_seen(text))))
    return RANDOM_ID.sub(lambda match: f"id-{numbers.setdefault(match[0], len(numbers) + 1)}", text)


def _overwritten(line: str) -> str:
    shown = ""
    for part in line.split("\r"):
        shown = part + shown[len(part) :]
    return shown


def _share_changed(left: Image, right: Image) -> float:
    """The share of pixels that differ noticeably in at least one of red, green and blue."""
    from PIL import ImageChops

    red, green, blue = ImageChops.difference(left, right.convert("RGB")).split()
    counts = ImageChops.lighter(ImageChops.lighter(red, green), blue).histogram()
    return sum(counts[NOTICEABLE + 1 :]) / sum(counts)
