"""The C library's thresholds, in a process of its own since they hold for all of it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from harness.serving.allocator import keep_freed_memory
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    for _ in range(50):
        bytes(1 << 20).replace(b"x", b"y")
    return None
use(); before = faults(); use(); without = faults() - before
assert keep_freed_memory()
use(); before = faults(); use(); kept = faults() - before
print(without, kept)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_buffer_that_is_used_again_costs_no_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=60)
    without, kept = map(int, done.stdout.split())
    assert kept < 300, f"50 buffers of 256 pages each: {without} page faults before, {kept} after"
