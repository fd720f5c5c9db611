"""The outputs that are committed: whole, without errors, made by the code above them, and free of this machine."""

from __future__ import annotations

from collections.abc import Iterator

from ci.contents import ADDED, Contents, code_hash
from ci.exercises import all_code
from ci.gates.structure import ABSOLUTE_PATH
from ci.outputs import COURSE, EXECUTED, MOST_BYTES, WIDGET


def counts(page: Contents) -> list[str]:
    """Executed once, from top to bottom: the counts are 1, 2, 3 …, and those of results agree."""
    found = [cell.execution_count for cell in page.code]
    if found != list(range(1, len(found) + 1)):
        return [f"The execution counts are {', '.join(map(str, found))}, not 1 to {len(found)}."]
    return [
        f"Cell {cell.number} shows a result of execution {output['execution_count']}, not {cell.execution_count}."
        for cell in page.code
        for output in cell.outputs
        if output["output_type"] == "execute_result" and output["execution_count"] != cell.execution_count
    ]


def errors(page: Contents) -> list[str]:
    """No cell failed, and none wrote to its error stream, where warnings go."""
    faults = []
    for cell in page.code:
        for output in cell.outputs:
            if output["output_type"] == "error":
                faults.append(f"Cell {cell.number} failed: {output['ename']}: {output['evalue']}")
            elif output.get("name") == "stderr":
                faults.append(f"Cell {cell.number} writes to the error stream: {_text(output['text'])[:200].strip()}")
    return faults


def code_is_executed(page: Contents) -> list[str]:
    """The outputs are those of this code, not of an earlier one."""
    executed = dict(page.metadata.get(COURSE) or {}).get(EXECUTED)
    if executed == code_hash(all_code(page.cells)):
        return []
    return [f"Its code was changed since it was executed: python3 ci/course.py refresh --only {page.path.name[:2]}"]


def clean(page: Contents) -> list[str]:
    """No absolute path, widget state, overwritten line or note of papermill is left."""
    faults = [
        f"Its metadata holds {name}, which refresh removes."
        for name in ("widgets", "papermill")
        if name in page.metadata
    ]
    for cell in page.code:
        where = f"Cell {cell.number}"
        if ADDED & set(cell.tags):
            faults.append(f"{where} was added to be run; a notebook shows its own parameters and exercises.")
        for kind, text in _texts(cell.outputs):
            faults += [f"{where} shows the absolute path {match[0]}." for match in ABSOLUTE_PATH.finditer(text)]
            if "\r" in text:
                faults.append(f"{where} shows a line that was overwritten, as progress bars do.")
            if kind == WIDGET:
                faults.append(f"{where} shows a widget, of which nothing is seen outside a running notebook.")
    return faults


def size(page: Contents) -> list[str]:
    """The file is small enough for GitHub to show it."""
    found = page.path.stat().st_size
    return [f"It has {found / 1000:.0f} kB, and may have {MOST_BYTES / 1000:.0f}."] if found > MOST_BYTES else []


def _texts(outputs: tuple[dict, ...]) -> Iterator[tuple[str, str]]:
    """(kind, text) of every form of every output but pictures."""
    for output in outputs:
        if "text" in output:
            yield "text/plain", _text(output["text"])
        for kind, value in output.get("data", {}).items():
            if not kind.startswith("image/"):
                yield kind, _text(value)


def _text(value: object) -> str:
    return "".join(value) if isinstance(value, list) else str(value)
