"""Which commands are answered the short way, and which are left where they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from iscsi import scsi
from iscsi.constants import RESERVED_TAG
from iscsi.lun import encode_lun
from iscsi.pdu import DataIn, NopOut, Pdu, ScsiCommand
from target.config import Limits
from target.faults import ArrayFault, FaultName
from target.plain_reads import answer_plain_reads
from tests.support.array import BLOCK, Peer, disk_bytes, fill_disk, isid, logged_in, make_group


def short_way(peer: Peer, *pdus: Pdu) -> int:
    """How many of these PDUs, in one stretch of bytes, are answered the short way."""
    stream = b"".join(map(peer.bytes_of, pdus))
    return answer_plain_reads(peer.connection, stream, []) // 48


@pytest.mark.parametrize("width", [6, 10, 12, 16])
def test_every_read_command_may_be_plain(width: int) -> None:
    peer = logged_in(make_group())
    assert short_way(peer, peer.command(scsi.read(3, 8, width=width), read=True, edtl=8 * BLOCK)) == 1


def test_a_run_of_plain_reads_is_answered_as_far_as_it_goes() -> None:
    peer = logged_in(make_group())
    reads = [peer.read_command(lba, 8) for lba in range(5)]
    other = NopOut(itt=peer.next_itt(), immediate=False, cmd_sn=peer.take_cmd_sn())
    assert short_way(peer, *reads, other, peer.read_command(9, 8)) == 5
    assert peer.connection.reads == 5


def test_a_read_that_has_not_come_whole_is_left() -> None:
    peer = logged_in(make_group())
    stream = b"".join(peer.bytes_of(peer.read_command(lba, 8)) for lba in range(2))
    assert answer_plain_reads(peer.connection, stream[:-1], []) == 48


def test_no_more_is_answered_than_the_connection_may_hold() -> None:
    peer = logged_in(make_group(limits=Limits(output_high_bytes=16 << 10)))
    assert short_way(peer, *(peer.read_command(0, 16) for _ in range(5))) == 2


def test_a_long_read_is_cut_to_what_the_initiator_takes() -> None:
    group = make_group()
    fill_disk(group, 0, bytes(range(256)) * 512)
    peer = logged_in(group, max_recv_data_segment_length=8192)
    peer.connection.receive(peer.bytes_of(peer.read_command(1, 100)), 0)
    answers = peer.hear()
    assert [len(answer.data) for answer in answers] == [8192] * 6 + [2048]
    assert b"".join(answer.data for answer in answers) == disk_bytes(group, BLOCK, 100 * BLOCK)


def plain(peer: Peer) -> ScsiCommand:
    return peer.read_command(0, 8)


NOT_PLAIN: dict[str, Callable[[Peer], ScsiCommand]] = {
    "immediate": lambda peer: peer.read_command(0, 8, immediate=True),
    "not final": lambda peer: peer.read_command(0, 8, final=False),
    "bidirectional": lambda peer: peer.read_command(0, 8, write=True),
    "with an AHS": lambda peer: peer.read_command(0, 8, ahs=bytes.fromhex("0001 0200")),
    "with data": lambda peer: peer.read_command(0, 8, data=b"data"),
    "not due": lambda peer: replace(plain(peer), cmd_sn=peer.cmd_sn + 1),
    "with the reserved tag": lambda peer: replace(plain(peer), itt=RESERVED_TAG),
    "no disk there": lambda peer: peer.read_command(0, 8, lun=encode_lun(7)),
    "less expected": lambda peer: peer.read_command(0, 8, edtl=7 * BLOCK),
    "more expected": lambda peer: peer.read_command(0, 8, edtl=9 * BLOCK),
    "of no block": lambda peer: peer.read_command(0, 0),
    "past the end": lambda peer: peer.read_command((16 << 20) // BLOCK - 7, 8),
    "with a reserved bit": lambda peer: replace(plain(peer), cdb=scsi.read(0, 8)[:9] + b"\x01" + bytes(6)),
    "too long": lambda peer: peer.command(scsi.read(0, 16385), read=True, edtl=16385 * BLOCK),
    "a write": lambda peer: peer.write_command(0, 1, data=bytes(BLOCK)),
    "another command": lambda peer: peer.command(scsi.test_unit_ready()),
}


@pytest.mark.parametrize("why", NOT_PLAIN)
def test_what_is_not_plain_is_left(why: str) -> None:
    peer = logged_in(make_group(luns=1))
    assert short_way(peer, NOT_PLAIN[why](peer)) == 0


def test_a_tag_in_use_is_left() -> None:
    peer = logged_in(make_group(), immediate_data=False)
    peer.send(write := peer.write_command(0, 1))
    assert short_way(peer, replace(peer.read_command(0, 8), itt=write.itt)) == 0
    assert short_way(peer, replace(peer.read_command(0, 8), cmd_sn=peer.cmd_sn - 2)) == 1


def test_nothing_is_plain_while_something_may_stand_in_the_way() -> None:
    group = make_group()
    one, two = logged_in(group), logged_in(group, isid=isid(2))
    two.ready()
    assert one.send(one.command(scsi.reserve_6()))
    assert short_way(two, plain(two)) == 0, "RESERVATION CONFLICT"
    assert one.send(one.command(scsi.release_6()))
    two.cmd_sn -= 1
    assert short_way(two, plain(two)) == 1


def test_a_unit_attention_is_told_first() -> None:
    peer = Peer(make_group())
    peer.login()
    assert short_way(peer, plain(peer)) == 0
    peer.cmd_sn -= 1
    peer.ready()
    assert short_way(peer, plain(peer)) == 1


def test_faults_look_at_every_command() -> None:
    group = make_group()
    peer = logged_in(group)
    group.faults.on(ArrayFault(FaultName.BUSY))
    group.spread_faults()
    assert short_way(peer, plain(peer)) == 0


def test_a_damaged_header_is_left_and_so_is_what_follows() -> None:
    peer = logged_in(make_group(), header_digest=("CRC32C",))
    stream = b"".join(peer.bytes_of(plain(peer)) for _ in range(3))
    assert answer_plain_reads(peer.connection, stream[:60] + b"\xff" + stream[61:], []) == 52


@pytest.mark.parametrize("wishes", [{"header_digest": ("CRC32C",)}, {"data_digest": ("CRC32C",)}])
def test_digests_go_with_the_answer(wishes: dict[str, Any]) -> None:
    """The peer checks them."""
    peer = logged_in(make_group(), **wishes)
    assert peer.connection.answers_plainly
    (answer,) = peer.send(plain(peer))
    assert isinstance(answer, DataIn)


def test_recovery_has_no_short_way() -> None:
    assert not logged_in(make_group(), error_recovery_level=1).connection.answers_plainly


def test_a_medium_that_fails_leaves_the_read_to_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    group = make_group()
    peer = logged_in(group)
    volume = group.volume(group.config.volumes[0].iqn)
    assert volume is not None
    unit = volume.luns.get(0)
    assert unit is not None

    class Broken:
        def gather(self, offset: int, length: int) -> bytes:
            raise OSError("worn out")

    monkeypatch.setattr(unit.disk, "store", Broken())
    output: list[bytes] = []
    assert answer_plain_reads(peer.connection, peer.bytes_of(plain(peer)), output) == 0
    assert output == []
