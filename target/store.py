"""Where a volume's bytes live: the seam below the device server, and the store in memory.

A store knows bytes, not blocks: the logical unit checks LBAs and turns them into offsets. Stores are sparse, so a
scenario may declare a 10 TiB volume and pay only for what it writes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol, cast

from iscsi.pieces import Bytes, Pieces, view
from target.flush import Flush


class StoreFull(Exception):
    """A sparse store has reached the allocation it was given, or its medium is full."""


class CannotGrow(Exception):
    """A store whose size is given by something else; the text says by what."""


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
        """The size, which changes by `grow` only."""
        ...

    @property
    def write_cache(self) -> bool:
        """Whether a write may be lost until it has been flushed."""
        ...

    @property
    def allocation_bytes(self) -> int:
        """What the store allocates and gives back at least, in aligned pieces of so many bytes; a power of two."""
        ...

    @property
    def atomic_bytes(self) -> int | None:
        """A write inside one aligned piece of so many bytes survives a loss of power whole or not at all.

        A power of two; None where a write of any length does.
        """
        ...

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on; may be a shared object."""
        ...

    def gather(self, offset: int, length: int) -> bytes | Pieces:
        """As `read`, in as many pieces as spare a copy; what is written later does not show in them."""
        ...

    def write(self, offset: int, data: Bytes) -> None:
        """Store ``data``; StoreFull when there is no room, and then some of it may have been written."""
        ...

    def discard(self, offset: int, length: int) -> None:
        """Make the range read as zeros, giving back what space the store can."""
        ...

    def extent(self, offset: int) -> Extent:
        """The run that starts at ``offset``; it may end before the next change."""
        ...

    def grow(self, size_bytes: int) -> None:
        """Become larger; what is new reads as zeros. Raises CannotGrow, or OSError where the medium cannot."""
        ...

    def flush(self) -> Flush | None:
        """Make all writes and discards before stable: None when they are, else the flush that is under way."""
        ...

    def close(self) -> None:
        """Make everything stable and release resources; the store is not used after."""
        ...


MAX_MERGES: Final = 1024
"""Extents of a store that `extents` joins to longer runs, altogether."""


