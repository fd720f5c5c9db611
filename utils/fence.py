"""A fence around the page's server: it answers what the page's own script asks for, and nothing else.

Gradio's server can do far more: show its API, fetch files and other sites, record, monitor. None of that is needed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from utils.uploads import MAX_BYTES, MAX_MEGABYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD = "/gradio_api/upload"
MAX_BODY_BYTES = 1_000_000
MULTIPART_BYTES = 100_000  # what a form adds to the file in it
ANSWERED = re.compile(
    r"/(config|theme\.css|favicon\.ico|robots\.txt|(assets|static|svelte)/.+)?"
    r"|/gradio_api/(startup-events|theme\.css|queue/(join|data)|run/predict|heartbeat/\w+|cancel|reset|upload|upload_progress)"
)
# Gradio starts with scripts in the page, and builds templates as it runs. Whatever they do stays on this server.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Fence:
    """Middleware that refuses requests the page never makes, and bodies larger than it needs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        refusal = _refusal(scope)
        answer = PlainTextResponse(refusal[1], refusal[0]) if refusal else self.app
        await answer(scope, receive, send_with_headers)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    """The status and the sentence with which a request is refused, None for one that may pass."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if not ANSWERED.fullmatch(path):
        return 404, "There is nothing here."
    if scope["method"] in ("GET", "HEAD"):
        return None
    length = dict(scope["headers"]).get(b"content-length", b"")
    if not length.isdigit():
        return 411, "The request does not say how long it is."
    most = MAX_BYTES + MULTIPART_BYTES if path == UPLOAD else MAX_BODY_BYTES
    if int(length) > most:
        return 413, f"At most {MAX_MEGABYTES} MB can be uploaded." if path == UPLOAD else "The request is too large."
    return None
