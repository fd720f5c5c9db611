"""What is chosen for a machine, and why; the facts are made up, so no GPU is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from utils import hardware
from utils.hardware import Choice, Machine, choose, detect

CPU = Machine(cores=2, memory_gb=8.0, tflops={"float32": 0.14, "bfloat16": 0.02})
BF16_CPU = Machine(cores=2, memory_gb=8.0, tflops={"float32": 0.19, "bfloat16": 0.8})
T4 = Machine(cores=2, memory_gb=12.0, cuda_name="Tesla T4", cuda_capability=(7, 5), cuda_memory_gb=15.8)
A100 = Machine(cores=12, memory_gb=83.0, cuda_name="A100", cuda_capability=(8, 0), cuda_memory_gb=42.0)
B200 = Machine(cores=12, memory_gb=83.0, cuda_name="B200", cuda_capability=(10, 0), cuda_memory_gb=192.0)


@pytest.mark.parametrize(
    ("machine", "device", "dtype"),
    [
        (CPU, "cpu", "float32"),
        (BF16_CPU, "cpu", "bfloat16"),
        (Machine(cores=2, memory_gb=8.0), "cpu", "float32"),
        (T4, "cuda", "float16"),
        (A100, "cuda", "bfloat16"),
        (B200, "cuda", "bfloat16"),
        (Machine(cores=8, memory_gb=16.0, has_mps=True), "mps", "float32"),
    ],
)
def test_device_and_format_each_with_a_reason(machine: Machine, device: str, dtype: str) -> None:
    choice = choose(machine)
    assert (choice.device, choice.dtype, choice.attention) == (device, dtype, "sdpa")
    assert choice.reasons.keys() == {"device", "dtype", "attention"}
    assert all(len(reason) > 20 or reason.endswith("GB") for reason in choice.reasons.values())
    assert choice.torch_dtype is getattr(torch, dtype)
    for name, reason in choice.reasons.items():
        assert getattr(choice, name) in str(choice)
        assert reason in str(choice)


def test_reasons_name_the_facts() -> None:
    assert "2 cores, 8 GB" in choose(CPU).reasons["device"]
    assert "0.02 TFLOP/s in bfloat16, 0.14 in float32" in choose(CPU).reasons["dtype"]
    assert "Tesla T4" in choose(T4).reasons["device"]
    assert "7.5" in choose(T4).reasons["dtype"]


@pytest.mark.parametrize(("capability", "attention"), [((8, 0), "flash_attention_2"), ((7, 5), "sdpa")])
def test_flash_attention_if_installed_and_able(capability: tuple[int, int], attention: str) -> None:
    machine = Machine(2, 8.0, cuda_name="GPU", cuda_capability=capability, has_flash_attention=True)
    assert choose(machine).attention == attention


@pytest.mark.parametrize(
    ("machine", "arguments"),
    [
        (CPU, {"use_cpu": True, "bf16": False, "fp16": False}),
        (BF16_CPU, {"use_cpu": True, "bf16": True, "fp16": False}),
        (T4, {"use_cpu": False, "bf16": False, "fp16": True}),
        (A100, {"use_cpu": False, "bf16": True, "fp16": False}),
        (Machine(8, 16.0, has_mps=True), {"use_cpu": False, "bf16": False, "fp16": False}),
    ],
)
def test_trainer_arguments(machine: Machine, arguments: dict[str, bool]) -> None:
    assert choose(machine).trainer_arguments() == arguments


def test_gpu_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        name, major, minor, total_memory = "Tesla T4", 7, 5, 15_800_000_000

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)
    monkeypatch.setattr(hardware, "_is_installed", lambda _: True)
    machine = detect()
    assert (machine.cuda_name, machine.cuda_capability, machine.has_flash_attention) == ("Tesla T4", (7, 5), True)
    assert choose(machine) == Choice("cuda", "float16", "sdpa", choose(machine).reasons)


def test_this_machine() -> None:
    machine = detect()
    assert machine.cores >= 1
    assert 0.5 < machine.memory_gb < 100_000
    assert choose(machine).device in {"cpu", "cuda", "mps"}
    assert 10_000_000 < hardware.peak_memory_bytes() < 10**13


def test_slow_processors_are_told_from_fast_ones() -> None:
    eight_plain_cores = Machine(cores=8, memory_gb=16.0, tflops={"float32": 0.6, "bfloat16": 0.1})
    assert choose(CPU).is_slow
    assert not any(choose(machine).is_slow for machine in (BF16_CPU, eight_plain_cores, T4, A100))


def test_who_is_patient_gets_all_of_it_on_a_slow_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "detect", lambda: CPU)
    monkeypatch.delenv(hardware.PATIENT, raising=False)
    assert hardware.choose_here().is_slow
    monkeypatch.setenv(hardware.PATIENT, "1")
    patient = hardware.choose_here()
    assert not patient.is_slow
    assert "COURSE_PATIENT is set" in patient.reasons["dtype"]
    assert patient.dtype == choose(CPU).dtype


def test_rates_are_measured_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hardware.measure_tflops("float32", seconds=0.0) > 0
    clock = iter(range(1000))
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: float(next(clock)))
    operations = 2 * 512 * 576 * 1536
    assert hardware.measure_tflops("float32", seconds=5.0) == operations / 1e12


def test_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "Path", lambda _: tmp_path / "memory.max")
    monkeypatch.setattr(hardware, "_physical_memory", lambda: 8_000)
    assert hardware.memory_bytes() == 8_000
    for text, expected in (("max\n", 8_000), ("3000\n", 3_000), ("9223372036854771712\n", 8_000)):
        (tmp_path / "memory.max").write_text(text, encoding="utf-8")
        assert hardware.memory_bytes() == expected
