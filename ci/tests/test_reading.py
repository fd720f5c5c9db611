"""Rows come from files, folders, the Hub and data frames, each with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from utils.errors import CourseError
from utils.reading import ALL, RawData, read_data, split_of

ROWS = [{"question": f"Question {n}?", "answer": f"Answer {n}."} for n in range(3)]


def write(path: Path, rows: list[dict] = ROWS) -> Path:
    """A JSON Lines file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def places(raw: RawData) -> dict[str, list[str]]:
    """Where the rows of each split come from."""
    return {split: [f"{row.file}:{row.line}" for row in rows] for split, rows in raw.splits.items()}


# --- Folders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"),
        ("my-training_set.v2.jsonl", "train"),
        ("train-00000-of-00002.parquet", "train"),
        ("dev.jsonl", "validation"),
        ("valid.csv", "validation"),
        ("data/test/a.csv", "test"),
        ("TEST.csv", "test"),
        ("evaluation.json", "test"),
        ("latest.csv", ALL),
        ("trainer.csv", ALL),
        ("tests.csv", ALL),
    ],
)
def test_split_of_a_name(name: str, split: str) -> None:
    assert split_of(Path(name)) == split


def test_files_of_a_folder_go_to_the_splits_that_they_name(tmp_path: Path) -> None:
    for name in ("train.jsonl", "more/train-2.jsonl", "dev.jsonl", "test.jsonl"):
        write(tmp_path / name, ROWS[:1])
    write(tmp_path / "_cache/train.jsonl")
    write(tmp_path / ".hidden.jsonl")
    (tmp_path / "README.md").write_text("About the data.", encoding="utf-8")
    raw = read_data(tmp_path)
    assert places(raw) == {
        "validation": ["dev.jsonl:1"],
        "train": ["more/train-2.jsonl:1", "train.jsonl:1"],
        "test": ["test.jsonl:1"],
    }


def test_files_that_name_no_split_are_one_set(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl")
    write(tmp_path / "b.jsonl")
    assert {split: len(rows) for split, rows in read_data(tmp_path).splits.items()} == {ALL: 6}


def test_files_beside_a_test_file_are_for_training(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl")
    write(tmp_path / "test.jsonl")
    assert set(read_data(tmp_path).splits) == {"train", "test"}


def test_files_beside_a_training_file_are_left_alone_and_named(tmp_path: Path) -> None:
    write(tmp_path / "notes.jsonl")
    write(tmp_path / "train.jsonl")
    raw = read_data(tmp_path)
    assert set(raw.splits) == {"train"}
    assert raw.notes == ["Not read, because their names tell no split: notes.jsonl."]


def test_rejects_of_a_folder_name_the_file_in_it(tmp_path: Path) -> None:
    write(tmp_path / "part/a.jsonl")
    with (tmp_path / "part/a.jsonl").open("a", encoding="utf-8") as file:
        file.write("broken\n")
    (reject,) = read_data(tmp_path).rejects
    assert (reject.file, reject.line) == ("part/a.jsonl", 4)


def test_columns_are_those_of_all_rows(tmp_path: Path) -> None:
    raw = read_data(write(tmp_path / "a.jsonl", [{"a": 1}, {"b": 2, "a": 3}]))
    assert raw.columns == ["a", "b"]


# --- Frames ------------------------------------------------------------------------------------------------------


def test_a_data_frame_is_read_with_missing_values_as_nothing() -> None:
    import pandas

    frame = pandas.DataFrame({"text": ["one", None, "three"], "label": [1.0, float("nan"), 3.0]}, index=[7, 8, 9])
    raw = read_data(frame)
    assert [(row.line, row.values) for row in raw.splits[ALL]] == [
        (1, {"text": "one", "label": 1.0}),
        (2, {"text": None, "label": None}),
        (3, {"text": "three", "label": 3.0}),
    ]


def test_faulty_data_frames_are_refused() -> None:
    import pandas

    with pytest.raises(CourseError, match="The data frame has no rows"):
        read_data(pandas.DataFrame({"a": []}))
    with pytest.raises(CourseError, match=r"The data frame: the column name 'a' occurs twice"):
        read_data(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


# --- The Hub -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """A Hub with one dataset; the calls that are made."""
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["ham", "spam"])}
    )
    calls = []

    def load(*arguments: object, **keywords: object) -> datasets.DatasetDict:
        calls.append((arguments, keywords))
        if arguments[0] != "someone/mails":
            raise datasets.exceptions.DatasetNotFoundError("Dataset 'nobody/nothing' doesn't exist on the Hub.\nMore.")
        rows = {"text": ["Hi", "Buy!"], "label": [0, 1]}
        parts = {name: datasets.Dataset.from_dict(rows, features) for name in ("train", "validation", "unsupervised")}
        return datasets.DatasetDict(parts)

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


def test_a_hub_dataset_is_read_with_the_names_of_its_labels(hub: list[tuple]) -> None:
    raw = read_data("someone/mails", hub_config="english")
    assert hub == [(("someone/mails", "english"), {})]
    assert set(raw.splits) == {"train", "validation"}
    assert [row.values for row in raw.splits["train"]] == [
        {"text": "Hi", "label": "ham"},
        {"text": "Buy!", "label": "spam"},
    ]
    assert raw.splits["train"][1].file == "someone/mails/train"
    assert raw.notes == ["2 rows of splits that are neither train, validation nor test were not read."]


def test_a_hub_dataset_that_cannot_be_loaded_ends_in_a_sentence(hub: list[tuple]) -> None:
    with pytest.raises(
        CourseError, match=r"There is no file nobody/nothing, .* The cause: Dataset 'nobody/nothing' doe"
    ):
        read_data("nobody/nothing")


@pytest.mark.parametrize("name", ["nothing", "some/where/deep", "data/nothing.csv", "./data/x"])
def test_what_is_no_hub_id_is_not_asked_for(name: str, hub: list[tuple]) -> None:
    with pytest.raises(CourseError, match="There is no file or folder"):
        read_data(name)
    assert hub == []
