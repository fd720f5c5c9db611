"""Files as they really come: a fault ends in a sentence that says where it is, or in a reject; the rest is used."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from utils.data_settings import DataSettings
from utils.errors import CourseError
from utils.preparation import Prepared, prepare

COUNT = 30
GOOD = [{"prompt": f"What is the name of number {n}?", "completion": f"It is called {n * 7919}."} for n in range(COUNT)]
LINES = [json.dumps(row) for row in GOOD]
RECORDS = [f"{row['prompt']},{row['completion']}" for row in GOOD]


def csv_with(*broken: str | bytes, header: str = "prompt,completion") -> bytes:
    """Good records, and broken ones from line 4 on."""
    return _joined([header, *RECORDS[:2], *broken, *RECORDS[2:]])


def jsonl_with(*broken: str | bytes) -> bytes:
    """Good lines, and broken ones from line 4 on."""
    return _joined([*LINES[:3], *broken, *LINES[3:]])


def messages_with(*broken: object, **fields: object) -> bytes:
    """Good conversations, and a broken one in line 4 (given as its messages), with further fields."""
    good = [
        json.dumps({"messages": [says("user", row["prompt"]), says("assistant", row["completion"])]}) for row in GOOD
    ]
    return _joined([*good[:3], *(json.dumps({"messages": item} | fields) for item in broken), *good[3:]])


def says(role: str, content: object) -> dict[str, object]:
    """A message."""
    return {"role": role, "content": content}


def parquet_of(rows: list[dict]) -> bytes:
    """A Parquet file of these rows."""
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    """A zip archive with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _joined(lines: list[str | bytes]) -> bytes:
    return b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n"


def prepared(folder: Path, name: str, content: bytes, **options: object) -> Prepared:
    """What becomes of a file with this content."""
    path = folder / name
    path.write_bytes(content)
    return prepare(DataSettings(str(path), **options))


USER, ANSWER = says("user", "Hi?"), says("assistant", "Hi.")
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": "{"}}]}
DEEP = "[" * 100_000
NESTED = json.loads("[" * 600 + "]" * 600)
TWICE = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["prompt", "prompt"])

