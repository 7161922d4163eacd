"""A volume in a sparse file: for arrays that must outlive the process.

Writes go to the page cache and ``flush`` is fsync, so the disk reports a write cache and hosts must synchronize it, as
with any disk. Discarding writes zeros over what the file system has allocated and leaves holes alone; the space itself
is not given back.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from target.store import Extent

_ZERO_CHUNK: Final = bytes(1 << 20)


class FileStore:
    """Bytes of ``path``, created sparse with ``size_bytes`` when it does not exist.

    Raises ValueError when the file exists with another size, OSError when it cannot be opened.
    """

    __slots__ = ("_fd", "_path", "_size")

    def __init__(self, path: Path | str, size_bytes: int) -> None:
        if size_bytes <= 0:
            raise ValueError(f"a store has at least one byte, got size_bytes={size_bytes}")
        self._path = Path(path)
        self._size = size_bytes
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            found = os.fstat(self._fd).st_size
            if found not in (0, size_bytes):
                raise ValueError(f"{self._path} has {found} bytes, expected {size_bytes}")
            os.ftruncate(self._fd, size_bytes)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def size_bytes(self) -> int:
        return self._size

    @property
    def write_cache(self) -> bool:
        return True

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        data = os.pread(self._fd, length, offset)
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                raise OSError(errno.EIO, f"the file ends at byte {offset + len(data)}", str(self._path))
            data += more
        return data

    def write(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        source = memoryview(data)
        while source:
            written = os.pwrite(self._fd, source, offset)
            source = source[written:]
            offset += written

    def discard(self, offset: int, length: int) -> None:
        self._check(offset, length)
        end = offset + length
        while offset < end:
            run = self.extent(offset)
            run_end = min(end, offset + run.length)
            while run.mapped and offset < run_end:
                chunk = _ZERO_CHUNK[: run_end - offset]
                self.write(offset, chunk)
                offset += len(chunk)
            offset = run_end

    def extent(self, offset: int) -> Extent:
        self._check(offset, 1)
        try:
            data = min(os.lseek(self._fd, offset, os.SEEK_DATA), self._size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: no data behind this offset
                raise
            data = self._size
        if data > offset:
            return Extent(data - offset, False)
        return Extent(os.lseek(self._fd, offset, os.SEEK_HOLE) - offset, True)

    def flush(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self._size:
            raise ValueError(f"bytes {offset} to {offset + length} are outside a store of {self._size} bytes")
