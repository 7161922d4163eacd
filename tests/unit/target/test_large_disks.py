"""Volumes beyond 2 TiB and blocks of 4096 bytes: every command where its LBA field ends, and one block further."""

from __future__ import annotations

import pytest

from iscsi import scsi
from iscsi.capacity import Capacity, build_unmap_list
from iscsi.constants import ScsiStatus
from iscsi.sense import LBA_OUT_OF_RANGE, Sense
from target.command import DataDirection, ScsiResult
from target.disk import MAX_SIZE_BYTES, Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import MemoryStore

IDENTITY = volume_identity("g", "v")
LAST_32 = (1 << 32) - 1


def unit_of(blocks: int, block_size: int, nexus: Nexus) -> LogicalUnit:
    unit = LogicalUnit(Disk(MemoryStore(blocks * block_size), IDENTITY, block_size=block_size))
    unit.execute(scsi.test_unit_ready(), b"", nexus)
    return unit


def good(result: ScsiResult) -> bytes:
    assert result.status in (ScsiStatus.GOOD, ScsiStatus.CONDITION_MET), result.sense.hex(" ")
    return result.data


@pytest.mark.parametrize("block_size", [512, 4096])
@pytest.mark.parametrize("blocks", [1, LAST_32, LAST_32 + 1, LAST_32 + 2, 1 << 51])
def test_read_capacity_10_saturates_where_16_goes_on(one: Nexus, block_size: int, blocks: int) -> None:
    unit = unit_of(blocks, block_size, one)
    short = good(unit.execute(scsi.read_capacity_10(), b"", one))
    assert short == min(blocks - 1, LAST_32).to_bytes(4, "big") + block_size.to_bytes(4, "big")
    long = Capacity.decode_16(good(unit.execute(scsi.read_capacity_16(), b"", one)))
    assert (long.blocks, long.block_size) == (blocks, block_size)


@pytest.mark.parametrize("block_size", [512, 4096])
def test_short_commands_reach_as_far_as_their_field_and_long_ones_further(one: Nexus, block_size: int) -> None:
    blocks = LAST_32 + 5
    unit = unit_of(blocks, block_size, one)
    for width in (10, 12, 16):
        mark = bytes((width,)) * block_size
        good(unit.execute(scsi.write(LAST_32, 1, width=width), mark, one))
        for other in (10, 12, 16):
            assert good(unit.execute(scsi.read(LAST_32, 1, width=other), b"", one)) == mark
    # What begins inside the field may end behind it.
    two = b"a" * block_size + b"b" * block_size
    good(unit.execute(scsi.write(LAST_32, 2, width=10), two, one))
    assert good(unit.execute(scsi.read(LAST_32 + 1, 1), b"", one)) == b"b" * block_size
    good(unit.execute(scsi.write(blocks - 1, 1), b"z" * block_size, one))
    assert good(unit.execute(scsi.read(blocks - 2, 2), b"", one)) == bytes(block_size) + b"z" * block_size


LAST = (MAX_SIZE_BYTES >> 12) - 1
"""The last block of the largest disk with blocks of 4096 bytes."""

AT_THE_END = {
    "READ(16)": (scsi.read(LAST, 1), b""),
    "WRITE(16)": (scsi.write(LAST, 1), bytes(4096)),
    "WRITE AND VERIFY(16)": (b"\x8e\0" + LAST.to_bytes(8, "big") + b"\0\0\0\x01\0\0", bytes(4096)),
    "ORWRITE(16)": (b"\x8b\0" + LAST.to_bytes(8, "big") + b"\0\0\0\x01\0\0", bytes(4096)),
    "VERIFY(16)": (scsi.verify(LAST, 1, byte_check=1), bytes(4096)),
    "PRE-FETCH(16)": (b"\x90\0" + LAST.to_bytes(8, "big") + b"\0\0\0\x01\0\0", b""),
    "SYNCHRONIZE CACHE(16)": (scsi.synchronize_cache(LAST, 1), b""),
    "WRITE SAME(16)": (scsi.write_same(LAST, 1), bytes(4096)),
    "COMPARE AND WRITE": (scsi.compare_and_write(LAST, 1), bytes(8192)),
    "UNMAP": (scsi.unmap(24), build_unmap_list([(LAST, 1)])),
    "GET LBA STATUS": (scsi.get_lba_status(LAST), b""),
}


@pytest.mark.parametrize("name", AT_THE_END)
def test_the_last_block_of_the_largest_disk(one: Nexus, name: str) -> None:
    cdb, data = AT_THE_END[name]
    unit = unit_of(LAST + 1, 4096, one)
    good(unit.execute(cdb, data, one))
    moved = unit.transfer_length(cdb)
    if moved is not None and moved[0] is DataDirection.OUT:
        assert moved[1] == len(data)
    smaller = unit_of(LAST, 4096, one)
    result = smaller.execute(cdb, data, one)
    assert result.status is ScsiStatus.CHECK_CONDITION
    assert Sense.decode(result.sense).code == LBA_OUT_OF_RANGE.code
