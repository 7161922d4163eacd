"""Has the C library keep freed memory for a while, instead of giving it back at once.

A read from a file makes a buffer that is freed as soon as it is sent. By default glibc gives what lies free at the end
of its heap back to the kernel, above 128 KiB, and the kernel clears every page anew for the next wake-up: of reads of
64 KiB that is a third of the cost. Here that begins above what a connection holds at most, and the process keeps some
64 MiB more than it needs.
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 64 << 20
_LARGE_BYTES: Final = 16 << 20
"""What is larger still comes from the kernel and goes back to it."""


def keep_freed_memory() -> bool:
    """Set glibc's thresholds; False where the C library has none (mallopt(3))."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(*each) for each in ((_M_MMAP_THRESHOLD, _LARGE_BYTES), (_M_TRIM_THRESHOLD, _KEPT_BYTES)))
