"""SNACK and what is kept for it: statuses, Data-In, R2Ts and resegmented data again, and what is refused (11.16)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import RESERVED_TAG, RejectReason
from iscsi.pdu import R2T, DataIn, NopOut, Pdu, Reject, ScsiResponse, SnackRequest, TextRequest
from iscsi.sense import INVALID_OPERATION_CODE
from target.config import Limits
from target.snack import SnackType
from tests.support.array import BLOCK, Peer, fill_disk, logged_in, make_group, read_data, sense_of

SMALL = Limits(max_burst_length=2048, first_burst_length=1024, max_recv_data_segment_length=1024)
CONTENT = bytes(range(256)) * 64


def recovering(limits: Limits = SMALL, **login: Any) -> Peer:
    """A session at ErrorRecoveryLevel 1 whose initiator takes 1 KiB at a time; `CONTENT` lies on the disk."""
    group = make_group(limits=limits)
    fill_disk(group, 0, CONTENT)
    peer = logged_in(group, **({"error_recovery_level": 1, "max_recv_data_segment_length": 1024} | login))
    assert peer.params is not None
    assert peer.params.error_recovery_level == 1
    return peer


def snack(kind: SnackType, **fields: Any) -> SnackRequest:
    return SnackRequest(type=kind, **fields)


def reason_of(answers: list[Pdu]) -> RejectReason:
    (answer,) = answers
    assert isinstance(answer, Reject), answer
    return RejectReason(answer.reason)


# -- status ------------------------------------------------------------------------------------------------------------


def test_a_status_again_is_an_exact_replica_with_the_window_of_now() -> None:
    peer = recovering()
    (lost,) = peer.send(peer.command(b"\xff"))
    assert isinstance(lost, ScsiResponse)
    peer.send(peer.command(scsi.test_unit_ready()))
    (again,) = peer.send(snack(SnackType.STATUS, beg_run=lost.stat_sn, run_length=1))
    assert isinstance(again, ScsiResponse)
    assert again == replace(lost, exp_cmd_sn=peer.exp_cmd_sn, max_cmd_sn=peer.max_cmd_sn)
    assert again.exp_cmd_sn != lost.exp_cmd_sn
    sense = sense_of(again)
    assert sense is not None
    assert sense.code == INVALID_OPERATION_CODE.code


def test_a_run_of_statuses_whatever_pdus_carried_them() -> None:
    peer = recovering()
    sent = [
        *peer.send(peer.read_command(0, 1)),
        *peer.send(NopOut(itt=7, cmd_sn=peer.cmd_sn)),
        *peer.send(TextRequest(itt=8, immediate=True, cmd_sn=peer.cmd_sn, data=b"SendTargets=\0")),
        *peer.send(peer.command(scsi.test_unit_ready())),
    ]
    first: Any = sent[0]
    now = {"exp_cmd_sn": peer.exp_cmd_sn, "max_cmd_sn": peer.max_cmd_sn}
    expected = [replace(pdu, **now) for pdu in sent]  # type: ignore[type-var]
    assert peer.send(snack(SnackType.STATUS, beg_run=first.stat_sn, run_length=4)) == expected
    assert peer.send(snack(SnackType.STATUS, beg_run=first.stat_sn, run_length=0)) == expected
    assert peer.send(snack(SnackType.STATUS, beg_run=(first.stat_sn + 1) & 0xFFFFFFFF, run_length=2)) == expected[1:3]


def test_both_zero_means_all_that_is_not_acknowledged() -> None:
    peer = recovering()
    sent = [*peer.send(peer.read_command(0, 1)), *peer.send(peer.command(scsi.test_unit_ready()))]
    acknowledged: Any = sent[0]
    (again,) = peer.send(snack(SnackType.STATUS, exp_stat_sn=acknowledged.stat_sn + 1))
    assert again == replace(sent[1], exp_cmd_sn=peer.exp_cmd_sn, max_cmd_sn=peer.max_cmd_sn)  # type: ignore[type-var]


@pytest.mark.parametrize(("offset", "count"), [(0, 1), (0, 2), (1, 3), (3, 1), (1, 0xFFFFFFFF)])
def test_what_was_acknowledged_or_never_sent_is_a_protocol_error(offset: int, count: int) -> None:
    """Sent: three statuses, the first acknowledged. The session goes on."""
    peer = recovering()
    first, *_ = [answer for _ in range(3) for answer in peer.send(peer.command(scsi.test_unit_ready()))]
    assert isinstance(first, ScsiResponse)
    peer.send(NopOut(ttt=1, exp_stat_sn=first.stat_sn + 1))
    begin = first.stat_sn + offset
    request = snack(SnackType.STATUS, beg_run=begin, run_length=count)
    assert reason_of(peer.send(request)) is RejectReason.PROTOCOL_ERROR
    assert peer.test_unit_ready() is None


# -- data --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "count", "numbers"), [(1, 2, [1, 2]), (3, 0, [3, 4]), (0, 0, [0, 1, 2, 3, 4])])
def test_a_run_of_data_again(first: int, count: int, numbers: list[int]) -> None:
    peer = recovering()
    command = peer.read_command(0, 10)
    sent = peer.send(command)
    assert read_data(sent) == CONTENT[: 10 * BLOCK]
    again = peer.send(snack(SnackType.DATA_OR_R2T, itt=command.itt, beg_run=first, run_length=count))
    assert again == [sent[number] for number in numbers]


def test_each_burst_but_the_last_asks_for_an_acknowledgment() -> None:
    """At most once every MaxBurstLength (11.7.2), and never at level 0."""
    peer = recovering()
    sent = [pdu for pdu in peer.send(peer.read_command(0, 10)) if isinstance(pdu, DataIn)]
    assert [(pdu.final, pdu.acknowledge) for pdu in sent] == [
        (False, False),
        (True, True),
        (False, False),
        (True, True),
        (True, False),
    ]
    assert [pdu.ttt != RESERVED_TAG for pdu in sent] == [pdu.acknowledge for pdu in sent]
    plain = recovering_at_0 = logged_in(make_group(limits=SMALL), max_recv_data_segment_length=1024)
    assert not any(pdu.acknowledge for pdu in plain.send(recovering_at_0.read_command(0, 10)))  # type: ignore[attr-defined]


def test_acknowledged_data_is_let_go() -> None:
    peer = recovering()
    command = peer.read_command(0, 10)
    sent: list[Any] = peer.send(command)
    retained = peer.connection.retained
    assert retained is not None
    before = retained.bytes
    acknowledge = snack(SnackType.DATA_ACK, ttt=sent[1].ttt, lun=sent[1].lun, beg_run=2)
    assert peer.send(acknowledge) == []
    assert before - retained.bytes == 2048
    assert peer.send(snack(SnackType.DATA_OR_R2T, itt=command.itt, beg_run=0, run_length=0)) == sent[2:]
    again = snack(SnackType.DATA_OR_R2T, itt=command.itt, beg_run=1, run_length=2)
    assert reason_of(peer.send(again)) is RejectReason.PROTOCOL_ERROR
    peer.send(NopOut(ttt=1, exp_stat_sn=sent[-1].stat_sn + 1))
    assert retained.bytes == 48, "all but the Reject is acknowledged"


@pytest.mark.parametrize("wrong", [{"ttt": 4711}, {"beg_run": 6}, {"run_length": 1}])
def test_an_acknowledgment_of_what_was_not_sent(wrong: dict[str, int]) -> None:
    peer = recovering()
    sent: list[Any] = peer.send(peer.read_command(0, 10))
    honest = snack(SnackType.DATA_ACK, ttt=sent[1].ttt, beg_run=2)
    assert reason_of(peer.send(replace(honest, **wrong))) is RejectReason.INVALID_DATA_ACK


@pytest.mark.parametrize("run", [{"beg_run": 4, "run_length": 2}, {"beg_run": 9, "run_length": 1}, {"itt": 0x777}])
def test_data_that_was_never_sent(run: dict[str, int]) -> None:
    peer = recovering()
    command = peer.read_command(0, 10)
    peer.send(command)
    request = replace(snack(SnackType.DATA_OR_R2T, itt=command.itt), **run)
    assert reason_of(peer.send(request)) is RejectReason.PROTOCOL_ERROR


def test_r2ts_again() -> None:
    peer = recovering(immediate_data=False, max_outstanding_r2t=1)
    command = peer.write_command(0, 8)
    (r2t,) = peer.send(command)
    assert isinstance(r2t, R2T)
    assert peer.send(snack(SnackType.DATA_OR_R2T, itt=command.itt, beg_run=0, run_length=1)) == [r2t]
    (second,) = peer.answer_r2t(r2t, bytes(8 * BLOCK))
    assert isinstance(second, R2T)
    answered = snack(SnackType.DATA_OR_R2T, itt=command.itt, beg_run=0, run_length=1)
    assert reason_of(peer.send(answered)) is RejectReason.PROTOCOL_ERROR
    (response,) = peer.answer_r2t(second, bytes(8 * BLOCK))
    assert isinstance(response, ScsiResponse)


# -- data in other pieces ----------------------------------------------------------------------------------------------


def test_r_data_cuts_anew_and_ends_with_a_response_that_bears_the_tag() -> None:
    """The initiator has declared that it takes less (13.12), and throws away what it has."""
    peer = recovering()
    command = peer.read_command(0, 5)
    sent: list[Any] = peer.send(command)
    assert len(sent) == 3
    smaller = TextRequest(itt=9, immediate=True, cmd_sn=peer.cmd_sn, data=b"MaxRecvDataSegmentLength=512\0")
    peer.send(smaller)
    plain = snack(SnackType.DATA_OR_R2T, itt=command.itt, beg_run=0, run_length=1)
    assert reason_of(peer.send(plain)) is RejectReason.PROTOCOL_ERROR
    request = snack(SnackType.R_DATA, itt=command.itt, ttt=0x1234)
    *parts, response = peer.send(request)
    assert read_data(parts) == CONTENT[: 5 * BLOCK]
    data_in = [part for part in parts if isinstance(part, DataIn)]
    assert [(part.data_sn, len(part.data)) for part in data_in] == [(number, 512) for number in range(5)]
    assert not any(part.has_status for part in data_in)
    assert isinstance(response, ScsiResponse)
    assert (response.snack_tag, response.stat_sn, response.exp_data_sn) == (0x1234, sent[-1].stat_sn, 5)
    assert peer.send(replace(request, ttt=0x1235))[-1] == replace(response, snack_tag=0x1235)
    (again,) = peer.send(snack(SnackType.STATUS, beg_run=response.stat_sn, run_length=1))[:1]
    assert again == replace(response, snack_tag=0x1235)


def test_r_data_goes_on_behind_what_was_acknowledged() -> None:
    peer = recovering()
    command = peer.read_command(0, 10)
    sent: list[Any] = peer.send(command)
    peer.send(snack(SnackType.DATA_ACK, ttt=sent[1].ttt, beg_run=2))
    *parts, _ = peer.send(snack(SnackType.R_DATA, itt=command.itt, ttt=1))
    assert [(part.data_sn, part.buffer_offset) for part in parts if isinstance(part, DataIn)] == [
        (2, 2048),
        (3, 3072),
        (4, 4096),
    ]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"ttt": 0}, RejectReason.INVALID_PDU_FIELD),
        ({"ttt": RESERVED_TAG}, RejectReason.INVALID_PDU_FIELD),
        ({"beg_run": 1}, RejectReason.INVALID_PDU_FIELD),
        ({"run_length": 1}, RejectReason.INVALID_PDU_FIELD),
        ({"itt": 0x777}, RejectReason.PROTOCOL_ERROR),
        ({"type": 9}, RejectReason.INVALID_PDU_FIELD),
    ],
)
def test_r_data_that_is_refused(wrong: dict[str, int], reason: RejectReason) -> None:
    peer = recovering()
    command = peer.read_command(0, 2)
    peer.send(command)
    assert reason_of(peer.send(replace(snack(SnackType.R_DATA, itt=command.itt, ttt=1), **wrong))) is reason


# -- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(SnackType))
def test_at_level_0_there_is_no_snack(kind: SnackType) -> None:
    peer = logged_in(make_group())
    assert peer.connection.retained is None
    assert reason_of(peer.send(snack(kind))) is RejectReason.SNACK_REJECT


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    peer = recovering(replace(SMALL, retained_bytes=4500))
    old, new = peer.read_command(0, 8), peer.read_command(0, 8)
    peer.send(old)
    sent = peer.send(new)
    retained = peer.connection.retained
    assert retained is not None
    assert retained.bytes <= 4500
    for kind, tag in ((SnackType.DATA_OR_R2T, RESERVED_TAG), (SnackType.R_DATA, 1)):
        assert reason_of(peer.send(snack(kind, itt=old.itt, ttt=tag))) is RejectReason.SNACK_REJECT
    assert len(peer.send(snack(SnackType.DATA_OR_R2T, itt=new.itt))) == len(sent)


def test_an_initiator_that_never_acknowledges_takes_no_more_than_the_bound() -> None:
    peer = recovering()
    for _ in range(5000):
        peer.send(peer.command(scsi.test_unit_ready()))
    retained = peer.connection.retained
    assert retained is not None
    assert len(retained.statuses(0, 0) or ()) <= 4096
