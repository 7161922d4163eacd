"""Task management functions: what is answered, which tasks end, and who is told (RFC 7143 11.5, 11.6)."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import RESERVED_TAG, AsyncEvent, RejectReason, ScsiStatus, TmfFunction, TmfResult
from iscsi.lun import encode_lun
from iscsi.mode import control_page
from iscsi.pdu import R2T, AsyncMessage, DataIn, NopIn, NopOut, Pdu, Reject, ScsiResponse, TmfRequest, TmfResponse
from iscsi.scsi import PersistentOut
from iscsi.sense import (
    BUS_RESET,
    COMMANDS_CLEARED_BY_ANOTHER_INITIATOR,
    DEVICE_RESET,
    NEXUS_LOSS,
    POWER_ON,
    REGISTRATIONS_PREEMPTED,
)
from target.config import Limits
from target.disk import Disk
from target.group import Group
from target.management import MAX_WAITING_FUNCTIONS
from tests.support.array import (
    BLOCK,
    OTHER_HOST,
    PORTALS,
    VOLUME,
    Peer,
    disk_bytes,
    isid,
    logged_in,
    make_group,
    volume,
)


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

DONE = TmfResult.FUNCTION_COMPLETE


def ends(peer: Peer, function: int, *writes: R2T, **changes: Any) -> TmfResult:
    """Send a request of which the peer's own ``writes`` are in the way, and their data; the response comes last."""
    assert peer.send(request(peer, function, **changes)) == []
    for r2t in writes[:-1]:
        assert peer.answer_r2t(r2t, b"x" * BLOCK) == []
    return result(peer.answer_r2t(writes[-1], b"x" * BLOCK))


def test_abort_task_set_ends_the_tasks_of_this_session_only() -> None:
    group = make_group()
    (one, write_of_one), (two, write_of_two) = writer(group, 1), writer(group, 2)
    assert ends(one, TmfFunction.ABORT_TASK_SET, write_of_one) is DONE
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    assert not is_aborted(two, write_of_two)


def test_clear_task_set_ends_the_tasks_of_all_and_tells_those_that_lost_some() -> None:
    group = make_group()
    (one, write_of_one), (two, write_of_two) = writer(group, 1), writer(group, 2)
    idle = logged_in(group, isid=isid(3))
    assert ends(one, TmfFunction.CLEAR_TASK_SET, write_of_one) is DONE
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
    assert ends(one, function, write_of_one) is DONE
    cold = function is TmfFunction.TARGET_COLD_RESET
    assert two.abandoned is cold
    assert one.connection.closing is cold
    if cold:
        assert two.hear() == []
        return
    assert is_aborted(two, write_of_two)
    assert two.test_unit_ready() == told


def tell_the_aborted(group: Group) -> Disk:
    """Set TAS in the control mode page."""
    running = group.volume(VOLUME)
    assert running is not None
    (unit,) = running.luns.units()
    unit.disk.modes.change([control_page(task_aborted_status=True)])
    unit.disk.apply_modes()
    return unit.disk


@pytest.mark.parametrize("function", [TmfFunction.CLEAR_TASK_SET, TmfFunction.LOGICAL_UNIT_RESET])
def test_with_tas_the_tasks_of_others_end_by_task_aborted_and_one_s_own_in_silence(function: TmfFunction) -> None:
    group = make_group()
    (one, write_of_one), (two, write_of_two) = writer(group, 1), writer(group, 2)
    tell_the_aborted(group)
    assert ends(one, function, write_of_one) is DONE
    (answer,) = two.hear()
    assert isinstance(answer, ScsiResponse)
    assert (answer.itt, answer.status) == (write_of_two.itt, ScsiStatus.TASK_ABORTED)
    assert two.answer_r2t(write_of_two, b"x" * BLOCK) == []
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    told = DEVICE_RESET if function is TmfFunction.LOGICAL_UNIT_RESET else None
    assert two.test_unit_ready() == told  # that commands were cleared has been said


def test_with_tas_preempt_and_abort_says_what_it_aborts() -> None:
    group = make_group()
    one, (two, r2t) = logged_in(group, isid=isid(1)), writer(group, 2)
    persistent = tell_the_aborted(group).reservations.persistent
    for peer, key in ((one, 1), (two, 2)):
        assert persistent.register(peer.connection.session.nexus, 0, key, ignore_existing=False)
    cdb = scsi.persistent_reserve_out(PersistentOut.PREEMPT_AND_ABORT)
    data = scsi.persistent_reserve_list(1, 2)
    (done,) = one.send(one.command(cdb, write=True, edtl=24, data=data))
    assert isinstance(done, ScsiResponse)
    assert done.status == ScsiStatus.GOOD
    (answer,) = two.hear()
    assert isinstance(answer, ScsiResponse)
    assert (answer.itt, answer.status) == (r2t.itt, ScsiStatus.TASK_ABORTED)
    assert two.test_unit_ready() == REGISTRATIONS_PREEMPTED


