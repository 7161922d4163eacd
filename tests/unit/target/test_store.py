from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target.file_store import FileStore
from target.store import (
    GRANULE_BYTES,
    LARGE_GRANULE_BYTES,
    MAX_MERGES,
    SECTOR_BYTES,
    BlockStore,
    Extent,
    MemoryStore,
    StoreFull,
    extents,
)

SIZE = 4 * GRANULE_BYTES + 512


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlockStore]:
    made: BlockStore = MemoryStore(SIZE) if request.param == "memory" else FileStore.open(tmp_path / "volume", SIZE)
    yield made
    made.close()


def test_what_was_never_written_reads_zero(store: BlockStore) -> None:
    assert store.read(0, SIZE) == bytes(SIZE)
    assert store.size_bytes == SIZE


def test_a_write_across_granules_reads_back_and_leaves_its_neighbours(store: BlockStore) -> None:
    data = bytes(range(256)) * 160
    store.write(GRANULE_BYTES - 512, data)
    assert store.read(GRANULE_BYTES - 1024, len(data) + 1024) == bytes(512) + data + bytes(512)


def test_any_bytes_can_be_read_not_only_blocks(store: BlockStore) -> None:
    store.write(GRANULE_BYTES - 100, bytes(range(200)))
    assert store.read(GRANULE_BYTES - 97, 150) == bytes(range(3, 153))


def test_the_last_byte_can_be_written_and_the_next_cannot(store: BlockStore) -> None:
    store.write(SIZE - 1, b"x")
    assert store.read(SIZE - 1, 1) == b"x"
    with pytest.raises(ValueError, match="outside a store"):
        store.write(SIZE - 1, b"xy")
    with pytest.raises(ValueError, match="outside a store"):
        store.read(SIZE, 1)


def test_discarded_bytes_read_zero_and_no_others_do(store: BlockStore) -> None:
    store.write(0, b"\xff" * SIZE)
    store.discard(100, 2 * GRANULE_BYTES)
    assert store.read(0, SIZE) == b"\xff" * 100 + bytes(2 * GRANULE_BYTES) + b"\xff" * (SIZE - 100 - 2 * GRANULE_BYTES)


def test_extents_cover_the_store(store: BlockStore) -> None:
    store.write(GRANULE_BYTES, b"\xff" * GRANULE_BYTES)
    at, runs = 0, []
    while at < SIZE:
        extent = store.extent(at)
        assert extent.length > 0
        runs.append(extent)
        at += extent.length
    assert at == SIZE
    assert runs[0] == Extent(GRANULE_BYTES, False)
    assert any(run.mapped for run in runs)


def test_memory_is_allocated_by_writing_only_and_given_back_by_discarding() -> None:
    store = MemoryStore(1 << 44)
    store.read(1 << 40, 8 << 20)
    store.discard(0, 1 << 44)
    assert store.allocated_bytes == 0
    store.write(1 << 40, b"x")
    assert store.allocated_bytes == GRANULE_BYTES
    store.discard(0, 1 << 44)
    assert store.allocated_bytes == 0


def test_reads_of_nothing_share_one_object_per_length() -> None:
    store = MemoryStore(1 << 30)
    assert store.read(0, 4096) is store.read(1 << 20, 4096)
    assert store.read(0, 1 << 20) is store.read(4096, 1 << 20)


def test_the_tail_of_a_store_is_given_back_too() -> None:
    store = MemoryStore(SIZE)
    store.write(SIZE - 512, bytes(512))
    store.discard(4 * GRANULE_BYTES, 512)
    assert store.allocated_bytes == 0


def test_a_full_store_says_so_and_still_takes_overwrites() -> None:
    store = MemoryStore(1 << 30, limit_bytes=GRANULE_BYTES)
    store.write(0, b"x")
    store.write(512, b"y")
    with pytest.raises(StoreFull, match=f"all {GRANULE_BYTES} bytes"):
        store.write(GRANULE_BYTES, b"z")


