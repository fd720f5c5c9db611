"""A tuned model is asked with the prompt that it was trained on, one question or a file of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ci.checks.tiny_model import make_tiny_model
from utils import batches
from utils.chat import Assistant, result_text
from utils.hardware import Choice
from utils.inference import main
from utils.sql import Result, execute

torch.set_num_threads(1)
SMALL = ["--max-new-tokens", "6"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is not measured: that has tests of its own."""
    monkeypatch.setattr("utils.hardware.choose_here", lambda: Choice("cpu", "float32", "sdpa", {}))


def with_recipe(folder: Path, kind: str, *, uses_database: bool = False, system_prompt: str | None = None) -> Path:
    recipe = {"kind": kind, "system_prompt": system_prompt, "uses_database": uses_database}
    (folder / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that was tuned on single questions with a system prompt."""
    return with_recipe(make_tiny_model(tmp_path / "run" / "model"), "question/answer", system_prompt="Be short.")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE items (name TEXT, price REAL); INSERT INTO items VALUES ('pen', 2);")
    return path


def answers(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_questions(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps({"question": f"Number {n}?"}) + "\n" for n in range(count)), encoding="utf-8")
    return path


# --- One question ------------------------------------------------------------------------------------------------


def test_one_question(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(model), "Hello?", *SMALL]) == 0
    said = capsys.readouterr().out
    assistant = Assistant.load(str(model), max_new_tokens=6)
    prompt = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello?"}]
    assert said.strip() == assistant.answer([prompt])[0].strip()


def test_folder_of_the_run_stands_for_its_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for folder in (model, model.parent):
        assert main(["--model", str(folder), "Hello?", *SMALL]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


def test_model_without_recipe_is_asked_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", str(make_tiny_model(tmp_path / "plain")), "Hello?", *SMALL]) == 0
    assert capsys.readouterr().err == ""


def test_model_of_plain_text_continues_the_text(tmp_path: Path) -> None:
    folder = with_recipe(make_tiny_model(tmp_path / "model"), "text")
    assistant = Assistant.load(str(folder), max_new_tokens=5)
    ids = assistant.tokenizer("The lamp", return_tensors="pt").input_ids
    wanted = assistant.model.generate(ids, max_new_tokens=5, do_sample=False)[0, ids.shape[1] :]
    assert assistant.ask("The lamp") == assistant.tokenizer.decode(wanted, skip_special_tokens=True)


# --- With a database ---------------------------------------------------------------------------------------------


def test_schema_is_added_and_the_query_runs(
    model: Path, database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = []

    def answer(self: Assistant, asked: list, on_progress: object = None) -> list[str]:
        prompts.extend(asked)
        return ["SELECT name, price FROM items" for _ in asked]

    monkeypatch.setattr(Assistant, "answer", answer)
    with_recipe(model, "question/sql", uses_database=True)
    command = ["--model", str(model), "--database", str(database), "What is there?"]
    assert main(command) == 0
    assert "pen" not in capsys.readouterr().out  # nobody at a terminal said yes
    assert "items: name (pen), price" in prompts[0][0]["content"]
    assert main([*command, "--run"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines() == ["SELECT name, price FROM items", "name  price", "pen   2.0"]


@pytest.mark.parametrize(("reply", "runs"), [("y", True), ("n", False), ("", False)])
def test_person_at_a_terminal_is_asked(
    reply: str,
    runs: bool,
    model: Path,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Assistant, "answer", lambda *_, **__: ["SELECT price FROM items"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: reply)
    main(["--model", str(model), "--database", str(database), "What?"])
    assert ("2.0" in capsys.readouterr().out) == runs


def test_hostile_query_is_refused(database: Path) -> None:
    before = database.read_bytes()
    assert result_text(execute(database, "DROP TABLE items")).startswith("No rows. Refused")
    assert database.read_bytes() == before


def test_many_rows_are_cut() -> None:
    shown = result_text(Result([(n, None) for n in range(50)], ["n", "m"]))
    assert len(shown.splitlines()) == 22
    assert shown.endswith("… and 30 more rows")
    assert "NULL" in shown


# --- Conversations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["messages", "question/answer"])
def test_conversation(kind: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_recipe(model, kind)
    said: Iterator[str] = iter(["one", "two", "/new", "three", ""])
    prompts = []

    def answer(self: Assistant, asked: list, on_progress: object = None) -> list[str]:
        prompts.extend(asked)
        return ["so"]

    monkeypatch.setattr(Assistant, "answer", answer)
    monkeypatch.setattr("builtins.input", lambda _: next(said))
    assert main(["--model", str(model), "--interactive"]) == 0
    spoken = [[message["content"] for message in prompt] for prompt in prompts]
    assert spoken == [["one"], ["one", "so", "two"] if kind == "messages" else ["two"], ["three"]]


# --- Files -------------------------------------------------------------------------------------------------------


def test_file_is_answered_in_its_order(model: Path, tmp_path: Path) -> None:
    file, out = write_questions(tmp_path / "in.jsonl", 7), tmp_path / "new" / "out.jsonl"
    command = ["--model", str(model), "--file", str(file), "--out", str(out), *SMALL]
    assert main(command) == 0
    rows = answers(out)
    assert [row["question"] for row in rows] == [f"Number {n}?" for n in range(7)]
    assert [row["line"] for row in rows] == list(range(1, 8))
    assistant = Assistant.load(str(model), max_new_tokens=6)
    assert rows[4]["answer"] == assistant.ask("Number 4?")


def test_interrupted_file_continues(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = write_questions(tmp_path / "in.jsonl", 10), tmp_path / "out.jsonl"
    command = ["--model", str(model), "--file", str(file), "--out", str(out), "--batch-size", "2", *SMALL]
    whole = [*command[:5], str(tmp_path / "whole.jsonl"), *command[6:]]
    assert main(whole) == 0
    monkeypatch.setattr(batches, "ROUND", 2)
    usual, asked = Assistant.answer, []

    def answer(self: Assistant, prompts: list, on_progress: object = None) -> list[str]:
        asked.append(len(prompts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return usual(self, prompts, on_progress)

    monkeypatch.setattr(Assistant, "answer", answer)
    assert main(command) == 130
    assert not out.exists()
    (partial,) = tmp_path.glob(".out.jsonl.*.partial")
    with partial.open("a", encoding="utf-8") as half:
        half.write('{"line": 5, "quest')  # what a killed process leaves
    assert main(command) == 0
    assert "Continuing after 4 of 10 answers." in capsys.readouterr().out
    assert asked == [4, 4, 4, 2]
    assert answers(out) == answers(tmp_path / "whole.jsonl")
    assert not partial.exists()


def test_rows_without_a_question_are_reported(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"question": "One?"}\nnot JSON\n{"question": ""}\n{"question": "Two?"}\n', encoding="utf-8")
    assert main(["--model", str(model), "--file", str(file), "--out", str(tmp_path / "out.jsonl"), *SMALL]) == 0
    assert [row["line"] for row in answers(tmp_path / "out.jsonl")] == [1, 4]
    said = capsys.readouterr().out
    assert "in.jsonl, line 2" in said
    assert "in.jsonl, line 3" in said


def test_faulty_conversations_are_reported(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "in.jsonl"
    good = [{"role": "user", "content": "a"}]
    cells = [good, "no list", 7, [], [3], [{"role": "assistant", "content": "b"}]]
    file.write_text("".join(json.dumps({"messages": cell}) + "\n" for cell in cells), encoding="utf-8")
    assert main(["--model", str(model), "--file", str(file), "--out", str(tmp_path / "out.jsonl"), *SMALL]) == 0
    assert [row["line"] for row in answers(tmp_path / "out.jsonl")] == [1]
    assert capsys.readouterr().out.count("Left out: ") == 5


def test_prompts_of_other_forms(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = []

    def answer(self: Assistant, asked: list, on_progress: object = None) -> list[str]:
        prompts.extend(asked)
        return ["so"] * len(asked)

    monkeypatch.setattr(Assistant, "answer", answer)
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    over = [*chat, {"role": "assistant", "content": "d"}]
    rows = {
        "chat.jsonl": [{"messages": chat}, {"messages": over}],
        "alpaca.jsonl": [{"instruction": "Translate.", "input": "cat"}],
        "own.jsonl": [{"Frage": "Wie?"}],
    }
    for name, items in rows.items():
        file = tmp_path / name
        file.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
        more = ["--prompt-column", "Frage"] if name == "own.jsonl" else []
        assert main(["--model", str(model), "--file", str(file), "--out", str(tmp_path / f"out-{name}"), *more]) == 0
    assert prompts[0] == prompts[1] == chat
    assert [prompt[-1]["content"] for prompt in prompts[2:]] == ["Translate.\n\ncat", "Wie?"]


def test_queries_of_a_file_are_run(
    model: Path, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter(["SELECT price FROM items", "DROP TABLE items"])
    monkeypatch.setattr(Assistant, "answer", lambda self, asked, *_: [next(replies) for _ in asked])
    file, out = write_questions(tmp_path / "in.jsonl", 2), tmp_path / "out.jsonl"
    common = ["--model", str(model), "--file", str(file), "--out", str(out)]
    assert main([*common, "--database", str(database), "--run"]) == 0
    first, second = answers(out)
    assert first["rows"] == [[2.0]]
    assert second["error"].startswith("Refused")


# --- Mistakes ----------------------------------------------------------------------------------------------------


def test_mistakes_are_sentences(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_questions(tmp_path / "in.jsonl", 1)
    (tmp_path / "full.jsonl").touch()
    (tmp_path / "no.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    common = ["--model", str(model)]
    for command, reason in [
        (["--model", "nowhere", "hi"], "There is no model 'nowhere'"),
        ([*common, "--database", "nowhere.sqlite", "hi"], "There is no database"),
        ([*common, "--database", str(file), "hi"], "is no SQLite database"),
        ([*common, "--file", "nowhere.jsonl", "--out", "x.jsonl"], "There is no file"),
        ([*common, "--file", str(file), "--out", str(tmp_path / "full.jsonl")], "exists. Remove it"),
        ([*common, "--file", str(tmp_path / "no.jsonl"), "--out", str(tmp_path / "x")], "Which column"),
    ]:
        assert main(command) == 1, command
        captured = capsys.readouterr()
        assert reason in captured.err
        assert "Traceback" not in captured.err
    with_recipe(model, "question/sql", uses_database=True)
    assert main([*common, "hi"]) == 1
    assert "pass it with --database" in capsys.readouterr().err
