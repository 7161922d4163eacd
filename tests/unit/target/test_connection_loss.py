"""What a lost connection leaves behind, for how long, and what ends it (RFC 7143 7.5, 8, 11.14, 11.15, appendix E)."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import AsyncEvent, LogoutReason, LogoutResult
from iscsi.login_initiator import LoginDone
from iscsi.pdu import R2T, AsyncMessage, DataIn, LogoutRequest, LogoutResponse, NopIn, ScsiResponse
from iscsi.sense import COMMANDS_CLEARED_BY_PROTOCOL_EVENT, NEXUS_LOSS
from target.config import Limits
from target.group import Group
from target.states import CleanupState, ConnectionState, SessionState
from tests.support.array import BLOCK, PORTALS, Peer, isid, joined, logged_in, make_group

WAIT, RETAIN = 2, 20
"""What the array offers as DefaultTime2Wait and DefaultTime2Retain."""


def leader(group: Group | None = None, **login: Any) -> Peer:
    """The first connection of a session, whose writes wait for an R2T; its CID is 0."""
    wishes = {"max_connections": 4, "initial_r2t": True, "immediate_data": False}
    return logged_in(group or make_group(), **(wishes | login))


def write(peer: Peer, lba: int = 0) -> R2T:
    """A write that waits for its data."""
    (r2t,) = peer.send(peer.write_command(lba, 1))
    assert isinstance(r2t, R2T)
    return r2t


def log_out(peer: Peer, reason: LogoutReason, cid: int = 0) -> LogoutResponse:
    """The answer to an immediate Logout Request."""
    (answer,) = peer.send(LogoutRequest(reason=reason, itt=7, cid=cid, immediate=True, cmd_sn=peer.cmd_sn))
    assert isinstance(answer, LogoutResponse)
    return answer


def state(peer: Peer) -> SessionState:
    return peer.connection.session.state


# -- the last connection -----------------------------------------------------------------------------------------------


def test_a_session_outlives_its_connection_by_time2wait_and_time2retain() -> None:
    peer = leader()
    peer.hang_up()
    assert peer.connection.state is ConnectionState.CLEANUP_WAIT
    assert state(peer) is SessionState.FAILED
    assert peer.connection.group.deadline_ns == (WAIT + RETAIN) * 1_000_000_000
    peer.pass_time(21.9)
    assert len(peer.connection.group.sessions) == 1
    peer.pass_time(0.1)
    assert len(peer.connection.group.sessions) == 0
    assert peer.connection.group.deadline_ns is None
    assert logged_in_again(peer).test_unit_ready() == NEXUS_LOSS


def logged_in_again(peer: Peer) -> Peer:
    back = Peer(peer.connection.group)
    assert isinstance(back.login(), LoginDone)
    return back


@pytest.mark.parametrize("cid", [0, 1], ids=["reinstated", "a new CID"])
def test_a_session_that_failed_goes_on(cid: int) -> None:
    """The nexus is not lost, so what hangs on it stays: here a reservation."""
    group = make_group()
    peer = leader(group)
    peer.send(peer.command(bytes([0x16])))  # RESERVE(6)
    peer.hang_up()
    peer.pass_time(20)
    back = joined(peer, cid)
    assert state(back) is SessionState.LOGGED_IN
    assert back.test_unit_ready() is None
    other = logged_in(group, isid=isid(2))
    (answer,) = other.send(other.read_command(0, 1))
    assert isinstance(answer, ScsiResponse)
    assert answer.status == 0x18
    back.pass_time(60)
    assert back.connection.session in group.sessions.all()


def test_a_failed_session_is_reinstated_like_any_other() -> None:
    peer = leader()
    peer.hang_up()
    assert logged_in_again(peer).test_unit_ready() == NEXUS_LOSS
    assert state(peer) is SessionState.FREE
    assert len(peer.connection.group.sessions) == 1


@pytest.mark.parametrize(("offer", "kept_s"), [(0, 0), (5, 7), (60, 22)])
def test_how_long_is_negotiated(offer: int, kept_s: int) -> None:
    peer = leader(default_time2retain=offer)
    peer.hang_up()
    for moment in range(kept_s):
        assert len(peer.connection.group.sessions) == 1, f"gone after {moment} s"
        peer.pass_time(1)
    assert len(peer.connection.group.sessions) == 0


def test_failed_sessions_make_room_for_new_ones() -> None:
    group = make_group(limits=Limits(max_connections=2))
    first, second = leader(group, isid=isid(1)), leader(group, isid=isid(2))
    first.hang_up()
    first.pass_time(1)
    second.now_ns = first.now_ns
    second.hang_up()
    third = leader(group, isid=isid(3))
    assert group.sessions.all() == [second.connection.session, third.connection.session]
    assert state(first) is SessionState.FREE


# -- one of several ----------------------------------------------------------------------------------------------------


def test_tasks_of_a_lost_connection_stay_until_their_time_is_over() -> None:
    """Then the nexus hears of it with its next command (11.14.5), and of the room there is now by a NOP-In."""
    first = leader(make_group(limits=Limits(command_window=4)))
    second = joined(first, 1)
    write(second)
    assert second.connection.session.window.in_use == 1
    second.hang_up()
    first.send(first.command(scsi.test_unit_ready()))
    assert first.max_cmd_sn == first.cmd_sn + 2
    first.pass_time(21.9)
    assert first.test_unit_ready() is None
    first.pass_time(0.1)
    (nop,) = first.hear()
    assert isinstance(nop, NopIn)
    assert nop.max_cmd_sn == first.cmd_sn + 3
    assert first.test_unit_ready() == COMMANDS_CLEARED_BY_PROTOCOL_EVENT
    assert first.test_unit_ready() is None
    assert state(first) is SessionState.LOGGED_IN


def test_a_connection_without_tasks_is_lost_without_a_word() -> None:
    first = leader(make_group(limits=Limits(nop_interval_s=0)))
    joined(first, 1).hang_up()
    assert first.pass_time(30) == []
    assert first.test_unit_ready() is None


def test_commands_that_waited_for_a_predecessor_may_be_sent_again() -> None:
    """They never became tasks (11.14): the holes they leave are filled on another connection."""
    first = leader()
    second = joined(first, 1)
    missing, early = first.read_command(0, 1), second.read_command(1, 1)
    assert second.send(early) == []
    second.hang_up()
    assert len(first.send(missing)) == 1
    assert first.exp_cmd_sn == early.cmd_sn
    log_out(first, LogoutReason.CLOSE_CONNECTION, 1)
    (answer,) = first.send(early)
    assert isinstance(answer, DataIn)
    assert answer.itt == early.itt


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "lost"])
def test_a_connection_is_logged_out_on_another(alive: bool) -> None:
    first = leader()
    second = joined(first, 1)
    write(second)
    if not alive:
        second.hang_up()
        remains = first.connection.session.lost[1]
    answer = log_out(first, LogoutReason.CLOSE_CONNECTION, 1)
    assert (answer.response, answer.time2retain) == (LogoutResult.CLOSED, 0)
    assert second.abandoned is alive
    if not alive:
        assert remains.state is CleanupState.FREE
    assert first.connection.session.window.in_use == 0
    first.hear()
    assert first.test_unit_ready() == COMMANDS_CLEARED_BY_PROTOCOL_EVENT
    assert log_out(first, LogoutReason.CLOSE_CONNECTION, 1).response == LogoutResult.CID_NOT_FOUND


def test_a_connection_logs_itself_out_and_the_session_goes_on() -> None:
    first = leader()
    second = joined(first, 1)
    assert log_out(second, LogoutReason.CLOSE_CONNECTION, 1).response == LogoutResult.CLOSED
    assert second.connection.closing
    assert second.connection.state is ConnectionState.IN_LOGOUT
    second.hang_up()
    assert second.connection.state is ConnectionState.FREE
    assert first.test_unit_ready() is None


def test_the_last_logout_of_a_connection_closes_the_session() -> None:
    first = leader()
    second = joined(first, 1)
    log_out(first, LogoutReason.CLOSE_CONNECTION, 0)
    log_out(second, LogoutReason.CLOSE_CONNECTION, 1)
    assert len(first.connection.group.sessions) == 0
    assert state(first) is SessionState.FREE


def test_a_session_with_a_lost_connection_waits_for_it_when_the_last_other_one_is_logged_out() -> None:
    first = leader()
    second = joined(first, 1)
    second.hang_up()
    log_out(first, LogoutReason.CLOSE_CONNECTION, 0)
    assert state(first) is SessionState.FAILED
    second.pass_time(22)
    assert state(first) is SessionState.FREE


def test_closing_the_session_closes_all_of_it() -> None:
    first = leader()
    second, third = joined(first, 1), joined(first, 2, PORTALS[2])
    write(second)
    third.hang_up()
    assert log_out(first, LogoutReason.CLOSE_SESSION).response == LogoutResult.CLOSED
    assert first.connection.closing
    assert second.abandoned
    assert second.connection.state is ConnectionState.FREE
    assert len(first.connection.group.sessions) == 0
    for peer in (first, second):
        peer.hang_up()
        assert peer.connection.state is ConnectionState.FREE
    assert first.connection.group.deadline_ns is None


# -- recovery ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0, 1])
def test_removal_for_recovery_takes_level_2(level: int) -> None:
    first = leader(error_recovery_level=level)
    second = joined(first, 1)
    answer = log_out(first, LogoutReason.REMOVE_FOR_RECOVERY, 1)
    assert answer.response == LogoutResult.RECOVERY_NOT_SUPPORTED
    assert not second.abandoned
    assert second.test_unit_ready() is None


@pytest.mark.parametrize("own", [True, False], ids=["itself", "another"])
def test_a_connection_is_removed_for_recovery_and_its_tasks_wait(own: bool) -> None:
    first = leader(error_recovery_level=2)
    second = joined(first, 1)
    write(second)
    answer = log_out(second if own else first, LogoutReason.REMOVE_FOR_RECOVERY, 1)
    assert (answer.response, answer.time2wait, answer.time2retain) == (LogoutResult.CLOSED, WAIT, RETAIN)
    assert second.connection.closing
    assert first.connection.session.window.in_use == 1
    first.pass_time(22)
    assert first.connection.session.window.in_use == 0
    first.hear()
    assert first.test_unit_ready() == COMMANDS_CLEARED_BY_PROTOCOL_EVENT


def test_a_session_whose_last_connection_is_removed_for_recovery_waits_for_another() -> None:
    peer = leader(error_recovery_level=2)
    log_out(peer, LogoutReason.REMOVE_FOR_RECOVERY, 0)
    assert state(peer) is SessionState.FAILED
    back = joined(peer, 0)
    assert state(back) is SessionState.LOGGED_IN
    assert back.test_unit_ready() is None


# -- by the array ------------------------------------------------------------------------------------------------------


def test_a_connection_the_array_drops_is_told_which_and_for_how_long_it_is_kept() -> None:
    first = leader()
    second = joined(first, 1)
    second.connection.drop("the array is tired of it")
    (event,) = second.hear()
    assert isinstance(event, AsyncMessage)
    assert (event.event, event.param1, event.param2, event.param3) == (AsyncEvent.CONNECTION_DROP, 1, WAIT, RETAIN)
    assert second.connection.closing
    assert not first.connection.closing


def test_a_session_the_array_drops_is_told_on_every_connection() -> None:
    first = leader()
    second = joined(first, 1)
    first.connection.session.drop("maintenance")
    for peer in (first, second):
        (event,) = peer.hear()
        assert isinstance(event, AsyncMessage)
        assert (event.event, event.param1, event.param2, event.param3) == (AsyncEvent.SESSION_DROP, 0, WAIT, RETAIN)
        peer.hang_up()
    assert state(first) is SessionState.FAILED


def test_who_stays_on_all_connections_though_asked_to_leave_loses_the_session() -> None:
    first = leader()
    second = joined(first, 1)
    for peer in (first, second):
        peer.connection.request_logout(10, 0)
        peer.hear()
    (event,) = first.pass_time(10)
    (other,) = second.hear()
    assert [pdu.event for pdu in (event, other) if isinstance(pdu, AsyncMessage)] == [AsyncEvent.SESSION_DROP] * 2
    assert second.connection.closing


def test_who_stays_on_one_of_two_loses_that_one() -> None:
    first = leader()
    second = joined(first, 1)
    second.connection.request_logout(10, 0)
    second.hear()
    (event,) = second.pass_time(10)
    assert isinstance(event, AsyncMessage)
    assert (event.event, event.param1) == (AsyncEvent.CONNECTION_DROP, 1)
    assert not first.connection.closing


def test_a_write_is_not_lost_with_another_connection() -> None:
    first = leader()
    second = joined(first, 1)
    r2t = write(first)
    second.hang_up()
    (answer,) = first.answer_r2t(r2t, b"x" * BLOCK)
    assert isinstance(answer, ScsiResponse)
    assert answer.status == 0
