"""Only requests that a server can bear come through the gate; the others are told why, and leave nothing behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from ci.checks.asgi import Reply, call
from utils.gate import METHODS, Gate, Limits, when_over

CHAT = "/v1/chat/completions"


class App:
    """Answers POST with the body it got, GET with nothing; holds the former while `open` is not set, and counts."""

    def __init__(self, *, streams: bool = False, held: bool = False) -> None:
        self.streams = streams
        self.open = asyncio.Event()
        if not held:
            self.open.set()
        self.bodies: list[bytes] = []
        self.headers: dict[bytes, bytes] = {}
        self.at_work = self.most_at_work = self.over = self.cancelled = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        when_over(self._count_over)
        self.headers = dict(scope["headers"])
        if scope["method"] == "GET":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})
            return
        body = (await receive())["body"]
        self.bodies.append(body)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        kind = b"text/event-stream; charset=utf-8" if self.streams else b"application/json"
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}
        try:
            if self.streams:
                await send(start)
                await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
            await self.open.wait()
            if not self.streams:
                await send(start)
            await send({"type": "http.response.body", "body": body})
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_work -= 1

    def _count_over(self) -> None:
        self.over += 1


def ask(gate: Gate, path: str = CHAT, body: object = b"{}", **more: Any) -> Reply:
    return asyncio.run(call(gate, path, body, **more))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 20))


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0)


# --- Where to, and who -------------------------------------------------------------------------------------------


def test_request_comes_through_whole() -> None:
    reply = ask(Gate(app := App(), Limits()), pieces=[b'{"a"', b": 1", b"}"])
    assert (reply.status, reply.body, app.bodies) == (200, b'{"a": 1}', [b'{"a": 1}'])
    assert app.over == 1


@pytest.mark.parametrize("path", ["/", "/load_model", "/reset", "/docs", "/v1/responses", "/v1/models/", "//health"])
def test_other_paths_are_not_reached(path: str) -> None:
    for method in ("GET", "POST"):
        reply = ask(Gate(app := App(), Limits()), path, method=method)
        assert (reply.status, app.bodies) == (404, [])
        assert set(reply.error) == {"message", "type", "code"}
        assert CHAT in reply.error["message"]


def test_wrong_method_names_the_right_one() -> None:
    reply = ask(Gate(App(), Limits()), CHAT, method="GET")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert ask(Gate(App(), Limits()), "/health", method="POST").status == 405


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:80", "[::1]:8000"])
def test_own_names_are_served_without_a_key(host: str) -> None:
    assert ask(Gate(App(), Limits()), headers={"host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example:8000", ""])
def test_foreign_names_need_a_key(host: str) -> None:
    assert ask(Gate(App(), Limits()), headers={"host": host}).status == 403
    with_key = {"host": host, "authorization": "Bearer secret"}
    assert ask(Gate(App(), Limits(), "secret"), headers=with_key).status == 200


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer no"}, {"authorization": "secret"}])
def test_key_is_asked_for(header: dict[str, str]) -> None:
    for path, method in METHODS.items():
        reply = ask(Gate(app := App(), Limits(), "secret"), path, method=method, headers=header)
        assert reply.status == (200 if path == "/health" else 401)
        if reply.status == 401:
            assert (app.bodies, reply.error["type"]) == ([], "authentication_error")
            assert "secret" not in reply.body.decode()


def test_name_of_a_request_is_dropped() -> None:
    ask(Gate(app := App(), Limits()), headers={"x-request-id": "mine"})
    assert b"x-request-id" not in app.headers
    assert app.headers[b"content-type"] == b"application/json"


# --- How large ---------------------------------------------------------------------------------------------------


def test_long_body_is_refused_by_its_header() -> None:
    reply = ask(Gate(app := App(), Limits(body_bytes=100)), body=b"x" * 101, headers={"content-length": "101"})
    assert (reply.status, reply.sent, app.bodies) == (413, 0, [])
    assert "100 bytes" in reply.error["message"]


def test_long_body_without_a_length_is_refused_where_it_passes_the_limit() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 10

    reply = ask(Gate(app := App(), Limits(body_bytes=100)), pieces=endless())
    assert (reply.status, reply.sent, app.bodies) == (413, 11, [])


def test_body_of_the_largest_size_is_served() -> None:
    assert ask(Gate(App(), Limits(body_bytes=100)), body=b"x" * 100, headers={"content-length": "100"}).status == 200


def test_body_that_breaks_off_is_no_request() -> None:
    gate = Gate(app := App(), Limits())
    reply = ask(gate, pieces=[b'{"a":'], whole=False)
    assert (reply.status, app.bodies, gate.inside) == (None, [], 0)


# --- How many ----------------------------------------------------------------------------------------------------


def test_more_wait_and_still_more_are_refused() -> None:
    async def work() -> None:
        gate = Gate(app := App(held=True), Limits(concurrency=2, queue=3))
        inside = [asyncio.create_task(call(gate, CHAT, {"number": number})) for number in range(5)]
        await until(lambda: app.at_work == 2)
        refused = await call(gate, CHAT)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.error["type"] == "rate_limit_error"
        assert (await call(gate, "/health", method="GET")).status == 200
        app.open.set()
        assert [(await task).status for task in inside] == [200] * 5
        assert [json.loads(body)["number"] for body in app.bodies] == [0, 1, 2, 3, 4]
        assert (app.most_at_work, gate.inside) == (2, 0)
        assert (await call(gate, CHAT)).status == 200

    run(work())


def test_slow_sender_waits_in_line_and_not_at_work() -> None:
    async def work() -> None:
        gate = Gate(App(), Limits(concurrency=1, queue=1, seconds=10))
        never = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await never.wait()
            raise AssertionError

        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": [(b"host", b"localhost")]}
        slow = asyncio.create_task(gate(scope, receive, None))
        await until(lambda: gate.inside == 1)
        assert (await call(gate, CHAT)).status == 200
        slow.cancel()

    run(work())


def test_client_that_leaves_gives_up_its_place() -> None:
    async def work() -> None:
        gate = Gate(app := App(held=True), Limits(concurrency=1, queue=1))
        leaves = asyncio.Event()
        first = asyncio.create_task(call(gate, CHAT, leaves=leaves))
        await until(lambda: app.at_work == 1)
        leaves_too = asyncio.Event()
        second = asyncio.create_task(call(gate, CHAT, leaves=leaves_too))
        await until(lambda: gate.inside == 2)
        leaves_too.set()
        await second
        leaves.set()
        assert (await first).status is None
        assert (app.cancelled, app.over, len(app.bodies), gate.inside) == (1, 1, 1, 0)
        app.open.set()
        assert (await call(gate, CHAT)).status == 200

    run(work())


# --- How long ----------------------------------------------------------------------------------------------------


def test_time_limit_ends_work_and_waiting() -> None:
    async def work() -> None:
        gate = Gate(app := App(held=True), Limits(concurrency=1, queue=1, seconds=0.5))
        replies = await asyncio.gather(call(gate, CHAT), call(gate, CHAT))
        assert [reply.status for reply in replies] == [504, 504]
        assert "0.5 seconds" in replies[0].error["message"]
        assert replies[0].error["type"] == "server_error"
        assert (app.cancelled, app.over, gate.inside) == (1, 1, 0)
        app.open.set()
        assert (await call(gate, CHAT)).status == 200

    run(work())


def test_stream_that_takes_too_long_ends_with_the_error() -> None:
    reply = ask(Gate(app := App(streams=True, held=True), Limits(seconds=0.5)))
    first, last, end = reply.body.decode().split("\n\n")
    assert (reply.status, reply.complete, first, end) == (200, True, "data: first", "")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "time_limit"
    assert (app.cancelled, app.over) == (1, 1)


def test_error_of_the_application_is_its_own() -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise ZeroDivisionError

    gate = Gate(broken, Limits())
    with pytest.raises(ZeroDivisionError):
        ask(gate)
    assert gate.inside == 0


def test_start_and_end_of_the_server_pass() -> None:
    seen = []

    async def app(scope: dict[str, str], receive: object, send: object) -> None:
        seen.append(scope["type"])

    asyncio.run(Gate(app, Limits())({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


def test_nothing_is_stopped_outside_of_a_request() -> None:
    when_over(lambda: pytest.fail("called"))
