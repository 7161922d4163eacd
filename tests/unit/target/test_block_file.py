"""Files as volumes: which are taken, which are refused in which words, and what the operating system does for them."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from iscsi import scsi
from iscsi.sense import MEDIUM_READ_ERROR, MEDIUM_WRITE_ERROR, SPACE_ALLOCATION_FAILED, Sense
from target import block_file
from target.block_file import FileRefused, create_file, open_file, open_volume
from target.file_store import FileStore
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import StoreFull, extents

MIB = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "volume"


def test_a_file_keeps_its_bytes_and_its_holes(path: Path) -> None:
    first = FileStore.open(path, 64 * MIB)
    first.write(32 * MIB, b"kept")
    first.flush()
    first.close()
    assert path.stat().st_blocks * 512 < MIB
    second = FileStore.open(path, 64 * MIB)
    assert second.read(32 * MIB, 4) == b"kept"
    second.close()


def test_a_new_file_is_nobody_else_s_to_read(path: Path) -> None:
    open_volume(path, MIB).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_discarding_gives_the_space_back(path: Path) -> None:
    store = FileStore.open(path, 64 * MIB)
    store.write(0, b"x" * (8 * MIB))
    store.flush()
    assert path.stat().st_blocks * 512 >= 8 * MIB
    store.discard(0, 8 * MIB - 512)
    assert path.stat().st_blocks * 512 < MIB
    assert store.read(0, 8 * MIB) == bytes(8 * MIB - 512) + b"x" * 512
    store.discard(0, 64 * MIB)
    assert [tuple(each) for each in extents(store, 0, 64 * MIB, 4096)] == [(64 * MIB, False)]
    store.close()


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOSYS, None], ids=["no holes", "no call", "no function"])
def test_where_holes_cannot_be_punched_zeros_are_written_over_what_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    def refuse(fd: int, mode: int, offset: int, length: int) -> None:
        assert code is not None
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(block_file, "_fallocate", None if code is None else refuse)
    store = FileStore.open(path, 64 * MIB)
    store.write(MIB, b"x" * (3 * MIB))
    store.discard(512, 3 * MIB)
    assert store.read(0, 5 * MIB) == bytes(3 * MIB + 512) + b"x" * (MIB - 512) + bytes(MIB)
    store.discard(0, 64 * MIB)
    assert path.stat().st_blocks * 512 < 4 * MIB, "holes were filled"
    store.close()


def test_a_volume_that_has_grown_gets_a_larger_file(path: Path) -> None:
    first = FileStore.open(path, MIB)
    first.write(MIB - 512, b"x" * 512)
    first.close()
    second = FileStore.open(path, 2 * MIB)
    assert second.read(MIB - 512, 1024) == b"x" * 512 + bytes(512)
    second.close()
    assert path.stat().st_size == 2 * MIB


def test_a_full_medium_is_said_to_be_full() -> None:
    """/dev/full answers every write with ENOSPC."""
    fd = os.open("/dev/full", os.O_RDWR)
    file = block_file.OsFile(fd, Path("/dev/full"))
    with pytest.raises(StoreFull, match="No space left"):
        file.write(0, b"x")
    file.close()


def test_a_file_that_somebody_has_cut_is_a_medium_error_not_a_hang(path: Path) -> None:
    store = FileStore.open(path, MIB)
    os.truncate(path, 4096)
    with pytest.raises(OSError, match="the file ends at byte 4096"):
        store.read(0, 8192)
    store.close()


# -- refusals ----------------------------------------------------------------------------------------------------------


def missing_directory(path: Path) -> Path:
    return path / "none" / "volume"


def larger(path: Path) -> Path:
    path.write_bytes(bytes(MIB + 512))
    return path


def no_sectors(path: Path) -> Path:
    path.write_bytes(b"root:x:0:0:")
    return path


def directory(path: Path) -> Path:
    path.mkdir()
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def unix_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path


def device(path: Path) -> Path:
    return Path("/dev/zero")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing_directory, "cannot be made: there is no directory .*/volume/none"),
        (larger, f"has {MIB + 512} bytes, more than the volume's {MIB}: it would be cut"),
        (no_sectors, "has 11 bytes, not whole sectors: it is no volume"),
        (directory, "is not a regular file"),
        (pipe, "is not a regular file"),
        (unix_socket, "is not a regular file"),
        (device, "is not a regular file"),
    ],
)
def test_what_cannot_be_a_volume_is_named_with_the_reason(path: Path, make: Callable[[Path], Path], words: str) -> None:
    place = make(path)
    with pytest.raises(FileRefused, match=f"^{place} {words}$"):
        open_volume(place, MIB)


def test_refusing_a_file_leaves_it_as_it_was(path: Path) -> None:
    path.write_bytes(b"data")
    with pytest.raises(FileRefused):
        open_volume(path, MIB)
    assert path.read_bytes() == b"data"


def test_a_file_that_cannot_be_written_is_refused(path: Path) -> None:
    """A running program is what even root may not open for writing."""
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path)
    with subprocess.Popen([path, "60"]) as running:
        try:
            with pytest.raises(FileRefused, match=f"^{path} cannot be opened: Text file busy$"):
                open_volume(path, 1 << 30)
        finally:
            running.kill()


def test_a_file_in_use_is_refused(path: Path) -> None:
    first = open_volume(path, MIB)
    for writable in (True, False):
        with pytest.raises(FileRefused, match="is in use: another process, or another volume, has locked it"):
            open_file(path, writable=writable)
    first.close()
    open_volume(path, MIB).close()


def test_readers_share_a_file_and_keep_writers_away(path: Path) -> None:
    open_volume(path, MIB).close()
    readers = [open_file(path, writable=False) for _ in range(2)]
    with pytest.raises(FileRefused, match="is in use"):
        open_volume(path, MIB)
    for reader in readers:
        reader.close()


def test_a_read_only_volume_wants_a_file_that_is_there_and_has_its_size(path: Path) -> None:
    with pytest.raises(FileRefused, match="does not exist"):
        FileStore.open(path, MIB, read_only=True)
    path.write_bytes(bytes(MIB // 2))
    with pytest.raises(FileRefused, match=f"has {MIB // 2} bytes, the volume {MIB}"):
        FileStore.open(path, MIB, read_only=True)
    path.write_bytes(b"x" * MIB)
    store = FileStore.open(path, MIB, read_only=True)
    assert store.read(0, 512) == b"x" * 512
    store.close()


def test_a_created_file_is_whole_and_leaves_nothing_beside_it(path: Path) -> None:
    file = create_file(path, b"head", MIB)
    assert [each.name for each in path.parent.iterdir()] == ["volume"]
    assert file.read(0, 6) == b"head\0\0"
    assert file.size_bytes == path.stat().st_size == MIB
    with pytest.raises(FileRefused, match="is in use"):
        open_file(path, writable=True)
    file.close()
    with pytest.raises(FileRefused, match="another process has just made it"):
        create_file(path, b"head", MIB)


def test_what_a_crash_left_of_a_file_in_the_making_is_made_anew(path: Path) -> None:
    path.with_name("volume.new").write_bytes(b"rubbish" * 1000)
    create_file(path, b"head", MIB).close()
    assert path.read_bytes() == b"head".ljust(MIB, b"\0")


def test_what_the_medium_does_is_told_by_sense(path: Path) -> None:
    unit = LogicalUnit.over(FileStore.open(path, MIB), volume_identity("g", "v"))
    nexus = Nexus("iqn.host,i,0x1", "iqn.array,t,0x0001", 1, 1)
    unit.execute(scsi.test_unit_ready(), b"", nexus)
    os.truncate(path, 4096)
    read = unit.execute(scsi.read(8, 1), b"", nexus)
    assert Sense.decode(read.sense).code == MEDIUM_READ_ERROR.code

    full = FileStore(FullFile(os.open("/dev/full", os.O_RDWR), path))
    unit.disk.store.close()
    unit.disk.store = full
    for cdb, data in ((scsi.write(0, 1), bytes(512)), (scsi.write(0, 1, fua=True), bytes(512))):
        assert Sense.decode(unit.execute(cdb, data, nexus).sense).code == SPACE_ALLOCATION_FAILED.code
    synchronized = unit.execute(scsi.synchronize_cache(), b"", nexus)
    assert Sense.decode(synchronized.sense).code == MEDIUM_WRITE_ERROR.code, "/dev/full cannot be synchronized"


class FullFile(block_file.OsFile):
    """/dev/full with a size."""

    @property
    def size_bytes(self) -> int:
        return MIB
