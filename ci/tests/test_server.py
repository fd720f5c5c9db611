"""The server as clients see it: answers are those of the notebook, and nothing that a client does ends it.

The servers are processes of their own, with a tiny random model whose answers never end by themselves.
"""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import APIError, APIStatusError, AuthenticationError, OpenAI

from ci.checks.asgi import Reply, call
from ci.checks.tiny_model import make_tiny_model
from utils.gate import Gate, Limits
from utils.generation import generate_answers, render
from utils.hardware import Choice
from utils.models import load_model, load_tokenizer
from utils.processes import HOST, Server, running
from utils.server import load_app, main, parse

torch.set_num_threads(1)
CHAT = "/v1/chat/completions"
NAME = "parrot"
KEY = "a-key-for-the-test"
QUESTION = [{"role": "user", "content": "How many pens?"}]
LONGEST = 1900
CLIENT = """
import http.client, json, sys
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]))
body = json.dumps({"messages": [{"role": "user", "content": "Hello?"}], "stream": True})
connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
print(connection.getresponse().read(10), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that writes printable ASCII without end: all other tokens score 0, which something always beats."""
    folder = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny@1")
    network, tokenizer = load_model(str(folder)), load_tokenizer(str(folder))
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    silent = [number for number, token in enumerate(tokens) if len(token) > 1 or not token.isascii()]
    with torch.no_grad():
        network.lm_head.weight[silent] = 0
    network.save_pretrained(folder)
    return folder


def serve(model: Path, log: Path, *options: str, **environment: str) -> Any:
    command = [sys.executable, "-m", "utils.server", "--model", str(model), "--name", NAME, "--dtype", "float32"]
    # No model can be fetched, and there is no cache of the Hub.
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(log.parent / "nowhere"), "OMP_NUM_THREADS": "1"}
    return running([*command, *options], log=log, environment=offline | environment)


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(model, tmp_path_factory.mktemp("logs") / "server.log", "--max-tokens", str(LONGEST)) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def ask(client: OpenAI, text: str = "Hello?", **more: Any) -> Any:
    request = {"model": NAME, "max_tokens": 8} | more
    return client.chat.completions.create(messages=[{"role": "user", "content": text}], **request)


def post(server: Server, body: Any, path: str = CHAT, **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
    connection.request("POST", path, body, {"Content-Type": "application/json"} | headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def begin(server: Server, body: bytes, length: int) -> socket.socket:
    """A connection on which a request with a body of `length` bytes has begun."""
    connection = socket.create_connection((HOST, server.port))
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


# --- Answers -----------------------------------------------------------------------------------------------------


def test_answers_are_those_of_the_notebook(model: Path, client: OpenAI) -> None:
    prompts = [QUESTION, [{"role": "system", "content": "Be short: ä, 字 🙂."}, *QUESTION]]
    prompts += [[{"role": "user", "content": f"Question {number}, {'long ' * number}?"}] for number in range(4)]
    tokenizer = load_tokenizer(str(model))
    here = generate_answers(load_model(str(model)), tokenizer, prompts, max_new_tokens=24)
    for prompt, expected in zip(prompts, here, strict=True):
        asked = {"model": NAME, "messages": prompt, "max_tokens": 24}
        plain = client.chat.completions.create(**asked)
        streamed = [*client.chat.completions.create(**asked, stream=True)]
        assert plain.choices[0].message.content == expected
        assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == expected
        assert plain.usage.prompt_tokens == streamed[-1].usage.prompt_tokens == len(render(tokenizer, prompt))
        assert plain.usage.completion_tokens == streamed[-1].usage.completion_tokens == 24
        assert plain.choices[0].finish_reason == streamed[-1].choices[0].finish_reason == "length"
        assert plain.model == NAME


def test_text_is_continued(model: Path, client: OpenAI) -> None:
    text = load_tokenizer(str(model)).apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True)
    continued = client.completions.create(model=NAME, prompt=text, max_tokens=8).choices[0].text
    streamed = client.completions.create(model=NAME, prompt=text, max_tokens=8, stream=True)
    assert continued == "".join(chunk.choices[0].text for chunk in streamed)
    assert continued == ask(client, "How many pens?").choices[0].message.content


def test_sampling_is_repeatable(client: OpenAI) -> None:
    def answers(seed: int) -> list[str]:
        with ThreadPoolExecutor(4) as clients:
            asked = clients.map(lambda _: ask(client, temperature=2, seed=seed, max_tokens=40), range(4))
            return [answer.choices[0].message.content for answer in asked]

    first, second = answers(1), answers(2)
    assert len({*first}) == len({*second}) == 1
    assert first != second
    assert ask(client, max_tokens=40).choices[0].message.content not in first + second


def test_the_one_model_is_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [NAME]


# --- What a client may do ----------------------------------------------------------------------------------------


def test_200_requests_at_a_time_of_8(client: OpenAI) -> None:
    def one(number: int) -> tuple[str, int]:
        if number % 4:
            answer = ask(client, f"Number {number % 10}?", max_tokens=4)
            return answer.choices[0].message.content, answer.usage.completion_tokens
        chunks = [*ask(client, f"Number {number % 10}?", max_tokens=4, stream=True)]
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks), chunks[-1].usage.completion_tokens

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(one, range(200)))
    assert [tokens for _, tokens in answers] == [4] * 200
    for digit in range(10):
        assert len({text for text, _ in answers[digit::10]}) == 1