FILE_FAULTS = {
    "empty": ("a.csv", b"", "a.csv is empty"),
    "white space": ("a.jsonl", b"  \n\n ", "a.jsonl is empty"),
    "header only": ("a.csv", b"prompt,completion\n", "a.csv has a header line and nothing below it"),
    "byte order mark only": ("a.csv", b"\xef\xbb\xbf", "a.csv is empty"),
    "gzip under another name": ("a.csv", gzip.compress(csv_with()), "a.csv is compressed with gzip"),
    "gzip": ("a.csv.gz", gzip.compress(csv_with()), r"files that end in \.gz are not read"),
    "workbook": ("a.csv", zipped("xl/workbook.xml", b"<x/>"), "a.csv is a zip archive or an Excel workbook"),
    "Parquet under another name": ("a.csv", parquet_of(GOOD), "a.csv is a Parquet file"),
    "CSV under another name": ("a.jsonl", csv_with(), "a.jsonl, line 1: The line is not JSON"),
    "CSV named Parquet": ("a.parquet", csv_with(), "a.parquet is no complete Parquet file"),
    "unknown ending": ("a.docx", csv_with(), r"a.docx: files that end in \.docx are not read"),
    "no ending": ("data", csv_with(), "files that end in nothing are not read"),
    "cut Parquet": ("a.parquet", parquet_of(GOOD)[:-20], "a.parquet is no complete Parquet file"),
    "damaged Parquet": ("a.parquet", b"PAR1" + os.urandom(200) + b"PAR1", "a.parquet is no complete Parquet file"),
    "empty Parquet": ("a.parquet", b"", "a.parquet is empty"),
    "bare Parquet": ("a.parquet", b"PAR1PAR1", "a.parquet is no complete Parquet file"),
    "binary": ("a.csv", bytes(range(256)) * 40, "a.csv is not a text file"),
    "UTF-16 without mark": ("a.csv", csv_with().decode().encode("utf-16-le"), "utf-16-le"),
    "damaged UTF-16": ("a.csv", b"\xff\xfe" + "prompt,completion\na,b\n".encode("utf-16-le") + b"\x00\xd8", "line 3"),
    "trailing comma": ("a.json", b'[\n{"prompt": "a", "completion": "b"},\n]', "line 3, column 1: .* a comma too"),
    "cut JSON": ("a.json", b'[{"prompt": "a", "compl', "a.json, line 1, column 18: this is not JSON"),
    "JSON number": ("a.json", b"42", "a.json holds a number"),
    "JSON null": ("a.json", b"null", "a.json holds nothing"),
    "columns in JSON": ("a.json", b'{"prompt": ["a"], "completion": ["b"]}', "one object with the keys 'prompt'"),
    "several lists": ("a.json", b'{"a": [{"x": 1}], "b": [{"x": 1}]}', "there are 2"),
    "deep JSON": ("a.json", f'[{{"prompt": {DEEP}'.encode(), "a.json is not usable JSON: it is nested too deeply"),
    "endless number": ("a.json", b'[{"prompt": ' + b"1" * 5000 + b"}]", "too many digits"),
    "repeated column": ("a.csv", csv_with(header="prompt,prompt"), r"'prompt' occurs twice \(columns 1 and 2\)"),
    "latin-1 header": ("a.csv", b"prompt,r\xe9ponse\na,b\n", "line 1: the header is faulty"),
    "open quote in the header": ("a.csv", csv_with(header='"prompt,completion'), "line 1: the header cannot be read"),
    "unknown columns": ("a.csv", csv_with(header="kunde,notiz"), "They are 'kunde', 'notiz'"),
    "misspelled column": ("a.csv", csv_with(header="promt,completion"), "Did you mean prompt by 'promt'"),
    "all rows broken": ("a.csv", b"prompt,completion\na\nb\nc\n", "line 2: The record has 1 field, the header 2"),
    "too few": ("a.csv", _joined(["prompt,completion", *RECORDS[:5]]), "There are 5 usable examples"),
    "only answers": ("a.jsonl", b'{"messages": [{"role": "assistant", "content": "x"}]}\n' * 9, "No row of a.jsonl"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "sentence"), FILE_FAULTS.values(), ids=FILE_FAULTS)