def test_a_host_alone_with_the_unit_is_not_told_of_its_own_reset() -> None:
    peer, r2t = writer(make_group())
    assert ends(peer, TmfFunction.LOGICAL_UNIT_RESET, r2t) is DONE
    assert peer.test_unit_ready() is None


# -- what a function over many tasks waits for -------------------------------------------------------------------------


def test_data_on_its_way_is_waited_for_and_no_more_is_asked_for() -> None:
    """RFC 7143 4.2.3.3: the initiator goes on answering R2Ts, and the response follows the last of the data."""
    group = make_group(limits=Limits(max_burst_length=512, first_burst_length=512))
    peer = logged_in(group, initial_r2t=True, immediate_data=False, max_outstanding_r2t=2)
    first, second = peer.send(peer.write_command(0, 3))
    assert isinstance(first, R2T)
    assert isinstance(second, R2T)
    assert ends(peer, TmfFunction.ABORT_TASK_SET, first, second) is DONE
    assert disk_bytes(group, 0, 3 * BLOCK) == bytes(3 * BLOCK)


def test_data_that_does_not_come_is_waited_for_no_longer_than_all_other_data() -> None:
    """An initiator with FastAbort that was not agreed on, as open-iscsi has it by default."""
    group = make_group(limits=Limits(data_timeout_s=3.0))
    peer, write = writer(group)
    assert peer.send(request(peer, TmfFunction.LOGICAL_UNIT_RESET)) == []
    assert peer.pass_time(2.9) == []
    assert result(peer.pass_time(0.2)) is DONE
    assert is_aborted(peer, write)


def test_with_fast_abort_nothing_is_waited_for() -> None:
    group = make_group()
    peer, write = writer(group, task_reporting=("FastAbort",))
    assert result(peer.send(request(peer, TmfFunction.ABORT_TASK_SET))) is DONE
    assert is_aborted(peer, write)


def test_a_task_that_comes_later_is_not_covered() -> None:
    group = make_group()
    peer, write = writer(group)
    assert peer.send(request(peer, TmfFunction.ABORT_TASK_SET)) == []
    (data,) = peer.send(peer.read_command(0, 1))
    assert isinstance(data, DataIn)
    assert result(peer.answer_r2t(write, b"x" * BLOCK)) is DONE


@pytest.mark.parametrize(
    "function", [TmfFunction.ABORT_TASK_SET, TmfFunction.CLEAR_TASK_SET, TmfFunction.LOGICAL_UNIT_RESET]
)
def test_commands_sent_ahead_that_have_not_arrived_are_waited_for_and_ended(function: TmfFunction) -> None:
    """Held behind a gap or still missing, they are covered all the same (4.2.3.3 b)."""
    group = make_group(luns=2)
    peer = logged_in(group)
    late, held = peer.write_command(0, 1, data=b"x" * BLOCK), peer.write_command(1, 1, data=b"x" * BLOCK)
    elsewhere = peer.read_command(0, 1, lun=encode_lun(1))
    assert peer.send(held, elsewhere, request(peer, function)) == []
    response, *others = peer.send(late)
    answers = [response, *others]
    assert [answer for answer in answers if isinstance(answer, TmfResponse)], answers
    assert not [answer for answer in answers if getattr(answer, "itt", 0) in (late.itt, held.itt)]
    assert [answer for answer in answers if getattr(answer, "itt", 0) == elsewhere.itt], "the other unit's goes on"
    assert disk_bytes(group, 0, 2 * BLOCK) == bytes(2 * BLOCK)
    assert peer.connection.window.in_use == 0


def test_a_gap_may_be_filled_by_something_that_is_no_command() -> None:
    peer = logged_in(make_group())
    number = peer.take_cmd_sn()
    assert peer.send(request(peer, TmfFunction.ABORT_TASK_SET)) == []
    answers = peer.send(NopOut(itt=5, immediate=False, cmd_sn=number))
    assert {type(answer) for answer in answers} == {NopIn, TmfResponse}


def test_functions_that_wait_are_bounded() -> None:
    peer = logged_in(make_group())
    peer.take_cmd_sn()
    for _ in range(MAX_WAITING_FUNCTIONS):
        assert peer.send(request(peer, TmfFunction.ABORT_TASK_SET)) == []
    (answer,) = peer.send(request(peer, TmfFunction.ABORT_TASK_SET))
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.TOO_MANY_IMMEDIATE_COMMANDS


def test_a_command_that_never_comes_has_the_function_rejected() -> None:
    peer = logged_in(make_group(limits=Limits(data_timeout_s=3.0)))
    lost = peer.read_command(0, 1)
    assert peer.send(request(peer, TmfFunction.LOGICAL_UNIT_RESET)) == []
    assert result(peer.pass_time(3.1)) is TmfResult.FUNCTION_REJECTED
    (data,) = peer.send(lost)
    assert isinstance(data, DataIn), "nothing was ended"


