import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.scsi import PersistentIn, PersistentOut, PersistentType
from iscsi.sense import (
    BUS_RESET,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_PARAMETER_LIST,
    INVALID_RELEASE_OF_RESERVATION,
    REGISTRATIONS_PREEMPTED,
    RESERVATIONS_PREEMPTED,
    RESERVATIONS_RELEASED,
    Sense,
)
from target.command import ScsiResult
from target.lun import LogicalUnit
from target.nexus import Nexus

GOOD = ScsiStatus.GOOD
CONFLICT = ScsiStatus.RESERVATION_CONFLICT
WE = PersistentType.WRITE_EXCLUSIVE
EA = PersistentType.EXCLUSIVE_ACCESS
WE_RO = PersistentType.WRITE_EXCLUSIVE_REGISTRANTS_ONLY
EA_RO = PersistentType.EXCLUSIVE_ACCESS_REGISTRANTS_ONLY
WE_AR = PersistentType.WRITE_EXCLUSIVE_ALL_REGISTRANTS
EA_AR = PersistentType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS
KEY_1, KEY_2 = 0x1111, 0x2222


def status(unit: LogicalUnit, cdb: bytes, nexus: Nexus, data: bytes = b"") -> ScsiStatus:
    return unit.execute(cdb, data, nexus).status


def out(
    unit: LogicalUnit,
    nexus: Nexus,
    action: PersistentOut,
    key: int,
    other_key: int = 0,
    kind: PersistentType | None = None,
) -> ScsiResult:
    return unit.execute(scsi.persistent_reserve_out(action, kind), scsi.persistent_reserve_list(key, other_key), nexus)


def keys(unit: LogicalUnit, nexus: Nexus) -> list[int]:
    data = unit.execute(scsi.persistent_reserve_in(PersistentIn.READ_KEYS), b"", nexus).data
    assert len(data) == 8 + int.from_bytes(data[4:8], "big")
    return [int.from_bytes(data[at : at + 8], "big") for at in range(8, len(data), 8)]


def reservation(unit: LogicalUnit, nexus: Nexus) -> tuple[int, int] | None:
    """(key, type) as READ RESERVATION shows it."""
    data = unit.execute(scsi.persistent_reserve_in(PersistentIn.READ_RESERVATION), b"", nexus).data
    return (int.from_bytes(data[8:16], "big"), data[21]) if len(data) > 8 else None


@pytest.fixture
def registered(unit: LogicalUnit, one: Nexus, two: Nexus) -> LogicalUnit:
    """Both paths registered, each with its own key."""
    assert out(unit, one, PersistentOut.REGISTER, 0, KEY_1).status is GOOD
    assert out(unit, two, PersistentOut.REGISTER, 0, KEY_2).status is GOOD
    return unit


# -- RESERVE and RELEASE -------------------------------------------------------------------------------------------


