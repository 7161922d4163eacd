"""Several connections in one session: how they join, and that they are one session (RFC 7143 4.2.2, 4.2.3, 6.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iscsi import scsi
from iscsi.chap import ChapCredentials, ChapPolicy
from iscsi.constants import RESERVED_TAG, LoginStatus, RejectReason, TmfFunction
from iscsi.login_initiator import LoginDone, LoginFailed, LoginRedirected
from iscsi.lun import encode_lun
from iscsi.pdu import (
    R2T,
    DataIn,
    DataOut,
    LoginRequest,
    LoginResponse,
    NopIn,
    NopOut,
    Pdu,
    Reject,
    ScsiResponse,
    TmfRequest,
)
from iscsi.text import encode_keys
from target.config import AccessRule, Limits
from target.group import Group
from tests.support.array import (
    BLOCK,
    GROUP_ADDRESS,
    HOST,
    OTHER_HOST,
    PORTALS,
    SOURCE,
    VOLUME,
    Outcome,
    Peer,
    discovering,
    disk_bytes,
    isid,
    joined,
    joining,
    logged_in,
    make_group,
    volume,
)

ALICE = ChapCredentials("alice", b"alice-secret-0123")
BOB = ChapCredentials("bob", b"bob-secret-456789")
ELSEWHERE = "192.168.50.106"


def leader(group: Group | None = None, **login: Any) -> Peer:
    """The first connection of a session that takes four; its CID is 0."""
    return logged_in(group or make_group(), **({"max_connections": 8} | login))


def refusal(outcome: Outcome) -> LoginStatus:
    assert isinstance(outcome, LoginFailed), outcome
    return outcome.status


# -- joining -----------------------------------------------------------------------------------------------------------


def test_a_second_connection_is_of_the_same_session() -> None:
    first = leader()
    assert first.params is not None
    assert first.params.max_connections == 4
    second = joined(first, 1)
    assert second.tsih == first.tsih
    assert second.connection.session is first.connection.session
    assert len(first.connection.group.sessions) == 1
    assert first.test_unit_ready() is None
    assert second.test_unit_ready() is None


def test_each_connection_has_its_own_lengths_and_digests_and_the_sessions_everything_else() -> None:
    first = leader(initial_r2t=False, first_burst_length=4096, max_recv_data_segment_length=8192)
    second = joined(first, 1, max_recv_data_segment_length=512, header_digest=("CRC32C",))
    assert [type(answer) for answer in second.send(second.read_command(0, 2))] == [DataIn, DataIn]
    assert [type(answer) for answer in first.send(first.read_command(0, 2))] == [DataIn]
    params = second.connection.params
    assert (params.initial_r2t, params.first_burst_length, params.header_digest) == (False, 4096, True)
    assert not first.connection.params.header_digest


def test_no_more_connections_than_agreed_on() -> None:
    first = leader(max_connections=2)
    joined(first, 1)
    assert refusal(joining(first).login(tsih=first.tsih, cid=2)) is LoginStatus.TOO_MANY_CONNECTIONS
    assert first.test_unit_ready() is None


@pytest.mark.parametrize(
    ("login", "status"),
    [
        ({"tsih": 77, "cid": 1}, LoginStatus.SESSION_DOES_NOT_EXIST),
        ({"isid": isid(9), "cid": 1}, LoginStatus.SESSION_DOES_NOT_EXIST),
        ({"name": OTHER_HOST, "cid": 1}, LoginStatus.SESSION_DOES_NOT_EXIST),
        ({"name": OTHER_HOST, "cid": 0}, LoginStatus.SESSION_DOES_NOT_EXIST),
    ],
    ids=["TSIH", "ISID", "initiator", "initiator, the same CID"],
)
def test_only_the_sessions_own_initiator_finds_it(login: dict[str, Any], status: LoginStatus) -> None:
    first = leader()
    outcome = joining(first).login(**({"isid": first.isid, "tsih": first.tsih} | login))
    assert refusal(outcome) is status
    assert not first.abandoned


def test_a_join_at_the_group_address_is_redirected_and_then_let_in() -> None:
    first = leader()
    outcome = joining(first, GROUP_ADDRESS).login(tsih=first.tsih, cid=1)
    assert isinstance(outcome, LoginRedirected)
    assert joined(first, 1, outcome.address.host).test_unit_ready() is None


def test_every_connection_counts_where_it_is() -> None:
    first = leader()
    joined(first, 1, PORTALS[1])
    joined(first, 2, PORTALS[1])
    identity = replace(first.connection.session.identity, isid=isid(5))
    loads = first.connection.group.loads(identity, 0)
    assert [load.connections for load in loads] == [1, 2, 0]


def test_nothing_joins_discovery() -> None:
    first = discovering(make_group(), GROUP_ADDRESS)
    outcome = joining(first, GROUP_ADDRESS).login(None, tsih=first.tsih, cid=1)
    assert refusal(outcome) is LoginStatus.CANNOT_INCLUDE_IN_SESSION


# -- security ----------------------------------------------------------------------------------------------------------

TWO_HOSTS = (
    AccessRule(source="192.168.50.105/32", chap=ChapPolicy(one_way=(ALICE, BOB))),  # type: ignore[arg-type]
    AccessRule(source="192.168.50.106/32"),  # type: ignore[arg-type]
)


def guarded() -> Group:
    """A volume that asks for CHAP at one source address and lets the other in without."""
    from ipaddress import IPv4Network

    rules = tuple(replace(rule, source=IPv4Network(str(rule.source))) for rule in TWO_HOSTS)
    return make_group(volume(access=rules))


@pytest.mark.parametrize("cid", [0, 1], ids=["reinstatement", "join"])
@pytest.mark.parametrize(
    ("source", "chap", "status"),
    [
        (SOURCE, None, LoginStatus.AUTHENTICATION_FAILURE),
        (SOURCE, replace(ALICE, secret=b"not-alice-secret"), LoginStatus.AUTHENTICATION_FAILURE),
        (SOURCE, BOB, LoginStatus.CANNOT_INCLUDE_IN_SESSION),  # lawful, but somebody else
        (ELSEWHERE, None, LoginStatus.CANNOT_INCLUDE_IN_SESSION),  # lawful, but not proved who it is
        ("192.168.50.107", ALICE, LoginStatus.AUTHORIZATION_FAILURE),
    ],
    ids=["no CHAP", "wrong secret", "another name", "another rule", "no access"],
)
def test_who_joins_or_reinstates_must_prove_to_be_the_same(
    cid: int, source: str, chap: ChapCredentials | None, status: LoginStatus
) -> None:
    """RFC 7143 9.2.1; a login that fails leaves the session and the connection it names alone."""
    first = leader(guarded(), chap=ALICE)
    outcome = joining(first, source=source).login(tsih=first.tsih, cid=cid, chap=chap)
    assert refusal(outcome) is status
    assert not first.abandoned
    assert first.test_unit_ready() is None


@pytest.mark.parametrize("cid", [0, 1], ids=["reinstatement", "join"])
def test_who_has_proved_it_is_let_in(cid: int) -> None:
    first = leader(guarded(), chap=ALICE)
    assert joined(first, cid, chap=ALICE).test_unit_ready() is None


@pytest.mark.parametrize(
    ("source", "chap", "status"),
    [
        (SOURCE, None, LoginStatus.AUTHENTICATION_FAILURE),
        (SOURCE, replace(ALICE, secret=b"not-alice-secret"), LoginStatus.AUTHENTICATION_FAILURE),
        ("192.168.50.107", ALICE, LoginStatus.AUTHORIZATION_FAILURE),
    ],
    ids=["no CHAP", "wrong secret", "no access"],
)
def test_who_is_not_let_in_reinstates_no_session(
    source: str, chap: ChapCredentials | None, status: LoginStatus
) -> None:
    """The same name, ISID and target with TSIH 0: the session it would end lives on, and so does one that failed."""
    first = leader(guarded(), chap=ALICE)
    assert refusal(joining(first, source=source).login(chap=chap)) is status
    assert first.test_unit_ready() is None
    first.hang_up()
    assert refusal(joining(first, source=source).login(chap=chap)) is status
    assert joined(first, 0, chap=ALICE).test_unit_ready() is None


def test_no_command_is_served_between_the_requests_of_a_login() -> None:
    first = leader(guarded(), chap=ALICE)
    second = joining(first)
    keys = encode_keys((("InitiatorName", HOST), ("TargetName", VOLUME), ("AuthMethod", "CHAP")))
    numbers = {"isid": first.isid, "tsih": first.tsih, "cid": 1, "cmd_sn": first.cmd_sn}
    (offer,) = second.send(LoginRequest(transit=False, csg=0, itt=1, data=keys, **numbers))
    assert b"AuthMethod=CHAP" in offer.data
    before = first.connection.window.exp_cmd_sn
    (refused,) = second.send(second.write_command(0, 1, data=b"x" * BLOCK))
    assert isinstance(refused, LoginResponse)
    assert refused.status == LoginStatus.INVALID_DURING_LOGIN
    assert second.connection.closing
    assert first.connection.window.exp_cmd_sn == before
    assert disk_bytes(first.connection.group, 0, BLOCK) == bytes(BLOCK)


@pytest.mark.parametrize(
    "pdu",
    [
        NopOut(itt=7),
        DataOut(itt=7),
        TmfRequest(function=TmfFunction.LOGICAL_UNIT_RESET, itt=7, immediate=True),
    ],
    ids=lambda pdu: type(pdu).__name__,
)
def test_nothing_is_served_on_a_further_connection_before_its_login_is_over(pdu: Pdu) -> None:
    first = leader(initial_r2t=True, immediate_data=False)
    (r2t,) = first.send(first.write_command(0, 1))
    second = joining(first)
    assert second.send(pdu) == []
    assert second.connection.closing
    assert isinstance(r2t, R2T)
    assert len(first.answer_r2t(r2t, b"x" * BLOCK)) == 1, "the write was not disturbed"


# -- one window --------------------------------------------------------------------------------------------------------


def test_commands_run_in_cmd_sn_order_and_answers_leave_where_their_commands_came() -> None:
    first = leader()
    second = joined(first, 1)
    one, two, three = first.read_command(0, 1), second.read_command(1, 1), first.read_command(2, 1)
    assert first.send(three) == []
    assert second.send(two) == []
    answers = first.send(one)
    assert [answer.itt for answer in answers] == [one.itt, three.itt]  # type: ignore[attr-defined]
    (answer,) = second.hear()
    assert isinstance(answer, DataIn)
    assert answer.itt == two.itt
    assert answer.exp_cmd_sn == two.cmd_sn + 1
    assert answers[1].exp_cmd_sn == three.cmd_sn + 1  # type: ignore[attr-defined]


def test_an_immediate_command_does_not_wait_for_those_of_the_other_connection() -> None:
    first = leader()
    second = joined(first, 1)
    missing, early = first.read_command(0, 1), second.read_command(1, 1)
    assert second.send(early) == []
    assert len(second.send(second.command(scsi.test_unit_ready(), immediate=True))) == 1
    assert len(first.send(missing)) == 1


def test_a_duplicate_on_another_connection_is_ignored() -> None:
    first = leader()
    second = joined(first, 1)
    command = first.read_command(0, 1)
    assert len(first.send(command)) == 1
    assert second.send(command) == []


def test_the_window_is_one() -> None:
    """Writes that wait on one connection take up room on the other."""
    first = leader(make_group(limits=Limits(command_window=2)), initial_r2t=True, immediate_data=False)
    second = joined(first, 1)
    (one,) = first.send(first.write_command(0, 1))
    (two,) = second.send(second.write_command(1, 1))
    assert isinstance(one, R2T)
    assert isinstance(two, R2T)
    assert two.max_cmd_sn == second.cmd_sn - 1
    assert second.send(second.command(scsi.test_unit_ready())) == []
    (answer,) = first.answer_r2t(one, b"x" * BLOCK)
    assert answer.max_cmd_sn == first.cmd_sn - 1  # type: ignore[attr-defined]


def test_the_login_response_of_a_further_connection_tells_the_sessions_window() -> None:
    first = leader()
    missing = first.read_command(0, 1)
    second = joined(first, 1)
    response = second.login_responses[-1]
    assert (response.exp_cmd_sn, response.max_cmd_sn) == (missing.cmd_sn, missing.cmd_sn + 127)


def test_data_of_a_write_comes_on_its_own_connection() -> None:
    group = make_group()
    first = leader(group, initial_r2t=True, immediate_data=False)
    second = joined(first, 1)
    (r2t,) = first.send(first.write_command(0, 1))
    assert isinstance(r2t, R2T)
    answers = second.answer_r2t(r2t, b"x" * BLOCK)
    assert isinstance(answers[0], Reject)
    assert answers[0].reason == RejectReason.PROTOCOL_ERROR
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)


def test_a_task_is_aborted_on_its_own_connection() -> None:
    first = leader(initial_r2t=True, immediate_data=False)
    second = joined(first, 1)
    command = first.write_command(0, 1)
    first.send(command)
    tmf = TmfRequest(
        immediate=True,
        function=TmfFunction.ABORT_TASK,
        itt=7,
        cmd_sn=first.cmd_sn,
        referenced_task_tag=command.itt,
        ref_cmd_sn=command.cmd_sn,
    )
    assert [answer.response for answer in second.send(tmf)] == [1]  # type: ignore[attr-defined]
    assert [answer.response for answer in first.send(tmf)] == [0]  # type: ignore[attr-defined]


def test_task_management_of_a_set_reaches_all_connections() -> None:
    first = leader(initial_r2t=True, immediate_data=False)
    second = joined(first, 1)
    (r2t,) = first.send(first.write_command(0, 1))
    assert isinstance(r2t, R2T)
    tmf = TmfRequest(immediate=True, function=TmfFunction.ABORT_TASK_SET, itt=7, cmd_sn=first.cmd_sn)
    assert second.send(tmf) == [], "the data that was asked for is waited for (4.2.3.3)"
    (fence,) = first.answer_r2t(r2t, b"x" * BLOCK)
    assert isinstance(fence, NopIn)
    assert second.hear() == [], "what was sent on the first connection has to have arrived there"
    first.send(NopOut(ttt=fence.ttt, cmd_sn=first.cmd_sn))
    assert [answer.response for answer in second.hear()] == [0]  # type: ignore[attr-defined]


def test_a_response_that_waits_behind_a_lost_connection_waits_no_longer() -> None:
    first = leader()
    second = joined(first, 1)
    tmf = TmfRequest(immediate=True, function=TmfFunction.LOGICAL_UNIT_RESET, itt=7, cmd_sn=first.cmd_sn)
    assert second.send(tmf) == []
    first.hang_up()
    assert [answer.response for answer in second.hear()] == [0]  # type: ignore[attr-defined]


def test_who_does_not_answer_is_not_waited_for_without_end() -> None:
    first = leader()
    second = joined(first, 1)
    answers: list[Pdu] = []
    for itt in range(9):
        tmf = TmfRequest(immediate=True, function=TmfFunction.LOGICAL_UNIT_RESET, itt=itt, cmd_sn=first.cmd_sn)
        answers += second.send(tmf)
    assert [answer.itt for answer in answers] == [8]  # type: ignore[attr-defined]


def test_a_window_that_opens_without_an_answer_is_told_by_a_nop_in() -> None:
    """RFC 7143 4.2.2.1: another initiator's reset ended the write that closed it."""
    group = make_group(limits=Limits(command_window=1))
    one = leader(group, initial_r2t=True, immediate_data=False)
    (r2t,) = one.send(one.write_command(0, 1))
    assert r2t.max_cmd_sn == one.cmd_sn - 1  # type: ignore[attr-defined]
    other = logged_in(group, PORTALS[1], isid=isid(2))
    tmf = TmfRequest(immediate=True, function=TmfFunction.LOGICAL_UNIT_RESET, itt=7, cmd_sn=other.cmd_sn)
    other.send(replace(tmf, lun=encode_lun(0)))
    (nop,) = one.hear()
    assert isinstance(nop, NopIn)
    assert (nop.itt, nop.ttt, nop.stat_sn) == (RESERVED_TAG, RESERVED_TAG, one.exp_stat_sn)
    assert nop.max_cmd_sn == one.cmd_sn


