"""Checks of the exercises of notebook 07: how long a line may be, what comes too late, and a patient client."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from utils.exercises.checks import exercise
from utils.exercises.verdicts import Verdict, not_yet, right
from utils.gate import Limits

if TYPE_CHECKING:
    from utils.load import Load

TOO_LATE = 504
TOLERANCE = 0.15  # of a rate that differs a little from measurement to measurement
MOST_ATTEMPTS, MOST_CALLS = 10, 50


@exercise("07.1", float)
def line_that_can_be_served(answer: float, *, loads: Sequence[Load], time_limit: float) -> Verdict:
    """How many requests that arrive together are answered one by one within the time limit."""
    served = [time_limit * load.answers_per_second for load in loads]
    if (1 - TOLERANCE) * min(served) - 1 <= answer <= (1 + TOLERANCE) * max(served) + 1:
        places = Limits().concurrency + Limits().queue
        if answer < places:
            return right(f"The gate lets {places} in: some would wait in vain. A shorter --queue tells them at once.")
        return right(f"That is more than the {places} that the gate lets in, so whoever is let in gets an answer.")
    return not_yet("the table says how many answers a second are complete. How many is that in the time limit?")


@exercise("07.2", dict)
def too_late(answer: Mapping[str, int]) -> Verdict:
    """What two clients get whose answers take too long: one that waits for the whole, one that streams."""
    if answer.keys() != {"status", "pieces"}:
        return not_yet('the dictionary should have two entries, "status" and "pieces".')
    if answer["status"] != TOO_LATE:
        return not_yet("what does `status_code` say, of the APIStatusError that the plain request raises?")
    if not answer["pieces"]:
        return not_yet("count the pieces in the loop over the stream; the error ends the loop.")
    return right("The status is sent before the answer begins; a stream has begun, so its error can only be its end.")


@exercise("07.3", Callable)
def patient(answer: Callable[[Callable[[], object]], object]) -> Verdict:
    """A function that calls `send` again, when the header says, after a refusal for want of room: ten calls at most."""
    from openai import BadRequestError, RateLimitError

    busy = Server(refusals=1, error=refused(RateLimitError, 429, {"Retry-After": "1"}))
    begin = time.monotonic()
    if answer(busy) != busy.reply:
        return not_yet("what `send()` returned in the end did not come back.")
    if time.monotonic() - begin < 1:
        return not_yet("a refusal said Retry-After: 1, and your function did not wait for a second.")
    closed = Server(refusals=MOST_CALLS, error=refused(RateLimitError, 429, {"Retry-After": "0"}))
    if not tried(answer, closed) or closed.calls != MOST_ATTEMPTS:
        return not_yet(
            f"a server that is always busy was called {closed.calls} times. Give up after {MOST_ATTEMPTS}, and let the "
            "last error through."
        )
    faulty = Server(refusals=MOST_CALLS, error=refused(BadRequestError, 400, {}))
    if not tried(answer, faulty) or faulty.calls > 1:
        return not_yet("a request with a fault, status 400, will always be refused: let that error through at once.")
    return right("It waits where waiting helps, gives up in the end, and lets other errors through.")


class Server:
    """Something to be called, which refuses so many times before it replies."""

    reply = "SELECT 1"

    def __init__(self, refusals: int, error: Exception) -> None:
        self.refusals, self.error, self.calls = refusals, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.refusals:
            raise self.error
        return self.reply


def tried(answer: Callable, server: Server) -> bool:
    """True if calling the server ended in its error."""
    try:
        answer(server)
    except type(server.error):
        return True
    return False


def refused(kind: type, status: int, headers: Mapping[str, str]) -> Exception:
    """An error as the client raises it."""
    from httpx import Request, Response

    request = Request("POST", "http://127.0.0.1/v1/chat/completions")
    return kind("Refused.", response=Response(status, headers=dict(headers), request=request), body=None)
