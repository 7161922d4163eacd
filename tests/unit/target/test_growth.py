"""A disk that becomes larger: what it shows, who hears of it, and what it refuses."""

from pathlib import Path

import pytest

from iscsi import scsi
from iscsi.capacity import Capacity
from iscsi.constants import ScsiStatus
from iscsi.sense import CAPACITY_CHANGED, LBA_OUT_OF_RANGE, Sense
from target.disk import MAX_SIZE_BYTES, Disk
from target.file_store import FileStore
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.snapshot_store import SnapshotStore
from target.store import GRANULE_BYTES, BlockStore, CannotGrow, MemoryStore, StoreFull

SIZE = 1 << 20
IDENTITY = volume_identity("g", "v")


def test_every_nexus_hears_of_the_new_capacity(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    last = unit.disk.blocks - 1
    unit.execute(scsi.write(last, 1), b"x" * 512, one)
    unit.disk.grow(4 * SIZE)
    for nexus in (one, two):
        assert Sense.decode(unit.execute(scsi.test_unit_ready(), b"", nexus).sense) == CAPACITY_CHANGED
    capacity = Capacity.decode_16(unit.execute(scsi.read_capacity_16(), b"", one).data)
    assert capacity.size_bytes == 4 * SIZE
    assert unit.execute(scsi.read(last, 2), b"", one).data == b"x" * 512 + bytes(512)
    assert unit.execute(scsi.write(capacity.blocks - 1, 1), bytes(512), one).status is ScsiStatus.GOOD
    beyond = unit.execute(scsi.read(capacity.blocks, 1), b"", one)
    assert Sense.decode(beyond.sense).code == LBA_OUT_OF_RANGE.code


@pytest.mark.parametrize("size_bytes", [0, 512, SIZE, SIZE + 1, SIZE + 512, 2 * MAX_SIZE_BYTES])
def test_a_disk_grows_by_whole_blocks_and_never_shrinks(size_bytes: int) -> None:
    disk = Disk(MemoryStore(SIZE), IDENTITY, block_size=4096)
    with pytest.raises(ValueError, match=f"a disk of {SIZE} bytes can grow to a multiple of 4096"):
        disk.grow(size_bytes)
    assert disk.blocks == SIZE // 4096


def test_the_largest_disk_there_is() -> None:
    disk = Disk(MemoryStore(SIZE), IDENTITY)
    disk.grow(MAX_SIZE_BYTES)
    assert disk.blocks == 1 << 54


def test_a_file_grows_and_stays_so(tmp_path: Path) -> None:
    store = FileStore.open(tmp_path / "v", SIZE)
    store.write(SIZE - 512, b"x" * 512)
    store.grow(2 * SIZE)
    store.write(2 * SIZE - 512, b"y" * 512)
    assert store.read(SIZE - 512, 1024) == b"x" * 512 + bytes(512)
    store.close()
    again = FileStore.open(tmp_path / "v", 2 * SIZE)
    assert again.read(2 * SIZE - 512, 512) == b"y" * 512
    again.close()


def test_memory_that_may_be_allocated_grows_with_the_store() -> None:
    store = MemoryStore(SIZE, limit_bytes=GRANULE_BYTES)
    store.write(0, b"x")
    with pytest.raises(StoreFull):
        store.write(GRANULE_BYTES, b"x")
    store.grow(SIZE + GRANULE_BYTES)
    store.write(SIZE, b"x")
    with pytest.raises(StoreFull):
        store.write(GRANULE_BYTES, b"x")


def test_a_snapshot_has_the_size_of_its_base(tmp_path: Path) -> None:
    FileStore.open(tmp_path / "base", SIZE).close()
    store: BlockStore = SnapshotStore.open(tmp_path / "snapshot", tmp_path / "base", SIZE)
    disk = Disk(store, IDENTITY)
    with pytest.raises(CannotGrow, match="base"):
        disk.grow(2 * SIZE)
    assert disk.blocks == SIZE // 512
    store.close()
