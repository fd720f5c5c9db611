"""Serve a model over HTTP, with the interface of OpenAI: chat, completions, streams, a list of models.

    python -m utils.server --model runs/course/export/model

The engine is that of `transformers serve`. What is held more tightly is in `utils.engine`, the limits in `utils.gate`.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.errors import UsageError, complain
from utils.allocator import keep_freed_memory
from utils.errors import CourseError
from utils.gate import LOCAL_NAMES, Gate, Limits, Refusal
from utils.limits import explained
from utils.options import make_parser, read_all

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse

COMMAND = "python -m utils.server"
OPTIONS = """
model: str = "smollm2-135m"  # a folder with a model, an embedded model or a Hub id
name: str | None = None  # what clients call the model; the name of its folder unless given
host: str = "127.0.0.1"  # the address to listen on; any other than this machine's own needs a key
port: int = 8000  # the port to listen on
api_key_variable: str | None = None  # the environment variable with the key that clients must send
dtype: str | None = None  # float32, bfloat16 or float16; what this machine computes fastest unless given
together: bool = False  # answer requests together, in one forward pass (continuous batching); greedy only
max_tokens: int = 512  # longest answer, in tokens; requests may ask for less
max_body_kb: int = 256  # largest request, in KB
concurrency: int = 8  # requests that are worked on at the same time
queue: int = 32  # requests that may wait; what comes on top is refused
time_limit: float = 60.0  # seconds until an answer must be complete, waiting included
"""
DTYPES = ("float32", "bfloat16", "float16")
LADDER = "Serve a smaller model, or one in 16 bits: --dtype bfloat16."
SECONDS_TO_FINISH = 3  # for requests that are being answered when the server is stopped
SECONDS_IDLE = 30  # a client's connection is kept for its next request
CONNECTIONS = 500  # below the 1,024 open files that systems usually allow


def main(arguments: Sequence[str]) -> int:
    """Run the command until it is interrupted; returns the exit status."""
    try:
        values = parse(arguments)
        with explained(Path.cwd(), LADDER):
            serve(values)
    except CourseError as error:
        return complain(error)
    except KeyboardInterrupt:
        return 0
    return 0


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """What a command line asks for, `key` among it. Raises UsageError."""
    parser = make_parser(COMMAND, "--model NAME", __doc__)
    values = read_all(parser, OPTIONS, arguments)
    for name in ("max_tokens", "max_body_kb", "concurrency", "time_limit"):
        if values[name] <= 0:
            raise UsageError(f"--{name.replace('_', '-')} must be more than 0.")
    if values["queue"] < 0 or not 0 <= values["port"] < 65_536:
        raise UsageError("--queue must not be negative, and --port lie between 0 and 65535.")
    if values["dtype"] not in {None, *DTYPES}:
        raise UsageError(f"--dtype must be one of {', '.join(DTYPES)}.")
    return values | {"key": _read_key(values["api_key_variable"], values["host"])}


def serve(values: dict[str, Any]) -> None:
    """Load the model and answer requests until the process is interrupted.

    Raises:
        CourseError: the address is not free, or there is no such model.
    """
    listener = _bind(values["host"], values["port"])
    keep_freed_memory()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import uvicorn

    app, engine = load_app(values)
    host, port = listener.getsockname()[:2]
    print(f"Serving at http://{f'[{host}]' if ':' in host else host}:{port}/v1 until you press Ctrl-C.", flush=True)
    config = uvicorn.Config(
        app,
        ws="none",
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=SECONDS_IDLE,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        engine.shutdown()


def load_app(values: dict[str, Any]) -> tuple[Gate, Any]:
    """The ASGI application with its model loaded, behind its gate; and the engine, whose `shutdown` ends it."""
    import torch
    from transformers.utils import logging

    from utils.engine import serving_app
    from utils.hardware import choose_here
    from utils.models import load_model, load_tokenizer
    from utils.payloads import Rules

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hardware = choose_here()
    dtype = getattr(torch, values["dtype"]) if values["dtype"] else hardware.torch_dtype
    model = load_model(values["model"], dtype=dtype, device=hardware.device, attention=hardware.attention).eval()
    tokenizer = load_tokenizer(values["model"])
    folder = Path(values["model"]).expanduser()
    name = values["name"] or (folder.resolve().name if folder.is_dir() else values["model"])
    rules = Rules(name, values["max_tokens"], tokenizer.all_special_tokens, sampling=not values["together"])
    app, engine = serving_app(model, tokenizer, rules, together=values["concurrency"] if values["together"] else 0)
    tell_errors_as_sentences(app)
    limits = Limits(1000 * values["max_body_kb"], values["concurrency"], values["queue"], values["time_limit"])
    print(
        f"Model {name!r} in {str(dtype).removeprefix('torch.')} on {hardware.device}: {limits.concurrency} requests at "
        f"a time, {limits.queue} in line, {limits.seconds:g} s each, answers up to {rules.max_tokens} tokens.",
        flush=True,
    )
    return Gate(app, limits, values["key"]), engine


def tell_errors_as_sentences(app: FastAPI) -> None:
    """Give the application's errors the form that clients of OpenAI's interface read."""
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException
    from transformers.cli.serving.utils import CBWorkerDeadError

    engine_stopped = "The engine has stopped; the server's log says why. Start the server again."
    failed = "The server failed to answer; its log says why."
    refusals: dict[type[Exception], Callable[[Any], Refusal]] = {
        Refusal: lambda error: error,
        RequestValidationError: _not_json,
        HTTPException: lambda error: Refusal(error.status_code, f"{str(error.detail).rstrip('.')}.", "invalid_request"),
        CBWorkerDeadError: lambda _: Refusal(503, engine_stopped, "engine_stopped"),
        Exception: lambda _: Refusal(500, failed, "server_error"),
    }

    async def reply(as_refusal: Callable[[Any], Refusal], _: Request, error: Exception) -> JSONResponse:
        refusal = as_refusal(error)
        return JSONResponse(refusal.body(), refusal.status, headers=refusal.headers)

    for kind, as_refusal in refusals.items():
        app.add_exception_handler(kind, partial(reply, as_refusal))


def _not_json(error: RequestValidationError) -> Refusal:
    first = error.errors()[0]
    message = "Send a JSON object, with the header Content-Type: application/json."
    if first["type"] == "json_invalid":
        message = f"The request is not JSON: {first['ctx']['error']}, at character {first['loc'][-1] + 1}."
    return Refusal(400, message, "invalid_json")


def _read_key(variable: str | None, host: str) -> str | None:
    """The key that the variable holds. Raises UsageError if it holds none, or if an open server would have none."""
    if variable is None:
        if host not in LOCAL_NAMES:
            raise UsageError(
                f"On {host} others can reach this server, so it needs a key: put one into an environment variable and "
                "pass the variable's name, --api-key-variable NAME."
            )
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        # Its name is not repeated: it may be the key itself, given by mistake.
        raise UsageError("There is no environment variable of the name that --api-key-variable gives, or it is empty.")
    return key


def _bind(host: str, port: int) -> socket.socket:
    """A socket on the address, before the model is loaded, as that takes long. Raises CourseError if it is not free."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if os.name == "posix":  # elsewhere this option would let two programs share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CourseError(
            f"The server cannot listen on {host}, port {port}: {error.strerror}. Choose another with --port or --host."
        ) from None
    return listener


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
