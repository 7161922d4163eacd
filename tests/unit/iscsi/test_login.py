"""Logins, both ends wired together, and each end against a peer that breaks a rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iscsi.chap import ChapCredentials, ChapPolicy
from iscsi.constants import RESERVED_TAG, LoginStatus, Stage
from iscsi.discovery import TargetAddress
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.login import MAX_LOGIN_EXCHANGES, TRANSITIONS, Step, request_complaint, response_complaint, stage_after
from iscsi.login_gate import Admit, LoginIdentity, Redirect, Refuse
from iscsi.login_initiator import LoginDone, LoginFailed, LoginRedirected
from iscsi.login_target import TargetLogin, TargetLoginDone, TargetLoginEnded
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LoginRequest, LoginResponse, encode
from iscsi.text import encode_keys
from tests.support.logins import (
    ARRAY,
    FIRST,
    HOST,
    HOST_NAME,
    ISID,
    NAMES,
    POLICY,
    VOLUME_NAME,
    Gate,
    converse,
    initiator,
    keys,
    request,
    target,
)

PORTAL = TargetAddress("192.168.51.2", 3260, 1)
CHAP_GATE = Admit(tpgt=1, chap=POLICY)


def status_of(login: TargetLogin, *requests: LoginRequest) -> LoginStatus:
    """Feed the requests; the status the target ends the login with."""
    for each in requests:
        (response,) = login.receive(each)
    assert isinstance(login.outcome, TargetLoginEnded)
    assert response.status == login.outcome.status
    return login.outcome.status


# Agreement


def test_a_login_without_authentication_takes_two_exchanges() -> None:
    gate = Gate()
    host, array = initiator(), target(gate)
    said = converse(host, array)

    assert [(pdu.csg, pdu.nsg, pdu.transit) for pdu in said] == [(0, 1, True)] * 2 + [(1, 3, True)] * 2
    assert keys(said[0]) == {
        "InitiatorName": HOST_NAME,
        "TargetName": VOLUME_NAME,
        "SessionType": "Normal",
        "AuthMethod": "None",
    }
    assert keys(said[1]) == {"TargetPortalGroupTag": "1", "AuthMethod": "None"}
    identity = LoginIdentity(HOST_NAME, VOLUME_NAME, discovery=False, isid=ISID, tsih=0, cid=0)
    assert gate.asked == [identity]
    assert isinstance(host.outcome, LoginDone)
    assert isinstance(array.outcome, TargetLoginDone)
    assert array.outcome.identity == identity
    assert host.outcome.params == array.outcome.params.as_seen_by_peer()
    assert host.outcome.params.target_portal_group_tag == 1


def test_the_tsih_comes_with_the_final_response_only() -> None:
    host = initiator()
    said = converse(host, target(Gate(complete_with=0x51)))
    assert [pdu.tsih for pdu in said] == [0, 0, 0, 0x51]
    assert isinstance(host.outcome, LoginDone)
    assert host.outcome.tsih == 0x51


def test_sequence_numbers_run_from_the_first_response_and_the_logins_own_command() -> None:
    host, array = initiator(cmd_sn=0xFFFFFFFF), target(stat_sn=0xFFFFFFFF, command_window=32)
    said = converse(host, array)

    assert [pdu.stat_sn for pdu in said if isinstance(pdu, LoginResponse)] == [0xFFFFFFFF, 0]
    assert [pdu.exp_stat_sn for pdu in said if isinstance(pdu, LoginRequest)] == [0, 0]
    assert {pdu.cmd_sn for pdu in said if isinstance(pdu, LoginRequest)} == {0xFFFFFFFF}
    assert isinstance(host.outcome, LoginDone)
    assert isinstance(array.outcome, TargetLoginDone)
    assert (host.outcome.exp_stat_sn, array.outcome.stat_sn) == (1, 1)
    assert (host.outcome.exp_cmd_sn, array.outcome.cmd_sn) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert host.outcome.max_cmd_sn == 30


def test_a_discovery_session_needs_no_target_name() -> None:
    gate = Gate()
    host, array = initiator(target_name=None, initiator_alias="mail"), target(gate)
    converse(host, array)

    assert isinstance(host.outcome, LoginDone)
    assert gate.asked == [LoginIdentity(HOST_NAME, None, True, ISID, 0, 0, "mail")]


def test_wishes_of_both_sides_meet() -> None:
    host = initiator(
        wishes=OperationalKeys(
            header_digest=("CRC32C", "None"),
            max_recv_data_segment_length=262144,
            initial_r2t=False,
            default_time2wait=0,
        )
    )
    array = target(
        wishes=OperationalKeys(
            header_digest=("CRC32C", "None"),
            max_recv_data_segment_length=65536,
            initial_r2t=False,
            immediate_data=False,
        )
    )
    converse(host, array)

    assert isinstance(host.outcome, LoginDone)
    params = host.outcome.params
    assert params.header_digest
    assert not params.initial_r2t
    assert not params.immediate_data
    assert params.default_time2wait == 2
    assert (params.max_recv_data_segment_length, params.peer_max_recv_data_segment_length) == (262144, 65536)


def test_a_target_offers_what_the_initiator_left_out_before_it_lets_go() -> None:
    array = target(wishes=OperationalKeys(max_burst_length=65536))
    array.receive(request(*NAMES, ("AuthMethod", "None")))
    (response,) = array.receive(LoginRequest(transit=True, csg=1, nsg=3, isid=ISID, itt=1, cmd_sn=100))

    assert keys(response) == {"MaxRecvDataSegmentLength": "8192", "MaxBurstLength": "65536"}
    assert not response.transit
    answer = replace(FIRST, csg=1, nsg=3, data=encode_keys([("MaxBurstLength", "32768")]))
    (response,) = array.receive(answer)
    assert response.transit
    assert isinstance(array.outcome, TargetLoginDone)
    assert array.outcome.params.max_burst_length == 32768


def test_an_offer_left_unanswered_ends_the_login() -> None:
    array = target(wishes=OperationalKeys(max_burst_length=65536))
    operational = replace(FIRST, csg=1, nsg=3)
    assert status_of(array, request(*NAMES), operational, operational) is LoginStatus.INITIATOR_ERROR


def test_a_login_may_begin_in_the_operational_stage() -> None:
    array = target()
    (response,) = array.receive(request(*NAMES, csg=1, nsg=3))
    assert keys(response) == {"TargetPortalGroupTag": "1", "MaxRecvDataSegmentLength": "8192"}
    assert isinstance(array.outcome, TargetLoginDone)


def test_a_login_may_skip_the_operational_stage_when_there_is_nothing_to_say() -> None:
    array = target()
    (response,) = array.receive(request(*NAMES, nsg=3))
    assert (response.transit, response.nsg) == (True, 3)


def test_a_target_with_something_to_say_grants_less_than_was_asked_for() -> None:
    array = target(wishes=OperationalKeys(max_recv_data_segment_length=65536))
    (response,) = array.receive(request(*NAMES, nsg=3))
    assert (response.transit, response.nsg) == (True, Stage.OPERATIONAL)


# Text over several PDUs


def test_keys_may_straddle_requests_which_are_answered_empty() -> None:
    gate = Gate()
    array = target(gate)
    data = encode_keys(NAMES)
    first = replace(FIRST, transit=False, nsg=0, cont=True, data=data[:20])
    (response,) = array.receive(first)
    assert (response.data, response.cont, response.transit) == (b"", False, False)
    assert gate.asked == []

    (response,) = array.receive(replace(FIRST, data=data[20:]))
    assert response.transit
    assert gate.asked[0].target_name == VOLUME_NAME


def test_a_long_response_is_cut_and_asked_for_piece_by_piece() -> None:
    many = [(f"X-com.example.{number:04}", "1") for number in range(400)]
    array = target()
    array.receive(request(*NAMES))
    (response,) = array.receive(replace(FIRST, csg=1, nsg=3, data=encode_keys(many)))
    assert (response.cont, response.transit, len(response.data)) == (True, False, 8192)

    (response,) = array.receive(replace(FIRST, csg=1, nsg=3))
    assert (response.cont, response.transit) == (False, True)
    assert isinstance(array.outcome, TargetLoginDone)


def test_text_where_an_empty_request_is_due_ends_the_login() -> None:
    many = [(f"X-com.example.{number:04}", "1") for number in range(400)]
    late = replace(FIRST, csg=1, nsg=3, data=b"HeaderDigest=None\0")
    array = target()
    array.receive(request(*NAMES))
    assert status_of(array, replace(FIRST, csg=1, nsg=3, data=encode_keys(many)), late) is LoginStatus.INITIATOR_ERROR


def test_the_initiator_answers_a_response_in_parts_with_empty_requests() -> None:
    host = initiator()
    (first,) = host.start()
    part = response_to(first, transit=False, nsg=0, cont=True, data=b"TargetAl")
    (empty,) = host.receive(part)
    assert (empty.data, empty.cont, empty.csg) == (b"", False, 0)

    (operational,) = host.receive(response_to(empty, stat_sn=1, data=b"ias=logs\0AuthMethod=None\0"))
    assert operational.csg == Stage.OPERATIONAL


def test_a_login_that_never_ends_is_ended_by_the_target() -> None:
    array = target()
    idle = replace(FIRST, transit=False, nsg=0)
    requests = [request(*NAMES, transit=False, nsg=0)] + [idle] * MAX_LOGIN_EXCHANGES
    assert status_of(array, *requests) is LoginStatus.INITIATOR_ERROR


def test_a_login_that_never_ends_is_ended_by_the_initiator() -> None:
    host = initiator()
    (asked,) = host.start()
    for turn in range(MAX_LOGIN_EXCHANGES - 1):
        (asked,) = host.receive(response_to(asked, transit=False, nsg=0, stat_sn=turn))
    with pytest.raises(RemoteProtocolError, match="not ended after 32"):
        host.receive(response_to(asked, transit=False, nsg=0, stat_sn=MAX_LOGIN_EXCHANGES - 1))
    with pytest.raises(LocalProtocolError):
        host.receive(response_to(asked))


# Redirect


def test_a_redirect_is_the_first_response_and_looks_as_the_rfc_wants_it() -> None:
    array = target(Gate(identify_with=Redirect(PORTAL)))
    (response,) = array.receive(request(*NAMES, ("AuthMethod", "CHAP,None")))

    assert encode(response).hex(" ", 4) == (
        "23000000 00000020 40000137 00000000 00000001 00000000 00000000 00000000 00000000 01010000 00000000 00000000 "
        + b"TargetAddress=192.168.51.2:3260\0".hex(" ", 4)
    )
    assert array.outcome == TargetLoginEnded(LoginStatus.MOVED_TEMPORARILY, "redirected to 192.168.51.2:3260")


@pytest.mark.parametrize("permanent", [False, True])
@pytest.mark.parametrize(
    "gate", ["identify_with", "complete_with"], ids=["before authentication", "after authentication"]
)
@pytest.mark.parametrize("address", [PORTAL, TargetAddress("2001:db8::2", 3261), TargetAddress("eth0.ps100.lab")])
def test_a_redirect_is_followed_before_and_after_authentication(
    gate: str, permanent: bool, address: TargetAddress
) -> None:
    answers: dict[str, Any] = {"identify_with": CHAP_GATE, gate: Redirect(address, permanent)}
    host = initiator(chap=HOST, mutual_chap=ARRAY)
    converse(host, target(Gate(**answers)))
    assert host.outcome == LoginRedirected(replace(address, tpgt=None), permanent)


def test_the_stage_bits_of_a_redirect_are_reserved_and_not_looked_at() -> None:
    """A target that fills them in is wrong (FreeBSD r274309 was), and understood all the same (RFC 7143 11.13)."""
    host = initiator()
    (asked,) = host.start()
    data = encode_keys([("TargetAddress", "192.168.51.2:3260")])
    host.receive(response_to(asked, transit=True, csg=1, nsg=3, status=LoginStatus.MOVED_TEMPORARILY, data=data))
    assert host.outcome == LoginRedirected(TargetAddress("192.168.51.2", 3260), permanent=False)


def test_a_discovery_session_may_be_redirected_too() -> None:
    host = initiator(target_name=None)
    converse(host, target(Gate(identify_with=Redirect(PORTAL))))
    assert isinstance(host.outcome, LoginRedirected)


def test_the_first_address_that_can_be_read_is_taken() -> None:
    data = encode_keys([("TargetAddress", value) for value in ("fe80::1", "192.168.51.3:3260,1", "192.168.51.4")])
    host = initiator()
    host.start()
    assert host.receive(LoginResponse(isid=ISID, itt=1, status=0x0101, data=data)) == []
    assert host.outcome == LoginRedirected(TargetAddress("192.168.51.3", 3260, 1), permanent=False)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "there is no TargetAddress"),
        (b"TargetAlias=logs\0", "there is no TargetAddress"),
        (b"TargetAddress=192.168.51.2:0\0", "the port must be 1 to 65535"),
        (b"TargetAddress=192.168.51.2", "does not end with a NUL"),
    ],
)
def test_a_redirect_to_nowhere_is_refused_in_so_many_words(data: bytes, why: str) -> None:
    host = initiator()
    host.start()
    with pytest.raises(RemoteProtocolError, match=f"redirects the login but does not say where: .*{why}"):
        host.receive(LoginResponse(isid=ISID, itt=1, status=0x0101, data=data))


# Refusals


@pytest.mark.parametrize("status", [LoginStatus.AUTHORIZATION_FAILURE, LoginStatus.SERVICE_UNAVAILABLE])
@pytest.mark.parametrize("gate", ["identify_with", "complete_with"])
def test_the_arrays_refusal_reaches_the_initiator(gate: str, status: LoginStatus) -> None:
    answers: dict[str, Any] = {gate: Refuse(status)}
    host, array = initiator(), target(Gate(**answers))
    said = converse(host, array)

    assert said[-1] == LoginResponse(isid=ISID, itt=1, status=status)
    assert isinstance(host.outcome, LoginFailed)
    assert host.outcome.status is status


@pytest.mark.parametrize(
    ("pairs", "changes", "status"),
    [
        ((), {}, LoginStatus.MISSING_PARAMETER),
        (NAMES[1:], {}, LoginStatus.MISSING_PARAMETER),
        (NAMES[:1], {}, LoginStatus.MISSING_PARAMETER),
        ((("InitiatorName", "w2k3"), NAMES[1]), {}, LoginStatus.INITIATOR_ERROR),
        ((*NAMES, ("SessionType", "Boot")), {}, LoginStatus.SESSION_TYPE_NOT_SUPPORTED),
        ((*NAMES, NAMES[0]), {}, LoginStatus.INITIATOR_ERROR),
        ((*NAMES, ("MaxBurstLength", "4096")), {}, LoginStatus.INITIATOR_ERROR),
        ((*NAMES, ("AuthMethod", "None")), {"csg": 1, "nsg": 3}, LoginStatus.INITIATOR_ERROR),
        ((*NAMES, ("TargetPortalGroupTag", "1")), {}, LoginStatus.INITIATOR_ERROR),
        ((*NAMES, ("SendTargets", "All")), {}, LoginStatus.INITIATOR_ERROR),
        ((*NAMES, ("AuthMethod", "KRB5")), {}, LoginStatus.AUTHENTICATION_FAILURE),
        ((*NAMES, ("AuthMethod", "None"), ("CHAP_A", "5")), {}, LoginStatus.INITIATOR_ERROR),
        (NAMES, {"version_min": 1, "version_max": 1}, LoginStatus.UNSUPPORTED_VERSION),
        (NAMES, {"itt": RESERVED_TAG}, LoginStatus.INITIATOR_ERROR),
        (NAMES, {"csg": 2}, LoginStatus.INITIATOR_ERROR),
        (NAMES, {"csg": 3, "nsg": 3}, LoginStatus.INITIATOR_ERROR),
        (NAMES, {"nsg": 0}, LoginStatus.INITIATOR_ERROR),
        (NAMES, {"nsg": 2}, LoginStatus.INITIATOR_ERROR),
        (NAMES, {"csg": 1, "nsg": 1}, LoginStatus.INITIATOR_ERROR),
        (NAMES, {"cont": True}, LoginStatus.INITIATOR_ERROR),
    ],
)
def test_a_first_request_that_breaks_a_rule_gets_its_status(
    pairs: tuple[tuple[str, str], ...], changes: dict[str, Any], status: LoginStatus
) -> None:
    assert status_of(target(), request(*pairs, **changes)) is status


@pytest.mark.parametrize(
    "changes",
    [
        {"itt": 2},
        {"isid": bytes(6)},
        {"tsih": 1},
        {"cid": 1},
        {"csg": 0, "nsg": 1},
        {"data": b"InitiatorName=" + HOST_NAME.encode() + b"\0"},
        {"data": b"TargetName=" + VOLUME_NAME.encode() + b"\0"},
        {"data": b"not text"},
    ],
)
def test_a_second_request_that_breaks_a_rule_ends_the_login(changes: dict[str, Any]) -> None:
    array = target()
    array.receive(request(*NAMES, ("AuthMethod", "None")))
    second = replace(FIRST, csg=1, nsg=3)
    assert status_of(array, replace(second, **changes)) is LoginStatus.INITIATOR_ERROR


@pytest.mark.parametrize("pair", [("TargetName", VOLUME_NAME), ("SessionType", "Normal")])
def test_who_asks_for_what_belongs_in_the_first_request(pair: tuple[str, str]) -> None:
    array = target()
    first = request(NAMES[0], ("SessionType", "Discovery")) if pair[0] == "TargetName" else request(*NAMES)
    assert (
        status_of(array, first, replace(FIRST, csg=1, nsg=3, data=encode_keys([pair]))) is LoginStatus.INITIATOR_ERROR
    )


def test_another_pdu_during_login_is_refused_with_a_login_response() -> None:
    array = target()
    array.receive(request(*NAMES))
    (response,) = array.receive_other()
    assert response == LoginResponse(isid=ISID, itt=1, status=LoginStatus.INVALID_DURING_LOGIN)


def test_another_pdu_before_login_is_not_answered_at_all() -> None:
    array = target()
    assert array.receive_other() == []
    assert isinstance(array.outcome, TargetLoginEnded)


def test_a_login_that_has_ended_takes_nothing_more() -> None:
    array = target(Gate(identify_with=Refuse(LoginStatus.NOT_FOUND)))
    array.receive(request(*NAMES))
    with pytest.raises(LocalProtocolError):
        array.receive(request(*NAMES))
    with pytest.raises(LocalProtocolError):
        array.receive_other()


# CHAP


def test_one_way_chap_takes_four_exchanges() -> None:
    host, array = initiator(chap=HOST), target(Gate(identify_with=CHAP_GATE))
    said = converse(host, array)

    assert [pdu.csg for pdu in said] == [0] * 6 + [1] * 2
    assert keys(said[0])["AuthMethod"] == "CHAP,None"
    assert isinstance(host.outcome, LoginDone)
    assert isinstance(array.outcome, TargetLoginDone)
    assert array.outcome.authenticated_as == "w2k3"


def test_mutual_chap_leaves_no_way_round_it() -> None:
    host = initiator(chap=HOST, mutual_chap=ARRAY)
    said = converse(host, target(Gate(identify_with=CHAP_GATE)))

    assert keys(said[0])["AuthMethod"] == "CHAP"
    assert keys(said[5]).keys() == {"CHAP_N", "CHAP_R"}
    assert isinstance(host.outcome, LoginDone)


def test_an_initiator_ready_for_chap_may_be_let_in_without() -> None:
    host, array = initiator(chap=HOST), target()
    converse(host, array)
    assert isinstance(host.outcome, LoginDone)
    assert isinstance(array.outcome, TargetLoginDone)
    assert array.outcome.authenticated_as is None


@pytest.mark.parametrize(
    ("credentials", "gate"),
    [
        ({}, CHAP_GATE),
        ({"chap": ChapCredentials("w2k3", b"a wrong secret")}, CHAP_GATE),
        ({"chap": ChapCredentials("someone", HOST.secret)}, CHAP_GATE),
        ({"chap": HOST, "mutual_chap": ARRAY}, Admit(1)),
        ({"chap": HOST, "mutual_chap": ARRAY}, Admit(1, ChapPolicy(one_way=(HOST,)))),
    ],
    ids=["no CHAP", "wrong secret", "wrong name", "mutual, target without CHAP", "mutual, target without a secret"],
)
def test_failed_authentication_has_its_status(credentials: dict[str, Any], gate: Admit) -> None:
    host = initiator(**credentials)
    converse(host, target(Gate(identify_with=gate)))
    assert isinstance(host.outcome, LoginFailed)
    assert host.outcome.status is LoginStatus.AUTHENTICATION_FAILURE


def test_a_target_with_the_wrong_secret_is_not_trusted() -> None:
    host = initiator(chap=HOST, mutual_chap=ChapCredentials("ps100", b"what the host knows"))
    with pytest.raises(RemoteProtocolError, match="wrong"):
        converse(host, target(Gate(identify_with=CHAP_GATE)))
    assert host.outcome is None


@pytest.mark.parametrize(
    ("requests", "status"),
    [
        ([request(*NAMES, csg=1, nsg=3)], LoginStatus.AUTHENTICATION_FAILURE),
        ([request(*NAMES)], LoginStatus.AUTHENTICATION_FAILURE),
        ([request(*NAMES, nsg=3)], LoginStatus.AUTHENTICATION_FAILURE),
        ([request(*NAMES, ("AuthMethod", "CHAP")), request()], LoginStatus.MISSING_PARAMETER),
        ([request(*NAMES, ("AuthMethod", "CHAP")), request(("CHAP_A", "5")), request()], LoginStatus.MISSING_PARAMETER),
        (
            [request(*NAMES, ("AuthMethod", "CHAP")), request(("CHAP_A", "5")), request(("CHAP_N", "w2k3"))],
            LoginStatus.MISSING_PARAMETER,
        ),
        (
            [request(*NAMES, ("AuthMethod", "CHAP")), replace(FIRST, csg=1, nsg=3)],
            LoginStatus.INITIATOR_ERROR,
        ),
    ],
)
def test_no_way_leads_round_a_demanded_chap(requests: list[LoginRequest], status: LoginStatus) -> None:
    assert status_of(target(Gate(identify_with=CHAP_GATE)), *requests) is status


# The initiator against a target that breaks a rule


def response_to(asked: LoginRequest, **changes: Any) -> LoginResponse:
    """The response that grants all a request asks for, but for ``changes``."""
    granted = LoginResponse(transit=asked.transit, csg=asked.csg, nsg=asked.nsg, isid=asked.isid, itt=asked.itt)
    return replace(granted, **changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"itt": 2}, "task tag 2"),
        ({"isid": bytes(6)}, "another ISID"),
        ({"version_active": 1}, "version 1"),
        ({"csg": 1, "nsg": 3}, "stage 1"),
        ({"nsg": 3}, "only 1 was asked for"),
        ({"nsg": 0}, "no transition"),
        ({"nsg": 2}, "no transition"),
        ({"cont": True}, "C=1 and T=1"),
        ({"status": 0x0100}, "0x0100"),
        ({"status": 0x0400}, "0x0400"),
        ({"data": b"AuthMethod=CHAP\0"}, "expected one of None"),
        ({"data": b"AuthMethod=Reject\0"}, "AuthMethod=Reject"),
        ({"data": b"CHAP_A=5\0"}, "without having chosen"),
        ({"data": b"InitiatorName=iqn.2001-05.com.equallogic:a\0"}, "may not be sent by the target"),
        ({"data": b"MaxBurstLength=4096\0"}, "does not belong in the security stage"),
        ({"data": b"TargetAlias=a\0TargetAlias=b\0"}, "declared again"),
        ({"data": b"TargetPortalGroupTag=65536\0"}, "TargetPortalGroupTag"),
        ({"data": b"AuthMethod"}, "does not end with a NUL"),
    ],
)
def test_a_first_response_that_breaks_a_rule_is_refused(changes: dict[str, Any], why: str) -> None:
    host = initiator()
    (first,) = host.start()
    with pytest.raises(RemoteProtocolError, match=why):
        host.receive(response_to(first, **changes))
    with pytest.raises(LocalProtocolError, match="no login is under way"):
        host.receive(response_to(first))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"stat_sn": 5}, "StatSN 5, expected 1"),
        ({"tsih": 0}, "TSIH 0"),
        ({"data": b""}, "without an answer to HeaderDigest"),
        ({"data": b"MaxBurstLength=99999999\0"}, "MaxBurstLength"),
    ],
)
def test_a_final_response_that_breaks_a_rule_is_refused(changes: dict[str, Any], why: str) -> None:
    host, array = initiator(), target(stat_sn=0)
    (first,) = host.start()
    (second,) = host.receive(array.receive(first)[0])
    (final,) = array.receive(second)
    with pytest.raises(RemoteProtocolError, match=why):
        host.receive(replace(final, **changes))


def test_a_target_may_not_leave_while_its_own_offer_waits() -> None:
    host = initiator(wishes=OperationalKeys())
    (first,) = host.start()
    (second,) = host.receive(response_to(first))
    with pytest.raises(RemoteProtocolError, match="TaskReporting needs our answer"):
        host.receive(response_to(second, stat_sn=1, tsih=1, data=b"TaskReporting=FastAbort,RFC3720\0"))


def test_a_target_must_choose_when_chap_is_offered() -> None:
    host = initiator(chap=HOST)
    (first,) = host.start()
    with pytest.raises(RemoteProtocolError, match="does not choose an AuthMethod"):
        host.receive(response_to(first))


def test_a_target_that_skips_its_own_proof_is_refused() -> None:
    host, array = initiator(chap=HOST, mutual_chap=ARRAY), target(Gate(identify_with=CHAP_GATE))
    (asked,) = host.start()
    (asked,) = host.receive(array.receive(asked)[0])
    (asked,) = host.receive(array.receive(asked)[0])
    with pytest.raises(RemoteProtocolError, match="CHAP_N is missing"):
        host.receive(replace(array.receive(asked)[0], data=b""))


@pytest.mark.parametrize(
    ("code", "status"),
    [(0x02FF, LoginStatus.INITIATOR_ERROR), (0x03FF, LoginStatus.TARGET_ERROR), (0x0203, LoginStatus.NOT_FOUND)],
)
def test_an_unknown_detail_counts_as_its_class(code: int, status: LoginStatus) -> None:
    host = initiator()
    host.start()
    host.receive(LoginResponse(isid=ISID, itt=1, status=code))
    assert isinstance(host.outcome, LoginFailed)
    assert host.outcome.status is status
    assert f"0x{code:04x}" in host.outcome.reason


@pytest.mark.parametrize(
    "changes",
    [{"initiator_name": "w2k3"}, {"isid": b"short"}, {"mutual_chap": ARRAY}, {"chap": HOST, "mutual_chap": HOST}],
)
def test_an_initiator_that_could_never_log_in_is_refused_when_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"name|ISID|CHAP"):
        initiator(**changes)


def test_a_login_starts_once() -> None:
    host = initiator()
    host.start()
    with pytest.raises(LocalProtocolError):
        host.start()


# The rule table itself


def test_the_table_is_the_rfcs() -> None:
    assert TRANSITIONS == {None: (0, 1), Stage.SECURITY: (1, 3), Stage.OPERATIONAL: (3,)}


def test_both_ends_judge_moves_by_the_same_functions() -> None:
    ask = Step(transit=True, cont=False, csg=0, nsg=3)
    grant = Step(transit=True, cont=False, csg=0, nsg=1)

    assert request_complaint(None, None, ask) is None
    assert response_complaint(ask, grant) is None
    assert stage_after(ask, grant) is Stage.OPERATIONAL
    assert stage_after(ask, replace(grant, transit=False, nsg=0)) is Stage.SECURITY
    assert "T=1" in (response_complaint(replace(ask, transit=False, nsg=0), grant) or "")
