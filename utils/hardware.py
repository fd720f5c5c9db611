"""What this machine has, and what follows for training: device, number format, attention, each with its reason.

Nothing here needs torch until `detect` is called, and `choose` takes plain facts, so it can be tested without a GPU.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from utils.distributed import process_count

MIN_BF16_CAPABILITY = (8, 0)
PRODUCT_SHAPE = (512, 576, 1536)  # tokens of a batch, width of the model, width of its feed-forward layers
PRODUCT_SECONDS = 0.15
SLOW_TFLOPS = 0.4
PATIENT = "COURSE_PATIENT"  # an environment variable


@dataclass(frozen=True)
class Machine:
    """Facts about a machine.

    Memory in GB (10^9 bytes); `tflops` says how fast the processor multiplies matrices in each number format, in 10^12
    operations a second; `cuda_capability` is like (8, 0), None without a CUDA GPU.
    """

    cores: int
    memory_gb: float
    processor: str = ""
    tflops: Mapping[str, float] = field(default_factory=dict)
    cuda_name: str | None = None
    cuda_capability: tuple[int, int] | None = None
    cuda_memory_gb: float = 0.0
    has_mps: bool = False
    has_flash_attention: bool = False


@dataclass(frozen=True)
class Choice:
    """What to train with. `dtype` names the format of the matrix products; weights stay float32 unless quantized."""

    device: str
    dtype: str
    attention: str
    reasons: dict[str, str]
    is_slow: bool = False
    """True for a processor below `SLOW_TFLOPS`: the course does less there, to stay within its time, unless
    the environment variable `COURSE_PATIENT` is set."""

    @property
    def bf16(self) -> bool:
        return self.dtype == "bfloat16"

    @property
    def fp16(self) -> bool:
        return self.dtype == "float16"

    @property
    def torch_dtype(self):  # noqa: ANN201 - torch is imported only on demand
        import torch

        return getattr(torch, self.dtype)

    def trainer_arguments(self) -> dict[str, bool]:
        """The arguments of `SFTConfig` that follow from the hardware."""
        return {"use_cpu": self.device == "cpu", "bf16": self.bf16, "fp16": self.fp16}

    def __str__(self) -> str:
        lines = [f"{name:<10} {getattr(self, name):<10} {self.reasons[name]}" for name in self.reasons]
        return "\n".join(lines)


def detect() -> Machine:
    """Look at this machine. Without a GPU this takes half a second, in which the processor multiplies matrices."""
    import torch

    facts = {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gb": memory_bytes() / 1e9,
        "processor": platform.machine(),
        # Several processes (see `utils.distributed`) are connected on CPUs and CUDA GPUs only.
        "has_mps": torch.backends.mps.is_available() and process_count() == 1,
    }
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        facts |= {
            "cuda_name": properties.name,
            "cuda_capability": (properties.major, properties.minor),
            "cuda_memory_gb": properties.total_memory / 1e9,
            "has_flash_attention": _is_installed("flash_attn"),
        }
    elif not facts["has_mps"]:
        facts["tflops"] = {name: measure_tflops(name) for name in ("float32", "bfloat16")}
    return Machine(**facts)


def choose(machine: Machine) -> Choice:
    """Device, number format and attention for this machine, with the reason for each."""
    if machine.cuda_capability is not None:
        return _choose_cuda(machine)
    if machine.has_mps:
        return Choice(
            "mps",
            "float32",
            "sdpa",
            {
                "device": "an Apple GPU was found",
                "dtype": "float32 is the format that every MPS release trains in without surprises",
                "attention": "PyTorch's own kernels; FlashAttention needs CUDA",
            },
        )
    return _choose_cpu(machine)


def choose_here() -> Choice:
    """`choose(detect())`: what the notebooks call. With `COURSE_PATIENT` in the environment, no processor is slow."""
    choice = choose(detect())
    if choice.is_slow and os.environ.get(PATIENT):
        patient = f"{choice.reasons['dtype']}; slow, but {PATIENT} is set, so nothing is shortened"
        return replace(choice, is_slow=False, reasons=choice.reasons | {"dtype": patient})
    return choice


def measure_tflops(dtype: str, seconds: float = PRODUCT_SECONDS) -> float:
    """How fast the processor multiplies matrices of a model's shape: the best of the tries, in 10^12 operations/s."""
    import torch

    rows, inner, columns = PRODUCT_SHAPE
    left = torch.ones(rows, inner, dtype=getattr(torch, dtype))
    right = torch.ones(columns, inner, dtype=left.dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    torch.nn.functional.linear(left, right)  # the first product of a shape also makes its kernel
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        torch.nn.functional.linear(left, right)
        best = min(best, time.perf_counter() - start)
    return 2 * rows * inner * columns / best / 1e12


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, or less if a container limits it."""
    limits = [_physical_memory()]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(path).read_text().strip() if Path(path).is_file() else ""
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def peak_memory_bytes() -> int:
    """The most memory this program has held so far, in bytes; 0 where the system does not tell (Windows)."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would begin with what the process held that started this one
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def _choose_cpu(machine: Machine) -> Choice:
    exact, short = (machine.tflops.get(name, 0.0) for name in ("float32", "bfloat16"))
    dtype = "bfloat16" if short > exact else "float32"
    return Choice(
        "cpu",
        dtype,
        "sdpa",
        {
            "device": f"no GPU was found; {machine.cores} cores, {machine.memory_gb:.0f} GB of memory",
            "dtype": f"measured here: {short:.2f} TFLOP/s in bfloat16, {exact:.2f} in float32",
            "attention": "PyTorch's own kernels; FlashAttention needs CUDA",
        },
        is_slow=max(exact, short) < SLOW_TFLOPS,
    )


def _choose_cuda(machine: Machine) -> Choice:
    capability = machine.cuda_capability
    version = f"{capability[0]}.{capability[1]}"
    bf16 = capability >= MIN_BF16_CAPABILITY
    flash = bf16 and machine.has_flash_attention
    return Choice(
        "cuda",
        "bfloat16" if bf16 else "float16",
        "flash_attention_2" if flash else "sdpa",
        {
            "device": f"{machine.cuda_name} with {machine.cuda_memory_gb:.0f} GB",
            "dtype": f"compute capability {version} has bfloat16 units"
            if bf16
            else f"compute capability {version} is below 8.0 and only emulates bfloat16; float16 uses its tensor cores",
            "attention": "flash-attn is installed" if flash else "PyTorch's own fused kernels need nothing installed",
        },
    )


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, AttributeError, OSError):
        import psutil

        return psutil.virtual_memory().total


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
