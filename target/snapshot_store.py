"""A volume that starts as a copy of a base file and keeps what is changed in a file of its own (copy on write).

The base is only read, and must not change as long as the snapshot lives; several snapshots may share it. The delta
file holds a head, a map with a bit per cluster of 4 KiB, and the clusters, each where it lies in the volume, so that
the file is as sparse as the changes are. A cluster whose bit is not set is the base's.

What keeps it whole when the power goes: a bit reaches the medium only after its cluster is stable there, by a flush of
two steps (data, then map). Until then the cluster is the base's after a crash, which a write that was never flushed
may be. Bits are never cleared: a discarded cluster is the snapshot's own, and a hole. Once a cluster's bit is
on the medium it is written in place, like the blocks of any disk.
"""

from __future__ import annotations

import errno
import struct
import zlib
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from iscsi.pieces import Bytes, Pieces
from target.block_file import BlockFile, FileRefused, create_file, open_file
from target.cluster_map import CLUSTERS_PER_PAGE, PAGE_BYTES, ClusterMap, pages_of
from target.flush import Flush, Flusher, Job, Offload
from target.store import CannotGrow, Extent, StoreFull, outside

CLUSTER_BYTES: Final = 4096
"""Unit of the map: what file systems and hosts write at least, mostly, so that little is copied from the base."""