def test_a_full_output_holds_up_what_waits_behind_it_and_loses_nothing() -> None:
    """The first connection's peer does not read: its read, held for a missing number, waits for the output, and the
    second connection's read behind it waits, too."""
    first = leader(make_group(limits=Limits(output_high_bytes=64 << 10)))
    second = joined(first, 1)
    for _ in range(2):  # answered and not read
        first.connection.receive(first.bytes_of(first.read_command(0, 64)), 0)
    missing = second.command(scsi.test_unit_ready())
    early, late = first.read_command(1, 1), second.read_command(2, 1)
    first.connection.receive(first.bytes_of(early), 0)
    assert second.send(late) == []
    assert first.connection.full
    answers = second.send(missing)
    assert [type(answer) for answer in answers] == [ScsiResponse]
    assert first.connection.choked
    heard = first.hear()
    first.connection.resume()
    heard += first.hear()
    assert heard[-1].itt == early.itt  # type: ignore[attr-defined]
    (answer,) = second.hear()
    assert isinstance(answer, DataIn)
    assert answer.itt == late.itt


def test_a_broken_rule_ends_all_connections_of_the_session() -> None:
    """RFC 7143 7.6: the format error of one is the error of its initiator, and is recovered by a new session."""
    first = leader()
    second = joined(first, 1)
    second.send_bytes(b"GET / HTTP/1.1\r\n\r\n" + bytes(48))
    assert first.connection.closing
    assert second.connection.closing


def test_a_login_over_the_session_ends_all_its_connections() -> None:
    group = make_group()
    first = leader(group)
    second = joined(first, 1)
    assert isinstance(Peer(group, PORTALS[2]).login(VOLUME), LoginDone)
    assert first.abandoned
    assert second.abandoned
    assert len(group.sessions) == 1
    for old in (first, second):
        old.hang_up()
    assert len(group.sessions) == 1
