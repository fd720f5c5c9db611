"""A stage is there whole or not at all, and who needs one that is missing learns what makes it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from utils.errors import CourseError
from utils.settings import ROOT, run_folder
from utils.stages import (
    MAKERS,
    MissingStage,
    hash_of,
    read_lines,
    read_manifest,
    replace_folder,
    require_stage,
    shown,
    write_json,
    write_lines,
    write_stage,
    write_text,
)


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs go below a folder of the test."""
    monkeypatch.setattr("utils.settings.RUNS", tmp_path / "runs")
    return tmp_path / "runs"


def make(text: str = "rows", run_name: str = "mine", **keywords: object) -> Path:
    """A finished dataset stage with two files."""
    with write_stage(run_name, "dataset", parameters={"seed": 1}, **keywords) as stage:
        (stage.folder / "train.jsonl").write_text(text, encoding="utf-8")
        (stage.folder / "plots").mkdir()
        (stage.folder / "plots" / "lengths.png").write_bytes(b"png")
        stage.results["train"] = 7
    return require_stage(run_name, "dataset")


def test_finished_stage_is_found(runs: Path) -> None:
    assert make() == runs / "mine" / "dataset"
    assert [path.name for path in (runs / "mine").iterdir()] == ["dataset"]


def test_manifest(tmp_path: Path) -> None:
    source = tmp_path / "questions.jsonl"
    source.write_text("a question", encoding="utf-8")
    manifest = read_manifest(make(inputs={"questions": source}, device="cuda"))
    assert manifest["stage"] == "dataset"
    assert manifest["parameters"] == {"seed": 1}
    assert manifest["inputs"] == {"questions": hash_of(source)}
    assert manifest["files"] == {"plots/lengths.png": 3, "train.jsonl": 4}
    assert manifest["results"] == {"train": 7}
    assert manifest["device"] == "cuda"
    assert {"torch", "transformers", "trl"} <= manifest["packages"].keys()
    assert manifest["seconds"] >= 0
    assert manifest["peak_memory_gb"] > 0


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_failed_stage_does_not_appear(fault: type[BaseException]) -> None:
    with pytest.raises(fault), write_stage("mine", "dataset", parameters={}) as stage:
        (stage.folder / "train.jsonl").write_text("half", encoding="utf-8")
        raise fault
    with pytest.raises(MissingStage):
        require_stage("mine", "dataset")


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_earlier_stage(fault: type[BaseException]) -> None:
    make("old")
    with pytest.raises(fault), write_stage("mine", "dataset", parameters={}) as stage:
        (stage.folder / "train.jsonl").write_text("half", encoding="utf-8")
        raise fault
    folder = require_stage("mine", "dataset")
    assert (folder / "train.jsonl").read_text(encoding="utf-8") == "old"


def test_stage_that_cannot_be_described_does_not_appear() -> None:
    make("old")
    with pytest.raises(TypeError), write_stage("mine", "dataset", parameters={"bad": object()}):
        pass
    assert (require_stage("mine", "dataset") / "train.jsonl").is_file()


def test_new_stage_replaces_all_of_the_earlier_one(runs: Path) -> None:
    make("old")
    with write_stage("mine", "dataset", parameters={}) as stage:
        (stage.folder / "other.jsonl").touch()
    folder = require_stage("mine", "dataset")
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "other.jsonl"]
    assert [path.name for path in (runs / "mine").iterdir()] == ["dataset"]


def test_rest_of_an_interrupted_stage_is_cleared(runs: Path) -> None:
    partial = runs / "mine" / ".dataset.partial"
    partial.mkdir(parents=True)
    (partial / "rubbish").touch()
    assert not (make() / "rubbish").exists()


@pytest.mark.parametrize(("stage", "maker"), MAKERS.items())
def test_missing_stage_names_notebook_and_command(stage: str, maker: str) -> None:
    with pytest.raises(MissingStage) as caught:
        require_stage("mine", stage)
    assert isinstance(caught.value, CourseError)
    for part in (maker, f"runs/mine/{stage}", f"python3 ci/course.py run --name mine --from {maker[:2]}"):
        assert part in str(caught.value)


