"""Any source to rows: a file, a folder of files, a dataset of the Hub, or a pandas frame.

read_data("tickets.csv")             JSON Lines, JSON, CSV, TSV or Parquet, by the name's ending
read_data("my_folder")               train, validation and test recognised by name, else all files together
read_data("owner/name")              through `datasets.load_dataset`; code of the dataset is never run
read_data(frame)
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.data import Reject
from utils.errors import CourseError
from utils.records import Row, check_column_names, parse_csv, parse_json, parse_json_lines, read_text
from utils.stages import shown

if TYPE_CHECKING:
    import pandas

ALL = "all"
# As the Hub names splits; a part of a file's name counts if it stands between dots, dashes or underscores.
SPLIT_WORDS = {
    "train": {"train", "training"},
    "validation": {"validation", "valid", "val", "dev"},
    "test": {"test", "testing", "eval", "evaluation"},
}
FileContent = tuple[list[Row], list[Reject], list[str]]
"""Rows, rejects, and notes about how the file was read."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass
class RawData:
    """Rows as they were read, by split: train, validation and test, or `ALL` where nothing says which is which."""

    name: str
    splits: dict[str, list[Row]]
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The names of all columns, in the order in which they first occur."""
        return list(dict.fromkeys(name for rows in self.splits.values() for row in rows for name in row.values))


def read_data(
    data: str | Path | pandas.DataFrame, *, encoding: str = "utf-8", hub_config: str | None = None
) -> RawData:
    """Read rows from a file, a folder, the Hub or a frame.

    `encoding` holds for text files without a byte order mark; `hub_config` is the configuration of a Hub dataset.

    Raises:
        CourseError: there is no such source, or nothing in it can be read. Single faulty rows are rejects instead.
    """
    if not isinstance(data, str | Path):
        return _read_frame(data)
    path = Path(data).expanduser()
    try:
        if path.is_dir():
            return _read_folder(path, encoding)
        if path.is_file():
            rows, rejects, notes = _read_file(path, encoding)
            return RawData(path.name, {ALL: rows}, rejects, notes)
        if path.exists():
            raise CourseError(f"{shown(path)} is no regular file.")
    except OSError as error:
        place = shown(Path(error.filename)) if error.filename else shown(path)
        raise CourseError(f"{place} cannot be read: {error.strerror or error}.") from None
    if HUB_ID.fullmatch(str(data)) and path.suffix.lower() not in READERS:
        return _read_hub(str(data), hub_config)
    raise CourseError(_nothing_there(path))


def _read_json_lines(path: Path, encoding: str) -> FileContent:
    text = read_text(path, encoding)
    rows, rejects = parse_json_lines(text, path)
    if not rows:  # a list over several lines, under the wrong ending?
        with contextlib.suppress(CourseError):
            return (*parse_json(text, path), [f"{path.name} is one JSON text, and was read as that."])
    return rows, rejects, []


def _read_json(path: Path, encoding: str) -> FileContent:
    text = read_text(path, encoding)
    try:
        return (*parse_json(text, path), [])
    except CourseError:
        rows, rejects = parse_json_lines(text, path)
        if len(rows) <= max(1, len(rejects)):
            raise
        return rows, rejects, [f"{path.name} is JSON Lines, one object a line, and was read as that."]


def _read_delimited(path: Path, encoding: str) -> FileContent:
    tab = "\t" if path.suffix.lower() in {".tsv", ".tab"} else None
    return (*parse_csv(read_text(path, encoding), path, tab), [])


def _read_parquet(path: Path, _: str) -> FileContent:
    import pyarrow
    from pyarrow import parquet

    if path.stat().st_size == 0:
        raise CourseError(f"{shown(path)} is empty.")
    try:
        table = parquet.ParquetFile(path).read()
        check_column_names(table.column_names, shown(path))
        values = table.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        cause = str(error).splitlines()[0].rstrip(".")
        raise CourseError(
            f"{shown(path)} is no complete Parquet file: it may be cut off, or of another kind. ({cause}.)"
        ) from None
    return [Row(path.name, number, row) for number, row in enumerate(values, start=1)], [], []


READERS: dict[str, Callable[[Path, str], FileContent]] = {
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".tab": _read_delimited,
    ".parquet": _read_parquet,
}


def _read_file(path: Path, encoding: str) -> FileContent:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise CourseError(
            f"{shown(path)}: files that end in {path.suffix or 'nothing'} are not read. Known endings are "
            f"{', '.join(READERS)}; rename the file if it is one of these."
        )
    rows, rejects, notes = reader(path, encoding)
    if not rows:
        first = f" The first fault: {rejects[0]}" if rejects else ""
        raise CourseError(f"{shown(path)} holds no row that can be used.{first}")
    return rows, rejects, notes


def _read_folder(folder: Path, encoding: str) -> RawData:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder)))
    files = [path for path in paths if path.suffix.lower() in READERS]
    if not files:
        raise CourseError(f"The folder {shown(folder)} holds no data file. Known endings are {', '.join(READERS)}.")
    raw = RawData(folder.name, {})
    by_split: dict[str, list[Path]] = {}
    for path in files:
        by_split.setdefault(split_of(path.relative_to(folder)), []).append(path)
    if len(by_split) > 1 and (unnamed := by_split.pop(ALL, [])):
        if "train" in by_split:
            names = ", ".join(path.relative_to(folder).as_posix() for path in unnamed)
            raw.notes.append(f"Not read, because their names tell no split: {names}.")
        else:
            by_split["train"] = unnamed
    for split, members in by_split.items():
        for path in members:
            name = path.relative_to(folder).as_posix()
            rows, rejects, notes = _read_file(path, encoding)
            raw.splits.setdefault(split, []).extend(Row(name, row.line, row.values) for row in rows)
            raw.rejects += [Reject(name, fault.line, fault.reason, fault.text) for fault in rejects]
            raw.notes += notes
    return raw


def split_of(path: Path) -> str:
    """The split that a file's name or one of its folders tells, or `ALL`."""
    for part in reversed(path.with_suffix("").parts):
        words = set(re.split(r"[^a-z]+", part.lower()))
        for split, known in SPLIT_WORDS.items():
            if words & known:
                return split
    return ALL


