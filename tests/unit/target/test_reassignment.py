"""TASK REASSIGN: what is resumed, from where, and what is refused (RFC 7143 7.2.2, 11.5, 11.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import LogoutReason, ScsiStatus, TmfFunction, TmfResult
from iscsi.pdu import (
    R2T,
    DataIn,
    DataOut,
    LogoutRequest,
    NopOut,
    Pdu,
    ScsiCommand,
    ScsiResponse,
    TmfRequest,
    TmfResponse,
)
from iscsi.sense import COMMANDS_CLEARED_BY_PROTOCOL_EVENT, SNACK_REJECTED
from target.config import Limits
from target.group import Group
from tests.support.array import BLOCK, Peer, disk_bytes, fill_disk, joined, logged_in, make_group, sense_of
from tests.support.by_hand import SlowStore

DATA = bytes(range(256)) * 8
"""Four blocks."""


def leader(group: Group | None = None, **login: Any) -> Peer:
    """The first connection of a session at level 2, whose writes wait for an R2T; its CID is 0."""
    wishes = {"max_connections": 4, "error_recovery_level": 2, "initial_r2t": True, "immediate_data": False}
    return logged_in(group or make_group(), **(wishes | login))


def request(peer: Peer, command: ScsiCommand, **changes: Any) -> TmfRequest:
    arguments: dict[str, Any] = {"immediate": True, "function": TmfFunction.TASK_REASSIGN, "itt": 0x999}
    return TmfRequest(**(arguments | {"cmd_sn": peer.cmd_sn, "referenced_task_tag": command.itt} | changes))


def reassigned(peer: Peer, command: ScsiCommand, **changes: Any) -> list[Pdu]:
    """What follows the response, which says that the function is complete."""
    response, *rest = peer.send(request(peer, command, **changes))
    assert isinstance(response, TmfResponse)
    assert response.response == TmfResult.FUNCTION_COMPLETE
    return rest


def refused(peer: Peer, command: ScsiCommand, **changes: Any) -> TmfResult:
    """Why it is not granted; nothing follows."""
    (response,) = peer.send(request(peer, command, **changes))
    assert isinstance(response, TmfResponse)
    return TmfResult(response.response)


def remove(peer: Peer, cid: int) -> None:
    """Log a connection out for recovery."""
    reason = LogoutReason.REMOVE_FOR_RECOVERY
    peer.send(LogoutRequest(reason=reason, itt=7, cid=cid, immediate=True, cmd_sn=peer.cmd_sn))


def answered_and_lost(peer: Peer, *commands: ScsiCommand) -> None:
    """The array answers; none of it arrives."""
    peer.connection.receive(b"".join(map(peer.bytes_of, commands)), peer.now_ns)
    peer.hang_up()


# -- writes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("explicit", [True, False], ids=["logout on another connection", "reinstatement"])
def test_a_write_goes_on_where_it_stood(explicit: bool) -> None:
    group = make_group()
    first = leader(group)
    second = joined(first, 1, max_recv_data_segment_length=512)
    write = second.write_command(0, 4)
    (old,) = second.send(write)
    assert isinstance(old, R2T)
    half = DataOut(final=False, itt=old.itt, ttt=old.ttt, data=DATA[: 2 * BLOCK])
    assert second.send(half) == []
    second.hang_up()
    if explicit:
        remove(first, 1)
        target = first
    else:
        target = joined(first, 1)
    (r2t,) = reassigned(target, write)
    assert isinstance(r2t, R2T)
    assert r2t.ttt != old.ttt
    assert (r2t.buffer_offset, r2t.desired_length) == (2 * BLOCK, 2 * BLOCK)
    (answer,) = target.answer_r2t(r2t, DATA)
    assert isinstance(answer, ScsiResponse)
    assert (answer.itt, answer.status) == (write.itt, ScsiStatus.GOOD)
    assert disk_bytes(group, 0, len(DATA)) == DATA
    assert target.test_unit_ready() is None, "nothing was terminated"


def test_only_what_is_missing_is_asked_for_again_and_numbered_as_the_initiator_says() -> None:
    group = make_group(limits=Limits(max_burst_length=1024, first_burst_length=512))
    first = leader(group)
    second = joined(first, 1)
    write = second.write_command(0, 4)
    (one,) = second.send(write)
    assert isinstance(one, R2T)
    (two,) = second.answer_r2t(one, DATA)
    assert isinstance(two, R2T)
    assert (two.r2t_sn, two.buffer_offset, two.desired_length) == (1, 1024, 1024)
    second.hang_up()
    remove(first, 1)
    (again,) = reassigned(first, write, exp_data_sn=1)
    assert isinstance(again, R2T)
    assert (again.r2t_sn, again.buffer_offset, again.desired_length) == (1, 1024, 1024)
    (answer,) = first.answer_r2t(again, DATA)
    assert isinstance(answer, ScsiResponse)
    assert disk_bytes(group, 0, len(DATA)) == DATA


def test_a_write_whose_r2t_waited_for_room_asks_at_its_new_connection() -> None:
    """And while it had no connection it took no room from others."""
    group = make_group(limits=Limits(write_buffer_bytes=2048))
    first = leader(group)
    second = joined(first, 1)
    lost = second.write_command(0, 4)
    assert len(second.send(lost)) == 1
    waiting = first.write_command(8, 4)
    assert first.send(waiting) == []
    second.hang_up()
    (r2t,) = first.hear()
    assert isinstance(r2t, R2T)
    remove(first, 1)
    assert reassigned(first, lost) == []
    answer, again = first.answer_r2t(r2t, DATA)
    assert isinstance(answer, ScsiResponse)
    assert isinstance(again, R2T)
    assert again.itt == lost.itt
    assert len(first.answer_r2t(again, DATA)) == 1
    assert disk_bytes(group, 0, len(DATA)) == disk_bytes(group, 8 * BLOCK, len(DATA)) == DATA


def test_writes_without_a_connection_are_bounded() -> None:
    """The oldest is terminated, and the nexus hears of it."""
    first = leader(make_group(limits=Limits(write_buffer_bytes=4096)))
    second = joined(first, 1)
    writes = [second.write_command(8 * number, 4) for number in range(3)]
    second.send(*writes)
    second.hang_up()
    remove(first, 1)
    assert refused(first, writes[0]) is TmfResult.TASK_DOES_NOT_EXIST
    assert len(reassigned(first, writes[1])) == 1
    assert len(reassigned(first, writes[2])) == 1
    assert first.test_unit_ready() == COMMANDS_CLEARED_BY_PROTOCOL_EVENT


# -- tasks that have run -----------------------------------------------------------------------------------------------


def test_a_status_that_was_lost_is_sent_again_and_the_command_does_not_run_twice() -> None:
    group = make_group()
    first = leader(group, immediate_data=True)
    second = joined(first, 1)
    write = second.write_command(0, 1, data=b"a" * BLOCK)
    answered_and_lost(second, write)
    assert disk_bytes(group, 0, BLOCK) == b"a" * BLOCK
    fill_disk(group, 0, b"b" * BLOCK)
    remove(first, 1)
    (answer,) = reassigned(first, write)
    assert isinstance(answer, ScsiResponse)
    assert (answer.itt, answer.status, answer.residual) == (write.itt, ScsiStatus.GOOD, 0)
    assert disk_bytes(group, 0, BLOCK) == b"b" * BLOCK
    assert refused(first, write) is TmfResult.TASK_STILL_ALLEGIANT, "until its new status is acknowledged"


@pytest.mark.parametrize(("acknowledged", "blocks_left"), [(0, 4), (1, 3), (4, 0), (9, 4)])
def test_a_reads_data_goes_out_again_from_exp_data_sn_on_cut_for_the_new_connection(
    acknowledged: int, blocks_left: int
) -> None:
    """A number beyond the last Data-In PDU is ignored (11.5.6)."""
    group = make_group()
    fill_disk(group, 0, DATA)
    first = leader(group)
    second = joined(first, 1, max_recv_data_segment_length=BLOCK)
    read = second.read_command(0, 4)
    answered_and_lost(second, read)
    fill_disk(group, 0, bytes(len(DATA)))  # it must not be read again
    remove(first, 1)
    *data, status = reassigned(first, read, exp_data_sn=acknowledged)
    assert isinstance(status, ScsiResponse)
    assert status.exp_data_sn == (acknowledged if acknowledged < 9 else 0) + len(data)
    assert b"".join(pdu.data for pdu in data) == DATA[len(DATA) - blocks_left * BLOCK :]
    assert len(data) == min(blocks_left, 1), "8 KiB fit into one PDU there"
    for pdu in data:
        assert isinstance(pdu, DataIn)
        assert pdu.buffer_offset == len(DATA) - blocks_left * BLOCK
        assert pdu.data_sn == acknowledged % 9


def test_a_large_read_is_cut_smaller() -> None:
    group = make_group()
    fill_disk(group, 0, DATA * 32)
    first = leader(group, max_recv_data_segment_length=512)
    second = joined(first, 1, max_recv_data_segment_length=65536)
    read = second.read_command(0, 128)
    answered_and_lost(second, read)
    remove(first, 1)
    *data, status = reassigned(first, read)
    assert b"".join(pdu.data for pdu in data) == DATA * 32
    assert [pdu.data_sn for pdu in data if isinstance(pdu, DataIn)] == list(range(128))
    assert isinstance(status, ScsiResponse)
    assert status.exp_data_sn == 128


def test_the_sense_and_the_residual_are_those_of_before() -> None:
    first = leader()
    second = joined(first, 1)
    bad, short = second.command(bytes([0xFF])), second.command(bytes((0x12, 0, 0, 0, 36, 0)), read=True, edtl=100)
    answered_and_lost(second, bad, short)
    remove(first, 1)
    (answer,) = reassigned(first, bad)
    assert sense_of(answer).code == (5, 0x20, 0)  # type: ignore[union-attr]
    data, status = reassigned(first, short)
    assert len(data.data) == 36
    assert isinstance(status, ScsiResponse)
    assert (status.underflow, status.residual) == (True, 64)


def test_what_is_acknowledged_is_over() -> None:
    first = leader()
    second = joined(first, 1)
    read = second.read_command(0, 1)
    second.send(read)
    second.send(NopOut(itt=3, cmd_sn=second.cmd_sn, exp_stat_sn=second.exp_stat_sn or 0))
    second.hang_up()
    remove(first, 1)
    assert refused(first, read) is TmfResult.TASK_DOES_NOT_EXIST


def test_a_read_whose_data_had_to_be_let_go_ends_with_a_check_condition() -> None:
    group = make_group(limits=Limits(retained_bytes=1024))
    first = leader(group)
    second = joined(first, 1)
    read = second.read_command(0, 4)
    answered_and_lost(second, read)
    remove(first, 1)
    (answer,) = reassigned(first, read)
    assert sense_of(answer) == SNACK_REJECTED


def test_a_flush_that_ends_while_there_is_no_connection_is_answered_when_there_is_one() -> None:
    store = SlowStore(16 << 20)
    group = make_group()
    unit = group.volume("iqn.2001-05.com.equallogic:0-8a0906-83bcb3401-16e0002fd0a46f3d-exchange-logs")
    assert unit is not None
    disk = unit.luns.get(0)
    assert disk is not None
    disk.disk.store = store
    first = leader(group)
    for flushed_before_reassignment in (True, False):
        second = joined(first, 1)
        command = second.command(scsi.synchronize_cache())
        assert second.send(command) == []
        second.hang_up()
        if flushed_before_reassignment:
            store.offload.run()
        remove(first, 1)
        answers = reassigned(first, command)
        if not flushed_before_reassignment:
            assert answers == []
            store.offload.run()
            answers = first.hear()
        (answer,) = answers
        assert isinstance(answer, ScsiResponse)
        assert (answer.itt, answer.status) == (command.itt, ScsiStatus.GOOD)


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_task_is_not_taken_from_a_connection_that_was_not_logged_out() -> None:
    """Neither from a living one nor from one that is lost (11.6.1)."""
    first = leader()
    second = joined(first, 1)
    write = second.write_command(0, 1)
    second.send(write)
    assert refused(first, write) is TmfResult.TASK_STILL_ALLEGIANT
    assert refused(second, write) is TmfResult.TASK_STILL_ALLEGIANT
    second.hang_up()
    assert refused(first, write) is TmfResult.TASK_STILL_ALLEGIANT
    remove(first, 1)
    assert len(reassigned(first, write)) == 1


@pytest.mark.parametrize("level", [0, 1])
def test_below_level_2_nothing_is_reassigned_and_a_reinstatement_ends_all_tasks(level: int) -> None:
    first = leader(error_recovery_level=level)
    second = joined(first, 1)
    write = second.write_command(0, 1)
    second.send(write)
    second.hang_up()
    second = joined(first, 1)
    assert refused(second, write) is TmfResult.REASSIGNMENT_NOT_SUPPORTED
    assert second.test_unit_ready() == COMMANDS_CLEARED_BY_PROTOCOL_EVENT


def test_the_request_must_be_immediate() -> None:
    first = leader()
    second = joined(first, 1)
    write = second.write_command(0, 1)
    second.send(write)
    second.hang_up()
    remove(first, 1)
    assert refused(first, write, immediate=False, cmd_sn=first.take_cmd_sn()) is TmfResult.FUNCTION_REJECTED


def test_a_task_that_never_was() -> None:
    first = leader()
    assert refused(first, ScsiCommand(itt=0x1234)) is TmfResult.TASK_DOES_NOT_EXIST


def test_time_runs_out() -> None:
    first = leader()
    second = joined(first, 1)
    write = second.write_command(0, 1)
    second.send(write)
    second.hang_up()
    first.pass_time(20)
    remove(first, 1)
    first.pass_time(21.9)  # the logout began the time anew (11.15.4)
    first.hear()
    later = second.write_command(9, 1)
    assert refused(first, replace(later, itt=0x777)) is TmfResult.TASK_DOES_NOT_EXIST
    first.pass_time(0.1)
    first.hear()
    assert refused(first, write) is TmfResult.TASK_DOES_NOT_EXIST


def test_immediate_commands_are_discarded_with_their_connection() -> None:
    """RFC 7143 7.14, whatever the level."""
    first = leader()
    second = joined(first, 1)
    write = second.write_command(0, 1, immediate=True)
    assert len(second.send(write)) == 1
    second.hang_up()
    remove(first, 1)
    assert refused(first, write) is TmfResult.TASK_DOES_NOT_EXIST
    assert first.test_unit_ready() is None