@pytest.mark.parametrize("function", [TmfFunction.TARGET_WARM_RESET, TmfFunction.TARGET_COLD_RESET])
def test_a_reset_of_the_target_ends_commands_sent_ahead_unseen(function: TmfFunction) -> None:
    """They count as received (4.2.3.3 b): what comes of them later is a duplicate."""
    group = make_group()
    peer = logged_in(group)
    late, held = peer.write_command(0, 1, data=b"x" * BLOCK), peer.write_command(1, 1, data=b"x" * BLOCK)
    assert peer.send(held) == []
    assert result(peer.send(request(peer, function))) is DONE
    assert peer.send(late) == []
    assert disk_bytes(group, 0, 2 * BLOCK) == bytes(2 * BLOCK)
    if function is TmfFunction.TARGET_WARM_RESET:
        assert peer.exp_cmd_sn == peer.cmd_sn


def test_with_fast_abort_those_who_did_not_ask_are_told_unit_by_unit() -> None:
    """Async event 5, to each connection that lost a task; it is answered with a NOP-Out (4.2.3.4, 11.9.1)."""
    group = make_group(luns=2)
    one = logged_in(group, isid=isid(1))
    two, _ = writer(group, 2, task_reporting=("FastAbort",))
    (other_unit,) = two.send(two.write_command(0, 1, lun=encode_lun(1)))
    assert isinstance(other_unit, R2T)
    old_style, _ = writer(group, 3)
    assert result(one.send(request(one, TmfFunction.TARGET_WARM_RESET))) is DONE
    events = [answer for answer in two.hear() if isinstance(answer, AsyncMessage)]
    assert [(event.event, event.lun) for event in events] == [
        (AsyncEvent.TASK_TERMINATION, encode_lun(0)),
        (AsyncEvent.TASK_TERMINATION, encode_lun(1)),
    ]
    assert two.send(NopOut(itt=RESERVED_TAG, ttt=RESERVED_TAG, cmd_sn=two.cmd_sn)) == []
    assert not [answer for answer in old_style.hear() if isinstance(answer, AsyncMessage)]


# -- questions ---------------------------------------------------------------------------------------------------------


def test_query_task_and_query_task_set() -> None:
    group = make_group(luns=2)
    peer, write = writer(group, iscsi_protocol_level=2)
    for tag, lun, known in ((write.itt, 0, True), (0x777, 0, False)):
        tmf = request(peer, TmfFunction.QUERY_TASK, referenced_task_tag=tag, lun=encode_lun(lun))
        assert result(peer.send(tmf)) is (TmfResult.FUNCTION_SUCCEEDED if known else DONE)
    for lun, some in ((0, True), (1, False)):
        tmf = request(peer, TmfFunction.QUERY_TASK_SET, lun=encode_lun(lun))
        assert result(peer.send(tmf)) is (TmfResult.FUNCTION_SUCCEEDED if some else DONE)


def test_query_asynchronous_event_gives_the_sense_and_whether_there_is_more() -> None:
    group = make_group()
    asker, peer = logged_in(group, isid=isid(1), iscsi_protocol_level=2), logged_in(group, isid=isid(2))
    query = request(asker, TmfFunction.QUERY_ASYNC_EVENT)
    (none,) = asker.send(query)
    assert isinstance(none, TmfResponse)
    assert (none.response, none.information) == (DONE, bytes(3))
    peer.send(request(peer, TmfFunction.LOGICAL_UNIT_RESET))
    (one,) = asker.send(query)
    assert isinstance(one, TmfResponse)
    assert (one.response, one.information) == (TmfResult.FUNCTION_SUCCEEDED, b"\x16\x29\x03")
    assert asker.test_unit_ready() == DEVICE_RESET, "a question takes nothing away"


def test_i_t_nexus_reset_is_a_nexus_loss_and_the_session_goes_on() -> None:
    group = make_group()
    peer, write = writer(group, iscsi_protocol_level=2)
    other, other_write = writer(group, 2)
    assert ends(peer, TmfFunction.I_T_NEXUS_RESET, write) is DONE
    assert not is_aborted(other, other_write)
    assert peer.test_unit_ready() == NEXUS_LOSS
    assert peer.test_unit_ready() is None


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
        (TmfFunction.QUERY_TASK_SET, TmfResult.FUNCTION_NOT_SUPPORTED),
        (TmfFunction.I_T_NEXUS_RESET, TmfResult.FUNCTION_NOT_SUPPORTED),
        (TmfFunction.QUERY_ASYNC_EVENT, TmfResult.FUNCTION_NOT_SUPPORTED),
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
