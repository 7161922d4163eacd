"""What a store asks of the operating system for one file, and the answer on a POSIX system.

The stores in files are written against `BlockFile`, so that a test can put a medium below them that loses power.
Everything here is positional and without O_DIRECT: data is in the page cache until ``sync``.

Giving space back is Linux's fallocate(2), which Python does not offer, so it is called in the C library. Where there
is none, or the file system knows no holes, zeros are written over what is allocated: it reads alike, the space stays.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from iscsi.pieces import Bytes
from target.store import Extent, StoreFull

_ZERO_CHUNK: Final = bytes(1 << 20)
_PUNCH_HOLE_KEEP_SIZE: Final = 0x02 | 0x01
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_HOLES: Final = (errno.EOPNOTSUPP, errno.ENOSYS)


class FileRefused(ValueError):
    """A file that cannot hold a volume; the text names it and says why."""


class BlockFile(Protocol):
    """The bytes of one open file, ``size_bytes`` of them; callers keep inside.

    The methods raise OSError when the medium fails, ``write`` and ``discard`` StoreFull when it is full.
    """

    @property
    def size_bytes(self) -> int:
        """The size, which changes by `grow` only."""
        ...

    @property
    def allocation_bytes(self) -> int:
        """The file system's unit of allocation."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes."""
        ...

    def write(self, offset: int, data: Bytes) -> None:
        """All of ``data``; some of it may be written when this raises."""
        ...

    def discard(self, offset: int, length: int) -> None:
        """Make the range read as zeros, giving back its space if possible."""
        ...

    def extent(self, offset: int) -> Extent:
        """The run of allocated bytes, or of none, that starts at ``offset``."""
        ...

    def grow(self, size_bytes: int) -> None:
        """Become larger, for good when this returns; what is new reads as zeros."""
        ...

    def sync(self) -> None:
        """Return when what was written or discarded before is stable. May run beside all the others, in a thread."""
        ...

    def close(self) -> None:
        """Let go of the file and of its lock."""
        ...


class OsFile:
    """A `BlockFile` of the operating system; see `open_file`."""

    __slots__ = ("_fd", "_path", "_punch", "_size", "allocation_bytes")

    def __init__(self, fd: int, path: Path) -> None:
        found = os.fstat(fd)
        self._fd = fd
        self._path = path
        self._size = found.st_size
        self._punch = _fallocate
        self.allocation_bytes = found.st_blksize

    @property
    def size_bytes(self) -> int:
        return self._size

    @property
    def modified_ns(self) -> int:
        """When the file was last written."""
        return os.fstat(self._fd).st_mtime_ns

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, length, offset)
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                raise OSError(errno.EIO, f"the file ends at byte {offset + len(data)}", str(self._path))
            data += more
        return data

    def write(self, offset: int, data: Bytes) -> None:
        try:
            written = os.pwrite(self._fd, data, offset)
            if written != len(data):
                source = memoryview(data)
                while written < len(data):
                    written += os.pwrite(self._fd, source[written:], offset + written)
        except OSError as error:
            raise _full_or(error) from error

    def discard(self, offset: int, length: int) -> None:
        if not length:
            return
        if self._punch is not None:
            try:
                self._punch(self._fd, _PUNCH_HOLE_KEEP_SIZE, offset, length)
                return
            except OSError as error:
                if error.errno not in _NO_HOLES:
                    raise _full_or(error) from error
                self._punch = None
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
        try:
            data = min(os.lseek(self._fd, offset, os.SEEK_DATA), self._size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: no data behind this offset
                raise
            data = self._size
        if data > offset:
            return Extent(data - offset, False)
        return Extent(os.lseek(self._fd, offset, os.SEEK_HOLE) - offset, True)

    def grow(self, size_bytes: int) -> None:
        os.ftruncate(self._fd, size_bytes)
        os.fsync(self._fd)
        self._size = size_bytes

    def sync(self) -> None:
        _fdatasync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_file(path: Path, *, writable: bool) -> OsFile:
    """Open an existing regular file and lock it: for us alone when ``writable``, else beside other readers.

    The lock is flock(2), held until ``close`` or the end of the process. Raises FileRefused.
    """
    return OsFile(_open(path, os.O_RDWR if writable else os.O_RDONLY), path)


def open_volume(path: Path, size_bytes: int) -> OsFile:
    """Open the file of a volume for writing and lock it.

    Created sparse when it does not exist; grown when the volume has become larger. Raises FileRefused for a larger
    file (a volume is never cut) and for one that does not consist of whole sectors, which is no volume of ours.
    """
    existed = path.exists()
    fd = _open(path, os.O_RDWR | os.O_CREAT)
    try:
        found = os.fstat(fd).st_size
        if found > size_bytes:
            raise FileRefused(f"{path} has {found} bytes, more than the volume's {size_bytes}: it would be cut")
        if found % 512:
            raise FileRefused(f"{path} has {found} bytes, not whole sectors: it is no volume")
        if found < size_bytes:
            try:
                os.ftruncate(fd, size_bytes)
                os.fsync(fd)
            except OSError as error:
                raise FileRefused(f"{path} cannot have {size_bytes} bytes: {error.strerror}") from None
        if not existed:
            sync_directory(path)
        return OsFile(fd, path)
    except BaseException:
        os.close(fd)
        raise


def create_file(path: Path, head: bytes, size_bytes: int) -> OsFile:
    """Make a sparse file that starts with ``head``, and lock it. It is there whole and stable, or not at all.

    Made under another name and linked to its own when it is whole; the lock is held all the time. Raises FileRefused.
    """
    unfinished = path.with_name(path.name + ".new")
    fd = _open(unfinished, os.O_RDWR | os.O_CREAT)
    try:
        if path.exists():
            raise FileRefused(f"{path} is in use: another process has just made it")
        os.ftruncate(fd, 0)
        os.ftruncate(fd, size_bytes)
        os.pwrite(fd, head, 0)
        os.fsync(fd)
        os.link(unfinished, path)
        os.unlink(unfinished)
        sync_directory(path)
        return OsFile(fd, path)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError):
            raise _refused(path, error) from None
        raise


def sync_directory(path: Path) -> None:
    """Make the entry of a file in its directory stable."""
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open(path: Path, flags: int) -> int:
    """Open and lock; looks before it opens, because opening a pipe or a device may wait or act."""
    import fcntl  # not on Windows, where everything but files works

    fd = -1
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise FileRefused(f"{path} is not a regular file")
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, (fcntl.LOCK_EX if flags & os.O_RDWR else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise _refused(path, error) from None
    return fd


def _refused(path: Path, error: OSError) -> FileRefused:
    if isinstance(error, BlockingIOError):
        return FileRefused(f"{path} is in use: another process, or another volume, has locked it")
    if isinstance(error, FileNotFoundError):
        if not path.parent.is_dir():
            return FileRefused(f"{path} cannot be made: there is no directory {path.parent}")
        return FileRefused(f"{path} does not exist")
    return FileRefused(f"{path} cannot be opened: {error.strerror}")


def _full_or(error: OSError) -> OSError | StoreFull:
    return StoreFull(error.strerror) if error.errno in _NO_ROOM else error


def _find_fallocate() -> Callable[[int, int, int, int], None] | None:
    """Linux's fallocate with 64-bit offsets; None where the C library has none."""
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    function.restype = ctypes.c_int

    def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
        while function(fd, mode, offset, length):
            if (code := ctypes.get_errno()) != errno.EINTR:
                raise OSError(code, os.strerror(code))

    return fallocate


_fallocate: Final = _find_fallocate()
_fdatasync: Final = getattr(os, "fdatasync", os.fsync)