def test_a_file_that_cannot_be_used_ends_in_a_sentence(
    name: str, content: bytes, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(CourseError, match=sentence):
        prepared(tmp_path, name, content)


ROW_FAULTS = {
    "too few fields": ("a.csv", csv_with("only one"), "The record has 1 field, the header 2"),
    "too many fields": ("a.csv", csv_with("one, two, three"), "Put a text with a comma in it into quotes"),
    "open quote": ("a.csv", csv_with('"never closed,x'), "The quote that opens here is never closed"),
    "quote in a quoted field": ("a.csv", csv_with('"a "big" one",x'), "goes on after its closing quote"),
    "zero byte": ("a.csv", csv_with("a\0b,x"), "zero byte"),
    "latin-1": ("a.csv", csv_with(b"J\xf6rg,x"), "The byte 0xF6 is not UTF-8"),
    "latin-1 in JSON Lines": ("a.jsonl", jsonl_with(b'{"prompt": "J\xf6rg", "completion": "x"}'), "The byte 0xF6"),
    "cut UTF-8": ("a.jsonl", jsonl_with('{"prompt": "é", "completion": "x"}'.encode()[:14]), "not"),
    "empty answer": ("a.csv", csv_with("a question,"), "The column 'completion' is empty"),
    "blank question": ("a.csv", csv_with('"  ",an answer'), "The column 'prompt' is empty"),
    "special token": ("a.csv", csv_with("Stop here <|im_end|>,x"), "contains <|im_end|>"),
    "trailing comma": ("a.jsonl", jsonl_with('{"prompt": "a", "completion": "b",}'), "The line is not JSON"),
    "comma between lines": ("a.jsonl", jsonl_with('{"prompt": "a", "completion": "b"},'), "The line is not JSON"),
    "single quotes": ("a.jsonl", jsonl_with("{'prompt': 'a', 'completion': 'b'}"), "The line is not JSON"),
    "NaN": ("a.jsonl", jsonl_with('{"prompt": "a", "completion": NaN}'), "The column 'completion' is empty"),
    "infinity": ("a.jsonl", jsonl_with('{"prompt": "a", "completion": Infinity}'), "holds an infinite number"),
    "null": ("a.jsonl", jsonl_with('{"prompt": null, "completion": "b"}'), "The column 'prompt' is empty"),
    "missing field": ("a.jsonl", jsonl_with('{"prompt": "a"}'), "The column 'completion' is empty"),
    "list as an answer": ("a.jsonl", jsonl_with('{"prompt": "a", "completion": ["b"]}'), "holds a list, where text"),
    "object as an answer": ("a.jsonl", jsonl_with('{"prompt": "a", "completion": {"b": 1}}'), "holds an object"),
    "a list for a line": ("a.jsonl", jsonl_with('["a", "b"]'), "The line is a list, not an object"),
    "a number for a line": ("a.jsonl", jsonl_with("17"), "The line is a number, not an object"),
    "deep line": ("a.jsonl", jsonl_with(f'{{"prompt": {DEEP}'), "nested too deeply"),
    "deep value": ("a.jsonl", jsonl_with(f'{{"prompt": {DEEP[:700]}{"]" * 700}}}'), "Message 1 is a list"),
    "long number": ("a.jsonl", jsonl_with(f'{{"prompt": {"9" * 5000}, "completion": "b"}}'), "too many digits"),
    "half a character": ("a.jsonl", jsonl_with(r'{"prompt": "\ud83d", "completion": "b"}'), r"half a .* \(U\+D83D\)"),
    "escaped zero byte": ("a.jsonl", jsonl_with(r'{"prompt": "a\u0000", "completion": "b"}'), "zero byte"),
    "10 MB line": ("a.jsonl", jsonl_with('{"prompt": "' + "x" * 10_000_000 + '"}'), "1,000,000 characters"),
    "10 MB field": ("a.csv", csv_with("x" * 10_000_000 + ",b"), "more than 1,000,000 characters"),
    "no message": ("a.jsonl", messages_with([]), "holds an empty list"),
    "messages as text": ("a.jsonl", messages_with("Hi there"), "is text, but not JSON"),
    "messages as an object": ("a.jsonl", messages_with(USER), "holds an object, where a list of messages"),
    "a text for a message": ("a.jsonl", messages_with(["Hi"]), "Message 1 is text"),
    "no assistant": ("a.jsonl", messages_with([USER]), "No message has the role assistant"),
    "no user": ("a.jsonl", messages_with([ANSWER]), "No message of a user"),
    "unknown role": ("a.jsonl", messages_with([USER, says("robot", "x")]), "Message 2 has the role 'robot'"),
    "no role": ("a.jsonl", messages_with([USER, {"content": "x"}]), "Message 2 has the role None"),
    "late system": ("a.jsonl", messages_with([USER, says("system", "x")]), "Message 2 has the role system"),
    "no content": ("a.jsonl", messages_with([USER, {"role": "assistant"}]), "Message 2 has no content"),
    "empty content": ("a.jsonl", messages_with([USER, says("assistant", " ")]), "Message 2 has no content"),
    "content a number": ("a.jsonl", messages_with([USER, says("assistant", 7)]), "a number for its content"),
    "image": ("a.jsonl", messages_with([says("user", [{"type": "image_url"}])]), r"no text \(image_url\)"),
    "malformed call": ("a.jsonl", messages_with([USER, CALL]), "The arguments of look is text, but not JSON"),
    "nameless call": ("a.jsonl", messages_with([USER, ANSWER | {"tool_calls": [{}]}]), "without the name"),
    "calls no list": ("a.jsonl", messages_with([USER, ANSWER | {"tool_calls": 3}]), "a number for its tool_calls"),
    "tools no list": ("a.jsonl", messages_with([USER, ANSWER], tools="nope"), "The list of functions is text"),
    "nameless tool": ("a.jsonl", messages_with([USER, ANSWER], tools=[{}]), "Function 1 has no name"),
    "deep tool": ("a.jsonl", messages_with([USER, ANSWER], tools=[{"name": "a", "b": NESTED}]), "nested too deeply"),
    "null in Parquet": ("a.parquet", parquet_of([*GOOD[:3], {"prompt": "x"}, *GOOD[3:]]), "'completion' is empty"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "reason"), ROW_FAULTS.values(), ids=ROW_FAULTS)
def test_a_faulty_row_is_rejected_with_its_line_and_the_others_are_used(
    name: str, content: bytes, reason: str, tmp_path: Path
) -> None:
    found = prepared(tmp_path, name, content)
    (reject,) = found.rejects
    assert (reject.file, reject.line) == (name, 4)
    assert reject.reason.endswith(".")
    assert reject.text
    assert re.search(reason, reject.reason)
    assert sum(map(len, found.splits.values())) == COUNT


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"\xef\xbb\xbf" + csv_with()),
        ("a.csv", csv_with().decode().encode("utf-16")),
        ("a.csv", csv_with().replace(b"\n", b"\r\n")),
        ("a.csv", csv_with().replace(b",", b";")),
        ("a.csv", csv_with().replace(b",", b"|")),
        ("a.tsv", csv_with().replace(b",", b"\t")),
        ("a.csv", csv_with("", "", ",")),
        ("a.csv", csv_with(header=" Prompt , COMPLETION ")),
        ("a.csv", _joined(["prompt,completion,", *(f"{record},," for record in RECORDS)])),
        ("a.jsonl", jsonl_with("", "   ")),
        ("a.jsonl", ("[" + ",\n".join(LINES) + "]").encode()),
        ("a.json", ("[" + ",\n".join(LINES) + "]").encode()),
        ("a.json", ('{"version": "1", "rows": [' + ",".join(LINES) + '], "n": [1]}').encode()),
        ("a.json", "\n".join(LINES).encode()),
        ("a.NDJSON", "\n".join(LINES).encode()),
        ("a.parquet", parquet_of(GOOD)),
        ("a.csv", b"Prompt-Text,Antwort\n" + "\n".join(RECORDS).encode()),
    ],
)
def test_odd_but_sound_files_are_read(name: str, content: bytes, tmp_path: Path) -> None:
    named = {"prompt_column": "Prompt-Text", "completion_column": "Antwort"} if b"Antwort" in content else {}
    found = prepared(tmp_path, name, content, **named)
    assert found.rejects == []
    examples = [e for members in found.splits.values() for e in members]
    assert {(e.question, e.completion) for e in examples} == {(row["prompt"], row["completion"]) for row in GOOD}
    assert len({e.id for e in examples}) == COUNT