_HEAD_BYTES: Final = 4096
_MAGIC: Final = b"mpiolab snapshot"
_VERSION: Final = 1
_FIELDS: Final = struct.Struct("<16sIIQQ")
_LOAD_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """The first block of a delta file: which volume it is, and which state of the base it belongs to."""

    size_bytes: int
    base_modified_ns: int

    @property
    def data_offset(self) -> int:
        """Where cluster 0 lies in the file: behind the map, at a multiple of the cluster size."""
        pages = -(-self.size_bytes // (CLUSTER_BYTES * CLUSTERS_PER_PAGE))
        return _HEAD_BYTES + -(-pages * PAGE_BYTES // CLUSTER_BYTES) * CLUSTER_BYTES

    @property
    def file_bytes(self) -> int:
        """The size of the delta file."""
        return self.data_offset + -(-self.size_bytes // CLUSTER_BYTES) * CLUSTER_BYTES

    def encode(self) -> bytes:
        """As the file has it, with a checksum."""
        fields = _FIELDS.pack(_MAGIC, _VERSION, CLUSTER_BYTES, *astuple(self))
        return (fields + zlib.crc32(fields).to_bytes(4, "little")).ljust(_HEAD_BYTES, b"\0")

    @classmethod
    def decode(cls, raw: bytes) -> Head:
        """ValueError for what is not the head of a snapshot, or of one made otherwise."""
        fields, checksum = raw[: _FIELDS.size], raw[_FIELDS.size : _FIELDS.size + 4]
        if fields[:16] != _MAGIC or zlib.crc32(fields).to_bytes(4, "little") != checksum:
            raise ValueError("is no snapshot")
        _, version, cluster, size_bytes, modified_ns = _FIELDS.unpack(fields)
        if (version, cluster) != (_VERSION, CLUSTER_BYTES):
            raise ValueError(f"is a snapshot of version {version} with clusters of {cluster} bytes")
        return cls(size_bytes, modified_ns)


class SnapshotStore:
    """The bytes of ``base`` with the changes in ``delta``; ``head`` is what `Head.decode` finds in the delta."""

    __slots__ = ("_base", "_data", "_delta", "_flusher", "_map", "_size")

    def __init__(self, base: BlockFile, delta: BlockFile, head: Head, offload: Offload | None = None) -> None:
        self._base = base
        self._delta = delta
        self._size = head.size_bytes
        self._data = head.data_offset
        self._map = ClusterMap()
        self._load_map()
        self._flusher = Flusher(self._begin_flush, offload)

    @classmethod
    def open(cls, path: Path, base_path: Path, size_bytes: int, *, offload: Offload | None = None) -> SnapshotStore:
        """The snapshot in the file ``path``; taken of the base now when there is none yet. Raises FileRefused."""
        base = open_file(base_path, writable=False)
        delta = None
        try:
            if base.size_bytes != size_bytes:
                raise FileRefused(f"{base_path} has {base.size_bytes} bytes, its snapshot {size_bytes}")
            wanted = Head(size_bytes, base.modified_ns)
            if path.exists():
                delta = open_file(path, writable=True)
                _check_head(path, base_path, delta, wanted)
            else:
                delta = create_file(path, wanted.encode(), wanted.file_bytes)
            return cls(base, delta, wanted, offload)
        except BaseException:
            base.close()
            if delta is not None:
                delta.close()
            raise

    @property
    def size_bytes(self) -> int:
        return self._size

    @property
    def write_cache(self) -> bool:
        return True

    @property
    def allocation_bytes(self) -> int:
        return max(CLUSTER_BYTES, self._delta.allocation_bytes)

    @property
    def atomic_bytes(self) -> int | None:
        return CLUSTER_BYTES

    def read(self, offset: int, length: int) -> bytes:
        data = self.gather(offset, length)
        return data if isinstance(data, bytes) else bytes(data)

    def gather(self, offset: int, length: int) -> bytes | Pieces:
        end = self._end(offset, length)
        first, last = offset // CLUSTER_BYTES, -(-end // CLUSTER_BYTES)
        own, stop = self._map.run(first, last)
        if stop >= last:
            return self._piece(own, offset, end)
        pieces: list[bytes] = []
        while offset < end:
            own, stop = self._map.run(offset // CLUSTER_BYTES, last)
            until = min(end, stop * CLUSTER_BYTES)
            pieces.append(self._piece(own, offset, until))
            offset = until
        return Pieces(pieces, length)

    def write(self, offset: int, data: Bytes) -> None:
        end = self._end(offset, len(data))
        if not data:
            return
        first, last = offset // CLUSTER_BYTES, -(-end // CLUSTER_BYTES)
        start, stop = offset, end  # widened to whole clusters where the base has the rest of one
        if offset % CLUSTER_BYTES and not self._is_own(first):
            start = first * CLUSTER_BYTES
        if end % CLUSTER_BYTES and not self._is_own(last - 1):
            stop = min(last * CLUSTER_BYTES, self._size)
        if (start, stop) != (offset, end):
            data = b"".join((self._base.read(start, offset - start), data, self._base.read(end, stop - end)))
        self._delta.write(self._data + start, data)
        self._map.add(first, last)

    def discard(self, offset: int, length: int) -> None:
        end = self._end(offset, length)
        first = -(-offset // CLUSTER_BYTES)
        last = -(-end // CLUSTER_BYTES) if end == self._size else end // CLUSTER_BYTES
        if first >= last:
            self.write(offset, bytes(length))
            return
        whole, whole_end = first * CLUSTER_BYTES, min(last * CLUSTER_BYTES, self._size)
        self.write(offset, bytes(whole - offset))
        self._delta.discard(self._data + whole, whole_end - whole)
        self._map.add(first, last)
        self.write(whole_end, bytes(end - whole_end))

    def extent(self, offset: int) -> Extent:
        self._end(offset, 1)
        clusters = -(-self._size // CLUSTER_BYTES)
        own, stop = self._map.run(offset // CLUSTER_BYTES, clusters)
        found = self._delta.extent(self._data + offset) if own else self._base.extent(offset)
        return Extent(min(found.length, stop * CLUSTER_BYTES - offset, self._size - offset), found.mapped)

    def grow(self, size_bytes: int) -> None:
        raise CannotGrow("a snapshot has the size of its base")

    def flush(self) -> Flush | None:
        return self._flusher.flush()

    def close(self) -> None:
        try:
            self._flusher.close()
        finally:
            self._delta.close()
            self._base.close()

    def _begin_flush(self) -> Job:
        """Data first, then the bits of the clusters it is in. Bits set from now on belong to the next flush."""
        delta, pages = self._delta, self._map.take_changed()
        if not pages:
            return delta.sync

        def data_then_map() -> None:
            delta.sync()
            try:
                for page, content in pages:
                    delta.write(_HEAD_BYTES + page * PAGE_BYTES, content)
            except StoreFull as error:
                raise OSError(errno.ENOSPC, str(error)) from error
            delta.sync()

        return data_then_map

    def _load_map(self) -> None:
        at = _HEAD_BYTES
        while at < self._data:
            extent = self._delta.extent(at)
            end = min(at + extent.length, self._data)
            while at < end:
                taken = min(_LOAD_BYTES, end - at)
                if extent.mapped:
                    for page, content in pages_of(at - _HEAD_BYTES, self._delta.read(at, taken)):
                        self._map.load(page, content)
                at += taken

    def _piece(self, own: bool, offset: int, end: int) -> bytes:
        if own:
            return self._delta.read(self._data + offset, end - offset)
        return self._base.read(offset, end - offset)

    def _is_own(self, cluster: int) -> bool:
        return self._map.run(cluster, cluster + 1)[0]

    def _end(self, offset: int, length: int) -> int:
        """Where a range ends that lies inside; ValueError for others."""
        if offset < 0 or length < 0 or offset + length > self._size:
            raise outside(offset, length, self._size)
        return offset + length


def _check_head(path: Path, base_path: Path, delta: BlockFile, wanted: Head) -> None:
    """FileRefused unless the file is a whole snapshot of this state of this base."""
    if delta.size_bytes < _HEAD_BYTES:
        raise FileRefused(f"{path} is no snapshot")
    try:
        head = Head.decode(delta.read(0, _HEAD_BYTES))
    except ValueError as error:
        raise FileRefused(f"{path} {error}") from None
    if head.size_bytes != wanted.size_bytes:
        raise FileRefused(f"{path} is a snapshot of {head.size_bytes} bytes, the volume has {wanted.size_bytes}")
    if delta.size_bytes != head.file_bytes:
        raise FileRefused(f"{path} has {delta.size_bytes} bytes, a whole snapshot {head.file_bytes}")
    if head.base_modified_ns != wanted.base_modified_ns:
        raise FileRefused(f"{path} is a snapshot of {base_path} as it was: the base has been written to since")
