"""Text requests in full-feature phase: SendTargets whole and in pieces, and what else may be said (RFC 7143 11.10)."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi.constants import RESERVED_TAG, AsyncEvent, RejectReason
from iscsi.discovery import TargetAddress, TargetRecord, parse_send_targets
from iscsi.lun import encode_lun
from iscsi.pdu import AsyncMessage, Pdu, Reject, ScsiResponse, TextRequest, TextResponse
from iscsi.sense import CAPACITY_CHANGED, Sense
from iscsi.text import encode_keys
from target.async_events import report_scsi_event, request_negotiation
from target.config import AccessRule, ArrayKind, Limits
from tests.support.array import (
    GROUP_ADDRESS,
    HOST,
    OTHER_HOST,
    PORTALS,
    VOLUME,
    Peer,
    discovering,
    logged_in,
    make_group,
    rejected_header,
    volume,
)


def ask(peer: Peer, *pairs: tuple[str, str], **changes: Any) -> Pdu:
    """One text request with these pairs; the answer."""
    arguments: dict[str, Any] = {"itt": 9, "immediate": True, "cmd_sn": peer.cmd_sn, "data": encode_keys(pairs)}
    (answer,) = peer.send(TextRequest(**(arguments | changes)))
    return answer


def answered(answer: Pdu) -> bytes:
    """The text of an answer that is complete."""
    assert isinstance(answer, TextResponse), answer
    assert (answer.final, answer.cont, answer.ttt, answer.itt) == (True, False, RESERVED_TAG, 9)
    return answer.data


def reject_of(answer: Pdu, peer: Peer) -> RejectReason:
    """Why a request was rejected; its negotiation is over, the session goes on."""
    assert isinstance(answer, Reject), answer
    assert isinstance(rejected_header(answer), TextRequest)
    assert answered(ask(peer, ("Colour", "blue"))) == b"Colour=NotUnderstood\0"
    return RejectReason(answer.reason)


def test_send_targets_gives_the_group_address_with_its_portal_group_tag() -> None:
    peer = discovering(make_group())
    text = answered(ask(peer, ("SendTargets", "All")))
    assert text == encode_keys([("TargetName", VOLUME), ("TargetAddress", "192.168.51.1:3260,1")])


def test_discovery_at_a_portal_gives_the_group_address_too() -> None:
    peer = discovering(make_group(), PORTALS[1])
    assert b"192.168.51.1:3260,1\0" in answered(ask(peer, ("SendTargets", "All")))


def test_a_listed_array_gives_every_portal() -> None:
    peer = discovering(make_group(kind=ArrayKind.LISTED), PORTALS[0])
    (record,) = parse_send_targets(answered(ask(peer, ("SendTargets", "All"))))
    assert record == TargetRecord(VOLUME, tuple(TargetAddress(portal, 3260, 1) for portal in PORTALS))


def test_what_an_initiator_may_not_use_it_does_not_see_by_name_either() -> None:
    group = make_group(volume(access=(AccessRule(initiator=HOST),)))
    peer = discovering(group, name=OTHER_HOST)
    assert answered(ask(peer, ("SendTargets", "All"))) == b""
    assert answered(ask(peer, ("SendTargets", VOLUME))) == b""
    assert answered(ask(discovering(group), ("SendTargets", VOLUME))) != b""


def test_a_normal_session_asks_for_one_target_or_its_own_but_not_for_all() -> None:
    other = "iqn.2001-05.com.equallogic:other"
    peer = logged_in(make_group(volume(), volume(other)))
    own = parse_send_targets(answered(ask(peer, ("SendTargets", ""))))
    assert [record.name for record in own] == [VOLUME]
    assert [record.name for record in parse_send_targets(answered(ask(peer, ("SendTargets", other))))] == [other]
    assert answered(ask(peer, ("SendTargets", "All"))) == b"SendTargets=Reject\0"


def test_an_empty_value_means_nothing_in_discovery() -> None:
    assert answered(ask(discovering(make_group()), ("SendTargets", ""))) == b"SendTargets=Reject\0"


def test_a_long_answer_comes_in_pieces() -> None:
    """Each piece but the last has F=0, C=1 and a tag, and is asked for with an empty request that bears the tag."""
    names = [f"iqn.2001-05.com.equallogic:0-8a0906-{number:060}" for number in range(20)]
    peer = discovering(make_group(*map(volume, names)), max_recv_data_segment_length=512)
    pieces, tag = [], RESERVED_TAG
    request = encode_keys([("SendTargets", "All")])
    for _ in range(100):
        answer = ask(peer, ttt=tag, data=request)
        assert isinstance(answer, TextResponse)
        assert len(answer.data) <= 512
        assert answer.final is (answer.ttt == RESERVED_TAG)
        assert answer.cont is not answer.final
        pieces.append(answer.data)
        tag, request = answer.ttt, b""
        if answer.final:
            break
    assert len(pieces) > 4
    records = parse_send_targets(b"".join(pieces))
    assert [record.name for record in records] == names
    assert all(record.addresses == (TargetAddress(GROUP_ADDRESS, 3260, 1),) for record in records)


def test_a_request_may_come_in_pieces_too() -> None:
    peer = discovering(make_group())
    first = ask(peer, data=b"SendTar", cont=True, final=False)
    assert isinstance(first, TextResponse)
    assert (first.final, first.data) == (False, b"")
    assert first.ttt != RESERVED_TAG
    assert b"TargetName=" in answered(ask(peer, data=b"gets=All\0", ttt=first.ttt))


def test_the_answer_is_not_final_before_the_request_is() -> None:
    peer = discovering(make_group())
    answer = ask(peer, ("SendTargets", "All"), final=False)
    assert isinstance(answer, TextResponse)
    assert (answer.final, answer.cont) == (False, False)
    assert b"TargetName=" in answer.data
    assert answered(ask(peer, ttt=answer.ttt)) == b""


def test_a_new_request_ends_the_one_that_was_left_open() -> None:
    names = [f"iqn.2001-05.com.equallogic:{number:0100}" for number in range(8)]
    peer = discovering(make_group(*map(volume, names)), max_recv_data_segment_length=512)
    first = ask(peer, ("SendTargets", "All"))
    assert isinstance(first, TextResponse)
    assert not first.final
    text = answered(ask(peer, ("SendTargets", names[7])))
    assert [record.name for record in parse_send_targets(text)] == [names[7]]
    assert reject_of(ask(peer, ttt=first.ttt, data=b""), peer) is RejectReason.INVALID_PDU_FIELD


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ttt": 77}, RejectReason.INVALID_PDU_FIELD),
        ({"cont": True, "final": True}, RejectReason.PROTOCOL_ERROR),
        ({"data": encode_keys([("SendTargets", "All"), ("SendTargets", "All")])}, RejectReason.PROTOCOL_ERROR),
        ({"data": b"\xff\xfe=\0"}, RejectReason.PROTOCOL_ERROR),
        ({"data": b"MaxRecvDataSegmentLength=NotUnderstood\0"}, RejectReason.PROTOCOL_ERROR),
    ],
    ids=["a tag that is not open", "C and F", "a key twice", "no text", "an answer to nothing"],
)
def test_requests_that_break_a_rule_are_rejected(changes: dict[str, Any], reason: RejectReason) -> None:
    peer = discovering(make_group())
    assert reject_of(ask(peer, **({"data": encode_keys([("SendTargets", "All")])} | changes)), peer) is reason


def test_the_reserved_task_tag_is_a_format_error() -> None:
    peer = discovering(make_group())
    answer = ask(peer, ("SendTargets", "All"), itt=RESERVED_TAG)
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.INVALID_PDU_FIELD
    assert peer.connection.closing


def test_another_task_tag_does_not_go_on_with_a_negotiation() -> None:
    peer = discovering(make_group())
    first = ask(peer, data=b"SendTar", cont=True, final=False)
    assert isinstance(first, TextResponse)
    answer = ask(peer, data=b"gets=All\0", ttt=first.ttt, itt=10)
    assert reject_of(answer, peer) is RejectReason.INVALID_PDU_FIELD


def test_text_without_end_is_refused_before_it_fills_the_memory() -> None:
    peer = discovering(make_group())
    tag, asked = RESERVED_TAG, 0
    while True:
        (answer,) = peer.send(
            TextRequest(itt=9, immediate=True, final=False, cont=True, ttt=tag, cmd_sn=100, data=b"X" * 8192)
        )
        if isinstance(answer, Reject):
            break
        assert isinstance(answer, TextResponse)
        tag = answer.ttt
        asked += 1
        assert asked < 20
    assert asked == 65536 // 8192
    assert reject_of(answer, peer) is RejectReason.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("pair", "answer"),
    [
        (("X-com.example.key", "1"), b"X-com.example.key=NotUnderstood\0"),
        (("Colour", "blue"), b"Colour=NotUnderstood\0"),
        (("MaxBurstLength", "4096"), b"MaxBurstLength=Reject\0"),
        (("MaxRecvDataSegmentLength", "512"), b""),
        (("MaxRecvDataSegmentLength", "511"), b"MaxRecvDataSegmentLength=Reject\0"),
        (("MaxRecvDataSegmentLength", "lots"), b"MaxRecvDataSegmentLength=Reject\0"),
        (("HeaderDigest", "CRC32C"), b"HeaderDigest=Reject\0"),
        (("InitiatorName", HOST), b"InitiatorName=Reject\0"),
        (("SessionType", "Normal"), b"SessionType=Reject\0"),
        (("TargetAlias", "mine"), b"TargetAlias=Reject\0"),
        (("IFMarker", "No"), b"IFMarker=Reject\0"),
        (("InitiatorAlias", "exchange server"), b""),
    ],
)
def test_other_keys(pair: tuple[str, str], answer: bytes) -> None:
    """Unknown keys are NotUnderstood, what only a login may settle is rejected, a declaration needs no answer."""
    assert answered(ask(logged_in(make_group()), pair)) == answer


def test_a_text_request_in_turn_advances_cmd_sn_and_opens_the_window_again() -> None:
    peer = discovering(make_group())
    answer = ask(peer, ("SendTargets", "All"), immediate=False)
    assert isinstance(answer, TextResponse)
    assert (answer.exp_cmd_sn, answer.max_cmd_sn) == (101, 228)
    again = ask(peer, ("SendTargets", "All"), cmd_sn=101)  # immediate: bears the next CmdSN and does not use it up
    assert isinstance(again, TextResponse)
    assert (again.exp_cmd_sn, again.max_cmd_sn) == (101, 228)


# -- MaxRecvDataSegmentLength anew -------------------------------------------------------------------------------------


def lengths(answers: list[Pdu]) -> list[int]:
    return [len(answer.data) for answer in answers]


def test_a_length_declared_anew_holds_from_the_end_of_the_negotiation_on() -> None:
    peer = logged_in(make_group(), max_recv_data_segment_length=4096)
    assert lengths(peer.send(peer.read_command(0, 8))) == [4096]
    first = ask(peer, ("MaxRecvDataSegmentLength", "1024"), final=False)
    assert isinstance(first, TextResponse)
    assert lengths(peer.send(peer.read_command(0, 8))) == [4096]
    assert answered(ask(peer, ttt=first.ttt)) == b""
    assert lengths(peer.send(peer.read_command(0, 8))) == [1024] * 4
    ask(peer, ("MaxRecvDataSegmentLength", "8192"))
    assert lengths(peer.send(peer.read_command(0, 8))) == [4096]


def test_of_a_negotiation_that_failed_nothing_counts() -> None:
    """RFC 7143 7.12: the parameters stay what an earlier one agreed on."""
    peer = logged_in(make_group(), max_recv_data_segment_length=4096)
    first = ask(peer, ("MaxRecvDataSegmentLength", "1024"), final=False)
    assert isinstance(first, TextResponse)
    refused = ask(peer, ("X-key", "1"), ttt=first.ttt, final=True, cont=True)
    assert reject_of(refused, peer) is RejectReason.PROTOCOL_ERROR
    assert lengths(peer.send(peer.read_command(0, 8))) == [4096]


def test_the_array_asks_for_a_negotiation_to_declare_its_own_length() -> None:
    """Async event 4: the initiator sends a text, an empty one will do, and the answer has the new length (11.9.1)."""
    peer = logged_in(make_group(limits=Limits(max_recv_data_segment_length=4096, first_burst_length=65536)))
    request_negotiation(peer.connection, 30, 65536)
    (message,) = peer.hear()
    assert isinstance(message, AsyncMessage)
    assert (message.event, message.param3, message.itt) == (AsyncEvent.NEGOTIATION_REQUEST, 30, RESERVED_TAG)
    assert answered(ask(peer)) == b"MaxRecvDataSegmentLength=65536\0"
    (response,) = peer.send(peer.write_command(0, 128, data=bytes(65536)))
    assert isinstance(response, ScsiResponse)
    assert response.status == 0
    assert answered(ask(peer)) == b"", "once is enough"


def test_what_is_on_its_way_at_the_old_length_is_still_taken() -> None:
    peer = logged_in(make_group(limits=Limits(max_recv_data_segment_length=4096)))
    request_negotiation(peer.connection, 30, 512)
    peer.hear()
    ask(peer)
    (response,) = peer.send(peer.write_command(0, 8, data=bytes(4096)))
    assert isinstance(response, ScsiResponse)


def test_a_discovery_session_is_asked_for_nothing() -> None:
    peer = discovering(make_group())
    request_negotiation(peer.connection, 30, 512)
    report_scsi_event(peer.connection, 0, CAPACITY_CHANGED)
    assert peer.hear() == []


def test_a_scsi_event_has_its_lun_and_sense() -> None:
    """Async event 0 (11.9.1, 11.9.4); the array sends none by itself."""
    peer = logged_in(make_group(luns=2))
    report_scsi_event(peer.connection, 1, CAPACITY_CHANGED)
    (message,) = peer.hear()
    assert isinstance(message, AsyncMessage)
    assert (message.event, message.lun) == (AsyncEvent.SCSI, encode_lun(1))
    assert int.from_bytes(message.data[:2], "big") == len(message.data) - 2
    assert Sense.decode(message.data[2:]) == CAPACITY_CHANGED
