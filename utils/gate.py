"""What stands between the network and a server that answers with a model: only requests it can bear come through.

An ASGI middleware. It knows the paths, reads a body only up to a size, asks for a key if there is one, keeps a limited
number of requests at work and in line, and ends each after a time, or when its client has gone. Whoever computes for a
request says with `when_over` how to stop that.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

METHODS = {"/v1/chat/completions": "POST", "/v1/completions": "POST", "/v1/models": "GET", "/health": "GET"}
OPEN_PATH = "/health"  # needs no key: it tells whoever watches the server that it lives, and nothing else
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
KINDS = {401: "authentication_error", 429: "rate_limit_error"}
# The engine names its work by this header: two requests with the same name would get each other's answers.
DROPPED_HEADER = b"x-request-id"

_stops: ContextVar[list[Callable[[], None]]] = ContextVar("stops")


@dataclass(frozen=True)
class Limits:
    """What a request may take: bytes of its body, and seconds until its answer is complete, waiting included.

    `concurrency` requests are worked on at a time, `queue` more may wait.
    """

    body_bytes: int = 256_000
    concurrency: int = 8
    queue: int = 32
    seconds: float = 60.0


class Refusal(Exception):
    """A request that is not served: an HTTP status, a sentence, and a code for programs."""

    def __init__(self, status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, dict[str, str]]:
        """The error as clients of OpenAI's interface expect it."""
        kind = KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "code": self.code}}


class _ClientGone(Exception):
    """The client closed the connection before its request was complete."""


def when_over(stop: Callable[[], None]) -> None:
    """Have `stop` called when the request that is being served is over: answered, given up by its client, too slow.

    Outside of a request this does nothing.
    """
    _stops.get([]).append(stop)


class Gate:
    """The middleware: `Gate(app, limits, key)` is an ASGI application itself."""

    def __init__(self, app: App, limits: Limits, key: str | None = None) -> None:
        self.app = app
        self.limits = limits
        self.key = key
        self.inside = 0
        self.places = asyncio.Semaphore(limits.concurrency)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the server's start and end; the engine knows no web sockets
            await self.app(scope, receive, send)
            return
        reply = Reply(send)
        try:
            await self._serve(scope, receive, reply)
        except Refusal as refusal:
            await reply.refuse(refusal)
        except _ClientGone:
            pass
        except TimeoutError:
            message = f"The answer was not complete after {self.limits.seconds:g} seconds, waiting in line included."
            await reply.refuse(Refusal(504, message, "time_limit"))

    async def _serve(self, scope: MutableMapping[str, Any], receive: Receive, reply: Reply) -> None:
        headers = dict(scope["headers"])
        self._check(scope["method"], scope["path"], headers)
        if scope["method"] == "GET":
            await self.app(scope, receive, reply)
            return
        if self.inside >= self.limits.concurrency + self.limits.queue:
            message = f"{self.inside} requests are being served or in line already. Try again in a second."
            raise Refusal(429, message, "busy", {"Retry-After": "1"})
        self.inside += 1
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await self._read(headers, receive)
                await _while_connected(self._answer(scope, body, reply), receive)
        finally:
            self.inside -= 1

    def _check(self, method: str, path: str, headers: dict[bytes, bytes]) -> None:
        if path not in METHODS:
            raise Refusal(404, f"There is nothing here. The paths are {', '.join(METHODS)}.", "unknown_path")
        if method != METHODS[path]:
            raise Refusal(405, f"{path} takes {METHODS[path]}.", "unknown_method", {"Allow": METHODS[path]})
        if self.key is None:
            # A web page whose name was pointed to this machine sends its own name here (DNS rebinding).
            host = re.sub(rb":\d+$", b"", headers.get(b"host", b"")).strip(b"[]").decode("latin-1").lower()
            if host not in LOCAL_NAMES:
                message = "Without a key, only requests to 127.0.0.1 or localhost are served."
                raise Refusal(403, message, "unknown_host")
        elif path != OPEN_PATH:
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, b"Bearer " + self.key.encode()):
                message = "The key is missing or wrong: send it in the header Authorization, as Bearer KEY."
                raise Refusal(401, message, "invalid_api_key", {"WWW-Authenticate": "Bearer"})

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The body. One that is too long is refused by what its header says, or else where it passes the limit."""
        limit = self.limits.body_bytes
        too_long = Refusal(413, f"The request is larger than {limit:,} bytes.", "request_too_large")
        told = headers.get(b"content-length", b"")
        if told.isdigit() and int(told) > limit:
            raise too_long
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGone
            body += message.get("body", b"")
            if len(body) > limit:
                raise too_long
            more = message.get("more_body", False)
        return bytes(body)

    async def _answer(self, scope: MutableMapping[str, Any], body: bytes, reply: Reply) -> None:
        """Wait for a place and have the application answer."""
        headers = [header for header in scope["headers"] if header[0] != DROPPED_HEADER]
        async with self.places:
            stops: list[Callable[[], None]] = []
            _stops.set(stops)
            try:
                await self.app({**scope, "headers": headers}, _replayed(body), reply)
            finally:
                for stop in stops:
                    stop()


class Reply:
    """Passes on what an application sends, and knows how far it is, so that an error can still be told."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = self.finished = self.streams = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.streams = dict(message.get("headers", [])).get(b"content-type", b"").startswith(b"text/event-stream")
        else:
            self.finished = not message.get("more_body", False)
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with the error; in a stream that has begun, as its last event."""
        text = json.dumps(refusal.body())
        if not self.started:
            headers = {"content-type": "application/json", "content-length": str(len(text)), **refusal.headers}
            encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            await self({"type": "http.response.start", "status": refusal.status, "headers": encoded})
            await self({"type": "http.response.body", "body": text.encode()})
        elif self.streams and not self.finished:
            await self({"type": "http.response.body", "body": f"data: {text}\n\n".encode()})


async def _while_connected(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Do the work; cancel it when the client closes the connection, or when this is cancelled."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.wait([task, gone])
    if not task.cancelled():
        task.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _replayed(body: bytes) -> Receive:
    """A `receive` that gives the body at once, and then nothing: the gate looks after the client itself."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    return receive