def test_reserve_locks_out_the_second_path_of_the_same_host(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    assert status(unit, scsi.reserve_6(), one) is GOOD
    assert status(unit, scsi.reserve_6(), one) is GOOD
    for cdb in (scsi.test_unit_ready(), scsi.read(0, 1), scsi.read_capacity_10(), scsi.reserve_6()):
        assert status(unit, cdb, two) is CONFLICT
    for cdb in (scsi.inquiry(), scsi.report_luns(), scsi.request_sense()):
        assert status(unit, cdb, two) is GOOD
    assert status(unit, scsi.read(0, 1), one) is GOOD


def test_only_the_holder_can_release(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    unit.execute(scsi.reserve_6(), b"", one)
    assert status(unit, scsi.release_6(), two) is GOOD
    assert status(unit, scsi.read(0, 1), two) is CONFLICT
    assert status(unit, scsi.release_6(), one) is GOOD
    assert status(unit, scsi.read(0, 1), two) is GOOD


def test_reserve_ends_with_the_session_and_with_a_reset(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    unit.execute(scsi.reserve_6(), b"", one)
    unit.nexus_lost(one)
    assert status(unit, scsi.read(0, 1), two) is GOOD
    unit.execute(scsi.reserve_6(), b"", two)
    unit.reset(BUS_RESET)
    assert unit.disk.reservations.holder is None


def test_the_two_kinds_of_reservation_exclude_each_other(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    unit.execute(scsi.reserve_6(), b"", one)
    for nexus in (one, two):
        assert out(unit, nexus, PersistentOut.REGISTER, 0, KEY_1).status is CONFLICT
    unit.execute(scsi.release_6(), b"", one)
    assert out(unit, one, PersistentOut.REGISTER, 0, KEY_1).status is GOOD
    for nexus in (one, two):
        assert status(unit, scsi.reserve_6(), nexus) is CONFLICT
        assert status(unit, scsi.release_6(), nexus) is CONFLICT


@pytest.mark.parametrize(
    ("kind", "registrant"), [(WE, CONFLICT), (EA, CONFLICT), (WE_RO, GOOD), (EA_RO, GOOD), (WE_AR, GOOD), (EA_AR, GOOD)]
)
def test_reserve_is_accepted_without_effect_from_whom_a_persistent_reservation_admits(
    registered: LogicalUnit, one: Nexus, two: Nexus, kind: PersistentType, registrant: ScsiStatus
) -> None:
    stranger = Nexus("iqn.stranger,i,0x400000000001", one.target_port, 1, 1)
    registered.execute(scsi.test_unit_ready(), b"", stranger)
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=kind)
    for cdb in (scsi.reserve_6(), scsi.release_6()):
        assert status(registered, cdb, one) is GOOD
        assert status(registered, cdb, two) is registrant
        assert status(registered, cdb, stranger) is CONFLICT
    assert registered.disk.reservations.holder is None
    assert reservation(registered, one) == (0 if kind in (WE_AR, EA_AR) else KEY_1, kind)


# -- persistent: who may do what -----------------------------------------------------------------------------------

READ, WRITE = scsi.read(0, 1), scsi.write(0, 1)


@pytest.mark.parametrize(
    ("kind", "stranger_reads", "stranger_writes", "registrant_reads", "registrant_writes"),
    [
        (WE, GOOD, CONFLICT, GOOD, CONFLICT),
        (EA, CONFLICT, CONFLICT, CONFLICT, CONFLICT),
        (WE_RO, GOOD, CONFLICT, GOOD, GOOD),
        (EA_RO, CONFLICT, CONFLICT, GOOD, GOOD),
        (WE_AR, GOOD, CONFLICT, GOOD, GOOD),
        (EA_AR, CONFLICT, CONFLICT, GOOD, GOOD),
    ],
)
def test_the_conflict_table(
    unit: LogicalUnit,
    one: Nexus,
    two: Nexus,
    kind: PersistentType,
    stranger_reads: ScsiStatus,
    stranger_writes: ScsiStatus,
    registrant_reads: ScsiStatus,
    registrant_writes: ScsiStatus,
) -> None:
    out(unit, one, PersistentOut.REGISTER, 0, KEY_1)
    assert out(unit, one, PersistentOut.RESERVE, KEY_1, kind=kind).status is GOOD
    assert (status(unit, READ, one), status(unit, WRITE, one, bytes(512))) == (GOOD, GOOD)
    assert status(unit, READ, two) is stranger_reads
    assert status(unit, WRITE, two, bytes(512)) is stranger_writes
    assert status(unit, scsi.test_unit_ready(), two) is GOOD
    out(unit, two, PersistentOut.REGISTER, 0, KEY_2)
    assert status(unit, READ, two) is registrant_reads
    assert status(unit, WRITE, two, bytes(512)) is registrant_writes


def test_a_conflict_comes_before_a_unit_attention(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    unit.execute(scsi.reserve_6(), b"", one)
    unit.disk.attentions.establish(two, BUS_RESET)
    assert status(unit, READ, two) is CONFLICT


# -- persistent: service actions -----------------------------------------------------------------------------------


def test_registering_needs_the_key_one_has(registered: LogicalUnit, one: Nexus) -> None:
    assert keys(registered, one) == [KEY_1, KEY_2]
    assert out(registered, one, PersistentOut.REGISTER, 0, 5).status is CONFLICT
    assert out(registered, one, PersistentOut.REGISTER, KEY_1, 5).status is GOOD
    ignoring = PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY
    assert out(registered, one, ignoring, 99, 7).status is GOOD
    assert keys(registered, one) == [7, KEY_2]
    assert out(registered, one, PersistentOut.REGISTER, 7, 0).status is GOOD
    assert keys(registered, one) == [KEY_2]


def test_the_generation_counts_registrations_and_not_reservations(registered: LogicalUnit, one: Nexus) -> None:
    before = registered.disk.reservations.persistent.generation
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=WE)
    out(registered, one, PersistentOut.RELEASE, KEY_1, kind=WE)
    assert registered.disk.reservations.persistent.generation == before == 2


@pytest.mark.parametrize("action", [PersistentOut.RESERVE, PersistentOut.RELEASE, PersistentOut.CLEAR])
def test_a_wrong_key_or_no_registration_is_a_conflict(
    unit: LogicalUnit, one: Nexus, two: Nexus, action: PersistentOut
) -> None:
    out(unit, one, PersistentOut.REGISTER, 0, KEY_1)
    assert out(unit, one, action, KEY_2, kind=WE).status is CONFLICT
    assert out(unit, two, action, KEY_1, kind=WE).status is CONFLICT


def test_reserving_again_is_good_but_not_with_another_type(registered: LogicalUnit, one: Nexus, two: Nexus) -> None:
    assert out(registered, one, PersistentOut.RESERVE, KEY_1, kind=WE).status is GOOD
    assert out(registered, one, PersistentOut.RESERVE, KEY_1, kind=WE).status is GOOD
    assert out(registered, one, PersistentOut.RESERVE, KEY_1, kind=EA).status is CONFLICT
    assert out(registered, two, PersistentOut.RESERVE, KEY_2, kind=WE).status is CONFLICT
    assert reservation(registered, two) == (KEY_1, WE)


def test_release_names_the_type_and_the_registrants_hear_of_it(registered: LogicalUnit, one: Nexus, two: Nexus) -> None:
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=WE_RO)
    wrong = out(registered, one, PersistentOut.RELEASE, KEY_1, kind=EA_RO)
    assert Sense.decode(wrong.sense).code == INVALID_RELEASE_OF_RESERVATION.code
    assert out(registered, two, PersistentOut.RELEASE, KEY_2, kind=WE_RO).status is GOOD
    assert reservation(registered, one) == (KEY_1, WE_RO)
    assert out(registered, one, PersistentOut.RELEASE, KEY_1, kind=WE_RO).status is GOOD
    assert registered.disk.attentions.take(two) == RESERVATIONS_RELEASED
    assert registered.disk.attentions.take(one) is None


def test_unregistering_the_holder_releases_but_all_registrants_hold_together(
    registered: LogicalUnit, one: Nexus, two: Nexus
) -> None:
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=EA_AR)
    assert reservation(registered, two) == (0, EA_AR)
    out(registered, one, PersistentOut.REGISTER, KEY_1, 0)
    assert status(registered, READ, one) is CONFLICT
    assert status(registered, READ, two) is GOOD
    out(registered, two, PersistentOut.REGISTER, KEY_2, 0)
    assert status(registered, READ, one) is GOOD


def test_clear_leaves_nothing_and_tells_the_others(registered: LogicalUnit, one: Nexus, two: Nexus) -> None:
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=EA)
    assert out(registered, two, PersistentOut.CLEAR, KEY_2).status is GOOD
    assert registered.disk.attentions.take(one) == RESERVATIONS_PREEMPTED
    assert keys(registered, two) == []
    assert reservation(registered, two) is None


