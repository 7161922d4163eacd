"""REPORT TARGET PORT GROUPS tells the states by which commands are then answered, whatever has changed them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.port_groups import AccessState, build_set_list, parse_port_groups
from iscsi.sense import (
    ASYMMETRIC_ACCESS_CHANGED,
    IMPLICIT_TRANSITION_FAILED,
    NOT_READY_OFFLINE,
    NOT_READY_STANDBY,
    NOT_READY_TRANSITION,
    NOT_READY_UNAVAILABLE,
    Sense,
)
from target.access_config import STATES, AccessConfig, PortGroupConfig
from target.chores import Chores
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.lun_map import LunMap
from target.nexus import Nexus
from target.port_groups import PortGroups, TransitionFailed
from target.store import MemoryStore

PORTALS = tuple(f"192.168.51.{n}" for n in range(2, 6))
NEXUSES = tuple(Nexus(f"iqn.host,i,0x{n:012x}", "iqn.volume,t,0x0001", n, 1) for n in range(1, 5))
GROUP_OF = (1, 1, 2, 3)
"""By portal."""

ANSWERS = {
    AccessState.STANDBY: NOT_READY_STANDBY,
    AccessState.UNAVAILABLE: NOT_READY_UNAVAILABLE,
    AccessState.OFFLINE: NOT_READY_OFFLINE,
    AccessState.TRANSITIONING: NOT_READY_TRANSITION,
}

STATE = st.sampled_from(STATES)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("array"), st.integers(1, 3), STATE),
        st.tuples(st.just("host"), st.sampled_from(NEXUSES), st.dictionaries(st.integers(1, 4), st.integers(0, 15))),
        st.tuples(st.just("port"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("time"), st.integers(0, 1_500_000_000), st.none()),
    ),
    max_size=12,
)


class World:
    """A disk behind three groups, and its clock."""

    def __init__(self, states: tuple[AccessState, ...], transition_s: float, failover: bool) -> None:
        config = AccessConfig(
            tuple(
                PortGroupConfig(number, tuple(p for p, g in zip(PORTALS, GROUP_OF, strict=True) if g == number), state)
                for number, state in enumerate(states, 1)
            ),
            explicit=True,
            failover=failover,
            transition_s=transition_s,
        )
        self.groups = PortGroups(config, PORTALS, "logs")
        unit = LogicalUnit.over(MemoryStore(1 << 16), volume_identity("g", "logs"), port_groups=self.groups)
        self.luns = LunMap({0: unit}, port_groups=self.groups)
        self.chores = Chores()
        self.groups.take_up = self.chores.add
        self.now_ns = 0
        for nexus in NEXUSES:
            self.luns.execute(0, scsi.request_sense(), b"", nexus)

    def does(self, event: tuple[str, Any, Any]) -> None:
        """One event. It never raises, and changes nothing when it is refused."""
        before = self.groups.described()
        match event:
            case ("array", number, state):
                try:
                    self.groups.set_by_array({number: state}, "a test")
                except TransitionFailed:
                    assert self.groups.described() == before
            case ("host", nexus, wanted):
                data = bytes(4) + b"".join(bytes((code, 0, 0, number)) for number, code in wanted.items())
                result = self.luns.execute(0, scsi.set_target_port_groups(len(data)), data, nexus)
                if result.status != ScsiStatus.GOOD:
                    assert self.groups.described() == before
            case ("port", port, up):
                self.groups.set_port(port, up)
            case ("time", passed_ns, _):
                self.now_ns += passed_ns
                self.chores.tick(self.now_ns)

    def agrees(self) -> None:
        """Every portal tells the same, and serves as it tells."""
        told = set()
        for nexus in NEXUSES:
            answer = self.luns.execute(0, scsi.report_target_port_groups(), b"", nexus)
            while answer.status != ScsiStatus.GOOD:
                assert Sense.decode(answer.sense) in (ASYMMETRIC_ACCESS_CHANGED, IMPLICIT_TRANSITION_FAILED)
                answer = self.luns.execute(0, scsi.report_target_port_groups(), b"", nexus)
            assert isinstance(answer.data, bytes)
            told.add(answer.data)
            group = parse_port_groups(answer.data).group_of(nexus.relative_port)
            assert group is not None
            assert group.number == GROUP_OF[nexus.relative_port - 1]
            read = self.luns.execute(0, scsi.read(0, 1), b"", nexus)
            assert (self.luns.open_to_reads(0, nexus) is not None) is group.state.active
            if group.state.active:
                assert read.status == ScsiStatus.GOOD
            else:
                assert Sense.decode(read.sense).code == ANSWERS[group.state].code
        assert len(told) == 1


@given(st.tuples(STATE, STATE, STATE), st.sampled_from((0.0, 1.0)), st.booleans(), EVENTS)
def test_what_is_reported_is_what_commands_meet(
    states: tuple[AccessState, ...], transition_s: float, failover: bool, events: list[tuple[str, Any, Any]]
) -> None:
    world = World(states, transition_s, failover)
    world.agrees()
    for event in events:
        world.does(event)
        world.agrees()


@given(st.integers(0, 64), st.binary(max_size=64), st.integers(0, 255))
def test_any_list_is_answered(length: int, data: bytes, byte_1: int) -> None:
    world = World((AccessState.ACTIVE_OPTIMIZED, AccessState.STANDBY, AccessState.STANDBY), 0.0, failover=False)
    cdb = bytearray(scsi.set_target_port_groups(length))
    cdb[1] = byte_1
    world.luns.execute(0, bytes(cdb), data, NEXUSES[0])
    world.agrees()


def test_the_list_of_a_host_is_the_one_that_is_read() -> None:
    world = World((AccessState.ACTIVE_OPTIMIZED, AccessState.STANDBY, AccessState.STANDBY), 0.0, failover=False)
    data = build_set_list([(3, AccessState.ACTIVE_OPTIMIZED), (1, AccessState.UNAVAILABLE)])
    assert world.luns.execute(0, scsi.set_target_port_groups(len(data)), data, NEXUSES[3]).status == ScsiStatus.GOOD
    assert [group.state for group in world.groups.described()] == [3, 2, 0]