def runs(store: BlockStore, unit: int = SECTOR_BYTES) -> list[tuple[int, bool]]:
    """Where each extent ends, in units, and whether it is mapped."""
    ends, at = [], 0
    for extent in extents(store, 0, store.size_bytes, unit):
        at += extent.length
        ends.append((at // unit, extent.mapped))
    return ends


def test_the_map_of_memory_is_exact_to_the_sector() -> None:
    store = MemoryStore(SIZE)
    assert runs(store) == [(129, False)]
    store.write(3 * SECTOR_BYTES, bytes(SECTOR_BYTES))
    assert runs(store) == [(3, False), (4, True), (129, False)]
    store.write(10 * SECTOR_BYTES, bytes(60 * SECTOR_BYTES))
    assert runs(store) == [(3, False), (4, True), (10, False), (70, True), (129, False)]
    store.discard(32 * SECTOR_BYTES, SECTOR_BYTES)
    assert runs(store)[3:] == [(32, True), (33, False), (70, True), (129, False)]
    store.write(0, bytes(SIZE))
    assert runs(store) == [(129, True)]


def test_a_sector_is_mapped_when_any_byte_of_it_was_written_until_all_of_it_is_discarded() -> None:
    store = MemoryStore(SIZE)
    store.write(SECTOR_BYTES + 1, b"x")
    assert runs(store) == [(1, False), (2, True), (129, False)]
    store.discard(SECTOR_BYTES, SECTOR_BYTES - 1)
    assert runs(store) == [(1, False), (2, True), (129, False)]
    assert store.read(SECTOR_BYTES, SECTOR_BYTES) == bytes(SECTOR_BYTES)
    store.discard(SECTOR_BYTES, SECTOR_BYTES)
    assert runs(store) == [(129, False)]
    assert store.allocated_bytes == 0


def test_memory_is_given_back_when_the_last_sector_of_a_granule_is_discarded() -> None:
    store = MemoryStore(SIZE)
    store.write(0, b"x" * GRANULE_BYTES)
    for sector in range(GRANULE_BYTES // SECTOR_BYTES):
        assert store.allocated_bytes == GRANULE_BYTES
        store.discard(sector * SECTOR_BYTES, SECTOR_BYTES)
    assert store.allocated_bytes == 0


def test_no_more_than_so_many_extents_are_joined() -> None:
    """A snapshot whose every other cluster is its own is mapped all over, in millions of extents."""

    class Fragmented(MemoryStore):
        looked_at = 0

        def extent(self, offset: int) -> Extent:
            self.looked_at += 1
            return Extent(SECTOR_BYTES, True)

    store = Fragmented(1 << 40)
    found = extents(store, 0, store.size_bytes, SECTOR_BYTES)
    assert next(found) == Extent((MAX_MERGES + 1) * SECTOR_BYTES, True)
    assert next(found) == next(found) == Extent(SECTOR_BYTES, True)
    assert store.looked_at == MAX_MERGES + 4


def test_a_unit_larger_than_a_sector_is_mapped_when_a_part_of_it_is() -> None:
    store = MemoryStore(4 * GRANULE_BYTES)
    store.write(4096 + 512, bytes(512))
    store.write(3 * 4096 - 512, bytes(1024))
    assert runs(store, 4096) == [(1, False), (4, True), (16, False)]


@given(st.integers(0, 5 * GRANULE_BYTES - 1), st.integers(1, 3 * GRANULE_BYTES), st.integers(0, 5 * GRANULE_BYTES - 1))
@pytest.mark.parametrize("granule", [GRANULE_BYTES, LARGE_GRANULE_BYTES])
def test_what_was_gathered_stays_as_it_was(granule: int, offset: int, length: int, written_at: int) -> None:
    store = MemoryStore(6 * GRANULE_BYTES, granule_bytes=granule)
    store.write(GRANULE_BYTES // 2, b"old" * GRANULE_BYTES)
    length = min(length, store.size_bytes - offset)
    gathered, before = store.gather(offset, length), store.read(offset, length)
    store.write(written_at, b"new" * 100)
    store.discard(written_at // 2, GRANULE_BYTES)
    assert bytes(gathered) == before
