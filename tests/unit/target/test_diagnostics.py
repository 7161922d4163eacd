"""SEND DIAGNOSTIC, RECEIVE DIAGNOSTIC RESULTS and the report of task management functions (SPC-4 6)."""

import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.sense import INVALID_FIELD_IN_CDB, INVALID_FIELD_IN_PARAMETER_LIST, PARAMETER_LIST_LENGTH_ERROR, Sense
from target.command import ScsiResult
from target.disk import Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import MemoryStore


def call(unit: LogicalUnit, nexus: Nexus, cdb: str, data: bytes = b"") -> ScsiResult:
    return unit.execute(bytes.fromhex(cdb).ljust(16, b"\0"), data, nexus)


def sense_of(result: ScsiResult) -> Sense:
    assert result.status is ScsiStatus.CHECK_CONDITION
    return Sense.decode(result.sense)


@pytest.mark.parametrize("cdb", ["1d 04", "1d a0", "1d c0", "1d 00", "1d 10", "1d 07"])
def test_self_tests_pass(unit: LogicalUnit, one: Nexus, cdb: str) -> None:
    assert call(unit, one, cdb).status is ScsiStatus.GOOD


class ScratchedStore(MemoryStore):
    def read(self, offset: int, length: int) -> bytes:
        if offset:
            raise OSError("scratched")
        return super().read(offset, length)


def test_a_self_test_fails_where_the_medium_cannot_be_read(one: Nexus) -> None:
    unit = LogicalUnit(Disk(ScratchedStore(1 << 20), volume_identity("g", "v")))
    unit.execute(scsi.test_unit_ready(), b"", one)
    assert sense_of(call(unit, one, "1d 04")).code == (4, 0x3E, 0x03)


@pytest.mark.parametrize("cdb", ["1d 20", "1d 40", "1d 80", "1d e0", "1d 24"])
def test_background_and_reserved_self_tests_are_refused(unit: LogicalUnit, one: Nexus, cdb: str) -> None:
    assert sense_of(call(unit, one, cdb)) == INVALID_FIELD_IN_CDB.at(1, 7)


@pytest.mark.parametrize(
    ("cdb", "data", "expected"),
    [
        ("1d 04 00 0004", bytes(4), INVALID_FIELD_IN_CDB.at(3)),
        ("1d 00 00 0004", bytes(4), INVALID_FIELD_IN_CDB.at(1, 4)),
        ("1d 10 00 0004", bytes(3), PARAMETER_LIST_LENGTH_ERROR),
        ("1d 10 00 0002", bytes(2), PARAMETER_LIST_LENGTH_ERROR),
        ("1d 10 00 0008", bytes(8), PARAMETER_LIST_LENGTH_ERROR),
        ("1d 10 00 0004", b"\x3f\0\0\0", INVALID_FIELD_IN_PARAMETER_LIST.at(0, in_cdb=False)),
    ],
)
def test_lists_that_are_refused(unit: LogicalUnit, one: Nexus, cdb: str, data: bytes, expected: Sense) -> None:
    assert sense_of(call(unit, one, cdb, data)) == expected


def test_the_only_page_lists_itself(unit: LogicalUnit, one: Nexus) -> None:
    assert call(unit, one, "1d 10 00 0004", bytes(4)).status is ScsiStatus.GOOD
    for cdb in ("1c 00 00 00ff", "1c 01 00 00ff"):
        assert call(unit, one, cdb).data == bytes.fromhex("00 00 0001 00")
    assert call(unit, one, "1c 01 00 0002").data == bytes(2)
    assert sense_of(call(unit, one, "1c 01 40 00ff")) == INVALID_FIELD_IN_CDB.at(2)


def test_task_management_functions_are_reported(unit: LogicalUnit, one: Nexus) -> None:
    assert call(unit, one, "a3 0d 00 000000 00000010").data == bytes.fromhex("de 07 00 00")
    assert call(unit, one, "a3 0d 80 000000 00000010").data == bytes.fromhex("de 07 00 0c") + bytes(12)
    assert sense_of(call(unit, one, "a3 0d 00 000000 00000003")) == INVALID_FIELD_IN_CDB.at(6)
