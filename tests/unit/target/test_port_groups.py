"""Asymmetric logical unit access at a disk: what each state permits, what is told, what changes it (SPC-4 5.15.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.identification import DesignatorType, parse_device_identification
from iscsi.inquiry import StandardInquiry
from iscsi.port_groups import AccessState, ChangedBy, build_set_list, parse_port_groups
from iscsi.scsi import PersistentIn
from iscsi.sense import (
    ASYMMETRIC_ACCESS_CHANGED,
    IMPLICIT_TRANSITION_FAILED,
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_PARAMETER_LIST,
    INVALID_OPERATION_CODE,
    NOT_READY_OFFLINE,
    NOT_READY_STANDBY,
    NOT_READY_TRANSITION,
    NOT_READY_UNAVAILABLE,
    PARAMETER_LIST_LENGTH_ERROR,
    SET_TARGET_PORT_GROUPS_FAILED,
    FieldPointer,
    Sense,
)
from target.access_config import AccessConfig, PortGroupConfig
from target.chores import Chores
from target.command import ScsiResult
from target.decisions import Decision
from target.lun import LogicalUnit
from target.lun_map import LunMap
from target.nexus import Nexus
from target.port_groups import PortGroups, TransitionFailed
from target.store import MemoryStore
from tests.unit.target.conftest import IDENTITY

AO, AN, SB, UA, OFF, MOVING = (
    AccessState.ACTIVE_OPTIMIZED,
    AccessState.ACTIVE_NON_OPTIMIZED,
    AccessState.STANDBY,
    AccessState.UNAVAILABLE,
    AccessState.OFFLINE,
    AccessState.TRANSITIONING,
)
PORTALS = ("192.168.51.2", "192.168.51.3", "192.168.51.4")


def through(port: int) -> Nexus:
    """A host's nexus by a portal, numbered from 1."""
    return Nexus(f"iqn.host,i,0x{port:012x}", "iqn.volume,t,0x0001", relative_port=port, tpgt=1)


ONE, TWO, THREE = through(1), through(2), through(3)


class Array:
    """A volume of two LUNs behind two groups: portals 1 and 2 are group 1, preferred; portal 3 is group 7."""

    def __init__(self, first: AccessState = AO, second: AccessState = SB, **changes: Any) -> None:
        config = AccessConfig(
            (PortGroupConfig(1, PORTALS[:2], first, preferred=True), PortGroupConfig(7, PORTALS[2:], second)),
            **({"explicit": True} | changes),
        )
        self.groups = PortGroups(config, PORTALS, "logs")
        units = {lun: LogicalUnit.over(MemoryStore(1 << 20), IDENTITY, port_groups=self.groups) for lun in range(2)}
        self.luns = LunMap(units, port_groups=self.groups)
        self.decisions: list[Decision] = []
        self.groups.on_decision = self.decisions.append
        for nexus in (ONE, TWO, THREE):
            for lun in units:
                self.luns.execute(lun, scsi.request_sense(), b"", nexus)

    def run(self, nexus: Nexus, cdb: bytes, data: bytes = b"", lun: int = 0) -> ScsiResult:
        return self.luns.execute(lun, cdb, data, nexus)

    def set(self, nexus: Nexus, *wanted: tuple[int, AccessState]) -> ScsiResult:
        data = build_set_list(wanted)
        return self.run(nexus, scsi.set_target_port_groups(len(data)), data)

    def states(self) -> tuple[AccessState, ...]:
        return tuple(group.state for group in self.groups.described())

    def told(self, nexus: Nexus, lun: int = 0) -> list[Sense]:
        """The unit attentions that are due there."""
        unit = self.luns.get(lun)
        assert unit is not None
        return list(unit.disk.attentions.queue(nexus))

    def clock(self) -> Chores:
        """Put time into the hands of the test."""
        chores = Chores()
        self.groups.take_up = chores.add
        return chores


def sense_of(result: ScsiResult) -> Sense:
    assert result.status == ScsiStatus.CHECK_CONDITION
    return Sense.decode(result.sense)


# -- what each state permits -------------------------------------------------------------------------------------------

