"""A command that wants stable data on a slow medium: answered when the flush has ended, and nobody else waits."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from iscsi import scsi
from iscsi.constants import RejectReason, ScsiStatus, TmfFunction, TmfResult
from iscsi.pdu import DataIn, NopIn, Reject, ScsiCommand, ScsiResponse, TmfRequest, TmfResponse
from iscsi.sense import DEVICE_RESET, MEDIUM_WRITE_ERROR
from target.config import Limits
from target.group import Group, Volume
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.lun_map import LunMap
from target.tasks import MAX_IMMEDIATE_TASKS
from tests.support.array import BLOCK, Peer, config, isid, logged_in, sense_of
from tests.support.by_hand import SlowStore

EIO = OSError(errno.EIO, "Input/output error")


@pytest.fixture
def store() -> SlowStore:
    return SlowStore(1 << 20)


@pytest.fixture
def unit(store: SlowStore) -> LogicalUnit:
    return LogicalUnit.over(store, volume_identity("ps100", "slow"))


@pytest.fixture
def group(unit: LogicalUnit) -> Group:
    settings = config(limits=Limits(command_window=4))
    (volume,) = settings.volumes
    return Group(settings, {volume.iqn.lower(): Volume(volume, LunMap({0: unit}))}, None)


@pytest.fixture
def peer(group: Group) -> Peer:
    return logged_in(group)


def fua_write(peer: Peer, lba: int = 0, fill: bytes = b"x") -> ScsiCommand:
    return peer.command(scsi.write(lba, 1, fua=True), write=True, edtl=BLOCK, data=fill * BLOCK)


def synchronize(peer: Peer) -> ScsiCommand:
    return peer.command(scsi.synchronize_cache())


@pytest.mark.parametrize("make", [fua_write, synchronize])
def test_it_is_answered_when_the_flush_has_ended(
    peer: Peer, store: SlowStore, make: Callable[[Peer], ScsiCommand]
) -> None:
    woken: list[bool] = []
    peer.connection.on_output = lambda: woken.append(True)
    command = make(peer)
    assert peer.send(command) == []
    assert woken == []
    store.offload.run()
    assert woken == [True]
    (answer,) = peer.hear()
    assert isinstance(answer, ScsiResponse)
    assert (answer.itt, answer.status, answer.residual) == (command.itt, ScsiStatus.GOOD, 0)
    assert store.syncs == 1


def test_others_pass_it_and_see_what_it_has_written(peer: Peer, store: SlowStore) -> None:
    write, read = fua_write(peer, 7), peer.read_command(7, 1)
    (answer,) = peer.send(write, read)
    assert isinstance(answer, DataIn)
    assert (answer.itt, answer.data) == (read.itt, b"x" * BLOCK)
    store.offload.run()
    assert [answer.itt for answer in peer.hear() if isinstance(answer, ScsiResponse)] == [write.itt]


def test_those_that_come_while_one_flush_runs_share_the_next(peer: Peer, store: SlowStore) -> None:
    commands = [fua_write(peer, lba) for lba in range(4)]
    assert peer.send(*commands) == []
    store.offload.run()
    assert len(peer.hear()) == 1
    store.offload.run()
    assert len(peer.hear()) == 3
    assert store.syncs == 2
    assert store.offload.jobs == []


def test_a_flush_that_fails_is_a_medium_error_for_all_who_waited_and_for_those_to_come(
    peer: Peer, store: SlowStore
) -> None:
    store.failure = EIO
    peer.send(fua_write(peer), synchronize(peer))
    store.offload.run()
    first, second = peer.hear()
    store.failure = None
    (third,) = peer.send(synchronize(peer))
    (plain,) = peer.send(peer.write_command(0, 1, data=bytes(BLOCK)))
    for answer in (first, second, third):
        assert isinstance(answer, ScsiResponse)
        assert answer.status == ScsiStatus.CHECK_CONDITION
        assert sense_of(answer).code == MEDIUM_WRITE_ERROR.code
    assert isinstance(plain, ScsiResponse)
    assert plain.status == ScsiStatus.GOOD, "which promises nothing"


def test_it_holds_its_place_in_the_window_until_it_is_answered(peer: Peer, store: SlowStore) -> None:
    before = peer.max_cmd_sn
    peer.send(synchronize(peer), synchronize(peer))
    (answer,) = peer.send(peer.read_command(0, 1))
    assert isinstance(answer, DataIn)
    assert peer.max_cmd_sn == before + 1
    store.offload.run()
    store.offload.run()
    peer.hear()
    assert peer.max_cmd_sn == before + 3


def test_its_tag_is_in_use_until_it_is_answered(peer: Peer, store: SlowStore) -> None:
    command = synchronize(peer)
    peer.send(command)
    (answer,) = peer.send(peer.read_command(0, 1, itt=command.itt))
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.TASK_IN_PROGRESS


def test_immediate_ones_are_bounded(peer: Peer, store: SlowStore) -> None:
    bound = MAX_IMMEDIATE_TASKS + 4
    answers = peer.send(
        *(peer.command(scsi.synchronize_cache(), immediate=True, cmd_sn=peer.cmd_sn) for _ in range(bound + 1))
    )
    (answer,) = answers
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.TOO_MANY_IMMEDIATE_COMMANDS


def abort_task(peer: Peer, command: ScsiCommand) -> TmfRequest:
    return TmfRequest(
        function=TmfFunction.ABORT_TASK,
        itt=peer.next_itt(),
        referenced_task_tag=command.itt,
        cmd_sn=peer.cmd_sn,
        ref_cmd_sn=command.cmd_sn,
        immediate=True,
    )


def reset_unit(peer: Peer, command: ScsiCommand | None = None) -> TmfRequest:
    return TmfRequest(function=TmfFunction.LOGICAL_UNIT_RESET, itt=peer.next_itt(), cmd_sn=peer.cmd_sn, immediate=True)


@pytest.mark.parametrize("request_of", [abort_task, reset_unit])
def test_an_aborted_one_is_not_answered_later(
    peer: Peer, store: SlowStore, request_of: Callable[[Peer, ScsiCommand], TmfRequest]
) -> None:
    before = peer.max_cmd_sn
    command = synchronize(peer)
    peer.send(command)
    (response,) = peer.send(request_of(peer, command))
    assert isinstance(response, TmfResponse)
    assert response.response == TmfResult.FUNCTION_COMPLETE
    assert peer.max_cmd_sn == before + 1
    store.offload.run()
    assert peer.hear() == []
    assert peer.max_cmd_sn == before + 1


def test_a_new_task_with_the_tag_of_an_aborted_one_is_not_answered_by_its_flush(peer: Peer, store: SlowStore) -> None:
    old = synchronize(peer)
    peer.send(old)
    peer.send(abort_task(peer, old))
    new = peer.command(scsi.synchronize_cache(), itt=old.itt)
    peer.send(new)
    store.offload.run()
    assert peer.hear() == []
    store.offload.run()
    (answer,) = peer.hear()
    assert isinstance(answer, ScsiResponse)
    assert answer.itt == new.itt


def test_a_reset_by_another_session_ends_it(group: Group, peer: Peer, store: SlowStore) -> None:
    other = logged_in(group, isid=isid(2))
    peer.send(synchronize(peer))
    other.send(reset_unit(other))
    store.offload.run()
    assert [type(pdu) for pdu in peer.hear()] == [NopIn], "its place in the window has to be told"
    (answer,) = peer.send(peer.command(scsi.test_unit_ready()))
    assert isinstance(answer, ScsiResponse)
    assert sense_of(answer).code == DEVICE_RESET.code


def test_nobody_is_answered_when_the_connection_is_gone(peer: Peer, store: SlowStore) -> None:
    woken: list[bool] = []
    peer.connection.on_output = lambda: woken.append(True)
    peer.send(synchronize(peer))
    peer.hang_up()
    store.offload.run()
    assert peer.hear() == []
    assert woken == []


def test_immed_asks_for_an_answer_when_the_flush_has_begun(peer: Peer, store: SlowStore) -> None:
    cdb = bytearray(scsi.synchronize_cache())
    cdb[1] |= 0x02
    (answer,) = peer.send(peer.command(bytes(cdb)))
    assert isinstance(answer, ScsiResponse)
    assert answer.status == ScsiStatus.GOOD
    assert len(store.offload.jobs) == 1


def test_with_the_write_cache_off_every_write_waits_for_its_flush(
    peer: Peer, unit: LogicalUnit, store: SlowStore
) -> None:
    unit.disk.write_through = True
    writes = [
        peer.write_command(0, 1, data=bytes(BLOCK)),
        peer.command(scsi.write_same(0, 2), write=True, edtl=BLOCK, data=bytes(BLOCK)),
    ]
    assert peer.send(*writes) == []
    store.offload.run()
    store.offload.run()
    assert [answer.itt for answer in peer.hear() if isinstance(answer, ScsiResponse)] == [task.itt for task in writes]
