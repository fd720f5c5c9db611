"""Load is what clients see: so many at a time, each with its next question after its answer."""

from __future__ import annotations

import json
import math
import threading

from utils.load import Load, measure_load
from utils.plots import load_curves


def test_so_many_requests_at_a_time() -> None:
    lock, now, most = threading.Lock(), [0], [0]
    together = threading.Barrier(3, timeout=20)

    def ask(prompt: object) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait()
        with lock:
            now[0] -= 1
        return len(str(prompt))

    load = measure_load(ask, ["a", "bb", "ccc"] * 2, 3)
    assert (most[0], load.concurrency, len(load.latencies), load.tokens, load.failures) == (3, 3, 6, 12, [])
    assert max(load.latencies) <= load.seconds


def test_failures_are_told_and_not_counted_as_answers() -> None:
    def ask(prompt: object) -> int:
        return 10 // int(str(prompt))

    load = measure_load(ask, [1, 0, 5], 1)
    assert (len(load.latencies), load.tokens) == (2, 12)
    assert load.failures == ["ZeroDivisionError: integer division or modulo by zero"]


def test_figures() -> None:
    load = Load(4, 10.0, [float(value) for value in range(101)], 500, [])
    assert (load.p50, load.p95, load.answers_per_second, load.tokens_per_second) == (50.0, 95.0, 10.1, 50.0)
    assert json.loads(json.dumps(load.as_row()))["p95"] == 95.0
    assert Load(1, 1.0, [2.0], 1, []).p95 == 2.0
    assert math.isnan(Load(1, 1.0, [], 0, ["no"]).p50)


def test_curves_show_what_was_measured() -> None:
    ways = {"one by one": [Load(n, 10.0, [n / 2, n], 50, []) for n in (1, 2, 4)], "together": [Load(1, 1, [1], 9, [])]}
    left, right = load_curves(ways).axes
    slow, middle, _, _ = (line.get_ydata().tolist() for line in left.lines)
    assert (middle, slow[-1]) == ([0.75, 1.5, 3.0], ways["one by one"][-1].p95)
    assert [line.get_ydata().tolist() for line in right.lines] == [[5.0, 5.0, 5.0], [9.0]]
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["one by one", "one by one", "together", "together"]
    assert "seconds" in left.get_ylabel() and "per second" in right.get_ylabel()
    assert (left.get_ylim()[0], right.get_ylim()[0]) == (0, 0)
    assert left.get_ylim()[1] > max(slow)
    assert right.get_ylim()[1] > 9
