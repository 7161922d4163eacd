"""What one connection holds at most for a peer that asks for much and reads nothing."""

from __future__ import annotations

from iscsi.pdu import (
    DataIn,
    NopIn,
    NopOut,
    Pdu,
)
from target.config import Limits
from tests.support.array import (
    BLOCK,
    logged_in,
    make_group,
)


def test_bytes_one_at_a_time_are_as_good_as_all_at_once() -> None:
    peer = logged_in(make_group())
    answers = []
    for byte in peer.bytes_of(peer.read_command(0, 1)) + peer.bytes_of(NopOut(itt=7, cmd_sn=peer.cmd_sn)):
        answers += peer.send_bytes(bytes((byte,)))
    assert [type(answer) for answer in answers] == [DataIn, NopIn]


def test_a_peer_that_asks_for_much_and_reads_nothing_is_made_to_wait() -> None:
    """The output held stays near its bound however much is asked for, and not a command is lost."""
    limits = Limits(output_high_bytes=64 << 10)
    group = make_group(limits=limits)
    peer = logged_in(group)
    one_read = 32 << 10
    commands = [peer.read_command(0, one_read // BLOCK) for _ in range(100)]
    held = 0
    for command in commands:
        peer.connection.receive(peer.bytes_of(command), 0)
        held = max(held, peer.connection.output_bytes)
    assert peer.connection.choked
    assert held < limits.output_high_bytes + 2 * one_read
    answers = peer.hear()
    while peer.connection.choked:
        peer.connection.resume()
        assert peer.connection.output_bytes < limits.output_high_bytes + 2 * one_read
        answers += peer.hear()
    assert len(read_data_by_task(answers)) == 100


def test_commands_set_free_all_at_once_keep_to_the_bound_too() -> None:
    """They were held back by one missing CmdSN; its arrival makes all of them due in one stroke."""
    limits = Limits(output_high_bytes=64 << 10)
    peer = logged_in(make_group(limits=limits))
    first, *others = (peer.read_command(0, 64) for _ in range(100))
    assert peer.send(*others) == []
    peer.connection.receive(peer.bytes_of(first), 0)
    assert peer.connection.choked
    assert peer.connection.output_bytes < limits.output_high_bytes + 2 * 64 * BLOCK
    assert len(read_data_by_task(peer.send())) == 100


def read_data_by_task(answers: list[Pdu]) -> dict[int, int]:
    """Bytes read per task tag."""
    bytes_read: dict[int, int] = {}
    for answer in answers:
        assert isinstance(answer, DataIn)
        bytes_read[answer.itt] = bytes_read.get(answer.itt, 0) + len(answer.data)
    return bytes_read
