"""A removable medium: what ejects it, what prevents that, and who hears of it (SBC-3 5.10, 5.25)."""

import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.inquiry import StandardInquiry
from iscsi.mode import ModeData
from iscsi.scsi import PersistentOut, PersistentType
from iscsi.sense import (
    BUS_RESET,
    INVALID_FIELD_IN_CDB,
    MEDIUM_MAY_HAVE_CHANGED,
    MEDIUM_NOT_PRESENT,
    MEDIUM_REMOVAL_PREVENTED,
    Sense,
)
from target.command import DataDirection, ScsiResult
from target.disk import Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.store import MemoryStore

EJECT, LOAD, START, STOP = "1b0000000200", "1b0000000300", "1b0000000100", "1b0000000000"
PREVENT, ALLOW = "1e0000000100", "1e0000000000"


def cdb(text: str) -> bytes:
    return bytes.fromhex(text).ljust(16, b"\0")


def sense_of(result: ScsiResult) -> Sense:
    assert result.status is ScsiStatus.CHECK_CONDITION
    return Sense.decode(result.sense)


def good(result: ScsiResult) -> bytes:
    assert result.status is ScsiStatus.GOOD, result.sense.hex(" ")
    return result.data


class Drive:
    """A removable disk as two nexuses use it."""

    def __init__(self, unit: LogicalUnit) -> None:
        self.unit = unit

    def does(self, text: str, nexus: Nexus) -> None:
        good(self.unit.execute(cdb(text), b"", nexus))

    def refuses(self, text: str, nexus: Nexus) -> Sense:
        return sense_of(self.unit.execute(cdb(text), b"", nexus))

    def ready(self, nexus: Nexus) -> bool:
        return self.unit.execute(scsi.test_unit_ready(), b"", nexus).status is ScsiStatus.GOOD


@pytest.fixture
def drive(one: Nexus, two: Nexus) -> Drive:
    unit = LogicalUnit(Disk(MemoryStore(1 << 20), volume_identity("g", "v"), removable=True))
    for nexus in (one, two):
        unit.execute(scsi.test_unit_ready(), b"", nexus)
    return Drive(unit)


def test_inquiry_says_that_the_medium_is_removable(drive: Drive, unit: LogicalUnit, one: Nexus) -> None:
    assert StandardInquiry.decode(good(drive.unit.execute(scsi.inquiry(), b"", one))).removable
    assert not StandardInquiry.decode(good(unit.execute(scsi.inquiry(), b"", one))).removable


WITHOUT_MEDIUM = {
    "INQUIRY": scsi.inquiry(),
    "REPORT LUNS": scsi.report_luns(),
    "MODE SENSE(6)": scsi.mode_sense_6(0x3F),
    "PERSISTENT RESERVE IN": scsi.persistent_reserve_in(scsi.PersistentIn.READ_KEYS),
    "RESERVE(6)": scsi.reserve_6(),
    "REPORT SUPPORTED OPERATION CODES": cdb("a30c00000000000000ff"),
}
WITH_MEDIUM = {
    "TEST UNIT READY": scsi.test_unit_ready(),
    "READ CAPACITY(10)": scsi.read_capacity_10(),
    "READ CAPACITY(16)": scsi.read_capacity_16(),
    "GET LBA STATUS": scsi.get_lba_status(0),
    "READ(16)": scsi.read(0, 1, width=16),
    "WRITE(10)": scsi.write(0, 1),
    "VERIFY(10)": scsi.verify(0, 1),
    "SYNCHRONIZE CACHE(10)": scsi.synchronize_cache(),
    "WRITE SAME(16)": scsi.write_same(0, 1, no_data=True),
    "UNMAP": scsi.unmap(0),
    "COMPARE AND WRITE": scsi.compare_and_write(0, 1),
}


@pytest.mark.parametrize("name", WITHOUT_MEDIUM)
def test_what_needs_no_medium_works_without_one(drive: Drive, one: Nexus, name: str) -> None:
    drive.does(EJECT, one)
    good(drive.unit.execute(WITHOUT_MEDIUM[name], b"", one))


@pytest.mark.parametrize("name", WITH_MEDIUM)
def test_what_needs_the_medium_finds_none(drive: Drive, one: Nexus, two: Nexus, name: str) -> None:
    direction, length = drive.unit.transfer_length(WITH_MEDIUM[name]) or (DataDirection.NONE, 0)
    data_out = bytes(length if direction is DataDirection.OUT else 0)
    drive.does(EJECT, one)
    for nexus in (one, two):
        assert sense_of(drive.unit.execute(WITH_MEDIUM[name], data_out, nexus)) == MEDIUM_NOT_PRESENT
    drive.does(LOAD, one)
    assert drive.unit.execute(WITH_MEDIUM[name], data_out, one).status is ScsiStatus.GOOD


