"""Whatever is written and discarded, a store in memory reads like an array of bytes and maps what was written last."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from target.store import GRANULE_BYTES, SECTOR_BYTES, MemoryStore, extents

SECTORS = 3 * GRANULE_BYTES // SECTOR_BYTES + 7

steps = st.lists(
    st.tuples(st.booleans(), st.integers(0, SECTORS - 1), st.integers(1, SECTORS), st.integers(0, 255)), max_size=20
)


@given(steps=steps)
def test_the_map_is_that_of_the_writes(steps: list[tuple[bool, int, int, int]]) -> None:
    store = MemoryStore(SECTORS * SECTOR_BYTES)
    content, mapped = bytearray(SECTORS * SECTOR_BYTES), [False] * SECTORS
    for write, first, count, fill in steps:
        count = min(count, SECTORS - first)
        start, length = first * SECTOR_BYTES, count * SECTOR_BYTES
        data = bytes((fill,)) * length if write else bytes(length)
        if write:
            store.write(start, data)
        else:
            store.discard(start, length)
        content[start : start + length] = data
        mapped[first : first + count] = [write] * count
    assert store.read(0, store.size_bytes) == content
    found: list[bool] = []
    states: list[bool] = []
    for extent in extents(store, 0, store.size_bytes, SECTOR_BYTES):
        found += [extent.mapped] * (extent.length // SECTOR_BYTES)
        states.append(extent.mapped)
    assert found == mapped
    assert all(one is not other for one, other in itertools.pairwise(states)), "extents are not merged"
    held = {sector * SECTOR_BYTES // GRANULE_BYTES for sector in range(SECTORS) if mapped[sector]}
    assert store.allocated_bytes == len(held) * GRANULE_BYTES


@given(steps=steps, unit=st.sampled_from([1024, 4096]), data=st.data())
def test_extents_of_a_range_cover_it_in_whole_units(
    steps: list[tuple[bool, int, int, int]], unit: int, data: st.DataObject
) -> None:
    size = 8 * GRANULE_BYTES
    store = MemoryStore(size)
    mapped = [False] * (size // unit)
    for _, first, count, _ in steps:
        store.write(first * SECTOR_BYTES, bytes(count * SECTOR_BYTES))
        low, high = first * SECTOR_BYTES // unit, -(-(first + count) * SECTOR_BYTES // unit)
        mapped[low:high] = [True] * (high - low)
    start = data.draw(st.integers(0, len(mapped) - 1))
    end = data.draw(st.integers(start, len(mapped)))
    found: list[bool] = []
    for extent in extents(store, start * unit, end * unit, unit):
        found += [extent.mapped] * (extent.length // unit)
    assert found == mapped[start:end]
