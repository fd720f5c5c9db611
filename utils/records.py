"""Text files to rows: JSON Lines, JSON and CSV, each row with the line that it begins on.

A row that cannot be read becomes a `Reject` with its line and the reason; the others are used. A file of which nothing
can be read raises a `CourseError`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.data import Reject
from utils.errors import CourseError
from utils.stages import shown

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
NO_DELIMITER = "\x1f"
SNIFFED_RECORDS = 20
MAX_BROKEN_RECORDS = 1000
MAX_FIELD_CHARACTERS = 2**31 - 1
MAX_CONTROL_SHARE = 0.02
PROBED_CHARACTERS = 65_536
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")

# What a file begins with that is no text, whatever its name says.
SIGNATURES = {
    b"\x1f\x8b": "is compressed with gzip. Unpack it first (gunzip FILE)",
    b"PK\x03\x04": "is a zip archive or an Excel workbook. Unpack it, or save the sheet as CSV in UTF-8",
    b"BZh": "is compressed with bzip2. Unpack it first",
    b"\xfd7zXZ": "is compressed with xz. Unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd. Unpack it first",
    b"PAR1": "is a Parquet file. Give it a name that ends in .parquet",
    b"ARROW1": "is an Arrow file. Save it as Parquet",
    b"SQLite format 3": "is a SQLite database. Export the table as CSV, or pass the file as `database`",
    b"%PDF": "is a PDF file. Save its text as CSV or JSON Lines",
}


@dataclass(frozen=True)
class Row:
    """One record: its file, the line it begins on (in files without lines its number, from 1), and its values."""

    file: str
    line: int
    values: dict[str, object]


Records = tuple[list[Row], list[Reject]]


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a file. Bytes that are not UTF-8 come back as lone surrogates, which mark the rows they are in.

    A byte order mark is honoured and removed.

    Raises:
        CourseError: the file is empty or no text, or is not in the encoding that was asked for.
    """
    raw = path.read_bytes()
    refuse_other_kinds(raw, path)
    text = _decode(raw, "utf-16" if raw.startswith(UTF_16_MARKS) else encoding, path)
    if not text.strip():
        raise CourseError(f"{shown(path)} is empty.")
    refuse_binary(text[:PROBED_CHARACTERS], path)
    return text


def refuse_other_kinds(head: bytes, path: Path) -> None:
    """Raises CourseError if a file begins like an archive, a database or anything else that is no text."""
    for signature, what in SIGNATURES.items():
        if head.startswith(signature):
            raise CourseError(f"{shown(path)} {what}.")


def refuse_binary(text: str, path: Path) -> None:
    """Raises CourseError if the beginning of a file, read as text, holds what texts do not."""
    zeros = text.count("\0")
    if zeros > 0.3 * len(text):
        raise CourseError(
            f"{shown(path)} is full of zero bytes, as UTF-16 without a byte order mark is. Save it as UTF-8, or pass "
            "encoding = 'utf-16-le'."
        )
    control = sum(ord(character) < 32 and character not in "\t\n\r\f" for character in text)
    if control > MAX_CONTROL_SHARE * len(text):
        raise CourseError(f"{shown(path)} is not a text file, whatever its name says.")


def parse_json_lines(text: str, path: Path) -> Records:
    """One JSON object a line. Blank lines are skipped."""
    rows, rejects = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(Row(path.name, number, _object(line)))
        except ValueError as error:
            rejects.append(reject(path.name, number, str(error), line.rstrip("\r")))
    return rows, rejects