def test_one_open_quote_costs_one_record(tmp_path: Path) -> None:
    quoted = [f'"{row["prompt"]}","{row["completion"]}"' for row in GOOD]
    content = _joined(["prompt,completion", *quoted[:10], '"open,x', *quoted[10:]])
    found = prepared(tmp_path, "a.csv", content)
    assert [reject.line for reject in found.rejects] == [12]
    assert sum(map(len, found.splits.values())) == COUNT


def test_a_quoted_newline_keeps_the_line_numbers_right(tmp_path: Path) -> None:
    found = prepared(tmp_path, "a.csv", csv_with('"two\nlines",x', "broken"))
    assert [reject.line for reject in found.rejects] == [6]
    assert any(e.question == "two\nlines" and e.line == 4 for members in found.splits.values() for e in members)


def test_numbers_dates_and_truth_values_are_written_out(tmp_path: Path) -> None:
    rows = [{"question": f"How much is {n}?", "answer": value} for n, value in enumerate([1, 2.5, True] * 10)]
    found = prepared(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    assert {e.completion for members in found.splits.values() for e in members} == {"1", "2.5", "true"}


def test_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    content = csv_with("Wer ist Jörg?,Ein Müller – sagt man.").decode().encode("cp1252")
    found = prepared(tmp_path, "a.csv", content, encoding="cp1252")
    assert found.rejects == []
    assert any(e.completion == "Ein Müller – sagt man." for members in found.splits.values() for e in members)


def test_the_text_of_a_reject_is_readable(tmp_path: Path) -> None:
    (reject,) = prepared(tmp_path, "a.csv", csv_with(b"J\xf6rg,x")).rejects
    assert reject.text == "Jörg,x"
    (reject,) = prepared(tmp_path, "a.jsonl", jsonl_with(r'{"prompt": "\ud83d", "completion": "b"}')).rejects
    reject.text.encode("utf-8")


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [("ascii", "a.csv, line 4: the file is not text in ascii"), ("klingon", "There is no encoding 'klingon'")],
)
def test_a_wrong_encoding_ends_in_a_sentence(encoding: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=sentence):
        prepared(tmp_path, "a.csv", csv_with("Jörg,x"), encoding=encoding)