def test_no_medium_has_no_blocks_and_request_sense_says_why(drive: Drive, one: Nexus) -> None:
    drive.does(EJECT, one)
    data = ModeData.decode_6(good(drive.unit.execute(scsi.mode_sense_6(0x3F), b"", one)))
    assert data.block_descriptor[:4] == bytes(4)
    assert Sense.decode(good(drive.unit.execute(scsi.request_sense(), b"", one))) == MEDIUM_NOT_PRESENT


def test_a_loaded_medium_is_news_to_the_other_nexuses_only(drive: Drive, one: Nexus, two: Nexus) -> None:
    drive.does(LOAD, one)  # it is there: nothing changes
    assert drive.ready(two)
    drive.does(EJECT, one)
    drive.does(EJECT, one)
    drive.does(LOAD, one)
    assert drive.ready(one)
    assert drive.refuses("00", two) == MEDIUM_MAY_HAVE_CHANGED
    assert drive.ready(two)


def test_what_was_written_is_still_there_after_eject_and_load(drive: Drive, one: Nexus) -> None:
    good(drive.unit.execute(scsi.write(5, 1), b"m" * 512, one))
    drive.does(EJECT, one)
    drive.does(LOAD, one)
    assert good(drive.unit.execute(scsi.read(5, 1), b"", one)) == b"m" * 512


def test_one_nexus_prevents_removal_for_all(drive: Drive, one: Nexus, two: Nexus) -> None:
    drive.does(PREVENT, one)
    drive.does(PREVENT, two)
    drive.does(ALLOW, one)
    for nexus in (one, two):
        assert drive.refuses(EJECT, nexus) == MEDIUM_REMOVAL_PREVENTED
    drive.does(ALLOW, two)
    drive.does(EJECT, one)
    assert not drive.ready(two)


def test_prevention_ends_with_its_nexus_and_with_a_reset(drive: Drive, one: Nexus, two: Nexus) -> None:
    drive.does(PREVENT, one)
    drive.unit.nexus_lost(one)
    drive.does(EJECT, two)
    drive.does(LOAD, two)
    drive.does(PREVENT, two)
    drive.unit.reset(BUS_RESET)
    assert drive.refuses("00", two) == BUS_RESET
    drive.does(EJECT, two)


@pytest.mark.parametrize("text", [START, STOP, "1b0100000500", *(f"1b000000{code:x}000" for code in range(1, 16))])
def test_starting_stopping_and_power_conditions_change_nothing(
    drive: Drive, unit: LogicalUnit, one: Nexus, text: str
) -> None:
    for disk in (drive.unit, unit):
        good(disk.execute(cdb(text), b"", one))
        good(disk.execute(scsi.test_unit_ready(), b"", one))


@pytest.mark.parametrize("text", [EJECT, LOAD])
def test_a_fixed_medium_can_neither_be_ejected_nor_loaded(unit: LogicalUnit, one: Nexus, text: str) -> None:
    assert sense_of(unit.execute(cdb(text), b"", one)) == INVALID_FIELD_IN_CDB.at(4, 1)
    good(unit.execute(cdb(PREVENT), b"", one))
    good(unit.execute(cdb(ALLOW), b"", one))


class CountingStore(MemoryStore):
    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


@pytest.mark.parametrize(("text", "flushes"), [(STOP, 1), (EJECT, 1), (ALLOW, 1), ("1b0000000400", 0), (START, 0)])
def test_what_is_stopped_or_set_free_is_flushed_first(one: Nexus, text: str, flushes: int) -> None:
    store = CountingStore(1 << 20)
    unit = LogicalUnit(Disk(store, volume_identity("g", "v"), removable=True))
    unit.execute(scsi.test_unit_ready(), b"", one)
    good(unit.execute(cdb(text), b"", one))
    assert store.flushes == flushes


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        (START, True),
        (LOAD, True),
        (ALLOW, True),
        (STOP, False),
        (EJECT, False),
        (PREVENT, False),
        ("1b0000001100", False),
    ],
)
def test_a_reservation_stops_what_takes_the_medium_away(
    drive: Drive, one: Nexus, two: Nexus, text: str, allowed: bool
) -> None:
    for action, keys in ((PersistentOut.REGISTER, (0, 7)), (PersistentOut.RESERVE, (7, 0))):
        out = scsi.persistent_reserve_out(action, PersistentType.WRITE_EXCLUSIVE)
        good(drive.unit.execute(out, scsi.persistent_reserve_list(*keys), one))
    expected = ScsiStatus.GOOD if allowed else ScsiStatus.RESERVATION_CONFLICT
    assert drive.unit.execute(cdb(text), b"", two).status is expected