def extents(store: BlockStore, offset: int, end: int, unit: int) -> Iterator[Extent]:
    """The runs from ``offset`` to ``end``, each as long as can be and a multiple of ``unit``, as both bounds are.

    A unit counts as mapped when any byte of it is. After `MAX_MERGES` runs are as short as the store has them: how long
    the first few take is bounded.
    """
    at = start = offset
    merges = 0
    mapped = False  # of the run from start to at
    while at < end:
        extent = store.extent(at)
        following = at + extent.length
        reach = min(end, -(-following // unit) * unit if extent.mapped else following // unit * unit)
        if reach <= at:  # a hole that ends inside its first unit: data follows there
            extent, reach = Extent(unit, True), at + unit
        if at > start:
            if extent.mapped is not mapped or merges == MAX_MERGES:
                yield Extent(at - start, mapped)
                start = at
            else:
                merges += 1
        mapped = extent.mapped
        at = reach
    if at > start:
        yield Extent(at - start, mapped)


GRANULE_BYTES: Final = 16 * 1024
"""Unit of memory, unless a store is told otherwise: small enough for scattered writes."""

LARGE_GRANULE_BYTES: Final = 64 * 1024
"""The unit where speed counts more than memory: a long read is a quarter of the pieces."""

SECTOR_BYTES: Final = 512
"""Unit of the allocation map: the smallest block a disk has, so that the map is exact for every disk."""

_COPIED_BYTES: Final = 16 * 1024
"""A read of so many bytes that lie in two granules is joined: that is less than to handle the pieces."""

_MAX_ZERO_LENGTHS: Final = 32


class MemoryStore:
    """A sparse store in memory, in granules of ``granule_bytes`` allocated by the first write.

    ``limit_bytes`` bounds what may be allocated (None: the size). A granule is ``bytes`` once a long read has been
    given it as it stands, or a write has replaced it whole; the next smaller write makes a ``bytearray`` of it, for
    itself and those that follow. So long reads are not copied, small writes copy little, and what was read stays as it
    was. Of a granule that is mapped in part only, a bit per sector says which part that is; the rest of it is zero.
    """

    __slots__ = (
        "_all_sectors",
        "_empty",
        "_granule",
        "_granules",
        "_limit",
        "_partial",
        "_sectors",
        "_size",
        "_sorted",
        "_zeros",
    )

    def __init__(self, size_bytes: int, *, limit_bytes: int | None = None, granule_bytes: int = GRANULE_BYTES) -> None:
        if size_bytes <= 0:
            raise ValueError(f"a store has at least one byte, got size_bytes={size_bytes}")
        self._size = size_bytes
        self._granule = granule_bytes
        self._sectors = granule_bytes // SECTOR_BYTES
        self._all_sectors = (1 << self._sectors) - 1
        self._empty = bytes(granule_bytes)
        self._limit = -(-(size_bytes if limit_bytes is None else limit_bytes) // granule_bytes)
        self._granules: dict[int, bytes | bytearray] = {}
        self._partial: dict[int, int] = {}
        self._sorted: list[int] | None = []  # the granules in order, None when that has to be made anew
        self._zeros: dict[int, bytes] = {}

    @property
    def size_bytes(self) -> int:
        return self._size

    @property
    def write_cache(self) -> bool:
        return False

    @property
    def allocation_bytes(self) -> int:
        return SECTOR_BYTES

    @property
    def atomic_bytes(self) -> int | None:
        return None

    @property
    def allocated_bytes(self) -> int:
        """Memory held by data."""
        return len(self._granules) * self._granule

    def read(self, offset: int, length: int) -> bytes:
        data = self.gather(offset, length)
        return data if type(data) is bytes else bytes(data)

    def gather(self, offset: int, length: int) -> bytes | Pieces:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise outside(offset, length, self._size)
        granules, size = self._granules, self._granule
        first, start = divmod(offset, size)
        end = start + length
        if end <= size:
            granule = granules.get(first)
            if granule is None:
                return self._zero_bytes(length)
            if length <= _COPIED_BYTES:
                piece = granule[start:end]
                return piece if type(piece) is bytes else bytes(piece)
            whole = granule if type(granule) is bytes else self._shared([granule], first)[0]
            return whole if length == size else Pieces((view(whole, start, end),), length)
        if end <= 2 * size:  # as most that cross a border do
            one, other = granules.get(first), granules.get(first + 1)
            if one is not None and other is not None:
                if length <= _COPIED_BYTES:
                    return b"".join((one[start:], other[: end - size]))
                if type(one) is bytes is type(other):
                    return Pieces((view(one, start, size), view(other, 0, end - size)), length)
        indexes = range(first, (offset + length - 1) // size + 1)
        held: list[bytes | bytearray]
        try:
            held = list(map(granules.__getitem__, indexes))
        except KeyError:
            if not any(map(granules.__contains__, indexes)):
                return self._zero_bytes(length)
            held = [granules.get(index, self._empty) for index in indexes]
        pieces = self._shared(held, first)
        if left := end % size:
            pieces[-1] = view(pieces[-1], 0, left)
        if start:
            pieces[0] = view(pieces[0], start, size)
        return Pieces(pieces, length)

    def write(self, offset: int, data: Bytes) -> None:
        length = len(data)
        if offset < 0 or offset + length > self._size:
            raise outside(offset, length, self._size)
        index, start = divmod(offset, self._granule)
        at = 0
        while at < length:
            taken = min(self._granule - start, length - at)
            self._put(index, start, data[at : at + taken])
            at += taken
            index += 1
            start = 0

    def discard(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise outside(offset, length, self._size)
        end = offset + length
        whole_first = -(-offset // self._granule)
        whole_end = end // self._granule if end < self._size else -(-end // self._granule)
        if whole_first >= whole_end:
            self._discard_pieces(offset, end)
            return
        self._discard_pieces(offset, whole_first * self._granule)
        self._discard_pieces(whole_end * self._granule, end)
        granules = self._granules
        if whole_end - whole_first > len(granules):
            doomed = [index for index in granules if whole_first <= index < whole_end]
        else:
            doomed = [index for index in range(whole_first, whole_end) if index in granules]
        for index in doomed:
            self._free(index)

    def extent(self, offset: int) -> Extent:
        if not 0 <= offset < self._size:
            raise outside(offset, 1, self._size)
        index, start = divmod(offset, self._granule)
        first = start // SECTOR_BYTES
        ahead = self._mapped(index) >> first
        mapped = bool(ahead & 1)
        run = trailing_zeros(~ahead if mapped else ahead)
        if run is not None and first + run < self._sectors:
            end = index * self._granule + (first + run) * SECTOR_BYTES
        elif mapped:
            index += 1
            while index in self._granules and index not in self._partial:
                index += 1
            end = index * self._granule
        else:
            later = self._next_granule(index)
            end = self._size if later is None else later * self._granule
        return Extent(min(end, self._size) - offset, mapped)

    def grow(self, size_bytes: int) -> None:
        """What may be allocated grows by as much."""
        self._limit += -(-size_bytes // self._granule) + -self._size // self._granule
        self._size = size_bytes

    def flush(self) -> None:
        """Nothing to do: memory is all there is."""

    def close(self) -> None:
        self._granules.clear()

    def _put(self, index: int, start: int, data: Bytes) -> None:
        """Write within one granule."""
        granule = self._granules.get(index)
        if granule is None:
            if len(self._granules) >= self._limit:
                raise StoreFull(f"all {self._limit * self._granule} bytes this store may allocate are in use")
            granule = self._empty
            self._partial[index] = 0
            self._sorted = None
        end = start + len(data)
        if len(data) == self._granule:
            self._granules[index] = bytes(data)
        else:
            self._own(index, granule)[start:end] = data
        if index in self._partial:
            self._map(index, start, end)

    def _shared(self, granules: list[bytes | bytearray], first: int) -> list[bytes]:
        """Granules from ``first`` on as ones that nobody writes in any more."""
        if bytearray in map(type, granules):
            for at, granule in enumerate(granules):
                if isinstance(granule, bytearray):
                    granules[at] = self._granules[first + at] = bytes(granule)
        return cast(list[bytes], granules)

    def _own(self, index: int, granule: bytes | bytearray) -> bytearray:
        """A granule as one that nobody else has, to be written in."""
        if isinstance(granule, bytes):
            granule = self._granules[index] = bytearray(granule)
        return granule

    def _free(self, index: int) -> None:
        del self._granules[index]
        self._partial.pop(index, None)
        self._sorted = None

    def _mapped(self, index: int) -> int:
        """The map of a granule, sector 0 in bit 0."""
        return self._partial.get(index, self._all_sectors if index in self._granules else 0)

    def _map(self, index: int, start: int, end: int) -> None:
        """Bytes ``start`` to ``end`` of a granule were written."""
        mapped = self._partial[index] | bit_range(start // SECTOR_BYTES, -(-end // SECTOR_BYTES))
        if mapped == self._all_sectors:
            del self._partial[index]
        else:
            self._partial[index] = mapped

    def _discard_pieces(self, start: int, end: int) -> None:
        """Discard a range that covers no whole granule and touches at most two."""
        while start < end:
            index, at = divmod(start, self._granule)
            taken = min(end - start, self._granule - at)
            granule = self._granules.get(index)
            if granule is not None:
                self._own(index, granule)[at : at + taken] = bytes(taken)
                whole = bit_range(-(-at // SECTOR_BYTES), (at + taken) // SECTOR_BYTES)
                self._partial[index] = left = self._mapped(index) & ~whole
                if not left:
                    self._free(index)
                elif left == self._all_sectors:
                    del self._partial[index]
            start += taken

    def _next_granule(self, index: int) -> int | None:
        """The first granule behind ``index``."""
        if self._sorted is None:
            self._sorted = sorted(self._granules)
        at = bisect_right(self._sorted, index)
        return self._sorted[at] if at < len(self._sorted) else None

    def _zero_bytes(self, length: int) -> bytes:
        zeros = self._zeros.get(length)
        if zeros is None:
            if len(self._zeros) >= _MAX_ZERO_LENGTHS:
                self._zeros.clear()
            zeros = self._zeros[length] = bytes(length)
        return zeros


def bit_range(first: int, end: int) -> int:
    """The number with bits ``first`` to ``end`` set; 0 when the range is empty."""
    return (1 << end) - (1 << first) if first < end else 0


def trailing_zeros(bits: int) -> int | None:
    """How many zero bits end the number; None for 0."""
    return (bits & -bits).bit_length() - 1 if bits else None


def outside(offset: int, length: int, size: int) -> ValueError:
    """The complaint about a range that no store of this size has."""
    return ValueError(f"bytes {offset} to {offset + length} are outside a store of {size} bytes")
