"""Commands the array has taken in and not executed: who can end them, and what happens to those that nobody ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from iscsi import scsi
from iscsi.constants import LoginStatus, LogoutReason, ScsiStatus, TmfFunction, TmfResult
from iscsi.login_initiator import LoginFailed
from iscsi.pdu import (
    R2T,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    ScsiCommand,
    ScsiResponse,
    TmfRequest,
    TmfResponse,
)
from iscsi.scsi import PersistentOut, PersistentType
from iscsi.sense import COMMANDS_CLEARED_BY_PROTOCOL_EVENT, MEDIUM_WRITE_ERROR
from target.config import Limits, LostTasks
from target.faults import ArrayFault, FaultError, FaultName
from target.group import Group
from tests.support.array import (
    BLOCK,
    HOST,
    OTHER_HOST,
    PORTALS,
    Peer,
    disk_bytes,
    isid,
    logged_in,
    make_group,
    read_data,
    sense_of,
)

A, B = PORTALS[:2]
OLD, NEW = b"o" * BLOCK, b"n" * BLOCK
LATE = ArrayFault(FaultName.LATE, portal=A, op="write")
KEEPS = {"error_recovery_level": 0, "default_time2wait": 2, "default_time2retain": 20}
"""What the host asks for: tasks of a lost connection are kept for 22 s."""


def on(group: Group, fault: ArrayFault = LATE) -> None:
    group.faults.on(fault)
    group.spread_faults()


def off(group: Group, fault: ArrayFault = LATE) -> None:
    group.faults.off(fault)
    group.spread_faults()


def path(group: Group, local: str, number: int, name: str = HOST) -> Peer:
    return logged_in(group, local, isid=isid(number), name=name, **KEEPS)


def write(peer: Peer, data: bytes = OLD, lba: int = 0) -> ScsiCommand:
    return peer.write_command(lba, len(data) // BLOCK, data=data)


def status(answers: list[Pdu]) -> ScsiStatus:
    (answer,) = answers
    assert isinstance(answer, ScsiResponse)
    return ScsiStatus(answer.status)


def manage(peer: Peer, function: TmfFunction, of: ScsiCommand | None = None) -> TmfResult:
    request = TmfRequest(function=function, itt=peer.next_itt(), immediate=True, cmd_sn=peer.cmd_sn)
    if of is not None:
        request = replace(request, referenced_task_tag=of.itt, ref_cmd_sn=of.cmd_sn)
    (answer,) = peer.send(request)
    assert isinstance(answer, TmfResponse)
    return TmfResult(answer.response)


def reserve_out(peer: Peer, action: PersistentOut, key: int, other: int = 0) -> None:
    cdb = scsi.persistent_reserve_out(action, PersistentType.WRITE_EXCLUSIVE_ALL_REGISTRANTS)
    data = scsi.persistent_reserve_list(key, other)
    assert status(peer.send(peer.command(cdb, write=True, edtl=len(data), data=data))) is ScsiStatus.GOOD


# -- held, and let go --------------------------------------------------------------------------------------------------


def test_a_late_write_is_taken_in_and_executed_when_the_fault_is_over() -> None:
    group = make_group()
    peer = path(group, A, 1)
    on(group)
    command = write(peer)

    assert peer.send(command) == []
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    off(group)

    (answer,) = peer.hear()
    assert isinstance(answer, ScsiResponse)
    assert (answer.itt, answer.status) == (command.itt, ScsiStatus.GOOD)
    assert disk_bytes(group, 0, BLOCK) == OLD


def test_everything_else_goes_on_while_writes_are_late() -> None:
    group = make_group()
    held, other = path(group, A, 1), path(group, B, 2)
    on(group)
    held.send(write(held))

    (answer,) = held.send(NopOut(itt=7, immediate=True, cmd_sn=held.cmd_sn))
    assert isinstance(answer, NopIn)
    assert read_data(held.send(held.read_command(0, 1))) == bytes(BLOCK)
    assert status(other.send(write(other, NEW))) is ScsiStatus.GOOD


def test_a_late_write_asks_for_its_data_as_always_and_holds_its_place_in_the_window() -> None:
    group = make_group()
    peer = logged_in(group, A, initial_r2t=True, immediate_data=False, **KEEPS)
    before = peer.max_cmd_sn
    on(group)

    (r2t,) = peer.send(peer.write_command(0, 4))
    assert isinstance(r2t, R2T)
    assert peer.answer_r2t(r2t, OLD * 4) == []
    assert peer.max_cmd_sn == before

    off(group)
    peer.hear()
    assert peer.max_cmd_sn == before + 1
    assert disk_bytes(group, 0, 4 * BLOCK) == OLD * 4


def test_late_commands_run_in_the_order_in_which_they_came_whichever_session_brought_them() -> None:
    group = make_group()
    one, two = path(group, A, 1), path(group, A, 2)
    on(group)
    one.send(write(one, OLD))
    two.send(write(two, NEW))
    off(group)
    assert disk_bytes(group, 0, BLOCK) == NEW


def test_late_with_a_count_holds_so_many_commands_and_no_more() -> None:
    group = make_group()
    peer = path(group, A, 1)
    on(group, replace(LATE, count=1))
    assert peer.send(write(peer, OLD)) == []
    assert status(peer.send(write(peer, NEW))) is ScsiStatus.GOOD
    off(group, replace(LATE, count=1))
    assert disk_bytes(group, 0, BLOCK) == OLD


def test_what_is_ended_is_not_kept_by_what_it_waited_for() -> None:
    """A fault may stay on for days, and a host abort and send again all the while."""
    group = make_group()
    peer = path(group, A, 1)
    on(group)
    for _ in range(3):
        command = write(peer)
        peer.send(command)
        assert manage(peer, TmfFunction.ABORT_TASK, command) is TmfResult.FUNCTION_COMPLETE
    (gate,) = group.faults._gates.values()
    assert gate._waiters == []


def test_late_reads_leave_writes_alone() -> None:
    group = make_group()
    peer = path(group, A, 1)
    on(group, replace(LATE, op="read"))
    assert status(peer.send(write(peer))) is ScsiStatus.GOOD
    assert peer.send(peer.read_command(0, 1)) == []
    off(group, replace(LATE, op="read"))
    assert read_data(peer.hear()) == OLD


def test_a_login_that_comes_while_the_fault_is_on_meets_it_too() -> None:
    group = make_group()
    on(group)
    peer = path(group, A, 1)
    assert peer.send(write(peer)) == []


def test_stalled_holds_whatever_it_is_until_it_is_healed() -> None:
    group = make_group()
    peer = path(group, A, 1)
    fault = ArrayFault(FaultName.STALLED)
    on(group, fault)
    assert peer.send(peer.command(scsi.test_unit_ready()), peer.read_command(0, 1)) == []
    off(group, fault)
    good, data = peer.hear()
    assert isinstance(good, ScsiResponse)
    assert read_data([data]) == bytes(BLOCK)


def test_slow_adds_its_time_to_each_command() -> None:
    group = make_group()
    peer = path(group, A, 1)
    group.tick(0)
    on(group, ArrayFault(FaultName.SLOW, extra_ns=200_000_000))
    assert peer.send(write(peer)) == []
    group.tick(1_000_000_000)  # the wait begins when somebody drives it
    group.tick(1_199_999_999)
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    group.tick(1_200_000_000)
    assert status(peer.hear()) is ScsiStatus.GOOD
    assert disk_bytes(group, 0, BLOCK) == OLD


def test_what_the_array_holds_is_bounded_and_the_rest_is_told_so() -> None:
    group = make_group(limits=Limits(write_buffer_bytes=3 * BLOCK))
    peer = path(group, A, 1)
    on(group)
    assert peer.send(*[write(peer, lba=lba) for lba in range(3)]) == []
    assert status(peer.send(write(peer, lba=3))) is ScsiStatus.TASK_SET_FULL
    off(group)
    assert disk_bytes(group, 0, 4 * BLOCK) == OLD * 3 + bytes(BLOCK)


# -- who ends them -----------------------------------------------------------------------------------------------------


def aborted(held: Peer, other: Peer, command: ScsiCommand) -> None:
    assert manage(held, TmfFunction.ABORT_TASK, command) is TmfResult.FUNCTION_COMPLETE


def reset_by_its_own_path(held: Peer, other: Peer, command: ScsiCommand) -> None:
    assert manage(held, TmfFunction.LOGICAL_UNIT_RESET) is TmfResult.FUNCTION_COMPLETE


def reset_by_the_other_path(held: Peer, other: Peer, command: ScsiCommand) -> None:
    assert manage(other, TmfFunction.LOGICAL_UNIT_RESET) is TmfResult.FUNCTION_COMPLETE


def reset_by_the_other_path_after_the_loss(held: Peer, other: Peer, command: ScsiCommand) -> None:
    held.hang_up()
    assert manage(other, TmfFunction.LOGICAL_UNIT_RESET) is TmfResult.FUNCTION_COMPLETE


def preempted(held: Peer, other: Peer, command: ScsiCommand) -> None:
    for peer, key in ((held, 1), (other, 2)):
        reserve_out(peer, PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY, 0, key)
    reserve_out(other, PersistentOut.PREEMPT_AND_ABORT, 2, 1)


def logged_out(held: Peer, other: Peer, command: ScsiCommand) -> None:
    request = LogoutRequest(reason=LogoutReason.CLOSE_SESSION, itt=9, immediate=True, cmd_sn=held.cmd_sn)
    (answer,) = held.send(request)
    assert isinstance(answer, LogoutResponse)


def reinstated(held: Peer, other: Peer, command: ScsiCommand) -> None:
    path(held.connection.group, B, 1)


def reinstated_after_the_loss(held: Peer, other: Peer, command: ScsiCommand) -> None:
    held.hang_up()
    path(held.connection.group, B, 1)


def kept_no_longer(held: Peer, other: Peer, command: ScsiCommand) -> None:
    held.hang_up()
    held.connection.group.tick(22_000_000_000)


ENDS = [
    aborted,
    reset_by_its_own_path,
    reset_by_the_other_path,
    reset_by_the_other_path_after_the_loss,
    preempted,
    logged_out,
    reinstated,
    reinstated_after_the_loss,
    kept_no_longer,
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_held_write_that_something_ends_is_never_executed(end: Callable[[Peer, Peer, ScsiCommand], None]) -> None:
    group = make_group()
    held, other = path(group, A, 1), path(group, B, 2)
    on(group)
    command = write(held)
    held.send(command)

    end(held, other, command)

    assert group.lift(LATE) == 0
    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)
    assert [answer for answer in held.hear() if isinstance(answer, ScsiResponse) and answer.itt == command.itt] == []


def test_without_any_of_these_it_is_executed_though_its_connection_is_lost() -> None:
    """The ghost: W1 waits, its path is lost, W2 is acknowledged on the other path, W1 is executed."""
    group = make_group()
    lost, other = path(group, A, 1), path(group, B, 2)
    on(group)
    lost.send(write(lost, OLD))
    lost.hang_up()
    assert status(other.send(write(other, NEW))) is ScsiStatus.GOOD
    group.tick(21_999_999_999)

    assert group.lift(LATE) == 1
    assert disk_bytes(group, 0, BLOCK) == OLD


def test_a_task_that_is_questioned_is_found_while_it_is_held() -> None:
    group = make_group()
    peer = logged_in(group, A, iscsi_protocol_level=2, **KEEPS)
    on(group)
    command = write(peer)
    peer.send(command)
    assert manage(peer, TmfFunction.QUERY_TASK, command) is TmfResult.FUNCTION_SUCCEEDED
    off(group)
    peer.hear()
    assert manage(peer, TmfFunction.QUERY_TASK, command) is TmfResult.FUNCTION_COMPLETE


def test_a_nexus_that_lost_held_commands_is_told_when_it_comes_back() -> None:
    group = make_group()
    peer = logged_in(group, A, max_connections=2, **KEEPS)
    on(group)
    peer.send(write(peer))
    session = peer.connection.session
    session.terminate(peer.connection)
    assert peer.test_unit_ready() == COMMANDS_CLEARED_BY_PROTOCOL_EVENT


# -- what the array itself may do about lost connections ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "paths", "survives"),
    [
        (LostTasks.KEEP, 2, True),
        (LostTasks.KILL, 2, False),
        (LostTasks.KILL, 1, False),
        (LostTasks.KILL_BESIDE, 2, False),
        (LostTasks.KILL_BESIDE, 1, True),
    ],
)
def test_what_becomes_of_the_tasks_of_a_lost_connection(rule: LostTasks, paths: int, survives: bool) -> None:
    group = make_group(lost_tasks=rule)
    lost = path(group, A, 1)
    for number in range(2, paths + 1):
        path(group, B, number)
    path(group, B, 9, name=OTHER_HOST)  # another host's path is none of this one's
    on(group)
    lost.send(write(lost))
    lost.hang_up()
    off(group)
    assert (disk_bytes(group, 0, BLOCK) == OLD) is survives


def test_a_new_login_of_the_same_host_ends_what_its_lost_path_left() -> None:
    group = make_group(lost_tasks=LostTasks.KILL_BESIDE)
    lost = path(group, A, 1)
    on(group)
    lost.send(write(lost))
    lost.hang_up()

    path(group, B, 2)
    off(group)

    assert disk_bytes(group, 0, BLOCK) == bytes(BLOCK)


# -- the other faults of disks and logins ------------------------------------------------------------------------------


def test_out_of_resources_refuses_logins_with_0302() -> None:
    group = make_group()
    on(group, ArrayFault(FaultName.OUT_OF_RESOURCES, portal=A))
    outcome = Peer(group, A).login()
    assert isinstance(outcome, LoginFailed)
    assert outcome.status is LoginStatus.OUT_OF_RESOURCES
    path(group, B, 2)


def test_write_error_strikes_writes_that_touch_the_blocks_and_names_the_first_of_them() -> None:
    group = make_group()
    peer = path(group, A, 1)
    on(group, ArrayFault(FaultName.WRITE_ERROR, volume="exchange-logs", lba=10, blocks=2))

    (bad,) = peer.send(write(peer, OLD * 4, lba=8))
    assert sense_of(bad) == MEDIUM_WRITE_ERROR.with_information(10)
    assert status(peer.send(write(peer, OLD * 2, lba=8))) is ScsiStatus.GOOD
    assert status(peer.send(write(peer, OLD, lba=12))) is ScsiStatus.GOOD
    assert read_data(peer.send(peer.read_command(10, 1))) == bytes(BLOCK)


@pytest.mark.parametrize(
    ("name", "place", "complaint"),
    [
        ("late", {"op": "flush"}, "late wants an op of read or write, not 'flush'"),
        ("late", {"extra_ns": 1}, "late has no extra"),
        ("late", {"count": 0}, "late wants a count of 1 command or more"),
        ("slow", {}, "slow wants extra"),
        ("slow", {"extra_ns": 0}, "slow wants an extra of more than 0 and at most 3600 s"),
        ("stalled", {"op": "read"}, "stalled has no op"),
        ("out-of-resources", {"count": 1}, "out-of-resources has no count"),
        ("write-error", {"volume": "v", "lba": 1}, "write-error wants blocks"),
    ],
)
def test_a_place_that_these_faults_cannot_have_is_refused(name: str, place: dict[str, object], complaint: str) -> None:
    with pytest.raises(FaultError, match=complaint):
        ArrayFault(FaultName(name), **place)  # type: ignore[arg-type]
