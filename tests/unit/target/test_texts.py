"""Text requests in full-feature phase: SendTargets whole and in pieces, and what else may be said (RFC 7143 11.10)."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi.constants import RESERVED_TAG, RejectReason
from iscsi.discovery import TargetAddress, TargetRecord, parse_send_targets
from iscsi.pdu import Pdu, Reject, TextRequest, TextResponse
from iscsi.text import encode_keys
from target.config import AccessRule, ArrayKind
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
    """Why a request was rejected; the connection ends with it."""
    assert isinstance(answer, Reject), answer
    assert isinstance(rejected_header(answer), TextRequest)
    assert peer.connection.closing
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
        ({"itt": RESERVED_TAG}, RejectReason.INVALID_PDU_FIELD),
        ({"data": encode_keys([("SendTargets", "All"), ("SendTargets", "All")])}, RejectReason.PROTOCOL_ERROR),
    ],
    ids=["a tag that is not open", "C and F", "the reserved task tag", "a key twice"],
)
def test_requests_that_break_a_rule_are_rejected(changes: dict[str, Any], reason: RejectReason) -> None:
    peer = discovering(make_group())
    assert reject_of(ask(peer, **({"data": encode_keys([("SendTargets", "All")])} | changes)), peer) is reason


def test_text_that_is_no_text_ends_the_connection() -> None:
    peer = discovering(make_group())
    assert peer.send(TextRequest(itt=9, immediate=True, cmd_sn=peer.cmd_sn, data=b"\xff\xfe=\0")) == []
    assert peer.connection.closing


def test_text_without_end_is_refused_before_it_fills_the_memory() -> None:
    peer = discovering(make_group())
    tag, asked = RESERVED_TAG, 0
    while not peer.connection.closing:
        answers = peer.send(
            TextRequest(itt=9, immediate=True, final=False, cont=True, ttt=tag, cmd_sn=100, data=b"X" * 8192)
        )
        for answer in answers:
            assert isinstance(answer, TextResponse)
            tag = answer.ttt
        asked += 1
        assert asked < 20
    assert peer.connection.why_closed == "text is longer than 65536 bytes"


@pytest.mark.parametrize(
    ("pair", "answer"),
    [
        (("X-com.example.key", "1"), b"X-com.example.key=NotUnderstood\0"),
        (("Colour", "blue"), b"Colour=NotUnderstood\0"),
        (("MaxBurstLength", "4096"), b"MaxBurstLength=Reject\0"),
        (("MaxRecvDataSegmentLength", "512"), b"MaxRecvDataSegmentLength=Reject\0"),
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
