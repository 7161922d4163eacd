"""What a healthy session has left while a thousand others are half open, one is very slow and one never reads."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from iscsi.pdu import LoginRequest, ScsiCommand, encode
from tests.bench.raw_reader import connect
from tests.bench.targets import ours
from tests.bench.test_target_overheads import parts, read_rate_of

pytestmark = [pytest.mark.benchmark_target, pytest.mark.timeout(600)]

ROUNDS: Final = 3
HALF_OPEN: Final = 1000
BAR: Final = 0.8


def test_a_healthy_session_keeps_its_throughput(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone, beside = [], []
    with ours(tmp_path) as target:
        address, port, iqn = parts(target)
        for _ in range(ROUNDS):
            alone.append(read_rate_of(target, 4096, "none"))
            with half_open(address, port), one_byte_a_second(address, port), never_reads(address, port, iqn):
                beside.append(read_rate_of(target, 4096, "none"))
    kept = median(beside) / median(alone)
    with capsys.disabled():
        print(f"\n4 KiB reads at depth 32: {median(alone):,.0f} IOPS alone, {median(beside):,.0f} beside {HALF_OPEN}")
        print(f"half-open connections, a byte a second and one that never reads: {kept:.2f} (the bar is {BAR})")
    assert kept >= BAR


@contextlib.contextmanager
def half_open(address: str, port: int) -> Iterator[None]:
    """Connections that say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, HALF_OPEN + 200)), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(HALF_OPEN):
            stack.enter_context(socket.create_connection((address, port)))
        yield


@contextlib.contextmanager
def one_byte_a_second(address: str, port: int) -> Iterator[None]:
    """A login that takes its time."""
    done = threading.Event()

    def dribble() -> None:
        with socket.create_connection((address, port)) as peer, contextlib.suppress(OSError):
            for byte in encode(LoginRequest(itt=1, csg=0, nsg=1, data=b"InitiatorName=iqn.2026-11.lab.bench:slow\0")):
                peer.sendall(bytes((byte,)))
                if done.wait(1.0):
                    return

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def never_reads(address: str, port: int, iqn: str) -> Iterator[None]:
    """A session that asks for 32 MiB and takes none of it."""
    peer, login = connect(address, port, iqn, False, 77)
    with peer:
        for number in range(128):
            if number >= login.max_cmd_sn - login.exp_cmd_sn:
                break
            cdb = b"\x28\0\0\0\0\0\0\x02\0".ljust(16, b"\0")  # 512 blocks from 0
            command = ScsiCommand(itt=1 + number, cmd_sn=1 + number, read=True, edtl=512 * 512, cdb=cdb)
            peer.sendall(encode(command))
        yield