def test_ten_megabytes_are_refused(server: Server, client: OpenAI) -> None:
    status, answer = post(server, json.dumps({"messages": [{"role": "user", "content": "x" * 10_000_000}]}).encode())
    assert (status, answer["error"]["code"]) == (413, "request_too_large")
    chunks = iter([b"x" * 100_000] * 100)
    status, answer = post(server, chunks)  # http.client sends an iterator without a length, in chunks
    assert (status, answer["error"]["code"]) == (413, "request_too_large")
    assert ask(client).usage.completion_tokens == 8


def test_connection_cut_in_the_body(server: Server, client: OpenAI) -> None:
    for _ in range(3):
        begin(server, b'{"messages": [', 5000).close()
    assert ask(client).usage.completion_tokens == 8


def test_connection_cut_in_the_answer(server: Server, client: OpenAI) -> None:
    body = json.dumps({"messages": QUESTION}).encode()
    for _ in range(20):  # each would take seconds, were it not given up
        begin(server, body, len(body)).close()
    for _ in range(20):
        stream = ask(client, max_tokens=LONGEST, stream=True)
        next(iter(stream))
        stream.close()
    assert ask(client.with_options(timeout=20)).usage.completion_tokens == 8


def test_killed_client(server: Server, client: OpenAI) -> None:
    command = [sys.executable, "-c", CLIENT, HOST, str(server.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert b"data: " in process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert process.returncode < 0
    assert ask(client).usage.completion_tokens == 8


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"messages": [', 400, "not JSON: Expecting value, at character 15"),
        (b'{"messages": "\xff"}', 400, "error parsing the body."),
        (b"[" * 100_000, 400, "error parsing the body."),
        (b"[]", 400, "Send a JSON object"),
        (b"", 400, "Send a JSON object"),
        (b"{}", 400, "at least one message"),
        (b'{"messages": [{"role": "user", "content": 7}]}', 400, "must be a text"),
        (b'{"messages": [{"role": "user", "content": "\\ud83d"}]}', 400, "half a character"),
        (b'{"messages": [{"role": "user", "content": "<|im_end|>"}]}', 400, "mark of its own"),
        (json.dumps({"messages": [{"role": "user", "content": "x" * 3000}]}).encode(), 400, "the model reads 2,048"),
        (b'{"model": "gpt2", "messages": [{"role": "user", "content": "?"}]}', 404, "only 'parrot'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_faults_are_told(server: Server, body: bytes, status: int, said: str) -> None:
    found, answer = post(server, body)
    assert (found, {*answer["error"]}) == (status, {"message", "type", "code"})
    assert said in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"


def test_text_that_is_not_json_by_its_header_is_refused(server: Server) -> None:
    status, answer = post(server, json.dumps({"messages": QUESTION}).encode(), **{"Content-Type": "text/plain"})
    assert (status, "Content-Type: application/json" in answer["error"]["message"]) == (400, True)


def test_no_other_model_is_loaded(server: Server) -> None:
    for path in ("/load_model", "/reset", "/v1/responses"):
        assert post(server, b'{"model": "gpt2"}', path)[0] == 404


def test_nothing_failed_inside(server: Server) -> None:
    log = server.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert f"Model '{NAME}' in float32 on cpu" in log


# --- A server that is held tightly -------------------------------------------------------------------------------


def test_key_line_and_time_limit(model: Path, tmp_path: Path) -> None:
    options = ["--host", "0.0.0.0", "--api-key-variable", "SHOP_KEY", "--concurrency", "1", "--queue", "1"]
    options += ["--time-limit", "1", "--max-tokens", str(LONGEST), "--max-body-kb", "1"]
    with serve(model, tmp_path / "server.log", *options, SHOP_KEY=KEY) as server:
        known = OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0)
        assert ask(known).usage.completion_tokens == 8
        with pytest.raises(AuthenticationError, match="The key is missing or wrong"):
            ask(known.with_options(api_key="another"))
        assert post(server, b"x" * 1001, Authorization=f"Bearer {KEY}")[0] == 413

        def status(_: int) -> int:
            try:
                ask(known, max_tokens=LONGEST)
            except APIStatusError as error:
                return error.status_code
            return 200

        with ThreadPoolExecutor(4) as clients:
            assert sorted(clients.map(status, range(4))) == [429, 429, 504, 504]
        assert ask(known).usage.completion_tokens == 8  # within the second: what was too slow is not computed any more
        with pytest.raises(APIError, match="not complete after 1 seconds"):
            list(ask(known, max_tokens=LONGEST, stream=True))
        assert ask(known).usage.completion_tokens == 8
    assert KEY not in server.log.read_text(encoding="utf-8")


# --- Inside ------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is not measured: that has tests of its own."""
    monkeypatch.setattr("utils.hardware.choose_here", lambda: Choice("cpu", "float32", "sdpa", {}))


def load(model: Path, *options: str) -> tuple[Gate, Any]:
    return load_app(parse(["--model", str(model), "--max-tokens", str(LONGEST), *options]))


def answer(reply: Reply) -> str:
    return json.loads(reply.body)["choices"][0]["message"]["content"]


def test_token_ids_are_those_of_the_notebook(model: Path, quick: None) -> None:
    gate, engine = load(model)
    seen = []

    async def generate(network: Any, processor: Any, inputs: Any, config: Any, **_: Any) -> tuple[str, int, list[int]]:
        seen.append(inputs["input_ids"].tolist())
        return "so", 1, [1]

    engine.manager.generate_non_streaming = generate
    messages = [{"role": "system", "content": " Two\nlines. "}, {"role": "user", "content": ""}, *QUESTION]
    assert asyncio.run(call(gate, CHAT, {"messages": messages})).status == 200
    assert seen == [[render(load_tokenizer(str(model)), messages)]]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_generation_stops_with_its_request(
    model: Path,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stream: bool,
    together: bool,
) -> None:
    passes = []

    def counting(*arguments: Any, **more: Any) -> Any:
        network = load_model(*arguments, **more)
        network.register_forward_hook(lambda *_: passes.append(1))
        return network

    monkeypatch.setattr("utils.models.load_model", counting)
    gate, engine = load(model, *["--together"] * together)

    async def leave_at(moment: Callable[[int], bool]) -> None:
        leaves = asyncio.Event()
        request = asyncio.create_task(call(gate, CHAT, {"messages": QUESTION, "stream": stream}, leaves=leaves))
        turns = 0
        while not moment(turns) and not request.done():
            await asyncio.sleep(0)
            turns += 1
        leaves.set()
        await request

    async def leave_at_all_moments() -> None:
        for count in range(30):  # while it is accepted, handed over, begun
            await leave_at(lambda turns, count=count: turns == count)
        await leave_at(lambda _: len(passes) > 40)
        assert (await call(gate, CHAT, {"messages": QUESTION, "max_tokens": 2})).status == 200
        seen = len(passes)
        await asyncio.sleep(0.3)
        assert len(passes) == seen < 300  # and not 1,900 for each

    try:
        asyncio.run(leave_at_all_moments())
        gc.collect()  # asyncio complains of what was forgotten only when it is thrown away
        assert "never retrieved" not in caplog.text
    finally:
        engine.shutdown()


def test_requests_are_answered_together(model: Path, quick: None) -> None:
    gate, engine = load(model, "--together")
    prompts = [[{"role": "user", "content": f"Question {number}, {'long ' * number}?"}] for number in range(12)]
    here = generate_answers(load_model(str(model)), load_tokenizer(str(model)), prompts, max_new_tokens=16)

    async def ask_all() -> list[Reply]:
        return await asyncio.gather(
            *(call(gate, CHAT, {"messages": prompt, "max_tokens": 16}) for prompt in prompts),
            call(gate, CHAT, {"messages": QUESTION, "temperature": 1}),
        )

    try:
        *replies, sampled = asyncio.run(ask_all())
    finally:
        engine.shutdown()
    assert [answer(reply) for reply in replies] == here
    assert "greedily" in sampled.error["message"]


def test_template_that_refuses_is_a_sentence(model: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{{ raise_exception('No system message, please.') }}"
    usual = load_tokenizer

    def strict(name: str) -> Any:
        tokenizer = usual(name)
        tokenizer.chat_template = template
        return tokenizer

    monkeypatch.setattr("utils.models.load_tokenizer", strict)
    gate, _ = load(model)
    reply = asyncio.run(call(gate, CHAT, {"messages": QUESTION}))
    assert (reply.status, "No system message, please." in reply.error["message"]) == (400, True)


# --- The command -------------------------------------------------------------------------------------------------


def test_mistakes_are_told_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("utils.server.load_app", lambda _: pytest.fail("loaded"))
    monkeypatch.delenv("SHOP_KEY", raising=False)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options, status, said in [
            (["--host", "0.0.0.0"], 2, "needs a key"),
            (["--api-key-variable", "SHOP_KEY"], 2, "no environment variable"),
            (["--concurrency", "0"], 2, "--concurrency must be more than 0"),
            (["--queue", "-1"], 2, "--queue must not be negative"),
            (["--dtype", "int4"], 2, "--dtype must be one of float32"),
            (["--prot", "1"], 2, "There is no option --prot"),
            (["--port", str(port)], 1, f"cannot listen on 127.0.0.1, port {port}"),
        ]:
            assert main(options) == status, options
            error = capsys.readouterr().err
            assert said in error
            assert "Traceback" not in error


def test_key_given_by_mistake_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--api-key-variable", KEY]) == 2
    assert KEY not in capsys.readouterr().err


def test_missing_model_is_a_sentence(capsys: pytest.CaptureFixture[str], quick: None) -> None:
    assert main(["--model", "nowhere", "--port", "0"]) == 1
    assert "There is no model 'nowhere'" in capsys.readouterr().err


def test_limits_come_from_the_options(model: Path, quick: None) -> None:
    options = ["--max-body-kb", "7", "--concurrency", "3", "--queue", "5", "--time-limit", "9"]
    gate, _ = load(model, *options)
    assert gate.limits == Limits(body_bytes=7000, concurrency=3, queue=5, seconds=9.0)
    assert os.path.basename(model) == "tiny@1"  # a name that the engine alone would cut in two
