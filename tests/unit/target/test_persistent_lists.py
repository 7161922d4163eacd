"""PERSISTENT RESERVE OUT by its parameter lists: SPEC_I_PT, ALL_TG_PT, APTPL, REGISTER AND MOVE (SPC-4 6.16)."""

from __future__ import annotations

import errno

import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.scsi import PersistentIn, PersistentOut, PersistentType
from iscsi.sense import (
    BUS_RESET,
    INSUFFICIENT_REGISTRATION_RESOURCES,
    INTERNAL_TARGET_FAILURE,
    INVALID_FIELD_IN_PARAMETER_LIST,
    PARAMETER_LIST_LENGTH_ERROR,
    REGISTRATIONS_PREEMPTED,
    Sense,
)
from iscsi.transport_id import TransportId, parse_transport_ids
from target.command import ScsiResult
from target.disk import Disk
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.persistent import MAX_REGISTRATIONS
from target.reservation_memory import KeptRecord, Record
from target.store import MemoryStore

GOOD, CONFLICT = ScsiStatus.GOOD, ScsiStatus.RESERVATION_CONFLICT
KEY, OTHER_KEY = 0x1111, 0x2222
SPEC_I_PT, ALL_TG_PT, APTPL = 0x08, 0x04, 0x01
WE, EA_AR = PersistentType.WRITE_EXCLUSIVE, PersistentType.EXCLUSIVE_ACCESS_ALL_REGISTRANTS
THREE = TransportId("iqn.2026-01.org.example:three", "400001370003")
FOUR = TransportId("iqn.2026-01.org.example:four", "400001370004")


def call(
    unit: LogicalUnit, nexus: Nexus, action: PersistentOut, data: bytes, kind: PersistentType | None = None
) -> ScsiResult:
    cdb = bytes((0x5F, action, kind or 0, 0, 0)) + len(data).to_bytes(4, "big")
    return unit.execute(cdb, data, nexus)


def basic(key: int, new_key: int, flags: int = 0, ids: bytes | None = None) -> bytes:
    data = key.to_bytes(8, "big") + new_key.to_bytes(8, "big") + bytes((0, 0, 0, 0, flags, 0, 0, 0))
    return data if ids is None else data + len(ids).to_bytes(4, "big") + ids


def moving(key: int, new_key: int, ids: bytes, *, unreg: bool = False, aptpl: bool = False, port: int = 3) -> bytes:
    head = (
        key.to_bytes(8, "big") + new_key.to_bytes(8, "big") + bytes((0, unreg << 1 | aptpl)) + port.to_bytes(2, "big")
    )
    return head + len(ids).to_bytes(4, "big") + ids


def register(unit: LogicalUnit, nexus: Nexus, key: int, flags: int = 0) -> None:
    assert call(unit, nexus, PersistentOut.REGISTER, basic(0, key, flags)).status is GOOD


def bad_parameter(byte: int, bit: int | None = None) -> Sense:
    return INVALID_FIELD_IN_PARAMETER_LIST.at(byte, bit, in_cdb=False)


def sense_of(result: ScsiResult) -> Sense:
    assert result.status is ScsiStatus.CHECK_CONDITION, result.status
    return Sense.decode(result.sense)


def ports(unit: LogicalUnit) -> list[tuple[str, int]]:
    return [(nexus.initiator_port, key) for nexus, key in unit.disk.reservations.persistent.registrations]


# -- SPEC_I_PT and ALL_TG_PT ---------------------------------------------------------------------------------------


def test_one_register_can_name_further_initiator_ports(unit: LogicalUnit, one: Nexus) -> None:
    data = basic(0, KEY, SPEC_I_PT, THREE.encode() + FOUR.encode() + THREE.encode())
    assert call(unit, one, PersistentOut.REGISTER, data).status is GOOD
    assert ports(unit) == [(one.initiator_port, KEY), (THREE.port, KEY), (FOUR.port, KEY)]
    assert unit.disk.reservations.persistent.generation == 1


