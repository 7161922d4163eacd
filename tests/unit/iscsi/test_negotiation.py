"""Operational keys: how offers are answered and what comes of them (RFC 7143 sections 6.2 and 13)."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi.constants import LoginStatus
from iscsi.errors import RemoteProtocolError
from iscsi.keys import Side
from iscsi.negotiation import Negotiation, OperationalKeys, needs_answer


def side(role: Side = Side.TARGET, *, discovery: bool = False, leading: bool = True, **wishes: Any) -> Negotiation:
    return Negotiation(role, OperationalKeys(**wishes), discovery=discovery, leading=leading)


def test_with_nothing_said_the_defaults_of_the_rfc_stand() -> None:
    params = side().parameters()

    assert not params.header_digest
    assert not params.data_digest
    assert params.initial_r2t
    assert params.immediate_data
    assert params.max_recv_data_segment_length == params.peer_max_recv_data_segment_length == 8192
    assert (params.max_burst_length, params.first_burst_length) == (262144, 65536)
    assert (params.default_time2wait, params.default_time2retain) == (2, 20)
    assert (params.max_connections, params.max_outstanding_r2t, params.error_recovery_level) == (1, 1, 0)
    assert params.data_pdu_in_order
    assert params.data_sequence_in_order
    assert (params.task_reporting, params.iscsi_protocol_level) == ("RFC3720", 1)
    assert params.target_portal_group_tag is None


@pytest.mark.parametrize(
    ("key", "offer", "wish", "answer"),
    [
        ("HeaderDigest", "CRC32C,None", ("None", "CRC32C"), "CRC32C"),
        ("HeaderDigest", "CRC32C,None", ("None",), "None"),
        ("DataDigest", "X-other,None", ("CRC32C", "None"), "None"),
        ("MaxConnections", "8", 4, "4"),
        ("InitialR2T", "No", False, "No"),
        ("InitialR2T", "No", True, "Yes"),
        ("InitialR2T", "Yes", False, "Yes"),
        ("ImmediateData", "Yes", True, "Yes"),
        ("ImmediateData", "Yes", False, "No"),
        ("ImmediateData", "No", True, "No"),
        ("MaxBurstLength", "0x100000", 524288, "524288"),
        ("MaxBurstLength", "262144", 524288, "262144"),
        ("FirstBurstLength", "131072", 65536, "65536"),
        ("DefaultTime2Wait", "2", 5, "5"),
        ("DefaultTime2Wait", "9", 5, "9"),
        ("DefaultTime2Retain", "60", 20, "20"),
        ("MaxOutstandingR2T", "16", 8, "8"),
        ("DataPDUInOrder", "No", False, "No"),
        ("DataSequenceInOrder", "No", True, "Yes"),
        ("ErrorRecoveryLevel", "2", 1, "1"),
        ("TaskReporting", "FastAbort,RFC3720", ("RFC3720", "FastAbort"), "FastAbort"),
        ("iSCSIProtocolLevel", "2", 2, "2"),
    ],
)
def test_each_key_is_answered_by_its_rule(key: str, offer: str, wish: Any, answer: str) -> None:
    field = {
        "HeaderDigest": "header_digest",
        "DataDigest": "data_digest",
        "MaxConnections": "max_connections",
        "InitialR2T": "initial_r2t",
        "ImmediateData": "immediate_data",
        "MaxBurstLength": "max_burst_length",
        "FirstBurstLength": "first_burst_length",
        "DefaultTime2Wait": "default_time2wait",
        "DefaultTime2Retain": "default_time2retain",
        "MaxOutstandingR2T": "max_outstanding_r2t",
        "DataPDUInOrder": "data_pdu_in_order",
        "DataSequenceInOrder": "data_sequence_in_order",
        "ErrorRecoveryLevel": "error_recovery_level",
        "TaskReporting": "task_reporting",
        "iSCSIProtocolLevel": "iscsi_protocol_level",
    }[key]
    assert side(**{field: wish}).receive([(key, offer)]) == [(key, answer)]


def test_the_receive_length_is_declared_each_way_and_not_answered() -> None:
    target = side(max_recv_data_segment_length=65536)

    assert target.offer(["MaxRecvDataSegmentLength"]) == [("MaxRecvDataSegmentLength", "65536")]
    assert target.receive([("MaxRecvDataSegmentLength", "262144")]) == []
    params = target.parameters()
    assert (params.max_recv_data_segment_length, params.peer_max_recv_data_segment_length) == (65536, 262144)
    assert target.unanswered == []


def test_a_receive_length_not_said_out_loud_is_8192() -> None:
    assert side(max_recv_data_segment_length=65536).parameters().max_recv_data_segment_length == 8192


@pytest.mark.parametrize("text", ["511", "16777216", "lots"])
def test_a_declaration_out_of_range_ends_the_login(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="MaxRecvDataSegmentLength") as caught:
        side().receive([("MaxRecvDataSegmentLength", text)])
    assert caught.value.login_status is LoginStatus.INITIATOR_ERROR


@pytest.mark.parametrize(
    ("key", "offer"),
    [
        ("MaxBurstLength", "511"),
        ("MaxBurstLength", "many"),
        ("InitialR2T", "maybe"),
        ("HeaderDigest", "CRC64"),
        ("HeaderDigest", ","),
        ("ErrorRecoveryLevel", "3"),
    ],
)
def test_an_offer_that_cannot_be_taken_is_rejected_and_the_default_stands(key: str, offer: str) -> None:
    target = side()
    assert target.receive([(key, offer)]) == [(key, "Reject")]
    assert target.parameters() == side().parameters()


@pytest.mark.parametrize("key", ["IFMarker", "OFMarker", "IFMarkInt", "OFMarkInt"])
def test_markers_are_rejected(key: str) -> None:
    assert side().receive([(key, "No")]) == [(key, "Reject")]


@pytest.mark.parametrize("key", ["X-com.example.turbo", "X#Turbo", "MaxBurstlength", "Whatever"])
def test_unknown_keys_are_not_understood(key: str) -> None:
    assert side().receive([(key, "1")]) == [(key, "NotUnderstood")]


def test_the_node_architecture_is_taken_without_a_word() -> None:
    assert side().receive([("X#NodeArchitecture", "x86_64")]) == []


@pytest.mark.parametrize("answer", ["NotUnderstood", "Reject", "Irrelevant"])
@pytest.mark.parametrize("key", ["MaxBurstLength", "X-com.example.turbo"])
def test_an_answer_to_what_was_never_offered_is_refused(key: str, answer: str) -> None:
    with pytest.raises(RemoteProtocolError, match="never offered"):
        side().receive([(key, answer)])


def test_the_first_burst_is_held_to_the_burst_whatever_their_order() -> None:
    target = side(max_burst_length=1 << 20, first_burst_length=1 << 20)
    answers = target.receive([("FirstBurstLength", "1048576"), ("MaxBurstLength", "32768")])

    assert dict(answers) == {"MaxBurstLength": "32768", "FirstBurstLength": "32768"}
    assert target.parameters().first_burst_length == 32768


def test_the_first_burst_is_held_to_the_burst_when_nobody_names_it() -> None:
    target = side()
    target.receive([("MaxBurstLength", "4096")])
    assert target.parameters().first_burst_length == 4096


def test_error_recovery_with_sequences_in_order_leaves_one_r2t() -> None:
    target = side(error_recovery_level=1, max_outstanding_r2t=8)
    target.receive([("ErrorRecoveryLevel", "1"), ("MaxOutstandingR2T", "8")])
    assert target.parameters().max_outstanding_r2t == 1


def test_data_keys_are_irrelevant_in_a_discovery_session() -> None:
    target = side(discovery=True)
    assert target.receive([("MaxBurstLength", "4096"), ("InitialR2T", "No"), ("DefaultTime2Wait", "3")]) == [
        ("MaxBurstLength", "Irrelevant"),
        ("InitialR2T", "Irrelevant"),
        ("DefaultTime2Wait", "3"),
    ]
    offered = dict(side(Side.INITIATOR, discovery=True, initial_r2t=False).offer())
    assert "InitialR2T" not in offered
    assert "MaxRecvDataSegmentLength" in offered


def test_a_discovery_session_agrees_on_error_recovery_level_0_whatever_both_sides_can() -> None:
    """open-iscsi refuses a discovery login whose answer is Irrelevant."""
    target = side(discovery=True, error_recovery_level=2)
    assert target.receive([("ErrorRecoveryLevel", "2")]) == [("ErrorRecoveryLevel", "0")]
    assert target.parameters().error_recovery_level == 0
    offered = dict(side(Side.INITIATOR, discovery=True, error_recovery_level=2).offer())
    assert offered["ErrorRecoveryLevel"] == "0"


def test_session_wide_keys_belong_to_the_first_connection() -> None:
    assert side(leading=False).receive([("MaxBurstLength", "4096")]) == [("MaxBurstLength", "Reject")]
    assert dict(side(Side.INITIATOR, leading=False).offer()).keys() == {
        "HeaderDigest",
        "DataDigest",
        "MaxRecvDataSegmentLength",
    }


def test_an_offer_is_open_until_it_is_answered() -> None:
    initiator = side(Side.INITIATOR, max_burst_length=1 << 20)
    initiator.offer(["MaxBurstLength", "InitialR2T"])

    assert initiator.unanswered == ["MaxBurstLength"], "InitialR2T=Yes decides alone"
    assert initiator.receive([("MaxBurstLength", "524288")]) == []
    assert initiator.unanswered == []
    assert initiator.parameters().max_burst_length == 524288


def test_a_boolean_that_decides_alone_holds_without_an_answer() -> None:
    initiator = side(Side.INITIATOR, immediate_data=False)
    initiator.offer()
    assert "ImmediateData" not in initiator.unanswered
    assert initiator.parameters().immediate_data is False


@pytest.mark.parametrize(
    ("wishes", "key", "answer"),
    [
        ({}, "MaxBurstLength", "262145"),
        ({}, "MaxBurstLength", "511"),
        ({}, "MaxBurstLength", "Yes"),
        ({}, "DefaultTime2Wait", "1"),
        ({}, "InitialR2T", "No"),
        ({"immediate_data": False}, "ImmediateData", "Yes"),
        ({}, "HeaderDigest", "CRC32C"),
        ({"header_digest": ("CRC32C", "None")}, "HeaderDigest", "CRC32C,None"),
        ({}, "MaxBurstLength", "NotUnderstood"),
    ],
)
def test_an_answer_that_cannot_come_of_the_offer_is_refused(wishes: dict[str, Any], key: str, answer: str) -> None:
    initiator = side(Side.INITIATOR, **wishes)
    initiator.offer()
    with pytest.raises(RemoteProtocolError, match=key):
        initiator.receive([(key, answer)])


@pytest.mark.parametrize("answer", ["NotUnderstood", "Reject", "Irrelevant"])
def test_an_older_target_may_not_know_the_younger_keys(answer: str) -> None:
    initiator = side(Side.INITIATOR, task_reporting=("FastAbort", "RFC3720"))
    assert ("TaskReporting", "FastAbort,RFC3720") in initiator.offer()
    initiator.receive([("TaskReporting", answer)])
    assert initiator.parameters().task_reporting == "RFC3720"


def test_younger_keys_are_not_mentioned_without_a_wish() -> None:
    offered = dict(side(Side.INITIATOR).offer())
    assert "TaskReporting" not in offered
    assert "iSCSIProtocolLevel" not in offered


def test_a_key_is_not_negotiated_twice() -> None:
    target = side()
    target.receive([("MaxBurstLength", "4096")])
    with pytest.raises(RemoteProtocolError, match="second time"):
        target.receive([("MaxBurstLength", "8192")])


def test_what_the_peer_left_out_is_offered_where_the_default_is_not_our_wish() -> None:
    target = side(max_burst_length=65536, header_digest=("CRC32C", "None"), default_time2wait=0, initial_r2t=False)
    target.receive([("MaxBurstLength", "262144")])

    assert target.what_defaults_miss() == ["HeaderDigest"]
    assert target.offer(target.what_defaults_miss()) == [("HeaderDigest", "CRC32C,None")]
    assert target.what_defaults_miss() == []


@pytest.mark.parametrize(
    ("name", "offer", "needed"),
    [
        ("ImmediateData", "Yes", True),
        ("ImmediateData", "No", False),
        ("InitialR2T", "No", True),
        ("InitialR2T", "Yes", False),
        ("MaxBurstLength", "4096", True),
        ("MaxRecvDataSegmentLength", "4096", False),
        ("X-com.example.turbo", "1", False),
    ],
)
def test_which_offers_cannot_do_without_an_answer(name: str, offer: str, needed: bool) -> None:
    assert needs_answer(name, offer) is needed


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({"max_burst_length": 511}, "max_burst_length = 511: expected 512 to 16777215"),
        ({"error_recovery_level": 3}, "expected 0 to 2"),
        ({"header_digest": ()}, "expected some of CRC32C, None"),
        ({"data_digest": ("CRC64",)}, "expected some of CRC32C, None"),
        ({"first_burst_length": 262145}, "first_burst_length 262145 > max_burst_length 262144"),
    ],
)
def test_wishes_outside_a_keys_range_are_refused_when_made(wishes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        OperationalKeys(**wishes)