def parse_json(text: str, path: Path) -> Records:
    """A JSON list of objects, or an object that holds one such list.

    Raises:
        CourseError: the text is not JSON, or holds no such list.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise CourseError(_where_not_json(error, path)) from None
    except (RecursionError, ValueError) as error:
        raise CourseError(f"{shown(path)} is not usable JSON: {_json_fault(error)}.") from None
    begin = _list_begin(text, value, path)
    rows, rejects = [], []
    for line, position, end, item in _list_items(text, begin):
        if isinstance(item, dict):
            rows.append(Row(path.name, line, item))
        else:
            reason = f"The list holds {kind_of(item)} here, where an object with named fields is expected."
            rejects.append(reject(path.name, line, reason, text[position:end]))
    return rows, rejects


def parse_csv(text: str, path: Path, delimiter: str | None = None) -> Records:
    """Records under a header line. The delimiter is found out unless it is given; quoted fields may hold newlines.

    A record with a quoting fault, or with more or fewer fields than the header, is rejected, and reading goes on at the
    next line.

    Raises:
        CourseError: the header is faulty, or hardly a record can be read.
    """
    lines = list(io.StringIO(text, newline=""))
    delimiter = delimiter or sniff_delimiter(lines)
    rows, rejects, header = [], [], None
    previous_limit = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        for begin, end, fields, fault in _records(lines, delimiter):
            if header is None and fault is None:
                header = _header(fields, begin, path) if any(map(str.strip, fields)) else None
                continue
            if header is None:
                raise CourseError(f"{shown(path)}, line {begin}: the header cannot be read. {fault}")
            fault = fault or _width_fault(fields, header, delimiter) or text_fault("".join(fields))
            if fault:
                rejects.append(reject(path.name, begin, fault, "".join(lines[begin - 1 : end]).rstrip("\r\n")))
            elif any(fields):
                rows.append(Row(path.name, begin, dict(zip(header, fields, strict=False))))
            if len(rejects) > MAX_BROKEN_RECORDS > len(rows):
                raise CourseError(
                    f"{shown(path)}: over {MAX_BROKEN_RECORDS:,} records are broken. The first: {rejects[0]}"
                )
    finally:
        csv.field_size_limit(previous_limit)
    if not rows and not rejects:
        raise CourseError(f"{shown(path)} has a header line and nothing below it.")
    return rows, rejects


def sniff_delimiter(lines: Sequence[str]) -> str:
    """The delimiter with which the first records agree best with the header, the one that gives most columns.

    A file of one column has none: then a character that no text contains.
    """
    best, best_score = NO_DELIMITER, (0.0, 1)
    for delimiter in DELIMITERS:
        records = [fields for _, _, fields, fault in _records(lines[:1000], delimiter, SNIFFED_RECORDS) if not fault]
        records = [fields for fields in records if any(fields)]
        if records and len(records[0]) > 1:
            agreement = sum(len(fields) == len(records[0]) for fields in records) / len(records)
            best, best_score = max((best, best_score), (delimiter, (agreement, len(records[0]))), key=lambda c: c[1])
    return best


def reject(file: str, line: int, reason: str, text: str) -> Reject:
    """A `Reject` whose text can be written as UTF-8: bytes that are not are shown as Latin-1 would have them."""
    shown_text = re.sub("[\udc80-\udcff]", lambda found: chr(ord(found[0]) - 0xDC00), text)
    return Reject(file, line, reason, shown_text.encode("utf-8", errors="replace").decode("utf-8"))


def text_fault(text: str) -> str | None:
    """Why a text is not quite text, or None: a byte that is not UTF-8, half a character, a zero byte."""
    found = re.search("[\ud800-\udfff]", text)
    if found and "\udc80" <= found[0] <= "\udcff":  # "surrogateescape" keeps the byte 0xNN as U+DCNN
        return (
            f"The byte 0x{ord(found[0]) - 0xDC00:02X} is not UTF-8. Save the file as UTF-8; if all of it is in another "
            "encoding, pass it (encoding = 'cp1252' for files from spreadsheets)."
        )
    if found:
        return f"It holds half a character (U+{ord(found[0]):04X})."
    return "It holds a zero byte." if "\0" in text else None


def kind_of(value: object) -> str:
    """What a value is, in words: "a list", "a number" …"""
    words = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else words.get(type(value), f"a value of the type {type(value).__name__}")


def _decode(raw: bytes, encoding: str, path: Path) -> str:
    is_utf8 = encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}
    try:
        if is_utf8:
            return raw.decode("utf-8-sig", errors="surrogateescape")
        return raw.decode(encoding)
    except LookupError:
        raise CourseError(f"There is no encoding {encoding!r}; usual ones are utf-8, cp1252 and utf-16.") from None
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = raw[:start].decode(encoding, errors="ignore").count("\n") + 1
        raise CourseError(
            f"{shown(path)}, line {line}: the file is not text in {encoding}. Save it as UTF-8."
        ) from None


def _object(line: str) -> dict[str, object]:
    """The object on a line. Raises ValueError with the reason as its message."""
    fault = text_fault(line)
    if fault:
        raise ValueError(fault)
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"The line is not JSON: {error.msg} at character {error.pos + 1}.") from None
    except (RecursionError, ValueError) as error:
        raise ValueError(f"The line is not usable JSON: {_json_fault(error)}.") from None
    if not isinstance(value, dict):
        raise ValueError(f"The line is {kind_of(value)}, not an object with named fields.")
    return value


def _json_fault(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else "a number in it has too many digits"


def _where_not_json(error: json.JSONDecodeError, path: Path) -> str:
    message = f"{shown(path)}, line {error.lineno}, column {error.colno}: this is not JSON. {error.msg}."
    if error.doc[error.pos : error.pos + 1] in ("]", "}") and error.doc[: error.pos].rstrip().endswith(","):
        message += " There may be a comma too many before it."
    return message


def _list_begin(text: str, value: object, path: Path) -> int:
    """Where the list of rows begins in the text, behind its bracket."""
    if isinstance(value, list):
        return text.index("[") + 1
    if not isinstance(value, dict):
        raise CourseError(f"{shown(path)} holds {kind_of(value)}; a list of objects is expected.")
    lists = [key for key, item in value.items() if isinstance(item, list) and any(isinstance(i, dict) for i in item)]
    if len(lists) != 1:
        keys = ", ".join(map(repr, list(value)[:8])) or "(none)"
        raise CourseError(
            f"{shown(path)} holds one object with the keys {keys}. Expected is a list of objects, or one key that "
            f"holds such a list; there are {len(lists)}."
        )
    decoder, position = json.JSONDecoder(), text.index("{") + 1
    while True:
        key, position = decoder.raw_decode(text, _skip(text, position))
        position = _skip(text, position)
        if key == lists[0] and text[position] == "[":
            return position + 1
        _, position = decoder.raw_decode(text, position)


def _list_items(text: str, position: int) -> Iterator[tuple[int, int, int, object]]:
    """(line, begin, end, value) of each item of a list in valid JSON, from behind its bracket on."""
    decoder, line, counted = json.JSONDecoder(), 1, 0
    while text[position := _skip(text, position)] != "]":
        value, end = decoder.raw_decode(text, position)
        line, counted = line + text.count("\n", counted, position), position
        yield line, position, end, value
        position = end


def _skip(text: str, position: int) -> int:
    """The next position that holds neither white space nor a comma or colon."""
    while text[position] in " \t\r\n,:":
        position += 1
    return position


def _records(
    lines: Sequence[str], delimiter: str, limit: int | None = None
) -> Iterator[tuple[int, int, list[str], str | None]]:
    """(first line, last line, fields, fault) of each record. After a fault, reading goes on with the next line."""
    start, count = 0, 0
    while start < len(lines):
        reader = csv.reader(lines[start:], delimiter=delimiter, strict=True)
        begin = start
        try:
            for fields in reader:
                yield begin + 1, start + reader.line_num, fields, None
                begin, count = start + reader.line_num, count + 1
                if count == limit:
                    return
            return
        except csv.Error as error:
            yield begin + 1, begin + 1, [], _quoting_fault(error)
            start, count = begin + 1, count + 1


def _quoting_fault(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "The quote that opens here is never closed."
    if "expected after" in str(error):
        return 'A quoted field goes on after its closing quote. A quote inside a quoted field is written twice ("").'
    return f"The record cannot be read: {error}."


def _header(fields: list[str], line: int, path: Path) -> list[str]:
    names = [field.strip() or f"column {number}" for number, field in enumerate(fields, start=1)]
    fault = text_fault("".join(names))
    if fault:
        raise CourseError(f"{shown(path)}, line {line}: the header is faulty. {fault}")
    check_column_names(names, f"{shown(path)}, line {line}")
    return names


def check_column_names(names: Sequence[str], where: str) -> None:
    """Raises CourseError if a name occurs twice."""
    for name in names:
        if list(names).count(name) > 1:
            numbers = " and ".join(str(number) for number, other in enumerate(names, start=1) if other == name)
            raise CourseError(f"{where}: the column name {name!r} occurs twice (columns {numbers}). Rename one.")


def _width_fault(fields: list[str], header: list[str], delimiter: str) -> str | None:
    if len(fields) == len(header) or not any(fields) or (len(fields) > len(header) and not any(fields[len(header) :])):
        return None
    fault = f"The record has {len(fields)} field{'s' * (len(fields) != 1)}, the header {len(header)}."
    if len(fields) > len(header):
        fault += f" Put a text with a {DELIMITERS.get(delimiter, 'delimiter')} in it into quotes."
    return fault
