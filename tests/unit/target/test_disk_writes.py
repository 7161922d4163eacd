"""The writes with rules of their own: WRITE SAME, WRITE ATOMIC, COMPARE AND WRITE; miscompares; and defect lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from iscsi import scsi
from iscsi.capacity import Capacity
from iscsi.constants import ScsiStatus
from iscsi.inquiry import BlockLimits, VpdPage
from iscsi.sense import (
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT,
    LBA_OUT_OF_RANGE,
    MISCOMPARE_DURING_VERIFY,
    WRITE_PROTECTED,
    Sense,
)
from target.command import ScsiResult
from target.disk import MAX_TRANSFER_BYTES, Disk
from target.file_store import FileStore
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import MemoryStore
from tests.unit.target.conftest import BLOCKS

A, B = b"\xaa" * 512, b"\xbb" * 512


def sense_of(result: ScsiResult) -> Sense:
    assert result.status is ScsiStatus.CHECK_CONDITION
    return Sense.decode(result.sense)


def good(result: ScsiResult) -> bytes:
    assert result.status is ScsiStatus.GOOD, result.sense.hex(" ")
    return result.data


def greeted(disk: Disk, nexus: Nexus) -> LogicalUnit:
    unit = LogicalUnit(disk)
    unit.execute(scsi.test_unit_ready(), b"", nexus)
    return unit


# -- WRITE SAME ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lba", "blocks", "expected"),
    [
        (0, BLOCKS + 1, LBA_OUT_OF_RANGE.with_information(BLOCKS)),
        (BLOCKS, 1, LBA_OUT_OF_RANGE.with_information(BLOCKS)),
        (BLOCKS + 1, 0, LBA_OUT_OF_RANGE.with_information(BLOCKS + 1)),
    ],
)
def test_write_same_stays_on_the_medium(unit: LogicalUnit, one: Nexus, lba: int, blocks: int, expected: Sense) -> None:
    assert sense_of(unit.execute(scsi.write_same(lba, blocks), A, one)) == expected


@pytest.mark.parametrize(("width", "byte"), [(10, 7), (16, 10)])
@pytest.mark.parametrize("blocks", [0, MAX_TRANSFER_BYTES // 512 + 1])
def test_write_same_of_none_or_too_many_is_refused(one: Nexus, width: int, byte: int, blocks: int) -> None:
    unit = greeted(Disk(MemoryStore(2 * MAX_TRANSFER_BYTES), volume_identity("g", "v")), one)
    shown = limits(unit, one)
    assert (shown.write_same_non_zero, shown.max_write_same) == (True, MAX_TRANSFER_BYTES // 512)
    assert sense_of(unit.execute(scsi.write_same(0, blocks, width=width), A, one)) == INVALID_FIELD_IN_CDB.at(byte)


@pytest.mark.parametrize("length", [0, 256, 511, 513, 1024])
def test_write_same_takes_one_block_and_nothing_else(unit: LogicalUnit, one: Nexus, length: int) -> None:
    result = unit.execute(scsi.write_same(0, 1), bytes(length), one)
    assert sense_of(result) == INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT


@pytest.mark.parametrize("data", [A, bytes(512)])
def test_write_same_with_unmap_deallocates_zeros_and_writes_anything_else(
    unit: LogicalUnit, one: Nexus, data: bytes
) -> None:
    good(unit.execute(scsi.write(0, 2), B + B, one))
    good(unit.execute(scsi.write_same(0, 2, unmap=True), data, one))
    assert unit.disk.store.read(0, 1024) == data * 2
    assert unit.disk.store.extent(0).mapped is any(data)


@pytest.mark.parametrize("cdb", ["41 10", "93 10", "42 01"])
def test_blocks_cannot_be_anchored(unit: LogicalUnit, one: Nexus, cdb: str) -> None:
    """ANC_SUP is 0 on page B2h."""
    sense = sense_of(unit.execute(bytes.fromhex(cdb).ljust(16, b"\0"), A, one))
    assert sense.code == INVALID_FIELD_IN_CDB.code
    assert sense.field_pointer is not None
    assert sense.field_pointer.byte == 1


# -- WRITE ATOMIC --------------------------------------------------------------------------------------------------


def limits(unit: LogicalUnit, nexus: Nexus) -> BlockLimits:
    return BlockLimits.decode(good(unit.execute(scsi.inquiry(vpd_page=VpdPage.BLOCK_LIMITS), b"", nexus)))


def test_in_memory_every_write_is_atomic(unit: LogicalUnit, one: Nexus) -> None:
    shown = limits(unit, one)
    assert (shown.max_atomic, shown.atomic_alignment, shown.atomic_granularity) == (shown.max_transfer, 0, 0)
    good(unit.execute(scsi.write_atomic(1, 3), A + B + A, one))
    assert unit.disk.store.read(512, 3 * 512) == A + B + A
    good(unit.execute(scsi.write_atomic(0, 0), b"", one))


def test_in_a_file_a_page_is_atomic_and_no_more_is_promised(one: Nexus, tmp_path: Path) -> None:
    unit = greeted(Disk(FileStore.open(tmp_path / "v", 1 << 20), volume_identity("g", "v")), one)
    shown = limits(unit, one)
    assert (shown.max_atomic, shown.atomic_alignment, shown.atomic_granularity) == (8, 8, 0)
    good(unit.execute(scsi.write_atomic(8, 8, fua=True), A * 8, one))
    good(unit.execute(scsi.write_atomic(16, 3), B * 3, one))
    assert sense_of(unit.execute(scsi.write_atomic(4, 4), A * 4, one)) == INVALID_FIELD_IN_CDB.at(2)
    assert sense_of(unit.execute(scsi.write_atomic(8, 9), A * 9, one)) == INVALID_FIELD_IN_CDB.at(12)
    assert unit.disk.store.read(8 * 512, 12 * 512) == A * 8 + B * 3 + bytes(512)
    unit.close()


@pytest.mark.parametrize(
    ("cdb", "data", "expected"),
    [
        (scsi.write_atomic(BLOCKS - 1, 2), A + A, LBA_OUT_OF_RANGE.with_information(BLOCKS)),
        (scsi.write_atomic(BLOCKS + 1, 0), b"", LBA_OUT_OF_RANGE.with_information(BLOCKS + 1)),
        (scsi.write_atomic(0, 2), A, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT),
        (scsi.write_atomic(0, 1), A + B, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT),
        (scsi.write_atomic(0, 1, boundary=1), A, INVALID_FIELD_IN_CDB.at(11, 0)),
    ],
)
def test_what_write_atomic_refuses_leaves_the_medium_alone(
    unit: LogicalUnit, one: Nexus, cdb: bytes, data: bytes, expected: Sense
) -> None:
    assert sense_of(unit.execute(cdb, data, one)) == expected
    assert not unit.disk.store.extent(0).mapped


def test_write_atomic_respects_write_protection(one: Nexus) -> None:
    unit = greeted(Disk(MemoryStore(1 << 20), volume_identity("g", "v"), read_only=True), one)
    assert sense_of(unit.execute(scsi.write_atomic(0, 1), A, one)) == WRITE_PROTECTED


# -- data that must be all there -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cdb", "exact"),
    [
        (scsi.write_same(0, 4), True),
        (scsi.write_same(0, 4, width=16), True),
        (scsi.compare_and_write(0, 1), True),
        (scsi.write_atomic(0, 1), True),
        (scsi.write(0, 1), False),
        (scsi.verify(0, 1, byte_check=1), False),
        (scsi.read(0, 1), False),
        (bytes((0xC0,)).ljust(16, b"\0"), False),
    ],
)
def test_the_transport_is_told_which_commands_take_all_or_nothing(unit: LogicalUnit, cdb: bytes, exact: bool) -> None:
    assert unit.wants_exactly(cdb) is exact


# -- miscompares ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 511, 512, 777, 1023])
def test_a_miscompare_names_the_first_byte(unit: LogicalUnit, one: Nexus, at: int) -> None:
    good(unit.execute(scsi.write(0, 2), A + A, one))
    wrong = bytearray(A + A)
    wrong[at] = 0
    wrong[-1] = 0
    expected = MISCOMPARE_DURING_VERIFY.with_information(at)
    assert sense_of(unit.execute(scsi.verify(0, 2, byte_check=1), bytes(wrong), one)) == expected
    assert sense_of(unit.execute(scsi.compare_and_write(0, 2), bytes(wrong) + B + B, one)) == expected


# -- defects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cdb", "expected"),
    [
        ("37 00 00 00 00 00 00 00 ff 00", "00 00 00 00"),
        ("37 00 18 00 00 00 00 00 ff 00", "00 18 00 00"),
        ("37 00 0d 00 00 00 00 00 ff 00", "00 0d 00 00"),
        ("37 00 10 00 00 00 00 00 02 00", "00 10"),
        ("b7 18 00 00 00 00 00 00 00 ff 00 00", "00 18 00 00 00 00 00 00"),
        ("b7 0b 00 00 00 07 00 00 00 ff 00 00", "00 0b 00 00 00 00 00 00"),
    ],
)
def test_defect_lists_are_there_and_empty(unit: LogicalUnit, one: Nexus, cdb: str, expected: str) -> None:
    data = good(unit.execute(bytes.fromhex(cdb).ljust(16, b"\0"), b"", one))
    assert data == bytes.fromhex(expected)


@pytest.mark.parametrize(("cdb", "byte"), [("37 00 0f", 2), ("b7 1f", 1)])
def test_a_reserved_defect_list_format_is_refused(unit: LogicalUnit, one: Nexus, cdb: str, byte: int) -> None:
    result = unit.execute(bytes.fromhex(cdb).ljust(16, b"\0"), b"", one)
    assert sense_of(result) == INVALID_FIELD_IN_CDB.at(byte, 2)


# -- capacity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("block", "physical", "exponent"), [(512, None, 0), (512, 4096, 3), (4096, None, 0)])
def test_read_capacity_tells_the_physical_block(one: Nexus, block: int, physical: int | None, exponent: int) -> None:
    disk = Disk(MemoryStore(1 << 20), volume_identity("g", "v"), block_size=block, physical_block_size=physical)
    shown = Capacity.decode_16(good(greeted(disk, one).execute(scsi.read_capacity_16(), b"", one)))
    assert (shown.block_size, shown.physical_exponent) == (block, exponent)
