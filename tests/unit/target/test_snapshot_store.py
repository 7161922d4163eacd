"""A copy-on-write snapshot: the base shows through, changes stay in the delta, and neither is mistaken for another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from target.block_file import FileRefused, open_volume
from target.snapshot_store import CLUSTER_BYTES, Head, SnapshotStore
from target.store import extents

SIZE = (1 << 20) + 512
"""Not whole clusters, as a volume with blocks of 512 bytes may be."""

BASE = b"".join(number.to_bytes(4, "big") for number in range(SIZE // 4))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base"
    path.write_bytes(BASE)
    return path


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    return tmp_path / "delta"


@pytest.fixture
def store(base: Path, delta: Path) -> Iterator[SnapshotStore]:
    made = SnapshotStore.open(delta, base, SIZE)
    yield made
    made.close()


def test_it_starts_as_a_copy_that_takes_no_space(store: SnapshotStore, delta: Path) -> None:
    assert store.read(0, SIZE) == BASE
    assert store.read(SIZE - 100, 100) == BASE[-100:]
    assert delta.stat().st_blocks * 512 <= 8192


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, CLUSTER_BYTES),
        (512, 512),
        (CLUSTER_BYTES - 512, 1024),
        (CLUSTER_BYTES - 512, 3 * CLUSTER_BYTES + 1024),
        (2 * CLUSTER_BYTES + 1, 7),
        (SIZE - 512, 512),
        (SIZE - 1, 1),
        (0, SIZE),
    ],
)
def test_what_is_written_is_read_back_with_the_base_around_it_also_after_reopening(
    base: Path, delta: Path, offset: int, length: int
) -> None:
    expected = BASE[:offset] + b"\xaa" * length + BASE[offset + length :]
    first = SnapshotStore.open(delta, base, SIZE)
    first.write(offset, b"\xaa" * length)
    assert first.read(0, SIZE) == expected
    first.close()
    second = SnapshotStore.open(delta, base, SIZE)
    assert second.read(0, SIZE) == expected
    second.close()
    assert base.read_bytes() == BASE


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, CLUSTER_BYTES), (512, 512), (CLUSTER_BYTES - 512, 2 * CLUSTER_BYTES), (SIZE - 5000, 5000), (0, SIZE)],
)
def test_what_is_discarded_reads_zero_and_not_as_the_base(base: Path, delta: Path, offset: int, length: int) -> None:
    expected = BASE[:offset] + bytes(length) + BASE[offset + length :]
    first = SnapshotStore.open(delta, base, SIZE)
    first.write(0, BASE)
    first.discard(offset, length)
    assert first.read(0, SIZE) == expected
    first.close()
    second = SnapshotStore.open(delta, base, SIZE)
    assert second.read(0, SIZE) == expected
    second.close()


def test_what_an_earlier_life_left_behind_unmapped_does_not_come_up_again(base: Path, delta: Path) -> None:
    """A write that was never flushed is in the delta file after a crash, where no bit tells of it."""
    SnapshotStore.open(delta, base, SIZE).close()
    head = Head(SIZE, base.stat().st_mtime_ns)
    with delta.open("r+b") as file:
        file.seek(head.data_offset)
        file.write(b"\xee" * 4 * CLUSTER_BYTES)
    store = SnapshotStore.open(delta, base, SIZE)
    assert store.read(0, SIZE) == BASE
    store.write(512, b"x" * 512)
    store.discard(CLUSTER_BYTES, CLUSTER_BYTES)
    store.discard(2 * CLUSTER_BYTES + 512, 512)
    expected = bytearray(BASE[: 4 * CLUSTER_BYTES])
    expected[512:1024] = b"x" * 512
    expected[CLUSTER_BYTES : 2 * CLUSTER_BYTES] = bytes(CLUSTER_BYTES)
    expected[2 * CLUSTER_BYTES + 512 : 2 * CLUSTER_BYTES + 1024] = bytes(512)
    assert store.read(0, 4 * CLUSTER_BYTES) == expected
    store.close()


def test_its_map_is_that_of_the_base_and_of_its_own_holes(base: Path, delta: Path) -> None:
    with base.open("r+b") as file:
        file.truncate(0)
        file.truncate(SIZE)
        file.write(b"x" * (8 * CLUSTER_BYTES))
    store = SnapshotStore.open(delta, base, SIZE)
    store.write(16 * CLUSTER_BYTES, b"y" * CLUSTER_BYTES)
    store.discard(CLUSTER_BYTES, CLUSTER_BYTES)
    ends, at = [], 0
    for extent in extents(store, 0, SIZE, 512):
        at += extent.length
        ends.append((at / CLUSTER_BYTES, extent.mapped))
    assert ends == [(1, True), (2, False), (8, True), (16, False), (17, True), (SIZE / CLUSTER_BYTES, False)]
    store.close()


def test_several_snapshots_share_a_base_that_nobody_may_write_meanwhile(base: Path, tmp_path: Path) -> None:
    one = SnapshotStore.open(tmp_path / "one", base, SIZE)
    two = SnapshotStore.open(tmp_path / "two", base, SIZE)
    one.write(0, b"1" * 512)
    assert two.read(0, 512) == BASE[:512]
    with pytest.raises(FileRefused, match="is in use"):
        open_volume(base, SIZE)
    one.close()
    two.close()


# -- refusals ----------------------------------------------------------------------------------------------------------


def refused(delta: Path, base: Path, words: str, size: int = SIZE) -> None:
    with pytest.raises(FileRefused, match=words):
        SnapshotStore.open(delta, base, size)


def test_a_base_that_is_not_there_is_refused(delta: Path, tmp_path: Path) -> None:
    refused(delta, tmp_path / "none", "none does not exist")
    assert not delta.exists()


def test_a_base_of_another_size_is_refused(delta: Path, base: Path) -> None:
    refused(delta, base, f"base has {SIZE} bytes, its snapshot {1 << 20}", 1 << 20)
    assert not delta.exists()


def test_a_base_written_since_is_refused(delta: Path, base: Path) -> None:
    SnapshotStore.open(delta, base, SIZE).close()
    os.utime(base, ns=(0, base.stat().st_mtime_ns + 1))
    refused(delta, base, "as it was: the base has been written to since")


def test_a_delta_in_use_is_refused(store: SnapshotStore, delta: Path, base: Path) -> None:
    refused(delta, base, "delta is in use")


def test_a_file_that_is_no_snapshot_is_refused_and_left_alone(delta: Path, base: Path) -> None:
    for content in (b"", b"x" * 512, BASE):
        delta.write_bytes(content)
        refused(delta, base, "delta is no snapshot")
        assert delta.read_bytes() == content


def test_a_snapshot_of_a_volume_of_another_size_is_refused(delta: Path, base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(bytes(2048))
    SnapshotStore.open(delta, other, 2048).close()
    refused(delta, base, f"delta is a snapshot of 2048 bytes, the volume has {SIZE}")


def test_a_snapshot_that_was_cut_is_refused(delta: Path, base: Path) -> None:
    SnapshotStore.open(delta, base, SIZE).close()
    os.truncate(delta, 8192)
    refused(delta, base, "delta has 8192 bytes, a whole snapshot ")


@pytest.mark.parametrize("at", [0, 16, 24, 32, 40])
def test_a_head_with_a_flipped_byte_is_no_head(at: int) -> None:
    raw = bytearray(Head(SIZE, 1).encode())
    assert Head.decode(bytes(raw)) == Head(SIZE, 1)
    raw[at] ^= 1
    with pytest.raises(ValueError, match="is no snapshot"):
        Head.decode(bytes(raw))


@pytest.mark.parametrize("size", [512, 1 << 20, 1 << 30, 1 << 44, (1 << 44) + 512])
def test_head_map_and_data_do_not_overlap(size: int) -> None:
    head = Head(size, 0)
    clusters = -(-size // CLUSTER_BYTES)
    assert head.data_offset >= 4096 + -(-clusters // 8)
    assert head.data_offset % CLUSTER_BYTES == 0
    assert head.file_bytes == head.data_offset + clusters * CLUSTER_BYTES
