"""Who wrote which block: the memory that reads are judged by.

Every block a workload writes carries the number of the logical I/O that wrote it and its own address. The ledger keeps,
per block, the writes whose value may still stand there: a write is out once another write, begun after it had ended,
has been acknowledged. A block that holds anything else is stale, torn, misdirected or lost. Writes that failed or
ended unknown may or may not have happened, so they only ever add to what is allowed.

This judges each block as a register of its own, which is what SCSI promises; it looks at the logical I/O, above the
DSM, so a retry that took effect after a later write was acknowledged shows as a stale value.

What came before what is the order in which the ledger was told, not a clock: a closed loop begins its next write in
the same nanosecond in which the last one ended, and those two are in order all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from struct import Struct

_STAMP = Struct(">4sIQQ")
_MAGIC = b"mpio"
NEVER_WRITTEN = 0
"""The "write number" of a block of zeros."""


def stamped(writer: int, lba: int, blocks: int, block_size: int) -> bytes:
    """The content that write number ``writer`` (1 or more) puts into ``blocks`` blocks from ``lba`` on."""
    rest = bytes(block_size - _STAMP.size)
    pack = _STAMP.pack
    return b"".join([pack(_MAGIC, block_size, writer, lba + index) + rest for index in range(blocks)])


def writer_of(block: bytes, lba: int) -> int | None:
    """The write number a block carries, `NEVER_WRITTEN` for zeros, None for anything torn, foreign or misplaced."""
    zeros = _zeros(len(block))  # compared as a whole: looking at each byte is what most of a judgement would cost
    if block == zeros:
        return NEVER_WRITTEN
    magic, size, writer, address = _STAMP.unpack_from(block)
    if magic != _MAGIC or size != len(block) or address != lba or block[_STAMP.size :] != zeros[_STAMP.size :]:
        return None
    return int(writer)


@cache
def _zeros(size: int) -> bytes:
    return bytes(size)


@dataclass(slots=True)
class _Write:
    number: int
    begun: int  # times are counts of what the ledger was told
    ended: int | None = None  # acknowledged then; None while open, failed or unknown
    out: int | None = None  # when a later write made its value impossible


@dataclass(frozen=True, slots=True)
class Finding:
    """A block that holds what it cannot hold."""

    lba: int
    found: int | None
    allowed: tuple[int, ...]

    def __str__(self) -> str:
        found = "content no write ever wrote" if self.found is None else f"the value of write {self.found}"
        if self.found == NEVER_WRITTEN:
            found = "zeros, as if never written"
        return f"block {self.lba} holds {found}; allowed: {', '.join(map(str, self.allowed))}"


class Ledger:
    """The writes of one volume, in blocks of ``block_size`` bytes. To be told of each event as it happens."""

    def __init__(self, block_size: int) -> None:
        self.block_size = block_size
        self._blocks: dict[int, list[_Write]] = {}
        self._open_reads: dict[int, int] = {}  # oldest first
        self._events = 0
        self._zeros = b""

    @property
    def blocks_written(self) -> list[int]:
        """Every block some write was begun on, in ascending order."""
        return sorted(self._blocks)

    def write_begins(self, number: int, lba: int, blocks: int) -> None:
        """A logical write is handed to the disk."""
        now = self._tick()
        for block in range(lba, lba + blocks):
            writes = self._blocks.setdefault(block, [_Write(NEVER_WRITTEN, -1, -1)])
            writes.append(_Write(number, now))

    def write_ends(self, number: int, lba: int, blocks: int, ok: bool) -> None:
        """It was acknowledged (``ok``), or it failed or its outcome is unknown."""
        if not ok:
            return
        now = self._tick()
        oldest_read = next(iter(self._open_reads.values()), now)
        for block in range(lba, lba + blocks):
            writes = self._blocks[block]
            this = next(write for write in writes if write.number == number)
            this.ended = now
            for write in writes:
                if write.ended is not None and write.ended < this.begun and write.out is None:
                    write.out = now
            if len(writes) > 1:
                self._blocks[block] = [w for w in writes if w.out is None or w.out > oldest_read]

    def read_begins(self, number: int) -> None:
        """A logical read is handed to the disk."""
        self._open_reads[number] = self._tick()

    def read_ends(self, number: int, lba: int, data: bytes | None) -> Finding | None:
        """It returned ``data``, or None when it failed; the first block that is wrong, if any."""
        begun = self._open_reads.pop(number)
        if data is None:
            return None
        if not self._blocks:
            if len(self._zeros) != len(data):
                self._zeros = bytes(len(data))
            if data == self._zeros:
                return None
        size = self.block_size
        for offset in range(0, len(data), size):
            finding = self._judge(lba + offset // size, data[offset : offset + size], begun)
            if finding is not None:
                return finding
        return None

    def judge_final(self, lba: int, data: bytes) -> list[Finding]:
        """What is wrong with blocks read when nothing is under way any more."""
        size = self.block_size
        found = (self._judge(lba + at // size, data[at : at + size], None) for at in range(0, len(data), size))
        return [finding for finding in found if finding is not None]

    def _judge(self, lba: int, block: bytes, begun: int | None) -> Finding | None:
        found = writer_of(block, lba)
        writes = self._blocks.get(lba)
        if writes is None:
            return None if found == NEVER_WRITTEN else Finding(lba, found, (NEVER_WRITTEN,))
        allowed = [write.number for write in writes if write.out is None or (begun is not None and write.out > begun)]
        return None if found in allowed else Finding(lba, found, tuple(allowed))

    def _tick(self) -> int:
        self._events += 1
        return self._events
