import pytest

from iscsi import scsi
from iscsi.capacity import parse_lun_list
from iscsi.constants import ScsiStatus
from iscsi.inquiry import NOT_SUPPORTED
from iscsi.sense import INVALID_FIELD_IN_CDB, LOGICAL_UNIT_NOT_SUPPORTED, REPORTED_LUNS_CHANGED, Sense
from target.disk import Disk
from target.lun import LogicalUnit
from target.lun_map import LunMap
from target.nexus import Nexus
from target.store import MemoryStore


@pytest.fixture
def luns(unit: LogicalUnit) -> LunMap:
    return LunMap({256: unit, 0: unit})


def test_commands_reach_the_unit_of_their_lun(luns: LunMap, one: Nexus) -> None:
    assert luns.execute(0, scsi.read(0, 1), b"", one).data == bytes(512)
    assert luns.transfer_length(0, scsi.read(0, 1)) == luns.units()[0].transfer_length(scsi.read(0, 1))


def test_report_luns_is_answered_everywhere_in_ascending_order(luns: LunMap, one: Nexus) -> None:
    for lun in (0, 5, -1):
        result = luns.execute(lun, scsi.report_luns(), b"", one)
        assert parse_lun_list(result.data) == (0, 0x4100 << 48)
    short = luns.execute(5, scsi.report_luns(8), b"", one)
    assert Sense.decode(short.sense).code == INVALID_FIELD_IN_CDB.code
    assert parse_lun_list(luns.execute(0, scsi.report_luns(select_report=1), b"", one).data) == ()


def test_inquiry_where_there_is_no_unit_says_so_and_is_good(luns: LunMap, one: Nexus) -> None:
    result = luns.execute(5, scsi.inquiry(), b"", one)
    assert result.status is ScsiStatus.GOOD
    assert result.data[0] == NOT_SUPPORTED


def test_request_sense_where_there_is_no_unit_says_why(luns: LunMap, one: Nexus) -> None:
    result = luns.execute(5, scsi.request_sense(), b"", one)
    assert result.status is ScsiStatus.GOOD
    assert Sense.decode(result.data) == LOGICAL_UNIT_NOT_SUPPORTED


@pytest.mark.parametrize("cdb", [scsi.test_unit_ready(), scsi.read(0, 1), scsi.inquiry(vpd_page=0x83)])
def test_anything_else_where_there_is_no_unit_is_not_supported(luns: LunMap, one: Nexus, cdb: bytes) -> None:
    result = luns.execute(5, cdb, b"", one)
    assert result.status is ScsiStatus.CHECK_CONDITION
    assert Sense.decode(result.sense) == LOGICAL_UNIT_NOT_SUPPORTED
    assert luns.transfer_length(5, cdb) is None


def test_a_lun_out_of_range_is_refused(unit: LogicalUnit) -> None:
    with pytest.raises(ValueError, match="LUN 16384 is outside 0 to 16383"):
        LunMap({16384: unit})


def test_a_change_of_the_luns_is_told_once_at_each_unit(unit: LogicalUnit, disk: Disk, one: Nexus, two: Nexus) -> None:
    luns = LunMap({0: unit})
    luns.add(7, LogicalUnit(Disk(MemoryStore(1 << 20), disk.identity)))
    assert luns.numbers == (0, 7)
    for nexus in (one, two):
        result = luns.execute(0, scsi.test_unit_ready(), b"", nexus)
        assert Sense.decode(result.sense) == REPORTED_LUNS_CHANGED
        assert luns.execute(0, scsi.test_unit_ready(), b"", nexus).status is ScsiStatus.GOOD
    removed = luns.remove(7)
    assert removed not in luns.units()
    assert Sense.decode(luns.execute(7, scsi.read(0, 1), b"", one).sense) == LOGICAL_UNIT_NOT_SUPPORTED


def test_who_has_seen_the_list_need_not_be_told_of_its_change(
    unit: LogicalUnit, disk: Disk, one: Nexus, two: Nexus
) -> None:
    luns = LunMap({0: unit})
    luns.add(7, LogicalUnit(disk))
    assert parse_lun_list(luns.execute(7, scsi.report_luns(), b"", one).data) == (0, 7 << 48)
    assert luns.execute(0, scsi.test_unit_ready(), b"", one).status is ScsiStatus.GOOD
    assert Sense.decode(luns.execute(0, scsi.test_unit_ready(), b"", two).sense) == REPORTED_LUNS_CHANGED


@pytest.mark.parametrize("number", [0, -1, 16384])
def test_a_lun_that_cannot_be_added(unit: LogicalUnit, number: int) -> None:
    luns = LunMap({0: unit})
    with pytest.raises(ValueError, match=f"LUN {number} is outside"):
        luns.add(number, unit)
    with pytest.raises(KeyError):
        luns.remove(5)


@pytest.mark.parametrize(("select", "shown"), [(0, (0, 0x4100 << 48)), (1, ()), (2, (0, 0x4100 << 48))])
def test_what_select_report_shows(luns: LunMap, one: Nexus, select: int, shown: tuple[int, ...]) -> None:
    assert parse_lun_list(luns.execute(0, scsi.report_luns(select_report=select), b"", one).data) == shown


@pytest.mark.parametrize("select", [3, 0x10, 0x11, 0x12, 0xFF])
def test_other_select_reports_are_refused(luns: LunMap, one: Nexus, select: int) -> None:
    result = luns.execute(0, scsi.report_luns(select_report=select), b"", one)
    assert Sense.decode(result.sense) == INVALID_FIELD_IN_CDB.at(2)
