"""Where a volume's bytes live: the seam below the device server, and the store in memory.

A store knows bytes, not blocks: the logical unit checks LBAs and turns them into offsets. Stores are sparse, so a
scenario may declare a 10 TiB volume and pay only for what it writes.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol


class StoreFull(Exception):
    """A sparse store has reached the allocation it was given."""


class Extent(NamedTuple):
    """A run of bytes that is all allocated, or all not."""

    length: int
    mapped: bool


class BlockStore(Protocol):
    """Bytes 0 to ``size_bytes``. Callers keep offset and length inside; a store raises ValueError when they do not.

    What was never written, or was discarded, reads as zeros. Methods raise OSError when the medium fails.
    """

    @property
    def size_bytes(self) -> int:
        """The fixed size."""
        ...

    @property
    def write_cache(self) -> bool:
        """Whether a write may be lost until ``flush`` returns."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on; may be a shared object."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Store ``data``; StoreFull when there is no room, and then some of it may have been written."""
        ...

    def discard(self, offset: int, length: int) -> None:
        """Make the range read as zeros, giving back what space the store can."""
        ...

    def extent(self, offset: int) -> Extent:
        """The run that starts at ``offset``; it may end before the next change."""
        ...

    def flush(self) -> None:
        """Return when all writes before are stable."""
        ...

    def close(self) -> None:
        """Release resources; the store is not used after."""
        ...


GRANULE_BYTES: Final = 16 * 1024
"""Unit of allocation in memory: large enough that a 64 KiB read is a few pieces, small enough for scattered writes."""

_MAX_ZERO_LENGTHS: Final = 32


class MemoryStore:
    """A sparse store in memory, in granules allocated by the first write.

    ``limit_bytes`` bounds what may be allocated (None: the size). Reading costs one copy of the data at most, and none
    where nothing was written: such reads share one zero-filled object per length.
    """

    __slots__ = ("_granules", "_limit", "_size", "_zeros")

    def __init__(self, size_bytes: int, *, limit_bytes: int | None = None) -> None:
        if size_bytes <= 0:
            raise ValueError(f"a store has at least one byte, got size_bytes={size_bytes}")
        self._size = size_bytes
        self._limit = -(-(size_bytes if limit_bytes is None else limit_bytes) // GRANULE_BYTES)
        self._granules: dict[int, memoryview] = {}
        self._zeros: dict[int, bytes] = {}

    @property
    def size_bytes(self) -> int:
        return self._size

    @property
    def write_cache(self) -> bool:
        return False

    @property
    def allocated_bytes(self) -> int:
        """Memory held by data."""
        return len(self._granules) * GRANULE_BYTES

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise _outside(offset, length, self._size)
        first, start = divmod(offset, GRANULE_BYTES)
        end = start + length
        if end <= GRANULE_BYTES:
            granule = self._granules.get(first)
            return self._zero_bytes(length) if granule is None else granule[start:end].tobytes()
        granules = self._granules
        last = (offset + length - 1) // GRANULE_BYTES
        if not any(map(granules.__contains__, range(first, last + 1))):
            return self._zero_bytes(length)
        empty = memoryview(self._zero_bytes(GRANULE_BYTES))
        pieces = [granules.get(index, empty) for index in range(first, last + 1)]
        pieces[-1] = pieces[-1][: end - (last - first) * GRANULE_BYTES]
        pieces[0] = pieces[0][start:]
        return b"".join(pieces)

    def write(self, offset: int, data: bytes) -> None:
        length = len(data)
        if offset < 0 or offset + length > self._size:
            raise _outside(offset, length, self._size)
        index, start = divmod(offset, GRANULE_BYTES)
        end = start + length
        if end <= GRANULE_BYTES:
            self._granule(index)[start:end] = data
            return
        source = memoryview(data)
        while source:
            taken = min(GRANULE_BYTES - start, len(source))
            self._granule(index)[start : start + taken] = source[:taken]
            source = source[taken:]
            index += 1
            start = 0

    def discard(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise _outside(offset, length, self._size)
        end = offset + length
        whole_first = -(-offset // GRANULE_BYTES)
        whole_end = end // GRANULE_BYTES if end < self._size else -(-end // GRANULE_BYTES)
        if whole_first >= whole_end:
            self._zero_range(offset, end)
            return
        self._zero_range(offset, whole_first * GRANULE_BYTES)
        self._zero_range(whole_end * GRANULE_BYTES, end)
        granules = self._granules
        if whole_end - whole_first > len(granules):
            doomed = [index for index in granules if whole_first <= index < whole_end]
        else:
            doomed = [index for index in range(whole_first, whole_end) if index in granules]
        for index in doomed:
            del granules[index]

    def extent(self, offset: int) -> Extent:
        if not 0 <= offset < self._size:
            raise _outside(offset, 1, self._size)
        granules = self._granules
        first = index = offset // GRANULE_BYTES
        mapped = first in granules
        if not mapped:
            later = min((known for known in granules if known > first), default=None)
            end = self._size if later is None else later * GRANULE_BYTES
            return Extent(end - offset, False)
        while index in granules:
            index += 1
        return Extent(min(index * GRANULE_BYTES, self._size) - offset, True)

    def flush(self) -> None:
        """Nothing to do: memory is all there is."""

    def close(self) -> None:
        self._granules.clear()

    def _granule(self, index: int) -> memoryview:
        granule = self._granules.get(index)
        if granule is None:
            if len(self._granules) >= self._limit:
                raise StoreFull(f"all {self._limit * GRANULE_BYTES} bytes this store may allocate are in use")
            granule = self._granules[index] = memoryview(bytearray(GRANULE_BYTES))
        return granule

    def _zero_range(self, start: int, end: int) -> None:
        """Zero a range that touches at most two granules, allocating nothing."""
        while start < end:
            index, at = divmod(start, GRANULE_BYTES)
            taken = min(end - start, GRANULE_BYTES - at)
            granule = self._granules.get(index)
            if granule is not None:
                granule[at : at + taken] = bytes(taken)
            start += taken

    def _zero_bytes(self, length: int) -> bytes:
        zeros = self._zeros.get(length)
        if zeros is None:
            if len(self._zeros) >= _MAX_ZERO_LENGTHS:
                self._zeros.clear()
            zeros = self._zeros[length] = bytes(length)
        return zeros


def _outside(offset: int, length: int, size: int) -> ValueError:
    return ValueError(f"bytes {offset} to {offset + length} are outside a store of {size} bytes")
