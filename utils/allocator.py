"""How this process gets memory from the system: in large pages, and kept for reuse.

A training step on a CPU asks for a gigabyte in pieces and frees it again. By default each large piece is mapped anew
and the kernel fills it with zeros, page by page, which took a third of the time. On Linux two settings help: huge
pages, and a heap that keeps what was freed, up to a size. Other systems are left as they are.
"""

from __future__ import annotations

import ctypes
import os
import sys

# Names and limits from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# Larger pieces, such as one layer's attention weights, are mapped each by itself: kept on the heap they would cut it to
# pieces as their sizes change from batch to batch, and the process would grow by gigabytes.
LARGEST_KEPT_BYTES = 2**22


def keep_freed_memory() -> None:
    """Set the allocator up. To be called before torch is imported, which reads its setting only once."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    libc = _glibc()
    if libc is not None:
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def return_freed_memory() -> None:
    """Give freed memory back to the system: with pieces of ever new sizes a heap that keeps all would grow on."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
