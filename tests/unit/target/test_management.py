"""Task management functions: what is answered, which tasks end, and who is told (RFC 7143 11.5, 11.6)."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import RESERVED_TAG, TmfFunction, TmfResult
from iscsi.lun import encode_lun
from iscsi.pdu import R2T, DataIn, Pdu, ScsiResponse, TmfRequest, TmfResponse
from iscsi.sense import BUS_RESET, COMMANDS_CLEARED_BY_ANOTHER_INITIATOR, DEVICE_RESET, POWER_ON
from target.group import Group
from tests.support.array import BLOCK, OTHER_HOST, PORTALS, Peer, disk_bytes, isid, logged_in, make_group, volume


def writer(group: Group, number: int = 0, **login: Any) -> tuple[Peer, R2T]:
    """A session with a write of block 0 that waits for its data."""
    peer = logged_in(group, isid=isid(number), initial_r2t=True, immediate_data=False, **login)
    (r2t,) = peer.send(peer.write_command(0, 1))
    assert isinstance(r2t, R2T)
    return peer, r2t


def request(peer: Peer, function: int, **changes: Any) -> TmfRequest:
    """An immediate request, as initiators send them."""
    arguments: dict[str, Any] = {"immediate": True, "function": function, "itt": 0x999, "cmd_sn": peer.cmd_sn}
    return TmfRequest(**(arguments | changes))


def result(answers: list[Pdu]) -> TmfResult:
    """The one response."""
    (answer,) = answers
    assert isinstance(answer, TmfResponse), answer
    assert answer.itt == 0x999
    return TmfResult(answer.response)


def is_aborted(peer: Peer, r2t: R2T) -> bool:
    """True when the array takes no notice of the write's data any more."""
    peer.hear()
    return peer.answer_r2t(r2t, b"x" * BLOCK) == []


# -- abort task --------------------------------------------------------------------------------------------------------


def test_abort_task_ends_the_task_without_a_response_and_opens_the_window() -> None:
    group = make_group()
    peer, r2t = writer(group)
    closed_to = peer.max_cmd_sn
    tmf = request(peer, TmfFunction.ABORT_TASK, referenced_task_tag=r2t.itt, ref_cmd_sn=peer.cmd_sn - 1)
    assert result(peer.send(tmf)) is TmfResult.FUNCTION_COMPLETE
    assert is_aborted(peer, r2t)
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    peer.test_unit_ready()
    assert peer.max_cmd_sn == closed_to + 2


def test_abort_task_of_a_task_that_is_done() -> None:
    peer = logged_in(make_group())
    command = peer.read_command(0, 1)
    peer.send(command)
    tmf = request(peer, TmfFunction.ABORT_TASK, referenced_task_tag=command.itt, ref_cmd_sn=command.cmd_sn)
    assert result(peer.send(tmf)) is TmfResult.TASK_DOES_NOT_EXIST


def test_abort_task_of_a_command_that_never_came_counts_it_as_received() -> None:
    """And what waited behind it goes on: its answers follow the response (11.6.1)."""
    peer = logged_in(make_group())
    lost, read, ready = peer.read_command(0, 1), peer.read_command(1, 1), peer.command(scsi.test_unit_ready())
    assert peer.send(read, ready) == []
    tmf = request(peer, TmfFunction.ABORT_TASK, referenced_task_tag=lost.itt, ref_cmd_sn=lost.cmd_sn)
    response, data, status = peer.send(tmf)
    assert result([response]) is TmfResult.FUNCTION_COMPLETE
    assert isinstance(data, DataIn)
    assert isinstance(status, ScsiResponse)
    assert (data.itt, status.itt) == (read.itt, ready.itt)
    assert peer.send(lost) == []
    assert (peer.exp_cmd_sn, peer.max_cmd_sn) == (peer.cmd_sn, peer.cmd_sn + 127)


def test_abort_task_of_a_command_that_waits_for_its_turn() -> None:
    peer = logged_in(make_group())
    missing, waiting = peer.read_command(0, 1), peer.read_command(1, 1)
    assert peer.send(waiting) == []
    tmf = request(peer, TmfFunction.ABORT_TASK, referenced_task_tag=waiting.itt, ref_cmd_sn=waiting.cmd_sn)
    assert result(peer.send(tmf)) is TmfResult.FUNCTION_COMPLETE
    (answer,) = peer.send(missing)
    assert isinstance(answer, DataIn)
    assert answer.itt == missing.itt
    assert peer.test_unit_ready() is None


def test_abort_task_of_a_command_yet_to_be_sent_does_not_use_up_its_number() -> None:
    """RefCmdSN must lie before the request's own CmdSN to count."""
    peer = logged_in(make_group())
    tmf = request(peer, TmfFunction.ABORT_TASK, referenced_task_tag=0x777, ref_cmd_sn=peer.cmd_sn)
    assert result(peer.send(tmf)) is TmfResult.TASK_DOES_NOT_EXIST
    assert len(peer.send(peer.read_command(0, 1))) == 1


