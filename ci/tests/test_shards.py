"""Data in parts: the same examples as when it is read at once, nothing twice or lost, and a memory that stays flat."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from ci.checks.large_data import measured, write_rows
from ci.checks.tiny_model import make_tokenizer
from utils import shards
from utils.data_settings import DataSettings
from utils.errors import CourseError
from utils.formats import Example
from utils.preparation import prepare, read_split
from utils.prompts import IGNORED, tokenize_row
from utils.reading import read_data
from utils.shards import is_large, load_shards, prepare_shards, tokenise
from utils.streams import read_blocks

ROWS = [{"question": f"What is {a} and {b}?", "answer": str(a + b)} for a in range(40) for b in range(25)]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


def write_json_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path) -> Path:
    """With newlines and quotes in fields, a faulty record, and a byte that is not UTF-8."""
    lines = ["question,answer\n"]
    lines += [f'"Line {n}\nand ""more"", {n}?",{n}\n' if n % 3 == 0 else f"Short {n}?,{n}\n" for n in range(200)]
    lines.insert(50, "one,two,three\n")
    path.write_bytes("".join(lines).encode() + b"Caf\xe9?,1\n")
    return path


def write_parquet(path: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("block", [1, 7, 50, 10_000])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_parts_give_what_the_whole_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, block: int
) -> None:
    monkeypatch.setattr("utils.streams.ROWS_OF_A_BLOCK", block)
    path = tmp_path / f"data.{kind}"
    if kind == "jsonl":
        write_json_lines(path, ROWS[:300])
        path.write_text(path.read_text(encoding="utf-8").replace('{"question": "What is 3', "\n{broken", 1), "utf-8")
    else:
        {"csv": write_csv, "parquet": write_parquet}[kind](path)
    raw = read_data(path)
    parts = list(read_blocks(path))
    assert [row for rows, _ in parts for row in rows] == raw.splits["all"]
    assert [fault for _, rejects in parts for fault in rejects] == raw.rejects


def test_a_json_text_cannot_be_read_in_parts(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CourseError, match="JSON Lines"):
        list(read_blocks(tmp_path / "data.json"))


@pytest.mark.parametrize(
    ("content", "said"),
    [(gzip.compress(b'{"question": 1}'), "compressed with gzip"), (bytes(range(1, 32)) * 40, "not a text file")],
    ids=["compressed", "binary"],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(CourseError, match=said):
        next(read_blocks(path))


def test_utf_16_is_known_by_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question,answer\nWho?,Zoë\n", encoding="utf-16")
    rows, rejects = next(read_blocks(path))
    assert [row.values for row in rows] == [{"question": "Who?", "answer": "Zoë"}] and not rejects


def test_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes("question,answer\nCafé?,1\n".encode())
    with pytest.raises(CourseError, match="is not text in ascii"):
        list(read_blocks(tmp_path / "data.csv", encoding="ascii"))


def test_every_row_ends_in_one_place(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [*ROWS, *ROWS[:100], {"question": "", "answer": "x"}, {"question": "long " * 400, "answer": "y"}]
    random.Random(1).shuffle(rows)
    path = write_json_lines(tmp_path / "data.jsonl", rows)
    report = prepare_shards(DataSettings(path, max_length=64), tokenizer, tmp_path / "shards")
    assert report.rows == len(rows)
    assert (report.duplicates, report.too_long, report.rejected) == (100, 1, 1)
    assert report.train + report.validation + report.test == len(ROWS)
    assert report.shards > 1, "one bucket would not show that they are put together"
    train = load_shards(tmp_path / "shards")
    texts = [tokenizer.decode(ids) for ids in train["input_ids"]]
    held_out = [e.question for split in ("validation", "test") for e in read_split(tmp_path / "shards", split)]
    for row in ROWS:
        found = sum(row["question"] in text for text in texts) + held_out.count(row["question"])
        assert found == 1, row
    assert report.tokens == sum(map(len, train["input_ids"]))
    assert len((tmp_path / "shards" / "rejected.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_ids_and_labels_are_those_of_the_notebooks(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    path = write_json_lines(tmp_path / "data.jsonl", ROWS[:60])
    prepared = prepare(DataSettings(path), tokenizer)
    examples = prepared.splits["train"]
    for example, (ids, read) in zip(examples, tokenise(examples, tokenizer), strict=True):
        assert (ids, [IGNORED] * read + ids[read:]) == tokenize_row(tokenizer, example.row)
    assert tokenise([], tokenizer) == []
    text = Example("t", "f", 1, "g", [], "Some text.", "", is_text=True)
    assert tokenise([text], tokenizer) == [(tokenizer("Some text." + tokenizer.eos_token)["input_ids"], 0)]


def test_what_is_tokenised_once_is_used_again(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_json_lines(tmp_path / "data.jsonl", ROWS)
    settings, folder = DataSettings(path), tmp_path / "shards"
    first = prepare_shards(settings, tokenizer, folder)
    content = {file.name: file.read_bytes() for file in folder.glob("*.*")}
    calls = []
    monkeypatch.setattr(shards, "tokenise", lambda *given: calls.append(given))
    again = prepare_shards(settings, tokenizer, folder)
    assert again == first and again.is_reused and calls == []
    monkeypatch.undo()
    other = prepare_shards(DataSettings(path, seed=7), tokenizer, folder)
    assert not other.is_reused
    repeated = prepare_shards(settings, tokenizer, folder)
    assert not repeated.is_reused
    assert {file.name: file.read_bytes() for file in folder.glob("*.*")} == content, "the same seed, the same files"


def test_groups_stay_on_one_side(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [row | {"who": f"sender {number % 90}"} for number, row in enumerate(ROWS)]
    path = write_json_lines(tmp_path / "data.jsonl", rows)
    prepare_shards(DataSettings(path, group_column="who"), tokenizer, tmp_path / "shards")
    sides = {split: {e.group for e in read_split(tmp_path / "shards", split)} for split in ("validation", "test")}
    assert sides["validation"] and sides["test"] and not sides["validation"] & sides["test"]
    held_out = {row["question"] for row in rows if f"who = {row['who']}" in sides["validation"] | sides["test"]}
    texts = [tokenizer.decode(ids) for ids in load_shards(tmp_path / "shards")["input_ids"]]
    assert not [question for question in held_out if any(question in text for text in texts)]


def test_an_interrupted_preparation_leaves_nothing_that_looks_whole(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_json_lines(tmp_path / "data.jsonl", ROWS)
    with monkeypatch.context() as patched:
        patched.setattr(shards, "drop_duplicates", lambda examples: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare_shards(DataSettings(path), tokenizer, tmp_path / "shards")
    with pytest.raises(CourseError, match="holds no shards"):
        load_shards(tmp_path / "shards")
    assert prepare_shards(DataSettings(path), tokenizer, tmp_path / "shards").train > 0
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_large_files_are_told_by_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_json_lines(tmp_path / "data.jsonl", ROWS)
    assert not is_large(DataSettings(path))
    monkeypatch.setattr(shards, "LARGE_BYTES", 1_000)
    assert is_large(DataSettings(path)) and is_large(DataSettings(tmp_path))
    assert not is_large(DataSettings("owner/name"))


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """Four times the rows, each time in a process of its own. The full size is `python -m ci.checks.large_data`."""
    small, large = (measured(write_rows(tmp_path / f"{rows}.jsonl", rows), tmp_path) for rows in (8_000, 32_000))
    assert large["rows"] == 4 * small["rows"]
    assert large["peak_memory_bytes"] < 1.25 * small["peak_memory_bytes"]
