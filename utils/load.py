"""How a server bears load: so many requests at a time, how long each takes, and how much is answered altogether."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from statistics import quantiles


@dataclass(frozen=True)
class Load:
    """What `concurrency` clients saw that asked `len(latencies)` questions, each its next one after its answer.

    `seconds` for all of them, `latencies` in seconds for each request that was answered, `tokens` in all answers;
    `failures` are the other requests, as the text of their errors.
    """

    concurrency: int
    seconds: float
    latencies: list[float]
    tokens: int
    failures: list[str]

    @property
    def p50(self) -> float:
        """The latency that half of the requests stayed below, in seconds."""
        return _percentile(self.latencies, 50)

    @property
    def p95(self) -> float:
        """The latency that 95% of the requests stayed below, in seconds."""
        return _percentile(self.latencies, 95)

    @property
    def answers_per_second(self) -> float:
        """How many answers were complete in a second."""
        return len(self.latencies) / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """How many tokens all clients together got in a second."""
        return self.tokens / self.seconds

    def as_row(self) -> dict[str, object]:
        """The measurement with its figures, as plain data."""
        names = ("p50", "p95", "answers_per_second", "tokens_per_second")
        return asdict(self) | {name: getattr(self, name) for name in names}


def measure_load(ask: Callable[[object], int], prompts: Sequence[object], concurrency: int) -> Load:
    """Ask all prompts, `concurrency` at a time. `ask(prompt)` sends one and returns the number of tokens it got."""
    start = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as clients:
        asked = list(clients.map(partial(_ask_once, ask), prompts))
    seconds = time.perf_counter() - start
    answered = [(latency, tokens) for latency, tokens, failure in asked if not failure]
    return Load(
        concurrency=concurrency,
        seconds=seconds,
        latencies=[latency for latency, _ in answered],
        tokens=sum(tokens for _, tokens in answered),
        failures=[failure for _, _, failure in asked if failure],
    )


def _ask_once(ask: Callable[[object], int], prompt: object) -> tuple[float, int, str]:
    """(seconds, tokens, "") or, if it fails, (seconds, 0, the error)."""
    start = time.perf_counter()
    try:
        tokens, failure = ask(prompt), ""
    except Exception as error:
        tokens, failure = 0, f"{type(error).__name__}: {error}"
    return time.perf_counter() - start, tokens, failure


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else float("nan")
    return quantiles(values, n=100, method="inclusive")[percent - 1]
