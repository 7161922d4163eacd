"""Session identity: the table of RFC 7143 6.3.1 (ISID, TSIH, CID), reinstatement, and how a session ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iscsi.constants import LoginStatus, ScsiStatus
from iscsi.login_gate import LoginIdentity
from iscsi.login_initiator import LoginDone, LoginFailed
from iscsi.pdu import ScsiResponse
from iscsi.sense import COMMANDS_CLEARED_BY_PROTOCOL_EVENT, NEXUS_LOSS, POWER_ON_OR_RESET
from iscsi.window import CommandWindow
from target.config import ArrayKind, Limits
from target.nexus import Nexus
from target.session import Session
from target.sessions import Disposition, SessionRegistry
from tests.support.array import (
    BLOCK,
    GROUP_ADDRESS,
    HOST,
    ISID,
    PORTALS,
    VOLUME,
    Peer,
    discovering,
    disk_bytes,
    isid,
    logged_in,
    make_group,
)
from tests.support.logins import request
from tests.support.parameters import parameters

WHO = LoginIdentity(HOST, VOLUME, discovery=False, isid=ISID, tsih=0, cid=0)
NEXUS = Nexus(HOST, VOLUME, relative_port=1, tpgt=1)


def enter(registry: SessionRegistry, who: LoginIdentity = WHO, portal: str = PORTALS[0]) -> Session:
    session = Session(who, parameters(max_connections=2), NEXUS, portal, "192.168.50.105", CommandWindow(1, 1), None)
    session.join(Peer(make_group()).connection)
    registry.open(session, tpgt=1)
    return session


NEW_ISID = isid(7)


@pytest.mark.parametrize(
    ("login", "made", "answer"),
    [
        (replace(WHO, isid=NEW_ISID), Disposition.NEW_SESSION, LoginStatus.SUCCESS),
        (replace(WHO, isid=NEW_ISID, tsih=1), Disposition.NO_SUCH_SESSION, LoginStatus.SESSION_DOES_NOT_EXIST),
        (WHO, Disposition.REINSTATE_SESSION, LoginStatus.SUCCESS),
        (replace(WHO, tsih=1, cid=1), Disposition.ADD_CONNECTION, LoginStatus.SUCCESS),
        (replace(WHO, tsih=1, cid=0), Disposition.REINSTATE_CONNECTION, LoginStatus.SUCCESS),
        (replace(WHO, tsih=2), Disposition.NO_SUCH_SESSION, LoginStatus.SESSION_DOES_NOT_EXIST),
        (
            replace(WHO, initiator_name=HOST + "-b", tsih=1),
            Disposition.NO_SUCH_SESSION,
            LoginStatus.SESSION_DOES_NOT_EXIST,
        ),
        (
            replace(WHO, target_name=VOLUME + "-b", tsih=1),
            Disposition.NO_SUCH_SESSION,
            LoginStatus.SESSION_DOES_NOT_EXIST,
        ),
    ],
    ids=[
        "new ISID",
        "new ISID with a TSIH",
        "known ISID: reinstatement",
        "second connection",
        "connection reinstatement",
        "unknown TSIH",
        "another initiator",
        "another target",
    ],
)
def test_the_table_of_isid_tsih_and_cid(login: LoginIdentity, made: Disposition, answer: LoginStatus) -> None:
    registry = SessionRegistry(max_sessions=10)
    assert enter(registry).tsih == 1
    assert registry.disposition(login, tpgt=1) is made
    assert registry.check(login, tpgt=1) is answer


@pytest.mark.parametrize(
    ("wishes", "answer"),
    [
        ({"max_connections": 1}, LoginStatus.TOO_MANY_CONNECTIONS),
        ({"max_connections": 2}, LoginStatus.SUCCESS),
    ],
)
def test_connections_beyond_what_was_agreed_are_too_many(wishes: dict[str, int], answer: LoginStatus) -> None:
    registry = SessionRegistry(max_sessions=10)
    enter(registry).params = parameters(**wishes)
    assert registry.check(replace(WHO, tsih=1, cid=1), tpgt=1) is answer


def test_nothing_joins_a_discovery_session() -> None:
    registry = SessionRegistry(max_sessions=10)
    discovery = replace(WHO, target_name=None, discovery=True)
    enter(registry, discovery)
    join = replace(discovery, tsih=1, cid=1)
    assert registry.check(join, 1, PORTALS[0]) is LoginStatus.CANNOT_INCLUDE_IN_SESSION


def test_a_full_registry_takes_reinstatements_only() -> None:
    registry = SessionRegistry(max_sessions=1)
    enter(registry)
    assert registry.check(replace(WHO, isid=NEW_ISID), tpgt=1) is LoginStatus.OUT_OF_RESOURCES
    assert registry.check(WHO, tpgt=1) is LoginStatus.SUCCESS


def test_tsihs_are_never_zero_and_not_reused_while_they_live() -> None:
    registry = SessionRegistry(max_sessions=10)
    first = enter(registry, replace(WHO, isid=isid(1)))
    registry._last_tsih = 0xFFFE
    assert enter(registry, replace(WHO, isid=isid(2))).tsih == 0xFFFF
    assert first.tsih == 1
    assert enter(registry, replace(WHO, isid=isid(3))).tsih == 2


def test_a_session_that_was_reinstated_cannot_end_its_successor() -> None:
    group = make_group()
    old, new = logged_in(group), logged_in(group)
    group.end(old.connection.session)
    assert group.sessions.all() == [new.connection.session]
    group.end(new.connection.session)
    assert len(group.sessions) == 0


def test_a_login_over_a_live_session_reinstates_it() -> None:
    """The old connection goes without a word, its half-finished write with it; the new one hears of the nexus loss."""
    group = make_group()
    old = logged_in(group, initial_r2t=True, immediate_data=False)
    old.send(old.write_command(0, 1))  # waits for the answer to its R2T
    new = Peer(group, PORTALS[1])
    assert isinstance(new.login(), LoginDone)
    assert old.abandoned
    assert old.connection.why_closed == "session reinstatement"
    assert old.hear() == []
    assert [session.portal for session in group.sessions.all()] == [PORTALS[1]]
    old.hang_up()
    assert len(group.sessions) == 1
    assert new.test_unit_ready() == NEXUS_LOSS
    assert new.test_unit_ready() is None
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)


def test_names_are_the_same_in_capital_letters() -> None:
    group = make_group()
    old = logged_in(group)
    new = Peer(group)
    assert isinstance(new.login(VOLUME.replace("exchange", "Exchange"), name=HOST.replace("w2k3", "W2K3")), LoginDone)
    assert old.abandoned
    assert new.test_unit_ready() == NEXUS_LOSS


def test_two_isids_are_two_sessions_and_each_is_greeted() -> None:
    group = make_group()
    for number in (1, 2):
        peer = Peer(group)
        peer.login(isid=isid(number))
        assert peer.test_unit_ready() == POWER_ON_OR_RESET
    assert len(group.sessions) == 2


def test_a_reinstated_connection_keeps_the_session_and_what_it_agreed_on() -> None:
    """RFC 7143 6.3.4: same TSIH, same CID. Its tasks end, and 11.14.5 wants the initiator to be told."""
    group = make_group()
    old = logged_in(group, initial_r2t=False, immediate_data=False, first_burst_length=4096)
    old.send(old.write_command(0, 1, final=False))
    new = Peer(group)
    new.cmd_sn = old.cmd_sn
    outcome = new.login(tsih=old.tsih, max_recv_data_segment_length=65536)
    assert isinstance(outcome, LoginDone)
    assert outcome.tsih == old.tsih
    assert old.abandoned
    assert group.sessions.all() == [new.connection.session]
    params = new.connection.params
    assert (params.initial_r2t, params.first_burst_length) == (False, 4096)
    assert params.peer_max_recv_data_segment_length == 65536
    assert new.test_unit_ready() == COMMANDS_CLEARED_BY_PROTOCOL_EVENT
    assert new.test_unit_ready() is None


def test_a_second_connection_is_refused_where_one_was_agreed_on() -> None:
    group = make_group()
    first = logged_in(group)
    second = Peer(group).login(tsih=first.tsih, cid=1)
    assert isinstance(second, LoginFailed)
    assert second.status is LoginStatus.TOO_MANY_CONNECTIONS
    assert first.test_unit_ready() is None


def test_a_session_ends_with_its_connection_where_nothing_is_retained() -> None:
    group = make_group()
    logged_in(group, default_time2retain=0).hang_up()
    assert len(group.sessions) == 0
    back = Peer(group)
    back.login()
    assert back.test_unit_ready() == NEXUS_LOSS


def test_sessions_are_bounded() -> None:
    group = make_group(limits=Limits(max_connections=2))
    logged_in(group, isid=isid(1))
    logged_in(group, isid=isid(2))
    third = Peer(group).login(isid=isid(3))
    assert isinstance(third, LoginFailed)
    assert third.status is LoginStatus.OUT_OF_RESOURCES


def test_discovery_at_two_portals_is_two_sessions() -> None:
    """An unnamed discovery session is told apart by the address it came in on, too (RFC 7143 4.4.3.3)."""
    group = make_group(kind=ArrayKind.LISTED)
    first, second = discovering(group, PORTALS[0]), discovering(group, PORTALS[1])
    assert not first.abandoned
    assert len(group.sessions) == 2
    again = discovering(group, PORTALS[0])
    assert first.abandoned
    assert not second.abandoned
    assert not again.abandoned


def test_a_discovery_session_that_names_a_target_does_not_touch_the_session_with_it() -> None:
    """It is admitted without CHAP, so it must not be able to end anything."""
    group = make_group()
    session = logged_in(group)
    session.send(session.command(bytes([0x16])))  # RESERVE(6), which a lost nexus would release
    nosy = Peer(group, GROUP_ADDRESS)
    pairs = (("InitiatorName", HOST), ("TargetName", VOLUME), ("SessionType", "Discovery"))
    nosy.send(request(*pairs))
    nosy.send(request(csg=1, nsg=3))
    nosy.send(request(("DefaultTime2Retain", "0"), csg=1, nsg=3))
    assert nosy.connection.session is not None
    assert not session.abandoned
    nosy.hang_up()
    other = logged_in(group, isid=isid(2))
    (answer,) = other.send(other.read_command(0, 1))
    assert isinstance(answer, ScsiResponse)
    assert answer.status == ScsiStatus.RESERVATION_CONFLICT