def test_folder_without_manifest_is_no_stage(runs: Path) -> None:
    (make() / "manifest.json").unlink()
    with pytest.raises(MissingStage, match="is not there"):
        require_stage("mine", "dataset")


def test_damaged_file_is_named() -> None:
    (make() / "train.jsonl").write_text("ro", encoding="utf-8")
    with pytest.raises(
        MissingStage, match=r"runs/mine/dataset/train\.jsonl is missing or damaged.*02_prepare.*--from 02"
    ):
        require_stage("mine", "dataset")
    (make() / "plots" / "lengths.png").unlink()
    with pytest.raises(MissingStage, match=r"plots/lengths\.png is missing or damaged"):
        require_stage("mine", "dataset")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../other", "a/b", "/tmp/x", "a b", "a\n", ".hidden", "-p", "$(id)", "~"]
)
def test_run_name_that_escapes_is_refused(name: str, runs: Path) -> None:
    for call in (
        lambda: run_folder(name),
        lambda: require_stage(name, "dataset"),
        lambda: write_stage(name, "dataset", parameters={}).__enter__(),
    ):
        with pytest.raises(ValueError, match="cannot be a folder name"):
            call()
    assert not runs.exists()


@pytest.mark.parametrize("name", ["course", "my-run_2.1", "7"])
def test_run_name(name: str, runs: Path) -> None:
    assert run_folder(name) == runs / name


def test_hash_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one", encoding="utf-8")
    first = hash_of(path)
    os.utime(path, (1, 1))
    assert hash_of(path) == first
    assert len(first) == 16
    path.write_text("two", encoding="utf-8")
    assert hash_of(path) != first


def test_hash_of_a_folder(tmp_path: Path) -> None:
    def folder(name: str, files: dict[str, str]) -> str:
        for file, text in files.items():
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(text, encoding="utf-8")
        return hash_of(tmp_path / name)

    first = folder("first", {"a": "1", "b/c": "2"})
    assert folder("same", {"b/c": "2", "a": "1", "manifest.json": "{}"}) == first
    others = [{"a": "1"}, {"a": "1", "b/c": "3"}, {"a": "1", "b/d": "2"}, {"a": "1", "c": "2"}, {"a": "2", "b/c": "1"}]
    assert len({first, *(folder(f"other{n}", files) for n, files in enumerate(others))}) == 6


def test_missing_input_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        hash_of(tmp_path / "none")


def test_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "a.txt"
    write_text(path, "first – größer\n")
    assert path.read_text(encoding="utf-8") == "first – größer\n"

    def fail(_: int) -> None:
        raise OSError("The disk is full.")

    monkeypatch.setattr("utils.stages.os.fsync", fail)
    with pytest.raises(OSError, match="full"):
        write_text(path, "second")
    assert path.read_text(encoding="utf-8") == "first – größer\n"


def test_json_and_lines_come_back(tmp_path: Path) -> None:
    rows = [{"question": "Zoë’s\u2028line\nbreak", "n": 1}, {"n": None}]
    write_lines(tmp_path / "a.jsonl", rows[1:])
    assert read_lines(tmp_path / "a.jsonl") == rows[1:]
    write_json(tmp_path / "a.json", rows)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == rows
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "text",
    [
        "a\nb \\ \" 'c'",
        "a\u2028b\x85c\x0cd",
    ],
)
def test_lines_with_line_breaks_come_back(tmp_path: Path, text: str) -> None:
    write_lines(tmp_path / "a.jsonl", [{"text": text}])
    assert read_lines(tmp_path / "a.jsonl") == [{"text": text}]


def test_folder_is_replaced(tmp_path: Path) -> None:
    for name in ("new", "newer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        replace_folder(tmp_path / name, tmp_path / "old")
        assert [path.name for path in tmp_path.iterdir()] == ["old"]
        assert [path.name for path in (tmp_path / "old").iterdir()] == [name]


def test_shown_paths(tmp_path: Path) -> None:
    assert shown(ROOT / "data" / "databases") == "data/databases"
    assert shown(tmp_path) == tmp_path.as_posix()