MEDIUM = {
    "READ(10)": scsi.read(0, 1),
    "WRITE(10)": scsi.write(0, 1),
    "READ(16)": scsi.read(0, 1, width=16),
    "VERIFY(10)": scsi.verify(0, 1),
    "SYNCHRONIZE CACHE(10)": scsi.synchronize_cache(),
    "UNMAP": scsi.unmap(0),
    "TEST UNIT READY": scsi.test_unit_ready(),
    "GET LBA STATUS": scsi.get_lba_status(0),
    "RESERVE(6)": scsi.reserve_6(),
    "RELEASE(6)": scsi.release_6(),
    "START STOP UNIT": bytes.fromhex("1b 00 00 00 01 00").ljust(16, b"\0"),
}
STANDBY_TOO = {
    "MODE SENSE(6)": scsi.mode_sense_6(0x3F),
    "MODE SENSE(10)": scsi.mode_sense_10(0x3F),
    "MODE SELECT(6)": scsi.mode_select_6(0),
    "SEND DIAGNOSTIC": bytes.fromhex("1d 04 00 00 00 00").ljust(16, b"\0"),
    "RECEIVE DIAGNOSTIC RESULTS": bytes.fromhex("1c 01 00 00 ff 00").ljust(16, b"\0"),
    "PERSISTENT RESERVE IN": scsi.persistent_reserve_in(PersistentIn.READ_KEYS),
    "READ CAPACITY(10)": scsi.read_capacity_10(),
    "READ CAPACITY(16)": scsi.read_capacity_16(),
    "REPORT SUPPORTED OPERATION CODES": bytes.fromhex("a3 0c 00 00 00 00 00 00 10 00").ljust(16, b"\0"),
    "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS": bytes.fromhex("a3 0d 00 00 00 00 00 00 00 10").ljust(16, b"\0"),
}
UNAVAILABLE_TOO = {"SET TARGET PORT GROUPS": scsi.set_target_port_groups(0)}
ALWAYS = {
    "INQUIRY": scsi.inquiry(),
    "REPORT LUNS": scsi.report_luns(),
    "REQUEST SENSE": scsi.request_sense(),
    "REPORT TARGET PORT GROUPS": scsi.report_target_port_groups(),
}
REFUSED = {
    SB: (NOT_READY_STANDBY, MEDIUM),
    UA: (NOT_READY_UNAVAILABLE, MEDIUM | STANDBY_TOO),
    OFF: (NOT_READY_OFFLINE, MEDIUM | STANDBY_TOO | UNAVAILABLE_TOO),
    MOVING: (NOT_READY_TRANSITION, MEDIUM | STANDBY_TOO | UNAVAILABLE_TOO),
}
"""SPC-4 5.15.2.4.4, 5.15.2.4.5, 5.15.2.5: by state, the sense and what is refused with it."""
EVERY_COMMAND = MEDIUM | STANDBY_TOO | UNAVAILABLE_TOO | ALWAYS


@pytest.mark.parametrize("name", EVERY_COMMAND)
@pytest.mark.parametrize("state", [AO, AN, SB, UA, OFF, MOVING])
def test_a_command_meets_the_state_of_the_group_it_comes_through(state: AccessState, name: str) -> None:
    array = Array(second=state)
    data = bytes(512) if name == "WRITE(10)" else b""
    assert array.run(ONE, EVERY_COMMAND[name], data).status == ScsiStatus.GOOD
    array = Array(second=state)
    result = array.run(THREE, EVERY_COMMAND[name], data)
    condition, refused = REFUSED.get(state, (None, {}))
    if name in refused:
        assert condition is not None
        assert sense_of(result).code == condition.code
    else:
        assert result.status == ScsiStatus.GOOD


@pytest.mark.parametrize("state", list(REFUSED))
def test_request_sense_tells_why_the_way_is_closed(state: AccessState) -> None:
    """SPC-4 6.39: the condition that a command for the medium would end with."""
    array = Array(second=state)
    polled = array.run(THREE, scsi.request_sense())
    assert isinstance(polled.data, bytes)
    assert Sense.decode(polled.data).code == REFUSED[state][0].code


def test_a_reservation_conflict_and_a_unit_attention_come_first() -> None:
    array = Array()
    assert array.run(ONE, scsi.reserve_6()).status == ScsiStatus.GOOD
    assert array.run(THREE, scsi.read(0, 1)).status == ScsiStatus.RESERVATION_CONFLICT
    array = Array()
    array.groups.set_by_array({7: UA}, "a test")
    assert sense_of(array.run(THREE, scsi.read(0, 1))) == ASYMMETRIC_ACCESS_CHANGED
    assert sense_of(array.run(THREE, scsi.read(0, 1))).code == NOT_READY_UNAVAILABLE.code