def test_preempt_takes_the_reservation_over(registered: LogicalUnit, one: Nexus, two: Nexus) -> None:
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=WE)
    result = out(registered, two, PersistentOut.PREEMPT, KEY_2, KEY_1, kind=EA)
    assert (result.status, result.aborted) == (GOOD, ())
    assert reservation(registered, two) == (KEY_2, EA)
    assert keys(registered, two) == [KEY_2]
    assert status(registered, READ, one) is CONFLICT
    assert registered.disk.attentions.take(one) == REGISTRATIONS_PREEMPTED


def test_preempt_and_abort_names_the_nexuses_whose_tasks_must_end(
    registered: LogicalUnit, one: Nexus, two: Nexus
) -> None:
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=WE)
    result = out(registered, two, PersistentOut.PREEMPT_AND_ABORT, KEY_2, KEY_1, kind=WE)
    assert result.aborted == (one,)


def test_preempting_a_key_that_holds_nothing_only_removes_it(registered: LogicalUnit, one: Nexus, two: Nexus) -> None:
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=WE)
    assert out(registered, one, PersistentOut.PREEMPT, KEY_1, KEY_2, kind=EA).status is GOOD
    assert reservation(registered, one) == (KEY_1, WE)
    assert keys(registered, one) == [KEY_1]
    assert out(registered, one, PersistentOut.PREEMPT, KEY_1, KEY_2, kind=EA).status is CONFLICT


def test_key_zero_preempts_all_registrants_and_no_one_else(registered: LogicalUnit, one: Nexus, two: Nexus) -> None:
    no_reservation = out(registered, one, PersistentOut.PREEMPT, KEY_1, 0, kind=WE)
    assert Sense.decode(no_reservation.sense).code == INVALID_FIELD_IN_PARAMETER_LIST.code
    out(registered, two, PersistentOut.RESERVE, KEY_2, kind=WE_AR)
    assert out(registered, one, PersistentOut.PREEMPT, KEY_1, 0, kind=WE).status is GOOD
    assert keys(registered, one) == [KEY_1]
    assert reservation(registered, one) == (KEY_1, WE)


def test_registrations_survive_the_loss_of_the_nexus_and_a_reset(
    registered: LogicalUnit, one: Nexus, two: Nexus
) -> None:
    out(registered, one, PersistentOut.RESERVE, KEY_1, kind=EA)
    registered.nexus_lost(one)
    registered.reset(BUS_RESET)
    for nexus in (one, two):
        registered.execute(scsi.test_unit_ready(), b"", nexus)
    assert keys(registered, two) == [KEY_1, KEY_2]
    assert status(registered, READ, two) is CONFLICT


@pytest.mark.parametrize("byte_2", [0x00, 0x02, 0x04, 0x11])
def test_reserved_types_and_scopes_are_refused(registered: LogicalUnit, one: Nexus, byte_2: int) -> None:
    cdb = bytearray(scsi.persistent_reserve_out(PersistentOut.RESERVE))
    cdb[2] = byte_2
    result = registered.execute(bytes(cdb), scsi.persistent_reserve_list(KEY_1), one)
    assert Sense.decode(result.sense).code == INVALID_FIELD_IN_CDB.code