def _read_hub(name: str, config: str | None) -> RawData:
    import datasets

    try:
        loaded = datasets.load_dataset(name, config)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        cause = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise CourseError(
            f"There is no file {name}, and the dataset could not be loaded from the Hub. Check the spelling and the "
            f"network, and for a gated dataset that you accepted its terms and set HF_TOKEN. The cause: {cause}."
        ) from None
    parts = loaded if isinstance(loaded, dict) else {ALL: loaded}
    raw = RawData(name, {})
    for split, dataset in parts.items():
        rows = [Row(f"{name}/{split}", n, values) for n, values in enumerate(_with_label_names(dataset), start=1)]
        raw.splits.setdefault(split_of(Path(split)) if len(parts) > 1 else ALL, []).extend(rows)
    if len(parts) > 1 and (unnamed := raw.splits.pop(ALL, [])):
        raw.notes.append(f"{len(unnamed)} rows of splits that are neither train, validation nor test were not read.")
    if not any(raw.splits.values()):
        raise CourseError(f"The dataset {name} has no rows.")
    return raw


def _with_label_names(dataset: Any) -> Iterable[dict[str, object]]:
    """The rows of a `datasets.Dataset`, class labels by name instead of by number."""
    names = {column: feature.names for column, feature in dataset.features.items() if hasattr(feature, "int2str")}
    for row in dataset:
        for column, known in names.items():
            number = row[column]
            row[column] = known[number] if isinstance(number, int) and 0 <= number < len(known) else None
        yield row


def _read_frame(frame: pandas.DataFrame) -> RawData:
    if not hasattr(frame, "to_dict") or not hasattr(frame, "columns"):
        raise CourseError(
            f"The data is a {type(frame).__name__}: pass a file, a folder, a Hub id or a pandas DataFrame."
        )
    columns = [str(column) for column in frame.columns]
    check_column_names(columns, "The data frame")
    if not len(frame):
        raise CourseError("The data frame has no rows.")
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    rows = [
        Row("data frame", number, dict(zip(columns, record.values(), strict=True)))
        for number, record in enumerate(records, start=1)
    ]
    return RawData("data frame", {ALL: rows})


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _nothing_there(path: Path) -> str:
    message = f"There is no file or folder {shown(path)}."
    parent = path.parent
    if parent.is_dir():
        near = get_close_matches(path.name, [other.name for other in parent.iterdir()], n=1)
        message += f" Did you mean {near[0]}?" if near else ""
    return message + " A dataset of the Hub is named OWNER/NAME."