@pytest.mark.parametrize(("state", "served"), [(AO, True), (AN, True), (SB, False), (UA, False), (MOVING, False)])
def test_plain_commands_take_the_short_way_where_they_are_served(state: AccessState, served: bool) -> None:
    luns = Array(second=state).luns
    assert (luns.open_to_reads(0, THREE) is not None) is served
    assert (luns.open_to_writes(0, THREE) is not None) is served
    assert luns.open_to_reads(0, ONE) is not None


# -- what is told ------------------------------------------------------------------------------------------------------

DESCRIPTORS = "80 cf 0001 00 00 00 02 0000 0001 0000 0002" + "02 cf 0007 00 00 00 01 0000 0003"


@pytest.mark.parametrize(
    ("extended", "transition_s", "expected"),
    [
        (False, 0.0, "0000 001c" + DESCRIPTORS),
        (True, 0.0, "0000 0020 10 00 0000" + DESCRIPTORS),
        (True, 0.5, "0000 0020 10 01 0000" + DESCRIPTORS),
        (True, 255.0, "0000 0020 10 ff 0000" + DESCRIPTORS),
    ],
)
def test_report_target_port_groups(extended: bool, transition_s: float, expected: str) -> None:
    """SPC-4 6.37: both headers, IMPLICIT TRANSITION TIME in whole seconds, rounded up."""
    array = Array(transition_s=transition_s)
    for nexus in (ONE, THREE):
        answer = array.run(nexus, scsi.report_target_port_groups(extended=extended))
        assert answer.data == bytes.fromhex(expected)


@pytest.mark.parametrize("allocation", [0, 1, 4, 31, 32, 4096])
def test_the_allocation_length_cuts_the_answer(allocation: int) -> None:
    whole = bytes.fromhex("0000 001c" + DESCRIPTORS)
    assert Array().run(ONE, scsi.report_target_port_groups(allocation)).data == whole[:allocation]


@pytest.mark.parametrize("form", range(2, 8))
def test_a_reserved_data_format_is_refused(form: int) -> None:
    cdb = bytes((0xA3, form << 5 | 0x0A)) + scsi.report_target_port_groups()[2:]
    refused = sense_of(Array().run(ONE, cdb))
    assert (refused.code, refused.field_pointer) == (INVALID_FIELD_IN_CDB.code, FieldPointer(1, 7))


@pytest.mark.parametrize(("implicit", "explicit", "tpgs"), [(True, False, 1), (False, True, 2), (True, True, 3)])
def test_inquiry_tells_who_changes_the_states(implicit: bool, explicit: bool, tpgs: int) -> None:
    """SPC-4 6.6.2, the TPGS field."""
    answer = Array(implicit=implicit, explicit=explicit).run(ONE, scsi.inquiry())
    assert isinstance(answer.data, bytes)
    assert StandardInquiry.decode(answer.data).tpgs == tpgs


@pytest.mark.parametrize(("nexus", "port", "group"), [(ONE, 1, 1), (TWO, 2, 1), (THREE, 3, 7)])
def test_page_83h_names_the_group_of_the_port_it_was_asked_through(nexus: Nexus, port: int, group: int) -> None:
    """SPC-4 7.8.6: relative target port and target port group designators."""
    answer = Array().run(nexus, scsi.inquiry(vpd_page=0x83))
    assert isinstance(answer.data, bytes)
    values = {each.kind: each.value for each in parse_device_identification(answer.data)}
    assert int.from_bytes(values[DesignatorType.RELATIVE_TARGET_PORT]) == port
    assert int.from_bytes(values[DesignatorType.TARGET_PORT_GROUP]) == group


def supported(unit: LogicalUnit | None) -> set[tuple[int, int | None]]:
    assert unit is not None
    return {(row.opcode, row.service_action) for row in unit.commands} & {(0xA3, 0x0A), (0xA4, 0x0A)}


