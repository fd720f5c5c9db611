"""Files for hosted fine-tuning: what the service would refuse is found here, and the cost is the sum it says it is."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from utils.errors import CourseError
from utils.hosted import (
    FEWEST_EXAMPLES,
    Price,
    check_examples,
    fault_of,
    hosted_examples,
    job_commands,
    read_prices,
    tokens_of,
)
from utils.stages import write_lines

PRICE = Price("a-model", training=2.0, input=1.0, output=4.0, longest=50, as_of="2026-01")
ASK, ANSWER = {"role": "user", "content": "How many?"}, {"role": "assistant", "content": "Four of them."}


def words(text: str) -> int:
    """A tokenizer that everybody can count with."""
    return len(text.split())


def test_rows_of_a_dataset_become_messages() -> None:
    rows = [{"prompt": [ASK], "completion": [ANSWER], "sql": "…"}, {"messages": [ASK, ANSWER], "tools": [], "id": 3}]
    assert hosted_examples(rows) == [{"messages": [ASK, ANSWER]}] * 2


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        ({}, "no list of messages"),
        ({"messages": [{"role": "human", "content": "Hi"}, ANSWER]}, "'human'"),
        ({"messages": [ASK, {"role": "assistant", "content": " "}]}, "Message 2 has no text"),
        ({"messages": [ASK]}, "ends with a message of the role user"),
        ({"messages": [ASK, ANSWER | {"weight": 2}]}, "weight 2"),
        ({"messages": [ASK, ANSWER | {"weight": 0}]}, "No answer in it is trained on"),
        ({"messages": ["Hi", ANSWER]}, "'Hi'"),
    ],
)
def test_what_would_be_refused_is_found(example: dict, reason: str) -> None:
    assert reason in fault_of(example)


def test_calls_need_no_text() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    assert fault_of({"messages": [ASK, call]}) == ""


def test_tokens_of_answers_are_counted_apart() -> None:
    assert tokens_of({"messages": [ASK, ANSWER]}, words) == (3 + (2 + 3) + (3 + 3), 3 + 3)
    assert tokens_of({"messages": [ASK, ANSWER], "tools": [{"name": "f"}]}, words)[0] == 14 + 2


def test_a_report_keeps_what_is_accepted_and_says_why_the_rest_is_not() -> None:
    good, long = {"messages": [ASK, ANSWER]}, {"messages": [ASK, {"role": "assistant", "content": "so " * 60}]}
    report = check_examples([good] * FEWEST_EXAMPLES + [long, {"messages": [ASK]}], words, PRICE)
    assert report.examples == [good] * FEWEST_EXAMPLES and report.faults == []
    assert [reject.line for reject in report.rejects] == [FEWEST_EXAMPLES + 1, FEWEST_EXAMPLES + 2]
    assert "more than 50 are cut off" in report.rejects[0].reason
    assert report.tokens == 14 * FEWEST_EXAMPLES and report.answer_tokens == 6 * FEWEST_EXAMPLES
    few = check_examples([good], words, PRICE)
    assert "There are 1 examples" in str(few)


def test_costs_are_tokens_times_prices() -> None:
    assert PRICE.of_training(500_000, epochs=3) == pytest.approx(3.0)
    assert PRICE.of_answers(300, 50, count=1000) == pytest.approx(0.3 + 0.2)


def test_prices_are_dated_and_can_be_ones_own(tmp_path: Path) -> None:
    prices = read_prices()
    assert prices and all(price.training > 0 and price.as_of[:2] == "20" for price in prices.values())
    own = tmp_path / "prices.yaml"
    own.write_text("as_of: 2026-11\nmodels:\n  mine: {training: 1, input: 2, output: 3, longest: 4}\n", "utf-8")
    assert read_prices(own) == {"mine": Price("mine", 1, 2, 3, 4, "2026-11")}
    own.write_text("models: {mine: {training: 1}}", "utf-8")
    with pytest.raises(CourseError, match="needs `as_of`"):
        read_prices(own)
    with pytest.raises(CourseError, match="holds no prices"):
        read_prices(tmp_path / "none.yaml")


def test_the_job_is_python_that_names_no_key() -> None:
    code = job_commands("train.jsonl", "validation.jsonl", "a-model", epochs=2, seed=7, suffix="sql")
    ast.parse(code)
    assert "sk-" not in code and "api_key=" not in code


def test_the_job_is_what_the_client_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Executed against the real client with the network replaced: two uploads and a job with these values."""
    import httpx2
    import openai

    asked: list[tuple[str, bytes]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append((request.url.path, request.read()))
        job = {"id": "job-1", "object": "fine_tuning.job", "status": "succeeded", "fine_tuned_model": "ft:x"}
        file = {"id": f"file-{len(asked)}", "object": "file", "bytes": 1, "created_at": 1, "filename": "x"}
        return httpx2.Response(200, json=file if request.url.path.endswith("/files") else job)

    real = openai.OpenAI
    transport = httpx2.MockTransport(answer)
    monkeypatch.setattr(openai, "OpenAI", lambda: real(api_key="none", http_client=httpx2.Client(transport=transport)))
    monkeypatch.chdir(tmp_path)
    for name in ("train.jsonl", "validation.jsonl"):
        write_lines(tmp_path / name, [{"messages": [ASK, ANSWER]}])
    exec(job_commands("train.jsonl", "validation.jsonl", "a-model", epochs=2, seed=7, suffix="sql"), {})
    assert [path.rsplit("/", 1)[-1] for path, _ in asked] == ["files", "files", "jobs"]
    wanted = json.loads(asked[-1][1])
    assert wanted["training_file"] == "file-1" and wanted["validation_file"] == "file-2"
    assert wanted["method"]["supervised"]["hyperparameters"] == {"n_epochs": 2}
