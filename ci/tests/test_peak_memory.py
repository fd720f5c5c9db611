"""The peak of one part of a program is measured, whatever earlier parts held."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy
import pytest
import torch

from utils.callbacks import MemoryLog
from utils.peak_memory import SECONDS_BETWEEN_LOOKS, PeakMemory


def hold(megabytes: int) -> None:
    """Fill so much memory, long enough to be seen, and free it."""
    filled = numpy.ones(megabytes * 10**6, dtype=numpy.uint8)
    time.sleep(10 * SECONDS_BETWEEN_LOOKS)
    assert filled[-1] == 1


def test_peak_counts_though_it_is_over_and_not_what_was_before() -> None:
    kept = numpy.ones(150 * 10**6, dtype=numpy.uint8)
    with PeakMemory() as large:
        hold(300)
    with PeakMemory() as small:
        hold(20)
    assert 0.29 < large.gigabytes < 0.4
    assert small.gigabytes < 0.1
    assert kept[-1] == 1


def test_watching_ends_with_the_block_and_on_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), PeakMemory() as memory:
        raise ValueError("inside")
    assert not memory.watcher.is_alive()


def test_watching_ends_with_a_training_that_breaks() -> None:
    log = MemoryLog()
    log.on_train_begin(SimpleNamespace(device=torch.device("cpu")), None, None)
    watcher = log.memory.watcher
    assert watcher.is_alive()
    del log
    watcher.join(timeout=10)
    assert not watcher.is_alive()


def test_gpu_is_asked_for_its_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("empty"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: asked.append("reset"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 2 * 10**9)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 7 * 10**9)
    with PeakMemory("cuda") as memory:
        pass
    assert asked == ["empty", "reset"]
    assert memory.gigabytes == pytest.approx(5)


def test_peaks_of_late_are_told_apart() -> None:
    with PeakMemory() as memory:
        hold(200)
        first = memory.of_late()
        time.sleep(3 * SECONDS_BETWEEN_LOOKS)
        second = memory.of_late()
    assert first - second > 0.15
    assert second > 0.01


def test_log_of_a_training_gets_the_memory_of_each_line() -> None:
    args = SimpleNamespace(device=torch.device("cpu"))
    state = SimpleNamespace(log_history=[])
    log = MemoryLog()
    log.on_train_begin(args, state, None)
    for row in ({"eval_loss": 1.0}, {"loss": 1.0}, {"train_runtime": 1.0}):
        state.log_history.append(row)
        log.on_log(args, state, None)
    log.on_train_end(args, state, None)
    assert [row.get("memory_gb", 0) > 0.01 for row in state.log_history] == [False, True, False]
    assert not log.memory.watcher.is_alive()
