"""Options have the names and types of the notebooks' parameters, and a wrong one is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.parameters import read_notebook
from utils.data_settings import DataSettings
from utils.finetune import _without_fresh, complete, main, option_groups, parse
from utils.inference import main as inference
from utils.settings import NOTEBOOKS, RUNS

# What is an option of its own, and what the notebook has only to measure and to show.
ELSEWHERE = {"run_name", "profile", "model", "growth_points", "sample_answers", "track"}


def names() -> set[str]:
    return {name for parameters in option_groups().values() for name in parameters}


def test_every_parameter_of_the_training_notebook_is_an_option() -> None:
    (notebook,) = NOTEBOOKS.glob("03_*.ipynb")
    assert set(read_notebook(notebook).parameters) - ELSEWHERE <= names()


def test_every_data_setting_is_an_option() -> None:
    assert set(DataSettings.__dataclass_fields__) <= names()


def test_command_line_is_read_with_types() -> None:
    line = "--data my.csv --out runs/mine --learning-rate 2e-4 --num-train-epochs 3 --train-embeddings --fresh false"
    assert parse(line.split()) == {
        "data": "my.csv",
        "out": "runs/mine",
        "learning_rate": 2e-4,
        "num_train_epochs": 3.0,
        "train_embeddings": True,
        "fresh": False,
    }


def test_config_takes_the_same_names_and_the_command_line_wins(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("data: my.csv\nlearning-rate: 2e-4\nmax_length: 256\n", encoding="utf-8")
    found = parse(["--config", str(config), "--max-length", "128"])
    assert found == {"data": "my.csv", "learning_rate": 2e-4, "max_length": 128}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("learning_rte: 1", r"there is no option learning_rte\. Did you mean learning_rate\?"),
        ("max_length: long", "max_length: 'long' does not fit: max_length is an int"),
        ("max_length: 2.5", "max_length is an int"),
        ("- a\n- b", "holds no `name: value` lines"),
        ("a: [", "is not YAML"),
    ],
)
def test_faulty_config_is_one_line(
    content: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(content, encoding="utf-8")
    assert main(["--config", str(config)]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    with pytest.raises(UsageError, match=reason):
        parse(["--config", str(config)])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("--learning-rte 1", "There is no option --learning-rte. Did you mean --learning-rate?"),
        ("--learning-rate fast", "learning_rate=fast does not fit"),
        ("--max-length 2.5", "max_length is an int"),
        ("--max-length", "expected one argument"),
        ("--config nowhere.yaml", "There is no file nowhere.yaml"),
        ("--out runs/mine", "data is missing: give it, such as --data my.csv."),
        ("--data my.csv", "out is missing"),
        ("--data my.csv --out x --profile fast", "There is no profile 'fast'"),
        ("my.csv", "There is no option my.csv"),
    ],
)
def test_wrong_command_line_is_one_line(line: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert reason in captured.err
    assert len(captured.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ([], "Give one of these"),
        (["hi", "--interactive"], "Give one of these"),
        (["--file", "in.jsonl"], "--file needs --out"),
        (["hi", "--databse", "x"], "Did you mean --database?"),
    ],
)
def test_wrong_question_is_one_line(line: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert inference(line) == 2
    said = capsys.readouterr().err.strip()
    assert reason in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("command", [main, inference])
def test_help_names_every_option(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    wanted = names() if command is main else {"model", "database", "interactive", "file", "out", "max_new_tokens"}
    assert all(f"--{name.replace('_', '-')}" in said for name in wanted)
    assert "as num_train_epochs says" in said or command is inference


def test_command_that_continues_does_not_begin_anew() -> None:
    line = "--data a --constrained false --fresh true --train-embeddings false --fresh"
    assert _without_fresh(line.split()) == "--data a --constrained false --train-embeddings false".split()
    assert _without_fresh(["--fresh=true", "true"]) == ["true"]


def test_profile_lies_below_what_is_given() -> None:
    settings = {"data": "my.csv", "out": "x", "profile": "smoke"}
    assert complete(settings)["max_steps"] == 3
    assert complete(settings)["max_new_tokens"] == 32
    assert complete(settings | {"max_steps": 9})["max_steps"] == 9


def test_settings_in_python() -> None:
    found = complete({"data": Path("my.csv"), "run_name": "mine"})
    assert found["data"] == "my.csv"
    assert Path(found["out"]) == RUNS / "mine"
    assert found["model"] == "smollm2-135m"
    with pytest.raises(UsageError, match="there is no option rank"):
        complete({"data": "my.csv", "out": "x", "rank": 8})
    with pytest.raises(UsageError, match="cannot be a folder name"):
        complete({"data": "my.csv", "run_name": "../x"})