def test_a_device_means_all_its_ports_the_unit_knows(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    name = one.initiator_port.partition(",")[0]
    data = basic(0, KEY, SPEC_I_PT, TransportId(name).encode())
    assert call(unit, one, PersistentOut.REGISTER, data).status is GOOD
    assert ports(unit) == [(one.initiator_port, KEY), (two.initiator_port, KEY)]


def test_named_ports_are_registered_all_or_none(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    register(unit, two, OTHER_KEY)
    ids = THREE.encode() + TransportId.of_port(two.initiator_port).encode()
    assert call(unit, one, PersistentOut.REGISTER, basic(0, KEY, SPEC_I_PT, ids)).status is CONFLICT
    assert ports(unit) == [(two.initiator_port, OTHER_KEY)]


def test_there_is_room_for_so_many_registrations(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    ids = b"".join(TransportId("iqn.a", f"{number:012x}").encode() for number in range(MAX_REGISTRATIONS))
    one_less = len(ids) // MAX_REGISTRATIONS * (MAX_REGISTRATIONS - 1)
    full = call(unit, one, PersistentOut.REGISTER, basic(0, KEY, SPEC_I_PT, ids))
    assert sense_of(full) == INSUFFICIENT_REGISTRATION_RESOURCES
    assert ports(unit) == []
    assert call(unit, one, PersistentOut.REGISTER, basic(0, KEY, SPEC_I_PT, ids[:one_less])).status is GOOD
    assert sense_of(call(unit, two, PersistentOut.REGISTER, basic(0, KEY))) == INSUFFICIENT_REGISTRATION_RESOURCES
    assert call(unit, one, PersistentOut.REGISTER, basic(KEY, 0)).status is GOOD
    register(unit, two, KEY)


def test_all_target_ports_are_the_one_there_is(unit: LogicalUnit, one: Nexus) -> None:
    register(unit, one, KEY, ALL_TG_PT)
    assert ports(unit) == [(one.initiator_port, KEY)]


REGISTER, IGNORE = PersistentOut.REGISTER, PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY


@pytest.mark.parametrize(
    ("action", "data", "expected"),
    [
        (REGISTER, basic(0, KEY)[:-1], PARAMETER_LIST_LENGTH_ERROR),
        (REGISTER, basic(0, KEY) + b"\0", PARAMETER_LIST_LENGTH_ERROR),
        (REGISTER, basic(0, KEY, SPEC_I_PT), PARAMETER_LIST_LENGTH_ERROR),
        (REGISTER, basic(0, KEY, SPEC_I_PT, THREE.encode())[:-4], PARAMETER_LIST_LENGTH_ERROR),
        (REGISTER, basic(0, KEY, SPEC_I_PT, THREE.encode()) + b"\0", PARAMETER_LIST_LENGTH_ERROR),
        (REGISTER, basic(0, KEY, SPEC_I_PT, b"\x06" + THREE.encode()[1:]), bad_parameter(28)),
        (REGISTER, basic(0, KEY, APTPL), bad_parameter(20, 0)),
        (IGNORE, basic(0, KEY, SPEC_I_PT, THREE.encode()), bad_parameter(20, 3)),
        (PersistentOut.CLEAR, basic(KEY, 0, SPEC_I_PT, THREE.encode()), bad_parameter(20, 3)),
        (PersistentOut.REGISTER_AND_MOVE, moving(KEY, 5, THREE.encode())[:-4], PARAMETER_LIST_LENGTH_ERROR),
    ],
)
def test_lists_that_are_refused(
    unit: LogicalUnit, one: Nexus, action: PersistentOut, data: bytes, expected: Sense
) -> None:
    assert sense_of(call(unit, one, action, data)) == expected
    assert ports(unit) == []


def test_who_is_registered_cannot_name_others(unit: LogicalUnit, one: Nexus) -> None:
    register(unit, one, KEY)
    result = call(unit, one, REGISTER, basic(KEY, 5, SPEC_I_PT, THREE.encode()))
    assert sense_of(result) == bad_parameter(20, 3)


def test_less_data_than_the_cdb_announced_is_a_length_error(unit: LogicalUnit, one: Nexus) -> None:
    result = unit.execute(scsi.persistent_reserve_out(REGISTER), basic(0, KEY)[:-1], one)
    assert sense_of(result) == PARAMETER_LIST_LENGTH_ERROR
    huge = bytes((0x5F, REGISTER, 0, 0, 0)) + (1 << 20).to_bytes(4, "big")
    assert sense_of(unit.execute(huge, bytes(1 << 20), one)) == PARAMETER_LIST_LENGTH_ERROR


# -- preempt -------------------------------------------------------------------------------------------------------


def test_preempting_a_mere_registrant_needs_no_type(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    register(unit, one, KEY)
    register(unit, two, OTHER_KEY)
    assert call(unit, one, PersistentOut.PREEMPT, basic(KEY, OTHER_KEY)).status is GOOD
    assert unit.disk.attentions.take(two) == REGISTRATIONS_PREEMPTED
    register(unit, two, OTHER_KEY)
    assert call(unit, two, PersistentOut.RESERVE, basic(OTHER_KEY, 0), WE).status is GOOD
    result = call(unit, one, PersistentOut.PREEMPT, basic(KEY, OTHER_KEY))
    assert sense_of(result).field_pointer == Sense.at(INTERNAL_TARGET_FAILURE, 2, 3).field_pointer
    assert ports(unit) == [(one.initiator_port, KEY), (two.initiator_port, OTHER_KEY)]


def test_all_registrants_lose_one_key_and_keep_the_reservation(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    register(unit, one, KEY)
    register(unit, two, OTHER_KEY)
    call(unit, one, PersistentOut.RESERVE, basic(KEY, 0), EA_AR)
    assert call(unit, two, PersistentOut.PREEMPT, basic(OTHER_KEY, KEY), WE).status is GOOD
    persistent = unit.disk.reservations.persistent
    assert persistent.reservation is not None
    assert persistent.reservation.kind is EA_AR
    assert persistent.holds(two)


# -- REGISTER AND MOVE ---------------------------------------------------------------------------------------------

MOVE = PersistentOut.REGISTER_AND_MOVE


@pytest.fixture
def holding(unit: LogicalUnit, one: Nexus) -> LogicalUnit:
    register(unit, one, KEY)
    assert call(unit, one, PersistentOut.RESERVE, basic(KEY, 0), WE).status is GOOD
    return unit


@pytest.mark.parametrize("unreg", [False, True])
def test_the_reservation_moves_with_its_type(holding: LogicalUnit, one: Nexus, two: Nexus, unreg: bool) -> None:
    to = TransportId.of_port(two.initiator_port)
    assert call(holding, one, MOVE, moving(KEY, OTHER_KEY, to.encode(), unreg=unreg)).status is GOOD
    persistent = holding.disk.reservations.persistent
    assert persistent.reservation is not None
    assert (persistent.reservation.holder, persistent.reservation.kind) == (two, WE)
    expected = [] if unreg else [(one.initiator_port, KEY)]
    assert ports(holding) == [*expected, (two.initiator_port, OTHER_KEY)]
    assert holding.execute(scsi.write(0, 1), bytes(512), two).status is GOOD
    assert holding.execute(scsi.write(0, 1), bytes(512), one).status is CONFLICT


def test_who_is_registered_already_gets_the_new_key(holding: LogicalUnit, one: Nexus, two: Nexus) -> None:
    register(holding, two, 7)
    to = TransportId.of_port(two.initiator_port)
    assert call(holding, one, MOVE, moving(KEY, OTHER_KEY, to.encode())).status is GOOD
    assert ports(holding) == [(one.initiator_port, KEY), (two.initiator_port, OTHER_KEY)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (moving(KEY, 0, THREE.encode()), bad_parameter(8)),
        (moving(KEY, 5, THREE.encode(), aptpl=True), bad_parameter(17, 0)),
        (moving(KEY, 5, THREE.encode(), port=9), bad_parameter(18)),
        (moving(KEY, 5, TransportId(THREE.name).encode()), bad_parameter(24)),
        (moving(KEY, 5, THREE.encode() + FOUR.encode()), bad_parameter(24)),
        (moving(KEY, 5, b""), bad_parameter(24)),
        (moving(KEY, 5, b"\x06" + THREE.encode()[1:]), bad_parameter(24)),
    ],
)
def test_moves_that_make_no_sense(holding: LogicalUnit, one: Nexus, data: bytes, expected: Sense) -> None:
    assert sense_of(call(holding, one, MOVE, data)) == expected
    assert holding.disk.reservations.persistent.holds(one)


def test_moving_to_oneself_is_refused(holding: LogicalUnit, one: Nexus) -> None:
    oneself = TransportId.of_port(one.initiator_port).encode()
    assert sense_of(call(holding, one, MOVE, moving(KEY, 5, oneself))) == bad_parameter(24)


def test_only_the_one_holder_moves_a_reservation(unit: LogicalUnit, one: Nexus, two: Nexus) -> None:
    data = moving(KEY, 5, THREE.encode())
    assert call(unit, one, MOVE, data).status is CONFLICT  # not registered
    register(unit, one, KEY)
    register(unit, two, OTHER_KEY)
    assert call(unit, one, MOVE, data).status is CONFLICT  # nothing is reserved
    call(unit, two, PersistentOut.RESERVE, basic(OTHER_KEY, 0), WE)
    assert call(unit, one, MOVE, data).status is CONFLICT  # another holds it
    assert call(unit, two, MOVE, data).status is CONFLICT  # the key is another's
    call(unit, two, PersistentOut.RELEASE, basic(OTHER_KEY, 0), WE)
    call(unit, one, PersistentOut.RESERVE, basic(KEY, 0), EA_AR)
    assert call(unit, one, MOVE, data).status is CONFLICT  # all hold it


# -- READ FULL STATUS, capabilities --------------------------------------------------------------------------------


def test_full_status_names_every_port_and_the_holder(unit: LogicalUnit, one: Nexus) -> None:
    assert call(unit, one, REGISTER, basic(0, KEY, SPEC_I_PT, THREE.encode())).status is GOOD
    call(unit, one, PersistentOut.RESERVE, basic(KEY, 0), WE)
    data = unit.execute(scsi.persistent_reserve_in(PersistentIn.READ_FULL_STATUS), b"", one).data
    assert int.from_bytes(data[:4], "big") == 1
    rest, seen = data[8 : 8 + int.from_bytes(data[4:8], "big")], []
    while rest:
        length = int.from_bytes(rest[20:24], "big")
        (initiator,) = parse_transport_ids(rest[24 : 24 + length])
        seen.append((int.from_bytes(rest[:8], "big"), rest[12], rest[13], rest[18:20].hex(), initiator.port))
        rest = rest[24 + length :]
    assert seen == [(KEY, 1, WE, "0003", one.initiator_port), (KEY, 0, 0, "0003", THREE.port)]


def capabilities(unit: LogicalUnit, nexus: Nexus) -> bytes:
    return unit.execute(scsi.persistent_reserve_in(PersistentIn.REPORT_CAPABILITIES), b"", nexus).data


def test_capabilities_list_all_six_types_and_all_options(unit: LogicalUnit, one: Nexus) -> None:
    assert capabilities(unit, one) == bytes.fromhex("0008 1c 80 ea01 0000")


# -- APTPL ---------------------------------------------------------------------------------------------------------


def powered(memory: KeptRecord, *nexuses: Nexus) -> LogicalUnit:
    """The unit after its power came on."""
    unit = LogicalUnit(Disk(MemoryStore(1 << 20), volume_identity("g", "v"), memory=memory))
    for nexus in nexuses:
        unit.execute(scsi.test_unit_ready(), b"", nexus)
    return unit


@pytest.mark.parametrize("kind", [WE, EA_AR])
def test_what_was_to_survive_is_there_when_the_power_comes_back(one: Nexus, two: Nexus, kind: PersistentType) -> None:
    memory = KeptRecord()
    unit = powered(memory, one, two)
    register(unit, one, KEY)
    register(unit, two, OTHER_KEY, APTPL)
    assert call(unit, two, PersistentOut.RESERVE, basic(OTHER_KEY, 0), kind).status is GOOD
    assert capabilities(unit, one)[2:4] == bytes.fromhex("1d 81")

    after = powered(memory, one, two)
    persistent = after.disk.reservations.persistent
    assert ports(after) == [(one.initiator_port, KEY), (two.initiator_port, OTHER_KEY)]
    assert persistent.holds(two)
    assert persistent.generation == 0
    assert capabilities(after, one)[2:4] == bytes.fromhex("1d 81")
    stranger = Nexus("iqn.stranger,i,0x400000000001", one.target_port, 1, 1)
    assert after.execute(scsi.write(0, 1), bytes(512), stranger).status is CONFLICT


def test_the_last_register_decides(one: Nexus, two: Nexus) -> None:
    memory = KeptRecord()
    unit = powered(memory, one, two)
    register(unit, one, KEY, APTPL)
    register(unit, two, OTHER_KEY)
    assert ports(powered(memory)) == []
    assert call(unit, two, REGISTER, basic(OTHER_KEY, OTHER_KEY, APTPL)).status is GOOD
    assert len(ports(powered(memory))) == 2
    assert call(unit, one, PersistentOut.CLEAR, basic(KEY, 0)).status is GOOD
    assert ports(powered(memory)) == []
    assert memory.load() == Record()


def test_a_moved_reservation_survives_too(one: Nexus) -> None:
    memory = KeptRecord()
    unit = powered(memory, one)
    register(unit, one, KEY, APTPL)
    call(unit, one, PersistentOut.RESERVE, basic(KEY, 0), WE)
    assert call(unit, one, MOVE, moving(KEY, 5, THREE.encode(), unreg=True, aptpl=True)).status is GOOD
    after = powered(memory)
    assert ports(after) == [(THREE.port, 5)]
    assert after.disk.reservations.persistent.reservation is not None


def test_resets_change_nothing_of_it(one: Nexus) -> None:
    memory = KeptRecord()
    unit = powered(memory, one)
    register(unit, one, KEY, APTPL)
    unit.reset(BUS_RESET)
    unit.nexus_lost(one)
    assert ports(unit) == ports(powered(memory)) == [(one.initiator_port, KEY)]


class FullDisk(KeptRecord):
    __slots__ = ("full",)

    def __init__(self) -> None:
        super().__init__()
        self.full = False

    def save(self, record: Record) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "no space")
        super().save(record)


def test_what_cannot_be_kept_is_not_done(one: Nexus, two: Nexus) -> None:
    memory = FullDisk()
    unit = powered(memory, one, two)
    register(unit, one, KEY, APTPL)
    memory.full = True
    assert sense_of(call(unit, two, REGISTER, basic(0, OTHER_KEY, APTPL))) == INTERNAL_TARGET_FAILURE
    assert sense_of(call(unit, one, PersistentOut.RESERVE, basic(KEY, 0), WE)) == INTERNAL_TARGET_FAILURE
    assert ports(unit) == [(one.initiator_port, KEY)]
    assert unit.disk.reservations.persistent.reservation is None
    assert unit.disk.reservations.persistent.generation == 1
