"""Sectors that say whose they are, and are believed only when every byte of them agrees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sectors import NEVER_WRITTEN, RECENT_BYTES, RecentWrites, Run, runs_of, stamped, tagged_by, writer_of

SIZES = st.sampled_from([512, 4096])


@given(size=SIZES, writer=st.integers(1, 2**64 - 1), lba=st.integers(0, 2**64 - 1))
def test_a_sector_says_who_wrote_it(size: int, writer: int, lba: int) -> None:
    block = stamped(writer, lba, 1, size)
    assert len(block) == size
    assert writer_of(block, lba) == tagged_by(block) == writer


@given(size=SIZES, writer=st.integers(1, 2**64 - 1), at=st.integers(0, 4095), bits=st.integers(1, 255))
def test_one_corrupted_byte_anywhere_makes_it_nobodys(size: int, writer: int, at: int, bits: int) -> None:
    block = bytearray(stamped(writer, 7, 1, size))
    block[at % size] ^= bits
    assert writer_of(bytes(block), 7) is None


@given(at=st.integers(0, 511), bits=st.integers(1, 255))
def test_zeros_with_one_byte_in_them_are_no_zeros(at: int, bits: int) -> None:
    block = bytearray(512)
    block[at] = bits
    assert writer_of(bytes(512), 7) == NEVER_WRITTEN
    assert writer_of(bytes(block), 7) is None


@given(cut=st.integers(16, 495))
def test_two_writes_in_one_sector_are_torn(cut: int) -> None:
    torn = stamped(1, 7, 1, 512)[:cut] + stamped(2, 7, 1, 512)[cut:]
    assert writer_of(torn, 7) is None


@pytest.mark.parametrize(
    ("block", "what"),
    [
        (stamped(5, 8, 1, 512), "misplaced"),
        (stamped(5, 7, 1, 4096)[:512], "of another block size"),
        (b"\xff" * 512, "foreign"),
    ],
)
def test_what_else_is_nobodys(block: bytes, what: str) -> None:
    assert writer_of(block, 7) is None, what


def test_adjacent_blocks_of_one_write_are_one_run() -> None:
    data = stamped(1, 10, 2, 512) + bytes(512) + stamped(2, 13, 1, 512) + b"x" * 512
    assert runs_of(data, 10, 512) == (Run(10, 2, 1), Run(12, 1, 0), Run(13, 1, 2), Run(14, 1, None))


@given(
    size=SIZES,
    parts=st.lists(st.tuples(st.sampled_from([0, 1, 2, None]), st.integers(1, 3)), min_size=1, max_size=5),
)
def test_what_is_known_again_is_what_reading_it_would_say(size: int, parts: list[tuple[int | None, int]]) -> None:
    recent = RecentWrites(size)
    data, lba = b"", 0
    for writer, blocks in parts:
        if writer:
            data += recent.stamped(writer, lba, blocks)
        else:
            data += (b"\0" if writer == NEVER_WRITTEN else b"x") * blocks * size
        lba += blocks
    for _ in range(2):
        assert recent.runs_of(data, 0) == runs_of(data, 0, size)
        assert recent.runs_of(data[:size], 0) == runs_of(data[:size], 0, size)
        assert recent.runs_of(data, 1) == runs_of(data, 1, size)


def test_what_is_remembered_is_bounded() -> None:
    recent = RecentWrites(512)
    for number in range(1, 3 * RECENT_BYTES // 65_536):
        recent.stamped(number, 0, 128)
    assert sum(len(made[1]) for made in recent._made.values()) <= RECENT_BYTES
