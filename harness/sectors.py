"""What a workload writes: every sector says which logical write put it there, and where it belongs.

A sector is one tag of 32 bytes, repeated until it is full: magic, block size, number of the write, LBA. The number is
unique in a run, so two writes never put down the same sector; the repetition shows a torn one, the LBA a misplaced one.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

__all__ = ["NEVER_WRITTEN", "TAG_BYTES", "RecentWrites", "Run", "runs_of", "stamped", "tagged_by", "writer_of"]

_TAG: Final = Struct(">4sIQQ8x")
_MAGIC: Final = b"mpio"
TAG_BYTES: Final = _TAG.size
NEVER_WRITTEN: Final = 0
"""The "write number" of a sector of zeros."""
RECENT_BYTES: Final = 4 << 20
"""Content of writes that is kept to be recognized."""


class Run(NamedTuple):
    """Adjacent blocks that carry the same write number; ``writer`` is None for what no write ever wrote there."""

    lba: int
    blocks: int
    writer: int | None


def stamped(writer: int, lba: int, blocks: int, block_size: int) -> bytes:
    """The content that write number ``writer`` (1 or more) puts into ``blocks`` blocks from ``lba`` on."""
    pack, copies = _TAG.pack, block_size // TAG_BYTES
    if blocks == 1:
        return pack(_MAGIC, block_size, writer, lba) * copies
    return b"".join([pack(_MAGIC, block_size, writer, at) * copies for at in range(lba, lba + blocks)])


def writer_of(block: bytes, lba: int) -> int | None:
    """The write number a block carries, `NEVER_WRITTEN` for zeros, None for anything torn, foreign or misplaced."""
    tag = block[:TAG_BYTES]
    if tag * (len(block) // TAG_BYTES) != block:
        return None
    magic, size, writer, address = _TAG.unpack(tag)
    if magic != _MAGIC:
        return None if any(tag) else NEVER_WRITTEN
    return int(writer) if size == len(block) and address == lba else None


def tagged_by(data: bytes) -> int | None:
    """The write number in the tag that ``data`` begins with, whatever follows; None when there is no tag."""
    if len(data) < TAG_BYTES:
        return None
    magic, _, writer, _ = _TAG.unpack_from(data)
    return int(writer) if magic == _MAGIC else None


class RecentWrites:
    """Makes the content of writes, and knows that of the last ones again, which most reads return whole."""

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._made: dict[int, tuple[int, bytes, tuple[Run, ...]]] = {}  # by write number: LBA, content, the run it is
        self._bytes = 0
        self._zeros = b""

    def stamped(self, writer: int, lba: int, blocks: int) -> bytes:
        """See `stamped`."""
        data = stamped(writer, lba, blocks, self._block_size)
        self._made[writer] = (lba, data, (Run(lba, blocks, writer),))
        self._bytes += len(data)
        while self._bytes > RECENT_BYTES:
            oldest = next(iter(self._made))
            self._bytes -= len(self._made.pop(oldest)[1])
        return data

    def runs_of(self, data: bytes, lba: int) -> tuple[Run, ...]:
        """See `runs_of`."""
        if data[:4] == _MAGIC:
            made = self._made.get(_TAG.unpack_from(data)[2])
            if made is not None and made[1] == data and made[0] == lba:
                return made[2]
        elif data == self._zeros:
            return (Run(lba, len(data) // self._block_size, NEVER_WRITTEN),)
        runs = runs_of(data, lba, self._block_size)
        if len(runs) == 1 and runs[0].writer == NEVER_WRITTEN:
            self._zeros = data
        return runs


def runs_of(data: bytes, lba: int, block_size: int) -> tuple[Run, ...]:
    """What blocks read from ``lba`` on carry, in runs as long as they get."""
    runs: list[Run] = []
    start, current = lba, writer_of(data[:block_size], lba)
    for at, offset in enumerate(range(block_size, len(data), block_size), lba + 1):
        found = writer_of(data[offset : offset + block_size], at)
        if found != current:
            runs.append(Run(start, at - start, current))
            start, current = at, found
    runs.append(Run(start, lba + len(data) // block_size - start, current))
    return tuple(runs)
