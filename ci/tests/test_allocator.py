"""Freed memory stays with the process, and can be given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from utils.settings import ROOT

PROGRAM = """
import ctypes, resource, sys
sys.path.insert(0, {root!r})
from utils.allocator import keep_freed_memory, return_freed_memory
if {keep}:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
size = 3 * 2**20

def use():
    blocks = [libc.malloc(size) for _ in range(16)]
    for block in blocks:
        libc.memset(block, 1, size)
        libc.free(block)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
held = resident()
return_freed_memory()
print(held - resident())
"""


def faults_and_returned_bytes(keep: bool) -> tuple[int, int]:
    program = PROGRAM.format(root=str(ROOT), keep=keep)
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    faults, returned = map(int, output.split())
    return faults, returned


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of Linux")
def test_kept_memory_is_not_mapped_again_and_can_be_returned() -> None:
    usual_faults, _ = faults_and_returned_bytes(keep=False)
    faults, returned = faults_and_returned_bytes(keep=True)
    assert usual_faults > 1_000
    assert faults < usual_faults / 20
    assert returned > 40 * 2**20
