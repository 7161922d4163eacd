"""The MPIO disk: a block device for the application, several paths below, and each I/O ends exactly once.

This file is the application's side: block ranges, command blocks, callbacks or awaitables. How an I/O finds its path
and what becomes of it when the path dies is `dispatch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from initiator_model.dispatch import Dispatcher
from initiator_model.dsm import Dsm
from initiator_model.errors import ErrorTable
from initiator_model.errors.msdsm import MSDSM
from initiator_model.fence_line import Fence
from initiator_model.logical_io import (
    DiskError,
    DiskRemoved,
    Done,
    IoResult,
    LogicalIo,
    Operation,
    Outcome,
    QueueFull,
    Timer,
    block_cdb,
)
from initiator_model.path_io import PathIo
from initiator_model.requests import ScsiRequest
from initiator_model.timers import Timers
from iscsi.scsi import ScsiOpcode

__all__ = [
    "DiskError",
    "DiskRemoved",
    "IoResult",
    "LogicalIo",
    "MpioDisk",
    "Operation",
    "Outcome",
    "PathIo",
    "QueueFull",
]

_READ = Operation.READ  # an enum's attribute is slow to look up
_READ_10, _READ_16 = int(ScsiOpcode.READ_10), int(ScsiOpcode.READ_16)
_WRITE_10, _WRITE_16 = int(ScsiOpcode.WRITE_10), int(ScsiOpcode.WRITE_16)
_FLUSH_10, _FLUSH_16 = int(ScsiOpcode.SYNCHRONIZE_CACHE_10), int(ScsiOpcode.SYNCHRONIZE_CACHE_16)


class MpioDisk(Dispatcher):
    """One disk. `blocks` is its size, `block_size` in bytes; the rest is the Dispatcher's."""

    def __init__(
        self,
        *,
        dsm: Dsm,
        timers: Timers,
        blocks: int,
        call_later: Callable[[float, Callable[[], None]], Timer],
        block_size: int = 512,
        lun: int = 0,
        errors: ErrorTable = MSDSM,
        queue_limit: int = 4096,
        fence: Fence | None = None,
    ) -> None:
        super().__init__(
            dsm=dsm, timers=timers, call_later=call_later, errors=errors, queue_limit=queue_limit, fence=fence
        )
        self.blocks = blocks
        self.block_size = block_size
        self.lun = lun

    def submit_read(self, lba: int, blocks: int, done: Done) -> LogicalIo:
        """Read `blocks` blocks; `done` gets an IoResult with the data. Raises as `submit_write` does."""
        self._check_range(lba, blocks)
        cdb = block_cdb(_READ_10, _READ_16, lba, blocks)
        return self.start(_READ, lba, blocks, ScsiRequest(cdb, self.lun, blocks * self.block_size, b""), done)

    def submit_write(self, lba: int, data: bytes, done: Done) -> LogicalIo:
        """Write whole blocks; `done` gets an IoResult.

        Raises:
            ValueError: no whole blocks, or beyond the end of the disk.
            QueueFull: `queue_limit` I/Os are under way.
            DiskRemoved: the disk is gone.
        """
        blocks, rest = divmod(len(data), self.block_size)
        if rest:
            raise ValueError(f"{len(data)} bytes are not whole blocks of {self.block_size}")
        self._check_range(lba, blocks)
        cdb = block_cdb(_WRITE_10, _WRITE_16, lba, blocks)
        return self.start(Operation.WRITE, lba, blocks, ScsiRequest(cdb, self.lun, 0, data), done)

    def submit_flush(self, done: Done) -> LogicalIo:
        """SYNCHRONIZE CACHE for the whole disk. Raises as `submit_write` does."""
        cdb = block_cdb(_FLUSH_10, _FLUSH_16, 0, 0)
        return self.start(Operation.FLUSH, 0, 0, ScsiRequest(cdb, self.lun, 0, b""), done)

    async def read(self, lba: int, blocks: int) -> bytes:
        """The data of `blocks` blocks; DiskError when the read failed."""
        future, done = _future()
        self.submit_read(lba, blocks, done)
        return (await future).data

    async def write(self, lba: int, data: bytes) -> None:
        """Write whole blocks; DiskError when the write failed or may have."""
        future, done = _future()
        self.submit_write(lba, data, done)
        await future

    async def flush(self) -> None:
        """Make what was written durable; DiskError when that failed."""
        future, done = _future()
        self.submit_flush(done)
        await future

    def _check_range(self, lba: int, blocks: int) -> None:
        if blocks < 1 or lba < 0 or lba + blocks > self.blocks:
            raise ValueError(f"{blocks} blocks at {lba}: the disk has blocks 0 to {self.blocks - 1}")


def _future() -> tuple[asyncio.Future[IoResult], Done]:
    """A future for one I/O and the callback that settles it."""
    future: asyncio.Future[IoResult] = asyncio.get_running_loop().create_future()

    def done(result: IoResult) -> None:
        if future.done():  # the waiter was cancelled; the I/O was not
            return
        if result.ok:
            future.set_result(result)
        else:
            future.set_exception(DiskError(result))

    return future, done
