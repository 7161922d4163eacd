"""A volume in a sparse file: for arrays that must outlive the process.

Writes go to the page cache and ``flush`` is fdatasync, so the disk reports a write cache and hosts must synchronize it,
as with any disk. Discarding punches holes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from iscsi.pieces import Bytes
from target.block_file import BlockFile, FileRefused, open_file, open_volume
from target.flush import Flush, Flusher, Job, Offload
from target.store import Extent, outside

_PAGE_BYTES: Final = 4096
"""What the page cache and a disk of today take whole."""


class FileStore:
    """The bytes of a file. With ``offload`` its flushes do not stop the thread that asks for them."""

    __slots__ = ("_file", "_flusher", "_size")

    def __init__(self, file: BlockFile, offload: Offload | None = None) -> None:
        self._file = file
        self._size = file.size_bytes
        self._flusher = Flusher(self._begin_flush, offload)

    @classmethod
    def open(cls, path: Path, size_bytes: int, *, read_only: bool = False, offload: Offload | None = None) -> FileStore:
        """The volume in the file ``path``, created or grown to ``size_bytes`` unless ``read_only``.

        Raises FileRefused.
        """
        if size_bytes <= 0:
            raise ValueError(f"a store has at least one byte, got size_bytes={size_bytes}")
        file = open_file(path, writable=False) if read_only else open_volume(path, size_bytes)
        if file.size_bytes != size_bytes:
            file.close()
            raise FileRefused(f"{path} has {file.size_bytes} bytes, the volume {size_bytes}")
        return cls(file, offload)

    @property
    def size_bytes(self) -> int:
        return self._size

    @property
    def write_cache(self) -> bool:
        return True

    @property
    def allocation_bytes(self) -> int:
        return self._file.allocation_bytes

    @property
    def atomic_bytes(self) -> int | None:
        return _PAGE_BYTES

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise outside(offset, length, self._size)
        return self._file.read(offset, length)

    gather = read  # one piece is all there is

    def write(self, offset: int, data: Bytes) -> None:
        if offset < 0 or offset + len(data) > self._size:
            raise outside(offset, len(data), self._size)
        self._file.write(offset, data)

    def discard(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise outside(offset, length, self._size)
        self._file.discard(offset, length)

    def extent(self, offset: int) -> Extent:
        if not 0 <= offset < self._size:
            raise outside(offset, 1, self._size)
        return self._file.extent(offset)

    def grow(self, size_bytes: int) -> None:
        self._file.grow(size_bytes)
        self._size = size_bytes

    def flush(self) -> Flush | None:
        return self._flusher.flush()

    def close(self) -> None:
        try:
            self._flusher.close()
        finally:
            self._file.close()

    def _begin_flush(self) -> Job:
        return self._file.sync
