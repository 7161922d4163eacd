"""SCSI tasks on one connection: how writes get their data, how reads are cut, residuals and the bounds on memory."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import RESERVED_TAG, RejectReason, ScsiStatus
from iscsi.lun import encode_lun
from iscsi.pdu import R2T, DataIn, DataOut, Pdu, Reject, ScsiResponse, TmfRequest
from iscsi.sense import (
    INVALID_OPERATION_CODE,
    LBA_OUT_OF_RANGE,
    LOGICAL_UNIT_NOT_SUPPORTED,
    NOT_ENOUGH_UNSOLICITED_DATA,
    PROTOCOL_CRC_ERROR,
    UNEXPECTED_UNSOLICITED_DATA,
    Sense,
)
from iscsi.transfer import DataOutPlan, data_out_run
from target.config import Limits
from tests.support.array import (
    BLOCK,
    Peer,
    disk_bytes,
    fill_disk,
    isid,
    logged_in,
    make_group,
    read_data,
    rejected_header,
    sense_of,
)

SMALL = Limits(max_burst_length=4096, first_burst_length=2048, max_recv_data_segment_length=1024)
"""Bursts of a few blocks, so that a short write has all of its phases."""


def pattern(length: int, seed: int = 1) -> bytes:
    """Bytes that differ from place to place."""
    return b"".join((seed << 24 | number).to_bytes(4, "big") for number in range(length // 4))


def write(peer: Peer, lba: int, data: bytes) -> tuple[ScsiResponse, list[R2T]]:
    """A whole write the way a careful initiator does it: all that may go unasked, then each R2T."""
    assert peer.params is not None
    plan = DataOutPlan.of(len(data), peer.params)
    command = peer.write_command(lba, len(data) // BLOCK, final=plan.final, data=data[: plan.immediate])
    unsolicited = data_out_run(
        data,
        plan.immediate,
        plan.unsolicited,
        params=peer.params,
        lun=0,
        itt=command.itt,
        ttt=RESERVED_TAG,
        exp_stat_sn=0,
    )
    answers = peer.send(command, *unsolicited)
    asked = []
    while True:
        (answer,) = answers
        if isinstance(answer, ScsiResponse):
            return answer, asked
        assert isinstance(answer, R2T)
        asked.append(answer)
        answers = peer.answer_r2t(answer, data)


# -- writes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initial_r2t", "immediate_data"),
    list(product((True, False), repeat=2)),
    ids=["Yes/Yes", "Yes/No", "No/Yes", "No/No"],
)
@pytest.mark.parametrize("length", [512, 1024, 1536, 2048, 2560, 4096, 4608, 6144, 6656, 10240, 10752])
def test_a_write_asks_for_what_did_not_come_by_itself(initial_r2t: bool, immediate_data: bool, length: int) -> None:
    """Sizes around MaxRecvDataSegmentLength 1024, FirstBurstLength 2048 and MaxBurstLength 4096."""
    group = make_group(limits=SMALL)
    peer = logged_in(group, initial_r2t=initial_r2t, immediate_data=immediate_data)
    response, asked = write(peer, 8, pattern(length))
    assert (response.status, response.residual, response.overflow, response.underflow) == (0, 0, False, False)
    assert disk_bytes(group, 8 * BLOCK, length) == pattern(length)
    by_itself = min(length, 1024 if initial_r2t else 2048) if immediate_data or not initial_r2t else 0
    bursts = [(r2t.buffer_offset, r2t.desired_length) for r2t in asked]
    assert bursts == [(start, min(4096, length - start)) for start in range(by_itself, length, 4096)]
    assert [r2t.r2t_sn for r2t in asked] == list(range(len(asked)))
    assert len({r2t.ttt for r2t in asked} - {RESERVED_TAG}) == len(asked)


def test_writes_take_turns_without_mixing_their_data() -> None:
    group = make_group(limits=SMALL)
    peer = logged_in(group, initial_r2t=True, immediate_data=False)
    data = {lba: pattern(8192, seed=lba + 1) for lba in (0, 16, 32)}
    commands = {peer.next_itt(): lba for lba in data}
    pending = peer.send(*(peer.write_command(lba, 16, itt=itt) for itt, lba in commands.items()))
    done = []
    while pending:
        answer = pending.pop(0)
        if isinstance(answer, R2T):
            pending += peer.answer_r2t(answer, data[commands[answer.itt]])
        else:
            assert isinstance(answer, ScsiResponse)
            done.append(answer.itt)
    assert done == list(commands)
    for lba, written in data.items():
        assert disk_bytes(group, lba * BLOCK, 8192) == written


def test_a_write_that_will_be_refused_is_not_asked_for_more_than_it_brings() -> None:
    """A CDB for more than the disk takes in one command: the R2T would cost 16 MiB for nothing."""
    peer = logged_in(make_group(), immediate_data=False)
    (answer,) = peer.send(peer.command(scsi.write(0, 32768, width=10), write=True, edtl=16 << 20))
    assert isinstance(answer, ScsiResponse)
    assert answer.status == ScsiStatus.CHECK_CONDITION


def test_a_write_past_the_end_fails_after_its_data() -> None:
    group = make_group()
    peer = logged_in(group)
    (answer,) = peer.send(peer.write_command((16 << 20) // BLOCK, 1, data=b"x" * BLOCK))
    sense = sense_of(answer)
    assert sense is not None
    assert sense.code == LBA_OUT_OF_RANGE.code


@pytest.mark.parametrize(
    ("login", "command", "condition"),
    [
        ({"immediate_data": False}, {"data": b"x" * 512}, UNEXPECTED_UNSOLICITED_DATA),
        ({"initial_r2t": False}, {"data": b"x" * 3072, "edtl": 3072}, NOT_ENOUGH_UNSOLICITED_DATA),
        ({}, {"data": b"x" * 1024}, NOT_ENOUGH_UNSOLICITED_DATA),  # above the expected length
    ],
)
def test_immediate_data_that_was_not_agreed_on_fails_its_command(
    login: dict[str, Any], command: dict[str, Any], condition: Sense
) -> None:
    group = make_group(limits=replace(SMALL, max_recv_data_segment_length=8192))
    peer = logged_in(group, **login)
    (answer,) = peer.send(peer.write_command(0, 1, **command))
    assert sense_of(answer) == condition
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    assert peer.test_unit_ready() is None


@pytest.mark.parametrize(
    ("data_out", "condition"),
    [
        ({"ttt": RESERVED_TAG}, UNEXPECTED_UNSOLICITED_DATA),
        ({"buffer_offset": 4}, NOT_ENOUGH_UNSOLICITED_DATA),
        ({"data": b"x" * 516}, NOT_ENOUGH_UNSOLICITED_DATA),
        ({"data": b"x" * 508}, NOT_ENOUGH_UNSOLICITED_DATA),
        ({"data_sn": 1}, PROTOCOL_CRC_ERROR),
        ({"data_sn": 0xFFFFFFFF}, PROTOCOL_CRC_ERROR),
        ({"final": False}, NOT_ENOUGH_UNSOLICITED_DATA),
    ],
)
def test_data_that_was_not_asked_for_so_fails_its_command_once_all_of_it_has_come(
    data_out: dict[str, Any], condition: Sense
) -> None:
    group = make_group(limits=replace(SMALL, max_recv_data_segment_length=8192))
    peer = logged_in(group, immediate_data=False)
    (r2t,) = peer.send(peer.write_command(0, 1))
    assert isinstance(r2t, R2T)
    honest = DataOut(final=True, itt=r2t.itt, ttt=r2t.ttt, data=b"x" * 512)
    wrong = replace(honest, **data_out)
    answers = peer.send(wrong)
    if not wrong.final or wrong.ttt != r2t.ttt:
        assert answers == [], "the F bit of what was asked for is still to come"
        answers = peer.send(replace(honest, data_sn=1))
    (answer,) = answers
    assert sense_of(answer) == condition
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    assert peer.test_unit_ready() is None


def test_data_announced_where_none_may_be_is_waited_for_and_refused() -> None:
    peer = logged_in(make_group(), initial_r2t=True)
    command = peer.write_command(0, 2, final=False, data=b"x" * BLOCK)
    assert peer.send(command) == []
    assert peer.send(DataOut(final=False, itt=command.itt, buffer_offset=512, data=b"x" * 4)) == []
    (answer,) = peer.send(DataOut(itt=command.itt, data_sn=1, buffer_offset=516, data=b"x" * 4))
    assert sense_of(answer) == UNEXPECTED_UNSOLICITED_DATA


def test_the_end_of_wrong_data_is_not_waited_for_for_ever() -> None:
    peer = logged_in(make_group(limits=Limits(data_timeout_s=3.0)), initial_r2t=True)
    command = peer.write_command(0, 1, final=False, data=b"x" * BLOCK)
    assert peer.send(command) == []
    assert peer.pass_time(2.9) == []
    (answer,) = peer.pass_time(0.2)
    assert sense_of(answer) == UNEXPECTED_UNSOLICITED_DATA
    assert peer.connection.window.in_use == 0


def test_data_for_a_tag_that_is_not_open_is_rejected_and_the_task_goes_on() -> None:
    peer = logged_in(make_group(), immediate_data=False)
    (r2t,) = peer.send(peer.write_command(0, 1))
    assert isinstance(r2t, R2T)
    stray = DataOut(itt=r2t.itt, ttt=4711, data=b"x" * BLOCK)
    (answer,) = peer.send(stray)
    assert isinstance(answer, Reject)
    assert (answer.reason, rejected_header(answer)) == (RejectReason.INVALID_PDU_FIELD, replace(stray, data=b""))
    (response,) = peer.answer_r2t(r2t, b"x" * BLOCK)
    assert isinstance(response, ScsiResponse)
    assert response.status == ScsiStatus.GOOD


def test_data_for_a_task_that_is_gone_is_dropped() -> None:
    peer = logged_in(make_group())
    assert peer.send(DataOut(itt=4711, ttt=1, data=b"x" * 512)) == []
    assert peer.test_unit_ready() is None


def test_a_task_tag_in_use_is_rejected_and_the_first_task_goes_on() -> None:
    peer = logged_in(make_group(), immediate_data=False)
    command = peer.write_command(0, 1)
    (r2t,) = peer.send(command)
    again = peer.write_command(1, 1, itt=command.itt)
    (answer,) = peer.send(again)
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.TASK_IN_PROGRESS
    assert rejected_header(answer) == again
    assert isinstance(r2t, R2T)
    (response,) = peer.answer_r2t(r2t, b"x" * BLOCK)
    assert isinstance(response, ScsiResponse)
    assert response.max_cmd_sn == (peer.cmd_sn + 127) & 0xFFFFFFFF  # both have left the window


def test_a_command_without_the_w_bit_brings_no_data() -> None:
    peer = logged_in(make_group())
    (answer,) = peer.send(peer.command(scsi.test_unit_ready(), data=b"data"))
    assert sense_of(answer) == UNEXPECTED_UNSOLICITED_DATA
    assert peer.test_unit_ready() is None


def test_a_command_with_neither_w_nor_f_is_a_format_error() -> None:
    """11.3.1; a format error ends the session (7.7)."""
    peer = logged_in(make_group())
    (answer,) = peer.send(peer.command(scsi.test_unit_ready(), final=False))
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.INVALID_PDU_FIELD
    assert peer.connection.closing


# -- reads -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 2, 3, 8, 9, 16, 33])
def test_a_read_is_cut_into_segments_and_bursts_with_the_status_in_the_last(blocks: int) -> None:
    """The initiator takes 1024 bytes at a time, a burst has 4096."""
    group = make_group(limits=SMALL)
    fill_disk(group, 0, pattern(blocks * BLOCK))
    peer = logged_in(group, max_recv_data_segment_length=1024)
    answers = peer.send(peer.read_command(0, blocks))
    assert read_data(answers) == pattern(blocks * BLOCK)
    parts = [answer for answer in answers if isinstance(answer, DataIn)]
    assert len(parts) == len(answers)
    assert all(len(part.data) <= 1024 for part in parts)
    assert [part.data_sn for part in parts] == list(range(len(parts)))
    assert [part.has_status for part in parts] == [False] * (len(parts) - 1) + [True]
    ends = [part.buffer_offset + len(part.data) for part in parts if part.final]
    assert ends == sorted({*range(4096, blocks * BLOCK, 4096), blocks * BLOCK})


def test_a_command_that_fails_has_its_sense_in_a_response() -> None:
    peer = logged_in(make_group())
    (answer,) = peer.send(peer.command(b"\xff"))
    assert isinstance(answer, ScsiResponse)
    assert (answer.status, int.from_bytes(answer.data[:2], "big")) == (ScsiStatus.CHECK_CONDITION, len(answer.data) - 2)
    sense = sense_of(answer)
    assert sense is not None
    assert sense.code == INVALID_OPERATION_CODE.code


@pytest.mark.parametrize("lun", [encode_lun(1), encode_lun(300), 0x0001000200000000], ids=hex)
def test_a_lun_that_is_not_there(lun: int) -> None:
    peer = logged_in(make_group())
    (answer,) = peer.send(peer.read_command(0, 1, lun=lun))
    sense = sense_of(answer)
    assert sense is not None
    assert sense.code == LOGICAL_UNIT_NOT_SUPPORTED.code


# -- residuals ---------------------------------------------------------------------------------------------------------


def residual_of(answers: list[Pdu]) -> tuple[str, int]:
    """What the last PDU says about the difference between expected and actual length."""
    last: Any = answers[-1]
    assert isinstance(last, DataIn | ScsiResponse)
    return ("over" if last.overflow else "under" if last.underflow else "", last.residual)


@pytest.mark.parametrize(
    ("edtl", "residual", "received"),
    [(1024, ("", 0), 1024), (2048, ("under", 1024), 1024), (512, ("over", 512), 512), (0, ("over", 1024), 0)],
)
def test_residuals_of_a_read_of_two_blocks(edtl: int, residual: tuple[str, int], received: int) -> None:
    peer = logged_in(make_group())
    answers = peer.send(peer.read_command(0, 2, edtl=edtl))
    assert residual_of(answers) == residual
    assert len(read_data(answers)) == received


@pytest.mark.parametrize(("edtl", "residual"), [(1024, ("", 0)), (2048, ("under", 1024))])
def test_residuals_of_a_write_of_two_blocks(edtl: int, residual: tuple[str, int]) -> None:
    """The array asks for no more than the CDB can use."""
    group = make_group()
    peer = logged_in(group, immediate_data=False)
    (r2t,) = peer.send(peer.write_command(0, 2, edtl=edtl))
    assert isinstance(r2t, R2T)
    assert r2t.desired_length == 1024
    answers = peer.answer_r2t(r2t, pattern(edtl))
    assert residual_of(answers) == residual
    assert disk_bytes(group, 0, 2048) == pattern(1024) + bytes(1024)


def test_a_write_of_more_than_a_residual_can_count_is_refused() -> None:
    peer = logged_in(make_group())
    (answer,) = peer.send(peer.command(scsi.write(0, 0xFFFFFFFF, width=16), write=True, edtl=0))
    assert sense_of(answer) is not None
    assert residual_of([answer]) == ("over", 0xFFFFFFFF)


def test_a_write_that_brings_less_than_its_cdb_names_overflows() -> None:
    group = make_group()
    fill_disk(group, 0, b"o" * 1024)
    peer = logged_in(group)
    answers = peer.send(peer.write_command(0, 2, edtl=512, data=b"n" * 512))
    assert residual_of(answers) == ("over", 512)
    assert disk_bytes(group, 512, 512) == b"o" * 512


def test_a_read_that_fails_leaves_everything_over() -> None:
    peer = logged_in(make_group())
    answers = peer.send(peer.read_command((16 << 20) // BLOCK, 2))
    assert residual_of(answers) == ("under", 1024)


def test_inquiry_with_a_large_buffer_underflows() -> None:
    """The commonest residual there is: 255 bytes allowed, fewer returned."""
    peer = logged_in(make_group())
    answers = peer.send(peer.command(scsi.inquiry(255), read=True, edtl=255))
    length = len(read_data(answers))
    assert 36 <= length < 255
    assert residual_of(answers) == ("under", 255 - length)


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_immediate_commands_are_bounded() -> None:
    peer = logged_in(make_group(limits=Limits(command_window=4)), immediate_data=False)
    answers = [peer.send(peer.write_command(0, 1, immediate=True))[0] for _ in range(13)]
    assert [type(answer).__name__ for answer in answers] == ["R2T"] * 12 + ["Reject"]
    assert answers[-1].reason == RejectReason.TOO_MANY_IMMEDIATE_COMMANDS  # type: ignore[attr-defined]
    assert not peer.connection.closing


def test_writes_share_a_bounded_buffer_and_the_oldest_is_served_first() -> None:
    """Three writes of 8 KiB where 16 KiB may be on their way: the third is asked for when the first is done."""
    group = make_group(limits=Limits(write_buffer_bytes=16 << 10))
    peer = logged_in(group, immediate_data=False)
    first, second = peer.send(*(peer.write_command(lba, 16) for lba in (0, 16, 32)))
    assert isinstance(first, R2T)
    assert isinstance(second, R2T)
    response, third = peer.answer_r2t(first, pattern(8192))
    assert isinstance(response, ScsiResponse)
    assert isinstance(third, R2T)
    assert len(peer.answer_r2t(third, pattern(8192))) == 1
    assert len(peer.answer_r2t(second, pattern(8192))) == 1
    assert disk_bytes(group, 0, 3 * 8192) == pattern(8192) * 3


def test_one_write_is_served_however_small_the_buffer() -> None:
    group = make_group(limits=Limits(write_buffer_bytes=1))
    peer = logged_in(group, immediate_data=False)
    (r2t,) = peer.send(peer.write_command(0, 16), peer.write_command(16, 16))
    assert isinstance(r2t, R2T)
    response, other = peer.answer_r2t(r2t, pattern(8192))
    assert isinstance(response, ScsiResponse)
    assert isinstance(other, R2T)
    assert len(peer.answer_r2t(other, pattern(8192))) == 1


def test_a_write_that_waits_for_room_is_asked_when_another_connection_makes_it() -> None:
    """CLEAR TASK SET from elsewhere ends the write that filled the buffer; the next one is on another LUN."""
    group = make_group(limits=Limits(write_buffer_bytes=1), luns=2)
    peer = logged_in(group, immediate_data=False)
    peer.send(peer.command(scsi.test_unit_ready(), lun=encode_lun(1)))
    woken: list[bool] = []
    peer.connection.on_output = lambda: woken.append(True)
    assert len(peer.send(peer.write_command(0, 16), peer.write_command(0, 16, lun=encode_lun(1)))) == 1
    other = logged_in(group, isid=isid(2))
    other.send(TmfRequest(immediate=True, function=4, itt=9, cmd_sn=other.cmd_sn))
    assert woken == [True]
    (r2t,) = peer.hear()
    assert isinstance(r2t, R2T)
    assert r2t.lun == encode_lun(1)
