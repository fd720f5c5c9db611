"""The processor of this machine, as it is named beside what was measured on it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def machine() -> str:
    """Such as `2 cores of an AMD EPYC`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
        model = found[1].strip() if found else model
    return f"{cores} cores of {'an' if model[:1] in 'AEIOU' else 'a'} {model}, without a GPU"


def kind_of_processor() -> str:
    """What has to be said of this processor beside a time; nothing if it is not slow."""
    from utils.hardware import choose, detect

    return " of a slow processor" if choose(detect()).is_slow else ""
