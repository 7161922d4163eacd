"""One connection after its login: pings, logout, and what happens to a PDU that has no business here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iscsi.constants import RESERVED_TAG, AsyncEvent, LogoutReason, LogoutResult, RejectReason
from iscsi.pdu import (
    AsyncMessage,
    LoginRequest,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    Reject,
    ScsiCommand,
    ScsiResponse,
    SnackRequest,
    TmfRequest,
    encode,
)
from target.config import Limits
from target.states import ConnectionState
from tests.support.array import (
    BLOCK,
    Peer,
    discovering,
    disk_bytes,
    fill_disk,
    isid,
    logged_in,
    make_group,
    read_data,
    rejected_header,
)

QUICK = Limits(login_timeout_s=10.0, nop_interval_s=5.0, nop_timeout_s=3.0)


# -- pings -------------------------------------------------------------------------------------------------------------


def test_a_ping_is_echoed_as_far_as_the_initiator_takes_it() -> None:
    peer = logged_in(make_group(), max_recv_data_segment_length=512)
    (answer,) = peer.send(NopOut(itt=7, lun=5, cmd_sn=peer.cmd_sn, data=bytes(range(256)) * 4))
    assert isinstance(answer, NopIn)
    assert (answer.itt, answer.ttt, answer.lun) == (7, RESERVED_TAG, 0), "the LUN goes with a transfer tag (11.19)"
    assert answer.data == bytes(range(256)) * 2


def test_silence_makes_the_array_ping_without_using_up_a_stat_sn() -> None:
    peer = logged_in(make_group(limits=QUICK))
    assert peer.pass_time(4.9) == []
    (ping,) = peer.pass_time(0.1)
    assert isinstance(ping, NopIn)
    assert (ping.itt, ping.data) == (RESERVED_TAG, b"")
    assert ping.ttt != RESERVED_TAG
    assert ping.stat_sn == peer.exp_stat_sn
    assert peer.send(NopOut(itt=RESERVED_TAG, ttt=ping.ttt, lun=ping.lun, cmd_sn=peer.cmd_sn)) == []
    (answer,) = peer.send(NopOut(itt=7, cmd_sn=peer.cmd_sn))
    assert isinstance(answer, NopIn)
    assert answer.stat_sn == ping.stat_sn


def test_pings_go_on_as_long_as_they_are_answered() -> None:
    peer = logged_in(make_group(limits=QUICK))
    tags = []
    for _ in range(4):
        (ping,) = peer.pass_time(6.0)
        assert isinstance(ping, NopIn)
        tags.append(ping.ttt)
        peer.send(NopOut(itt=RESERVED_TAG, ttt=ping.ttt, cmd_sn=peer.cmd_sn))
    assert len(set(tags)) == 4
    assert not peer.abandoned


def test_an_unanswered_ping_ends_the_connection_in_silence() -> None:
    peer = logged_in(make_group(limits=QUICK))
    assert len(peer.pass_time(7.9)) == 1
    assert not peer.abandoned
    assert peer.pass_time(0.1) == []
    assert peer.abandoned
    assert peer.connection.why_closed == "silent for 8 s"


def test_anything_heard_counts_as_an_answer() -> None:
    peer = logged_in(make_group(limits=QUICK))
    for _ in range(5):
        peer.pass_time(7.0)
        peer.send(peer.read_command(0, 1))
    assert not peer.abandoned


def test_pings_can_be_switched_off() -> None:
    peer = logged_in(make_group(limits=Limits(nop_interval_s=0)))
    assert peer.connection.deadline_ns is None
    assert peer.pass_time(1e6) == []


def test_a_discovery_session_is_not_pinged_and_does_not_stay_for_ever() -> None:
    """Only texts and a logout belong in it (RFC 7143 4.3)."""
    peer = discovering(make_group(limits=QUICK))
    assert peer.pass_time(7.9) == []
    assert not peer.abandoned
    peer.pass_time(0.1)
    assert peer.abandoned


def test_a_login_has_to_be_over_in_time() -> None:
    peer = Peer(make_group(limits=QUICK))
    peer.send_bytes(encode(LoginRequest())[:20])
    peer.pass_time(9.9)
    assert not peer.connection.closing
    peer.pass_time(0.1)
    assert peer.connection.why_closed == "no login within 10 s"


# -- logout ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "cid", "result"),
    [
        (LogoutReason.CLOSE_SESSION, 0, LogoutResult.CLOSED),
        (LogoutReason.CLOSE_SESSION, 99, LogoutResult.CLOSED),  # the CID says nothing here
        (LogoutReason.CLOSE_CONNECTION, 0, LogoutResult.CLOSED),
        (LogoutReason.CLOSE_CONNECTION, 99, LogoutResult.CID_NOT_FOUND),
        (LogoutReason.REMOVE_FOR_RECOVERY, 0, LogoutResult.RECOVERY_NOT_SUPPORTED),
    ],
)
def test_logout(reason: LogoutReason, cid: int, result: LogoutResult) -> None:
    group = make_group()
    peer = logged_in(group)
    (answer,) = peer.send(LogoutRequest(reason=reason, itt=7, cid=cid, immediate=True, cmd_sn=peer.cmd_sn))
    assert isinstance(answer, LogoutResponse)
    assert answer.response == result
    gone = result is LogoutResult.CLOSED
    assert peer.connection.closing is gone
    assert len(group.sessions) == (0 if gone else 1)
    if not gone:
        assert peer.test_unit_ready() is None


def test_a_logout_reason_that_does_not_exist_is_rejected() -> None:
    peer = logged_in(make_group())
    (answer,) = peer.send(LogoutRequest(reason=3, itt=7, immediate=True, cmd_sn=peer.cmd_sn))
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.INVALID_PDU_FIELD


def test_logout_waits_for_the_commands_before_it_and_ignores_those_behind() -> None:
    peer = logged_in(make_group())
    read, logout = peer.read_command(0, 1), LogoutRequest(itt=7, immediate=False, cmd_sn=peer.take_cmd_sn())
    assert peer.send(logout) == []
    answers = peer.send(read, peer.read_command(1, 1))
    assert [type(answer).__name__ for answer in answers] == ["DataIn", "LogoutResponse"]
    assert peer.send(peer.read_command(2, 1)) == []


def test_the_array_can_ask_for_a_logout() -> None:
    peer = logged_in(make_group())
    peer.connection.request_logout(10, peer.now_ns)
    peer.connection.request_logout(10, peer.now_ns)
    (event,) = peer.hear()
    assert isinstance(event, AsyncMessage)
    assert (event.event, event.param3) == (AsyncEvent.LOGOUT_REQUEST, 10)
    assert peer.connection.state is ConnectionState.LOGOUT_REQUESTED
    assert peer.test_unit_ready() is None  # and goes on serving until it comes
    assert len(peer.send(LogoutRequest(itt=7, immediate=True, cmd_sn=peer.cmd_sn))) == 1
    assert peer.connection.closing


def test_who_does_not_log_out_when_asked_is_sent_away() -> None:
    peer = logged_in(make_group())
    peer.connection.request_logout(10, peer.now_ns)
    peer.hear()
    peer.pass_time(9.9)
    assert not peer.connection.closing
    (event,) = peer.pass_time(0.2)
    assert isinstance(event, AsyncMessage)
    assert (event.event, event.param1, event.param2, event.param3) == (AsyncEvent.CONNECTION_DROP, 0, 2, 20)
    assert peer.connection.closing
    assert peer.connection.why_closed == "no logout within the time it was asked for"


def test_an_initiator_that_was_silent_for_long_has_the_whole_time_to_log_out() -> None:
    peer = logged_in(make_group(limits=Limits(nop_interval_s=0)))
    peer.pass_time(3600)
    peer.connection.request_logout(10, peer.now_ns)
    peer.hear()
    peer.pass_time(9.9)
    assert not peer.connection.closing


def test_a_discovery_session_is_closed_instead() -> None:
    peer = discovering(make_group())
    peer.connection.request_logout(10, peer.now_ns)
    assert peer.hear() == []
    assert peer.connection.closing


# -- PDUs that have no business here -----------------------------------------------------------------------------------


def test_snack_is_rejected_with_its_header_and_nothing_else_happens() -> None:
    peer = logged_in(make_group())
    snack = SnackRequest(type=1, itt=0x77, beg_run=3, run_length=2)
    (answer,) = peer.send(snack)
    assert isinstance(answer, Reject)
    assert (answer.reason, answer.itt) == (RejectReason.SNACK_REJECT, RESERVED_TAG)
    assert rejected_header(answer) == snack
    assert peer.test_unit_ready() is None


@pytest.mark.parametrize(
    "pdu",
    [
        LoginRequest(itt=1, cmd_sn=101),
        NopIn(),
        ScsiResponse(),
        ScsiCommand(itt=RESERVED_TAG, cmd_sn=101),
        TmfRequest(function=1, itt=RESERVED_TAG, cmd_sn=101, immediate=True),
        LogoutRequest(itt=RESERVED_TAG, cmd_sn=101, immediate=True),
    ],
    ids=lambda pdu: type(pdu).__name__,
)
def test_what_a_target_never_gets_is_rejected_with_its_header_and_ends_the_connection(pdu: Any) -> None:
    peer = logged_in(make_group())
    (answer,) = peer.send(pdu)
    assert isinstance(answer, Reject)
    assert answer.reason in (RejectReason.PROTOCOL_ERROR, RejectReason.INVALID_PDU_FIELD)
    assert rejected_header(answer) == pdu
    assert peer.connection.closing


@pytest.mark.parametrize(
    "pdu", [ScsiCommand(itt=5, cmd_sn=100), TmfRequest(itt=5, cmd_sn=100, immediate=True)], ids=["command", "tmf"]
)
def test_a_discovery_session_has_no_tasks(pdu: Pdu) -> None:
    peer = discovering(make_group())
    (answer,) = peer.send(pdu)
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.PROTOCOL_ERROR
    assert peer.connection.closing


HTTP = b"GET / HTTP/1.1\r\nHost: 192.168.51.2\r\n\r\n" + bytes(48)
UNKNOWN_OPCODE = b"\x1f" + bytes(47)
MISPLACED_AHS = encode(NopOut(itt=1))[:4] + b"\x01" + encode(NopOut(itt=1))[5:] + bytes(4)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (HTTP, "announces a data segment"),
        (UNKNOWN_OPCODE, "opcode 0x1f is not one RFC 7143 defines"),
        (MISPLACED_AHS, "AHS"),
    ],
    ids=["another protocol", "an opcode that does not exist", "an AHS where none may be"],
)
def test_what_is_no_pdu_ends_a_login(data: bytes, why: str) -> None:
    peer = Peer(make_group())
    assert peer.send_bytes(data) == []
    assert why in peer.connection.why_closed
    assert peer.send_bytes(data) == []


def test_a_pdu_too_large_to_take_is_rejected_and_ends_the_connection() -> None:
    """Its data would have to be read to find what follows it."""
    peer = logged_in(make_group())
    (answer,) = peer.send_bytes(HTTP)
    assert isinstance(answer, Reject)
    assert (answer.reason, answer.data[:48]) == (RejectReason.PROTOCOL_ERROR, HTTP[:48])
    assert "announces a data segment" in peer.connection.why_closed
    assert peer.send_bytes(HTTP) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (UNKNOWN_OPCODE, RejectReason.COMMAND_NOT_SUPPORTED),
        (MISPLACED_AHS, RejectReason.INVALID_PDU_FIELD),
    ],
)
def test_what_is_no_pdu_is_rejected_in_a_session_which_goes_on(data: bytes, reason: RejectReason) -> None:
    peer = logged_in(make_group())
    (answer,) = peer.send_bytes(data)
    assert isinstance(answer, Reject)
    assert (answer.reason, answer.data) == (reason, data)
    assert peer.test_unit_ready() is None


def test_another_pdu_than_a_login_request_ends_a_login() -> None:
    """Before the first request without a word (RFC 7143 6.3), later with 0x020b."""
    group = make_group()
    assert Peer(group).send(NopOut(itt=1)) == []
    peer = Peer(group)
    first = LoginRequest(
        itt=1, isid=isid(1), csg=0, nsg=1, data=b"InitiatorName=iqn.1991-05.com.microsoft:a\0", cont=True
    )
    peer.send(first)
    (refusal,) = peer.send(NopOut(itt=1))
    assert refusal.status == 0x020B  # type: ignore[attr-defined]
    assert peer.connection.closing


def test_a_pdu_cut_short_by_fin_is_noticed() -> None:
    peer = logged_in(make_group())
    peer.send_bytes(peer.bytes_of(peer.read_command(0, 1))[:30])
    peer.connection.eof()
    assert peer.connection.why_closed.startswith("the connection ended inside a PDU: 30 bytes")


def test_a_fin_between_pdus_is_an_ordinary_end() -> None:
    peer = logged_in(make_group())
    peer.connection.eof()
    assert peer.connection.why_closed == "the initiator closed the connection"


# -- digests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header_digest", [("None",), ("CRC32C",)])
@pytest.mark.parametrize("data_digest", [("None",), ("CRC32C", "None")])
def test_digests_are_used_from_the_first_pdu_after_the_login(
    header_digest: tuple[str, ...], data_digest: tuple[str, ...]
) -> None:
    group = make_group()
    fill_disk(group, 0, b"data" * 128)
    peer = logged_in(group, header_digest=header_digest, data_digest=data_digest)
    assert read_data(peer.send(peer.read_command(0, 1))) == b"data" * 128


@pytest.mark.parametrize("level", [0, 1])
def test_a_command_with_a_data_digest_error_is_rejected_and_its_number_stays_free(level: int) -> None:
    """The PDU is discarded as if it had never come (RFC 7143 7.8); the initiator may send it again."""
    group = make_group()
    peer = logged_in(group, data_digest=("CRC32C",), error_recovery_level=level)
    write = peer.write_command(0, 1, data=b"x" * BLOCK)
    damaged = bytearray(peer.bytes_of(write))
    damaged[60] ^= 1
    (answer,) = peer.send_bytes(bytes(damaged))
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.DATA_DIGEST_ERROR
    assert rejected_header(answer) == replace(write, data=b"")
    assert answer.exp_cmd_sn == write.cmd_sn
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    (response,) = peer.send(write)
    assert isinstance(response, ScsiResponse)
    assert disk_bytes(group, 0, BLOCK) == b"x" * BLOCK


def test_a_header_digest_error_ends_the_connection_without_an_answer() -> None:
    peer = logged_in(make_group(), header_digest=("CRC32C",))
    damaged = bytearray(peer.bytes_of(peer.read_command(0, 1)))
    damaged[33] ^= 1
    assert peer.send_bytes(bytes(damaged)) == []
    assert "header digest error" in peer.connection.why_closed
