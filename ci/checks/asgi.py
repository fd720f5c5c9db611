"""Call an ASGI application without a network, as a client that may send its body in pieces, or leave too early."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

LOCAL = {"host": "127.0.0.1:8000", "content-type": "application/json"}


@dataclass
class Reply:
    """What came back so far; `status` is None if nothing did. `sent` counts the pieces of the request's body."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    sent: int = 0

    @property
    def error(self) -> dict[str, str]:
        """The error in a body of JSON."""
        return json.loads(self.body)["error"]


async def call(
    app: Callable[..., Awaitable[None]],
    path: str,
    body: object = b"",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    pieces: Iterable[bytes] | None = None,
    whole: bool = True,
    leaves: asyncio.Event | None = None,
    reply: Reply | None = None,
) -> Reply:
    """One request. `body` is bytes or becomes JSON, or is given in `pieces`.

    The client goes away when `leaves` is set, or, if it is not `whole`, after its last piece.
    """
    reply = Reply() if reply is None else reply
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    remaining = iter(pieces if pieces is not None else [encoded])
    ahead = [next(remaining, b"")]

    async def receive() -> dict[str, Any]:
        if not ahead:
            if whole:
                await (leaves or asyncio.Event()).wait()
            return {"type": "http.disconnect"}
        piece = ahead.pop()
        ahead.extend(following for following in [next(remaining, None)] if following is not None)
        reply.sent += 1
        return {"type": "http.request", "body": piece, "more_body": bool(ahead) or not whole}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            reply.body += message.get("body", b"")
            reply.complete = not message.get("more_body", False)

    given = LOCAL | (headers or {})
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    await app(scope, receive, send)
    return reply
