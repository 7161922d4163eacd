"""The C library's thresholds, in a process of its own since they hold for all of it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from harness.serving.allocator import keep_freed_memory

def faults_of_a_hundred_wake_ups():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        answers = [bytes(range(256)) * 256 for _ in range(16)]  # 16 reads of 64 KiB
        del answers
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

given_back = faults_of_a_hundred_wake_ups()
assert keep_freed_memory()
faults_of_a_hundred_wake_ups()
print(given_back, faults_of_a_hundred_wake_ups())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_what_is_freed_and_wanted_again_costs_no_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=60)
    given_back, kept = map(int, done.stdout.split())
    assert given_back > 10_000, "glibc no longer gives this back: keep_freed_memory can go"
    assert kept < 100