def test_a_folder_named_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(CourseError, match=r"The folder .*x\.csv holds no data file"):
        prepare(DataSettings(str(tmp_path / "x.csv")))


@pytest.mark.parametrize("broken", ["read_bytes", "is_file"])
def test_a_file_that_may_not_be_read(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_with())

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, broken, refuse)
    with pytest.raises(CourseError, match=r"a\.csv cannot be read: Permission denied"):
        prepare(DataSettings(str(path)))


def test_a_missing_file_is_told_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_bytes(csv_with())
    with pytest.raises(CourseError, match=r"There is no file or folder .*ticket\.csv\. Did you mean tickets\.csv\?"):
        prepare(DataSettings(str(tmp_path / "ticket.csv")))


def test_repeated_columns_in_parquet(tmp_path: Path) -> None:
    parquet.write_table(TWICE, tmp_path / "a.parquet")
    with pytest.raises(CourseError, match="'prompt' occurs twice"):
        prepare(DataSettings(str(tmp_path / "a.parquet")))


def test_thousands_of_broken_records_end_soon(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="over 1,000 records are broken"):
        prepared(tmp_path, "a.csv", b"prompt,completion\n" + b"a,b,c\n" * 5000)


SOUND = {
    "a.csv": csv_with(),
    "a.jsonl": jsonl_with(),
    "b.jsonl": messages_with(),
    "a.json": json.dumps(GOOD, indent=1).encode(),
    "a.parquet": parquet_of(GOOD),
}
HURT = st.tuples(
    st.integers(0, 10_000), st.integers(0, 40), st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"\n"])
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(name=st.sampled_from(list(SOUND)), hurts=st.lists(HURT, min_size=1, max_size=4))
def test_a_damaged_file_ends_in_a_sentence_or_in_rejects(
    name: str, hurts: list[tuple[int, int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = SOUND[name]
    for place, length, other in hurts:
        start = place % len(content)
        content = content[:start] + other + content[start + length :]
    try:
        found = prepared(tmp_path_factory.getbasetemp(), name, content)
    except CourseError as error:
        assert name in str(error) or "usable examples" in str(error) or "group" in str(error)
    else:
        assert 20 <= sum(map(len, found.splits.values())) <= found.report.rows


@pytest.mark.parametrize("make", [lambda: 7, lambda: ["a"], lambda: {"prompt": "a"}])
def test_data_of_another_kind(make: Callable[[], object]) -> None:
    with pytest.raises(CourseError, match="pass a file, a folder, a Hub id or a pandas DataFrame"):
        prepare(DataSettings(make()))
