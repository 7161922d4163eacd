"""A disk whose I/Os end when the test says so, and a clock that stands where the test puts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from harness.sectors import NEVER_WRITTEN, stamped
from harness.steps import Workload
from initiator_model.disk import DiskRemoved, IoResult, MpioDisk, Outcome, QueueFull
from initiator_model.paths import Path, PathState, ScsiAddress
from sim.rng import stream


class Clock:
    """Callable as a clock; `stream` is a stream of random numbers that is the same in each test."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.stream = stream(1, "test")

    def __call__(self) -> int:
        return self.now_ns


class HandIo(NamedTuple):
    """An I/O under way; ``data`` is None for a read."""

    lba: int
    blocks: int
    data: bytes | None
    done: Callable[[IoResult], None]


class HandDisk(MpioDisk):
    """Takes I/O and waits for `complete`. ``limit`` I/Os fit; ``gone`` takes none."""

    def __init__(self, blocks: int = 1024, block_size: int = 512, limit: int = 64) -> None:
        self.blocks = blocks
        self.block_size = block_size
        self.limit = limit
        self.gone = False
        self.asked: list[HandIo] = []
        self.under_way: list[HandIo] = []

    def submit_read(self, lba: int, blocks: int, done: Any) -> Any:
        self._take(HandIo(lba, blocks, None, done))

    def submit_write(self, lba: int, data: bytes, done: Any) -> Any:
        self._take(HandIo(lba, len(data) // self.block_size, data, done))

    def _take(self, io: HandIo) -> None:
        if self.gone:
            raise DiskRemoved("the disk was removed")
        if len(self.under_way) >= self.limit:
            raise QueueFull(f"{self.limit} I/Os are under way already")
        self.asked.append(io)
        self.under_way.append(io)

    def complete(
        self, index: int = 0, *, outcome: Outcome = Outcome.OK, path: Path | None = None, value: int = NEVER_WRITTEN
    ) -> None:
        """End one I/O; a read returns the value of write number ``value``."""
        io = self.under_way.pop(index)
        data = b""
        if io.data is None and outcome is Outcome.OK:
            size = self.block_size
            data = bytes(io.blocks * size) if value == NEVER_WRITTEN else stamped(value, io.lba, io.blocks, size)
        io.done(IoResult(outcome, data, path, 1, None))


def a_path(number: int) -> Path:
    """An Active path from 192.168.50.(number + 1)."""
    path = Path(
        source=f"192.168.50.{number + 1}:2815", portal="192.168.51.2:3260", scsi_address=ScsiAddress(3, 0, number, 0)
    )
    path.enter(PathState.ACTIVE_OPTIMIZED)
    return path


def a_workload(**changes: Any) -> Workload:
    """A workload step of 4 KiB I/Os named "io"; ``changes`` replace keys of its table."""
    table = {"do": "workload", "name": "io", "volume": "logs", "op": "write", "block": "4KiB", "depth": 2}
    table |= changes
    return Workload.model_validate({key: value for key, value in table.items() if value is not None})
