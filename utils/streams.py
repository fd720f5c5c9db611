"""Files that are too large for the memory, read block by block: the same rows and rejects as `utils.reading` gives.

JSON Lines, CSV and Parquet can be read so, and datasets of the Hub. A JSON text cannot: its list ends where it ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from utils.data import Reject
from utils.errors import CourseError
from utils.reading import HUB_ID, READERS
from utils.records import (
    PROBED_CHARACTERS,
    UTF_16_MARKS,
    Row,
    parse_csv,
    parse_json_lines,
    refuse_binary,
    refuse_other_kinds,
    sniff_delimiter,
)
from utils.stages import shown

ROWS_OF_A_BLOCK = 10_000
MOST_LINES_OF_A_RECORD = 1_000  # a quote that is open for longer was never meant to be one
Block = tuple[list[Row], list[Reject]]


def read_blocks(data: str | Path, *, encoding: str = "utf-8", hub_config: str | None = None) -> Iterator[Block]:
    """The rows of a file, of the files in a folder, or of a Hub dataset's training split, some thousands at a time.

    Raises:
        CourseError: there is no such source, or it is of a kind that cannot be read in parts.
    """
    path = Path(data).expanduser()
    if not path.exists() and HUB_ID.fullmatch(str(data)):
        yield from _hub_blocks(str(data), hub_config)
        return
    for file in files_of(path):
        try:
            yield from STREAMS[file.suffix.lower()](file, encoding)
        except UnicodeError:
            raise CourseError(f"{shown(file)} is not text in {encoding}. Save it as UTF-8.") from None


def files_of(path: Path) -> list[Path]:
    """The files that can be read in parts: `path` itself, or those in a folder, in the order of their names.

    Raises:
        CourseError: there is none.
    """
    known = ", ".join(STREAMS)
    found = readable_files(path)
    if found:
        return found
    if path.is_dir():
        raise CourseError(f"The folder {shown(path)} holds no file that can be read in parts ({known}).")
    if not path.is_file():
        raise CourseError(f"There is no file or folder {shown(path)}.")
    advice = "Save it as JSON Lines, one object a line." if path.suffix.lower() in READERS else ""
    raise CourseError(f"{shown(path)} cannot be read in parts; files that end in {known} can. {advice}".rstrip())


def readable_files(path: Path) -> list[Path]:
    """Like `files_of`; empty if there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sorted(file for file in files if file.is_file() and file.suffix.lower() in STREAMS)


def _json_lines(path: Path, encoding: str) -> Iterator[Block]:
    with _opened(path, encoding) as file:
        for before, lines in _chunks(file):
            rows, rejects = parse_json_lines("".join(lines), path)
            yield _moved(rows, before), _moved(rejects, before)


def _delimited(path: Path, encoding: str) -> Iterator[Block]:
    """Each part is read as a small file of its own, under the header of the large one."""
    with _opened(path, encoding) as file:
        first = list(itertools.islice(file, MOST_LINES_OF_A_RECORD))
        if not first:
            raise CourseError(f"{shown(path)} is empty.")
        delimiter = "\t" if path.suffix.lower() in {".tsv", ".tab"} else sniff_delimiter(first)
        lines = itertools.chain(first, file)
        header = next(lines)
        for before, part in _chunks(lines, first_line=1):
            part += _rest_of_record(part, lines)
            if not any(map(str.strip, part)):
                continue
            rows, rejects = parse_csv(header + "".join(part), path, delimiter)
            yield _moved(rows, before - 1), _moved(rejects, before - 1)


def _parquet(path: Path, _: str) -> Iterator[Block]:
    import pyarrow
    from pyarrow import parquet

    try:
        number = itertools.count(1)
        for batch in parquet.ParquetFile(path).iter_batches(ROWS_OF_A_BLOCK):
            yield [Row(path.name, next(number), values) for values in batch.to_pylist()], []
    except (pyarrow.ArrowException, OSError) as error:
        cause = str(error).splitlines()[0].rstrip(".")
        raise CourseError(f"{shown(path)} is no complete Parquet file. ({cause}.)") from None


STREAMS = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _delimited,
    ".tsv": _delimited,
    ".tab": _delimited,
    ".parquet": _parquet,
}


def _hub_blocks(name: str, config: str | None) -> Iterator[Block]:
    import datasets

    try:
        stream = datasets.load_dataset(name, config, split="train", streaming=True)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise CourseError(f"There is no file {name}, and the Hub's dataset could not be opened: {error}.") from None
    rows = (Row(name, number, values) for number, values in enumerate(stream, start=1))
    while block := list(itertools.islice(rows, ROWS_OF_A_BLOCK)):
        yield block, []


def _opened(path: Path, encoding: str) -> IO[str]:
    """A text file; bytes that are not UTF-8 come as lone surrogates, which mark the rows they are in.

    Raises:
        CourseError: the file does not begin like a text, or there is no such encoding.
    """
    with path.open("rb") as file:
        head = file.read(PROBED_CHARACTERS)
    refuse_other_kinds(head, path)
    encoding = "utf-16" if head.startswith(UTF_16_MARKS) else encoding
    is_utf8 = encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}
    try:
        refuse_binary(head.decode(encoding, errors="replace"), path)
        return open(
            path,
            encoding="utf-8-sig" if is_utf8 else encoding,
            errors="surrogateescape" if is_utf8 else "strict",
            newline="",
        )
    except LookupError:
        raise CourseError(f"There is no encoding {encoding!r}; usual ones are utf-8, cp1252 and utf-16.") from None


def _chunks(lines: Iterable[str], first_line: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Lines by the thousand, with the number of lines before them."""
    lines, before = iter(lines), first_line
    while part := list(itertools.islice(lines, ROWS_OF_A_BLOCK)):
        count = len(part)
        yield before, part  # which the reader of CSV may have made longer
        before += max(count, len(part))


def _rest_of_record(part: list[str], lines: Iterator[str]) -> list[str]:
    """The lines that a quoted field goes on in, if the part ends inside one."""
    rest: list[str] = []
    is_open = sum(line.count('"') for line in part) % 2 == 1
    while is_open and len(rest) < MOST_LINES_OF_A_RECORD:
        line = next(lines, None)
        if line is None:
            break
        rest.append(line)
        is_open ^= line.count('"') % 2 == 1
    return rest


def _moved(found: list[Any], lines: int) -> list[Any]:
    """Rows or rejects with the line numbers of the whole file."""
    return [replace(one, line=one.line + lines) for one in found]