# -- task sets and resets ----------------------------------------------------------------------------------------------


def test_abort_task_set_ends_the_tasks_of_this_session_only() -> None:
    group = make_group()
    (one, write_of_one), (two, write_of_two) = writer(group, 1), writer(group, 2)
    assert result(one.send(request(one, TmfFunction.ABORT_TASK_SET))) is TmfResult.FUNCTION_COMPLETE
    assert is_aborted(one, write_of_one)
    assert not is_aborted(two, write_of_two)


def test_clear_task_set_ends_the_tasks_of_all_and_tells_those_that_lost_some() -> None:
    group = make_group()
    (one, write_of_one), (two, write_of_two) = writer(group, 1), writer(group, 2)
    idle = logged_in(group, isid=isid(3))
    assert result(one.send(request(one, TmfFunction.CLEAR_TASK_SET))) is TmfResult.FUNCTION_COMPLETE
    assert is_aborted(one, write_of_one)
    assert is_aborted(two, write_of_two)
    assert one.test_unit_ready() is None
    assert two.test_unit_ready() == COMMANDS_CLEARED_BY_ANOTHER_INITIATOR
    assert idle.test_unit_ready() is None


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (TmfFunction.LOGICAL_UNIT_RESET, DEVICE_RESET),
        (TmfFunction.TARGET_WARM_RESET, BUS_RESET),
        (TmfFunction.TARGET_COLD_RESET, POWER_ON),
    ],
)
def test_a_reset_ends_all_tasks_and_every_other_host_is_told(function: TmfFunction, told: object) -> None:
    group = make_group()
    (one, write_of_one), (two, write_of_two) = writer(group, 1), writer(group, 2, name=OTHER_HOST)
    assert result(one.send(request(one, function))) is TmfResult.FUNCTION_COMPLETE
    cold = function is TmfFunction.TARGET_COLD_RESET
    assert two.abandoned is cold
    assert one.connection.closing is cold
    if cold:
        assert two.hear() == []
        return
    assert is_aborted(one, write_of_one)
    assert is_aborted(two, write_of_two)
    assert two.test_unit_ready() == told


def test_a_reset_of_one_unit_leaves_the_other_alone() -> None:
    group = make_group(luns=2)
    peer, write = writer(group)
    tmf = request(peer, TmfFunction.LOGICAL_UNIT_RESET, lun=encode_lun(1))
    assert result(peer.send(tmf)) is TmfResult.FUNCTION_COMPLETE
    assert not is_aborted(peer, write)


def test_a_reset_does_not_reach_other_targets() -> None:
    other = "iqn.2001-05.com.equallogic:other"
    group = make_group(volume(), volume(other))
    peer, _ = writer(group)
    neighbour = Peer(group, PORTALS[1])
    neighbour.login(other)
    neighbour.ready()
    (waiting,) = neighbour.send(neighbour.write_command(0, 512))
    assert isinstance(waiting, R2T)
    peer.send(request(peer, TmfFunction.TARGET_COLD_RESET))
    assert not neighbour.abandoned


# -- the rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (TmfFunction.CLEAR_ACA, TmfResult.FUNCTION_NOT_SUPPORTED),
        (TmfFunction.TASK_REASSIGN, TmfResult.REASSIGNMENT_NOT_SUPPORTED),
        (TmfFunction.QUERY_TASK, TmfResult.FUNCTION_NOT_SUPPORTED),  # iSCSIProtocolLevel 2 has not been agreed on
        (0x7F, TmfResult.FUNCTION_NOT_SUPPORTED),
    ],
)
def test_functions_that_are_not_there(function: int, answer: TmfResult) -> None:
    peer = logged_in(make_group())
    assert result(peer.send(request(peer, function))) is answer


@pytest.mark.parametrize(
    "function",
    [
        TmfFunction.ABORT_TASK,
        TmfFunction.ABORT_TASK_SET,
        TmfFunction.CLEAR_TASK_SET,
        TmfFunction.LOGICAL_UNIT_RESET,
    ],
)
@pytest.mark.parametrize("lun", [encode_lun(1), 0x0000000100000000])
def test_a_lun_that_is_not_there(function: TmfFunction, lun: int) -> None:
    peer = logged_in(make_group())
    tmf = request(peer, function, lun=lun, referenced_task_tag=RESERVED_TAG)
    assert result(peer.send(tmf)) is TmfResult.LUN_DOES_NOT_EXIST


def test_a_request_that_is_not_immediate_waits_for_the_commands_before_it() -> None:
    peer = logged_in(make_group())
    read = peer.read_command(0, 1)
    tmf = request(peer, TmfFunction.LOGICAL_UNIT_RESET, immediate=False, cmd_sn=peer.take_cmd_sn())
    assert peer.send(tmf) == []
    assert [type(answer) for answer in peer.send(read)] == [DataIn, TmfResponse]
    assert peer.exp_cmd_sn == peer.cmd_sn