def test_the_commands_are_there_as_the_array_supports_them() -> None:
    """Without explicit access SET TARGET PORT GROUPS is unknown, without any both are (SPC-4 5.15.2.3)."""
    assert supported(Array().luns.get(0)) == {(0xA3, 0x0A), (0xA4, 0x0A)}
    implicit = Array(explicit=False)
    assert supported(implicit.luns.get(0)) == {(0xA3, 0x0A)}
    assert sense_of(implicit.set(ONE, (1, SB))).code == INVALID_OPERATION_CODE.code
    symmetric = LogicalUnit.over(MemoryStore(1 << 20), IDENTITY)
    assert supported(symmetric) == set()
    symmetric.execute(scsi.request_sense(), b"", ONE)
    refused = sense_of(symmetric.execute(scsi.report_target_port_groups(), b"", ONE))
    assert (refused.code, refused.field_pointer) == (INVALID_FIELD_IN_CDB.code, FieldPointer(1, 4))
    assert sense_of(symmetric.execute(scsi.set_target_port_groups(0), b"", ONE)).code == INVALID_OPERATION_CODE.code


# -- SET TARGET PORT GROUPS --------------------------------------------------------------------------------------------


def test_a_host_sets_states_and_every_other_nexus_is_told() -> None:
    """SPC-4 6.45, 5.15.2.5: the nexus that asked finds no unit attention; the status code is 1."""
    array = Array()
    assert array.set(ONE, (1, SB), (7, AO)).status == ScsiStatus.GOOD
    assert array.states() == (SB, AO)
    assert {group.changed_by for group in array.groups.described()} == {ChangedBy.SET_TARGET_PORT_GROUPS}
    for lun in (0, 1):
        assert array.told(ONE, lun) == []
        assert array.told(TWO, lun) == array.told(THREE, lun) == [ASYMMETRIC_ACCESS_CHANGED]
    assert [decision.words for decision in array.decisions] == [
        "volume logs: port group 1 is standby (asked for by iqn.host)",
        "volume logs: port group 7 is active-optimized (asked for by iqn.host)",
    ]


@pytest.mark.parametrize(("before", "left"), [(SB, SB), (UA, SB), (AN, AN)])
def test_the_optimized_group_gives_way_to_the_one_a_host_wants(before: AccessState, left: AccessState) -> None:
    array = Array(second=before)
    assert array.set(THREE, (7, AO)).status == ScsiStatus.GOOD
    assert array.states() == (left, AO)
    assert array.set(THREE, (7, AO), (1, AO)).status == ScsiStatus.GOOD
    assert array.states() == (AO, AO)


def test_what_is_so_already_changes_nothing() -> None:
    array = Array()
    assert array.set(ONE, (1, AO), (7, SB)).status == ScsiStatus.GOOD
    assert array.run(ONE, scsi.set_target_port_groups(0)).status == ScsiStatus.GOOD
    assert array.set(ONE).status != ScsiStatus.GOOD  # a header alone is no list
    assert (array.decisions, array.told(TWO)) == ([], [])


HEADER = "00000000"


@pytest.mark.parametrize(
    ("length", "data", "condition", "at"),
    [
        (1, "00", INVALID_FIELD_IN_CDB, FieldPointer(6)),
        (4, HEADER, INVALID_FIELD_IN_CDB, FieldPointer(6)),
        (10, HEADER + "00000001 0000", INVALID_FIELD_IN_CDB, FieldPointer(6)),
        (12, HEADER + "00000001", PARAMETER_LIST_LENGTH_ERROR, None),
        (8, "", PARAMETER_LIST_LENGTH_ERROR, None),
        (8, HEADER + "04000001", INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(4, 3, in_cdb=False)),
        (8, HEADER + "05000001", INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(4, 3, in_cdb=False)),
        (8, HEADER + "0e000001", INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(4, 3, in_cdb=False)),
        (8, HEADER + "0f000001", INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(4, 3, in_cdb=False)),
        (8, HEADER + "00000002", INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(6, in_cdb=False)),
        (12, HEADER + "02000001 00000000", INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(10, in_cdb=False)),
        (12, HEADER + "02000001 00000001", INVALID_FIELD_IN_PARAMETER_LIST, FieldPointer(10, in_cdb=False)),
    ],
)
def test_a_list_that_cannot_be_meant_changes_nothing(
    length: int, data: str, condition: Sense, at: FieldPointer | None
) -> None:
    """SPC-4 6.45: states that cannot be set, groups that are not there; lengths that are none of a list."""
    array = Array()
    refused = sense_of(array.run(ONE, scsi.set_target_port_groups(length), bytes.fromhex(data)))
    assert (refused.code, refused.field_pointer) == (condition.code, at)
    assert (array.states(), array.decisions) == ((AO, SB), [])


