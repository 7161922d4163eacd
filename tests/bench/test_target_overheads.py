"""What digests cost the target, and what it costs to have sessions that do nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from tests.bench.raw_reader import connect
from tests.bench.targets import Target, ours

pytestmark = [pytest.mark.benchmark_target, pytest.mark.timeout(600)]

ROUNDS: Final = 5
DIGESTS_BAR: Final = 0.6
SESSIONS: Final = 200
IDLE_S: Final = 20.0
"""Longer than the array's ping interval, so that its pings are in what is measured."""
MEMORY_BAR_BYTES: Final = 40 << 20
CPU_BAR: Final = 0.01
"""Of one core."""


@pytest.mark.parametrize("size", [4096, 65536])
def test_both_digests(size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: dict[str, list[float]] = {"none": [], "crc32c": []}
    with ours(tmp_path) as target:
        for _ in range(ROUNDS):
            for digests, values in seen.items():
                values.append(read_rate_of(target, size, digests))
    plain, checked = median(seen["none"]), median(seen["crc32c"])
    with capsys.disabled():
        print(f"\n{size // 1024} KiB reads at depth 32: {plain:,.0f} IOPS without digests, ", end="")
        print(f"{checked:,.0f} with CRC32C on both: {checked / plain:.2f} of it (the bar is {DIGESTS_BAR})")
    assert checked / plain >= DIGESTS_BAR


def test_idle_sessions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ours(tmp_path) as target:
        address, port, iqn = parts(target)
        before = _memory_bytes(target.pid)
        peers = [connect(address, port, iqn, False, number)[0] for number in range(SESSIONS)]
        grown = _memory_bytes(target.pid) - before
        began, used = time.monotonic(), _cpu_s(target.pid)
        time.sleep(IDLE_S)
        share = (_cpu_s(target.pid) - used) / (time.monotonic() - began)
        for peer in peers:
            peer.close()
    with capsys.disabled():
        print(f"\n{SESSIONS} idle sessions: {grown / 2**20:.1f} MiB (the bar is 40), {share:.2%} of a core")
    assert grown < MEMORY_BAR_BYTES
    assert share < CPU_BAR


def read_rate_of(target: Target, size: int, digests: str) -> float:
    address, port, iqn = parts(target)
    command = [sys.executable, "-m", "tests.bench.raw_reader", address, str(port), iqn, str(size), "32", "2", digests]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
    return float(done.stdout)


def parts(target: Target) -> tuple[str, int, str]:
    portal, iqn, _ = target.url.removeprefix("iscsi://").split("/")
    address, port = portal.split(":")
    return address, int(port), iqn


def _memory_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu_s(pid: int) -> float:
    """CPU time a process has used, in the kernel and outside."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
