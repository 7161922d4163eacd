"""Commands through a portal that is not optimized: the answer is whole, comes later, and holds nobody else up."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import ScsiStatus, TmfFunction, TmfResult
from iscsi.pdu import DataIn, ScsiResponse, TmfRequest, TmfResponse
from iscsi.port_groups import AccessState
from iscsi.sense import LBA_OUT_OF_RANGE
from target.access_config import AccessConfig, PortGroupConfig
from target.group import Group
from tests.support.array import BLOCK, PORTALS, Peer, disk_bytes, fill_disk, logged_in, make_group, read_data, sense_of

LATENCY_S = 0.002
GROUPS = (PortGroupConfig(1, PORTALS[1:]), PortGroupConfig(2, PORTALS[:1], AccessState.ACTIVE_NON_OPTIMIZED))


@pytest.fixture
def group() -> Group:
    made = make_group(access=AccessConfig(GROUPS, non_optimized_latency_s=LATENCY_S))
    fill_disk(made, 0, b"a" * BLOCK + b"b" * BLOCK)
    return made


def slow_peer(group: Group, **wishes: Any) -> Peer:
    """A session through the slower group; what greets it takes no time."""
    return logged_in(group, **wishes)


def later(peer: Peer) -> list[Any]:
    """What the array says when the latency is over, and not before."""
    peer.pass_time(0)
    assert peer.pass_time(LATENCY_S - 1e-6) == []
    assert peer.hear() == []
    peer.pass_time(1e-6)
    return peer.hear()


@pytest.mark.parametrize("wishes", [{}, {"header_digest": ("CRC32C",), "data_digest": ("CRC32C",)}])
def test_a_read_is_answered_whole_and_later(group: Group, wishes: dict[str, Any]) -> None:
    peer = slow_peer(group, **wishes)
    assert peer.send(peer.read_command(0, 2)) == []
    answers = later(peer)
    assert read_data(answers) == b"a" * BLOCK + b"b" * BLOCK
    assert isinstance(answers[-1], DataIn)
    assert answers[-1].status == ScsiStatus.GOOD


def test_a_write_is_done_at_once_and_answered_later(group: Group) -> None:
    peer = slow_peer(group)
    assert peer.send(peer.write_command(0, 1, data=b"x" * BLOCK)) == []
    assert disk_bytes(group, 0, BLOCK) == b"x" * BLOCK
    (answer,) = later(peer)
    assert isinstance(answer, ScsiResponse)
    assert answer.status == ScsiStatus.GOOD


def test_what_needs_no_medium_and_what_is_refused_does_not_wait(group: Group) -> None:
    peer = slow_peer(group)
    assert peer.send(peer.read_command(0, 1)) == []
    assert len(peer.send(peer.command(scsi.inquiry(), read=True, edtl=255))) == 1
    (refused,) = peer.send(peer.read_command(1 << 30, 1))
    assert sense_of(refused) is not None
    assert sense_of(refused).code == LBA_OUT_OF_RANGE.code
    assert read_data(later(peer)) == b"a" * BLOCK


def test_a_read_that_is_aborted_while_it_waits_is_not_answered(group: Group) -> None:
    peer = slow_peer(group)
    command = peer.read_command(0, 1)
    assert peer.send(command) == []
    (answer,) = peer.send(
        TmfRequest(
            function=TmfFunction.ABORT_TASK,
            itt=peer.next_itt(),
            cmd_sn=peer.cmd_sn,
            immediate=True,
            referenced_task_tag=command.itt,
            ref_cmd_sn=command.cmd_sn,
        )
    )
    assert isinstance(answer, TmfResponse)
    assert answer.response == TmfResult.FUNCTION_COMPLETE
    assert later(peer) == []


def test_a_group_that_becomes_optimized_is_quick_again(group: Group) -> None:
    peer = slow_peer(group)
    (volume,) = group.volumes.values()
    assert volume.luns.port_groups is not None
    volume.luns.port_groups.set_by_array({2: AccessState.ACTIVE_OPTIMIZED}, "a test")
    peer.ready()
    assert read_data(peer.send(peer.read_command(0, 1))) == b"a" * BLOCK