def test_a_group_without_a_portal_that_is_up_cannot_become_active() -> None:
    """SPC-4 6.45: SET TARGET PORT GROUPS COMMAND FAILED; nothing has changed."""
    array = Array()
    array.groups.set_port(3, up=False)
    assert sense_of(array.set(ONE, (1, SB), (7, AO))).code == SET_TARGET_PORT_GROUPS_FAILED.code
    assert array.states() == (AO, SB)
    with pytest.raises(TransitionFailed, match="every portal of port group 7 is down"):
        array.groups.set_by_array({7: AN}, "a test")
    assert array.told(ONE) == array.told(THREE) == [IMPLICIT_TRANSITION_FAILED]
    array.groups.set_port(3, up=True)
    array.groups.set_by_array({7: AN}, "a test")
    assert array.states() == (AO, AN)


# -- changes by the array ----------------------------------------------------------------------------------------------


def test_an_implicit_change_is_told_to_every_nexus() -> None:
    array = Array()
    (decision,) = array.groups.set_by_array({7: AN}, "a test")
    assert decision.words == "volume logs: port group 7 is active-non-optimized (a test)"
    assert array.groups.described()[1].changed_by is ChangedBy.IMPLICIT
    assert array.told(ONE) == array.told(TWO) == array.told(THREE) == [ASYMMETRIC_ACCESS_CHANGED]


def test_a_transition_takes_its_time() -> None:
    array = Array(transition_s=0.5)
    chores = array.clock()
    array.groups.set_by_array({7: AO}, "a test")
    chores.tick(1_000)
    assert array.states() == (AO, MOVING)
    assert array.told(ONE) == []
    assert sense_of(array.run(THREE, scsi.read(0, 1))).code == NOT_READY_TRANSITION.code
    assert array.run(ONE, scsi.read(0, 1)).status == ScsiStatus.GOOD
    assert chores.deadline_ns == 500_001_000
    chores.tick(500_000_999)
    assert array.states() == (AO, MOVING)
    chores.tick(500_001_000)
    assert array.states() == (AO, AO)
    assert array.told(ONE) == array.told(THREE) == [ASYMMETRIC_ACCESS_CHANGED]
    assert [decision.words for decision in array.decisions] == [
        "volume logs: port group 7 is transitioning from standby to active-optimized (a test)",
        "volume logs: port group 7 is active-optimized (the transition is over)",
    ]


def test_set_target_port_groups_is_answered_when_the_transition_is_over() -> None:
    array = Array(transition_s=0.5)
    chores = array.clock()
    result = array.set(ONE, (7, AO))
    assert result.pending is not None
    ended: list[OSError | None] = []
    result.pending.on_done(ended.append)
    assert array.states() == (MOVING, MOVING)
    assert sense_of(array.set(ONE, (1, AO))).code == NOT_READY_TRANSITION.code
    for now_ns in (0, 500_000_000):
        assert ended == []
        chores.tick(now_ns)
    assert ended == [None]
    assert array.states() == (SB, AO)
    assert (array.told(ONE), array.told(TWO)) == ([], [ASYMMETRIC_ACCESS_CHANGED])


def test_a_change_that_is_overtaken_by_another_does_not_come_back() -> None:
    array = Array(transition_s=1.0)
    chores = array.clock()
    array.groups.set_by_array({7: AO}, "a test")
    chores.tick(0)
    array.groups.set_by_array({7: UA}, "another")
    chores.tick(500_000_000)
    chores.tick(1_000_000_000)
    assert array.states() == (AO, MOVING)
    chores.tick(1_500_000_000)
    assert array.states() == (AO, UA)
    assert len(array.told(ONE)) == 1


def test_a_group_can_be_left_in_transition() -> None:
    array = Array()
    array.groups.set_by_array({7: MOVING}, "a test")
    assert not array.groups.in_transition
    assert array.states() == (AO, MOVING)


# -- the way that is not optimized -------------------------------------------------------------------------------------


def test_a_command_for_the_medium_ends_later_where_the_way_is_not_optimized() -> None:
    array = Array(second=AN, non_optimized_latency_s=0.002)
    chores = array.clock()
    assert array.run(ONE, scsi.read(0, 1)).pending is None
    assert array.run(THREE, scsi.inquiry()).pending is None
    assert array.run(THREE, scsi.read(0, 4096)).pending is None  # refused at once
    for luns in (array.luns.open_to_reads, array.luns.open_to_writes):
        assert luns(0, ONE) is not None
        assert luns(0, THREE) is None
    result = array.run(THREE, scsi.read(0, 1))
    assert result.pending is not None
    assert len(result.data) == 512
    ended: list[OSError | None] = []
    result.pending.on_done(ended.append)
    chores.tick(7)
    chores.tick(2_000_006)
    assert ended == []
    chores.tick(2_000_007)
    assert ended == [None]


# -- failover ----------------------------------------------------------------------------------------------------------


def test_the_array_makes_another_group_optimized_when_the_first_is_cut_off() -> None:
    array = Array(failover=True)
    array.groups.set_port(1, up=False)
    assert array.states() == (AO, SB)
    array.groups.set_port(2, up=False)
    assert array.states() == (SB, AO)
    assert array.told(THREE) == [ASYMMETRIC_ACCESS_CHANGED]
    assert [decision.words for decision in array.decisions] == [
        "volume logs: port group 1 is standby (every portal of port group 1 is down)",
        "volume logs: port group 7 is active-optimized (every portal of port group 1 is down)",
    ]
    array.groups.set_port(2, up=True)
    assert array.states() == (SB, AO)  # nothing moves back by itself


def test_a_failover_that_finds_no_group_is_told() -> None:
    array = Array(second=UA, failover=True)
    array.groups.set_port(1, up=False)
    array.groups.set_port(2, up=False)
    assert array.states() == (AO, UA)
    assert array.told(THREE) == [IMPLICIT_TRANSITION_FAILED]
    assert array.decisions[-1].words == (
        "volume logs: no port group can take over (port group 1 has lost its last portal)"
    )


def test_the_first_portal_that_is_back_takes_over() -> None:
    array = Array(failover=True)
    for port in (3, 1, 2):
        array.groups.set_port(port, up=False)
    assert array.states() == (AO, SB)
    array.groups.set_port(3, up=True)
    assert array.states() == (SB, AO)


def test_without_failover_the_states_stay() -> None:
    array = Array()
    for port in (1, 2):
        array.groups.set_port(port, up=False)
    assert (array.states(), array.decisions) == ((AO, SB), [])


def every_candidate() -> Iterator[tuple[tuple[tuple[AccessState, bool], ...], int]]:
    """(state and preference of groups 2 and 3) to the group that is taken."""
    yield ((AN, False), (SB, True)), 2
    yield ((SB, True), (AN, False)), 3
    yield ((SB, False), (SB, True)), 3
    yield ((SB, False), (SB, False)), 2
    yield ((UA, True), (SB, False)), 3
    yield ((OFF, True), (AN, False)), 3


@pytest.mark.parametrize(("others", "taken"), list(every_candidate()))
def test_the_best_group_is_taken(others: tuple[tuple[AccessState, bool], ...], taken: int) -> None:
    """Non-optimized before standby, then the preferred one, then the first."""
    config = AccessConfig(
        (
            PortGroupConfig(1, PORTALS[:1]),
            *(
                PortGroupConfig(number, (PORTALS[number - 1],), state, preferred)
                for number, (state, preferred) in enumerate(others, 2)
            ),
        ),
        failover=True,
    )
    groups = PortGroups(config, PORTALS, "logs")
    groups.set_port(1, up=False)
    assert {group.number for group in groups.described() if group.state is AO} == {taken}


def test_what_is_reported_is_read_by_a_host() -> None:
    array = Array(second=AN)
    answer = array.run(THREE, scsi.report_target_port_groups(extended=True))
    assert isinstance(answer.data, bytes)
    report = parse_port_groups(answer.data, extended=True)
    assert report.groups == array.groups.described()
    own = report.group_of(3)
    assert own is not None
    assert own.state is AN
