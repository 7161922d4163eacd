"""Which writes are stored and answered the short way, and which are left where they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from iscsi import scsi
from iscsi.constants import RESERVED_TAG
from iscsi.lun import encode_lun
from iscsi.pdu import Pdu, ScsiCommand
from target.config import Limits
from target.disk import Disk
from target.faults import ArrayFault, FaultName
from target.plain_writes import answer_plain_writes
from target.store import StoreFull
from tests.support.array import BLOCK, VOLUME, Peer, disk_bytes, isid, logged_in, make_group

DATA = bytes(range(256)) * 4


def short_way(peer: Peer, *pdus: Pdu) -> int:
    """How many bytes of these PDUs are dealt with the short way."""
    return answer_plain_writes(peer.connection, b"".join(map(peer.bytes_of, pdus)), [])


def plain(peer: Peer, lba: int = 0) -> ScsiCommand:
    """Two blocks, which come with their command."""
    return peer.write_command(lba, 2, data=DATA)


ONE = 48 + len(DATA)


@pytest.mark.parametrize("width", [10, 12, 16])
def test_a_write_that_comes_whole_is_stored_from_where_it_stands(width: int) -> None:
    group = make_group()
    peer = logged_in(group)
    buffer = bytearray(
        peer.bytes_of(peer.command(scsi.write(3, 2, width=width), write=True, edtl=2 * BLOCK, data=DATA))
    )
    assert answer_plain_writes(peer.connection, memoryview(buffer), []) == ONE
    buffer[:] = bytes(len(buffer))
    assert disk_bytes(group, 3 * BLOCK, 2 * BLOCK) == DATA


def test_a_run_of_plain_writes_is_dealt_with_as_far_as_it_goes() -> None:
    peer = logged_in(make_group())
    writes = [plain(peer, lba) for lba in range(5)]
    assert short_way(peer, *writes, peer.read_command(0, 1)) == 5 * ONE
    assert peer.connection.writes == 5


def test_a_write_that_has_not_come_whole_is_left() -> None:
    peer = logged_in(make_group())
    stream = peer.bytes_of(plain(peer)) + peer.bytes_of(plain(peer))
    assert answer_plain_writes(peer.connection, stream[:-1], []) == ONE


def test_a_run_goes_on_behind_a_pdu_that_was_cut_in_two() -> None:
    """As TCP's stretches end in the middle of one."""
    peer = logged_in(make_group())
    stream = b"".join(peer.bytes_of(plain(peer)) for _ in range(4))
    assert len(peer.send_bytes(stream[: ONE + 700])) == 1
    assert len(peer.send_bytes(stream[ONE + 700 :])) == 3


NOT_PLAIN: dict[str, Callable[[Peer], ScsiCommand]] = {
    "immediate": lambda peer: peer.write_command(0, 2, data=DATA, immediate=True),
    "not final": lambda peer: peer.write_command(0, 2, data=DATA, final=False),
    "bidirectional": lambda peer: peer.write_command(0, 2, data=DATA, read=True),
    "with an AHS": lambda peer: peer.write_command(0, 2, data=DATA, ahs=bytes.fromhex("0001 0200")),
    "without its data": lambda peer: peer.write_command(0, 2),
    "with half its data": lambda peer: peer.write_command(0, 2, data=DATA[:BLOCK]),
    "not due": lambda peer: replace(plain(peer), cmd_sn=peer.cmd_sn + 1),
    "with the reserved tag": lambda peer: replace(plain(peer), itt=RESERVED_TAG),
    "no disk there": lambda peer: replace(plain(peer), lun=encode_lun(7)),
    "less expected": lambda peer: peer.write_command(0, 2, data=DATA[:BLOCK], edtl=BLOCK),
    "of no block": lambda peer: peer.write_command(0, 0),
    "past the end": lambda peer: plain(peer, (16 << 20) // BLOCK - 1),
    "to be stable": lambda peer: peer.command(scsi.write(0, 2, fua=True), write=True, edtl=2 * BLOCK, data=DATA),
    "WRITE(6)": lambda peer: peer.command(scsi.write(0, 2, width=6), write=True, edtl=2 * BLOCK, data=DATA),
    "with a reserved bit": lambda peer: replace(plain(peer), cdb=scsi.write(0, 2)[:9] + b"\x01" + bytes(6)),
    "more than a first burst": lambda peer: peer.write_command(0, 8, data=DATA * 4),
    "a read": lambda peer: peer.read_command(0, 2),
}


@pytest.mark.parametrize("why", NOT_PLAIN)
def test_what_is_not_plain_is_left(why: str) -> None:
    peer = logged_in(make_group(limits=Limits(first_burst_length=2048)))
    assert short_way(peer, NOT_PLAIN[why](peer)) == 0


@pytest.mark.parametrize("damaged", [20, 100])
def test_damaged_headers_and_data_are_left(damaged: int) -> None:
    peer = logged_in(make_group(), header_digest=("CRC32C",), data_digest=("CRC32C",))
    one = ONE + 8
    stream = b"".join(peer.bytes_of(plain(peer)) for _ in range(3))
    at = one + damaged
    assert answer_plain_writes(peer.connection, stream[:at] + b"\xee" + stream[at + 1 :], []) == one


def test_without_immediate_data_no_write_is_plain() -> None:
    peer = logged_in(make_group(), immediate_data=False)
    assert short_way(peer, plain(peer)) == 0


def test_a_reservation_keeps_others_from_writing() -> None:
    group = make_group()
    one, two = logged_in(group), logged_in(group, isid=isid(2))
    assert one.send(one.command(scsi.reserve_6()))
    assert short_way(two, plain(two)) == 0, "RESERVATION CONFLICT"
    assert short_way(one, plain(one)) == ONE


def test_a_protected_disk_and_one_that_writes_through_are_not_written_the_short_way() -> None:
    for condition in ("write_protected", "write_through"):
        group = make_group()
        peer = logged_in(group)
        setattr(the_disk(peer), condition, True)
        assert short_way(peer, plain(peer)) == 0, condition


def test_faults_look_at_every_command() -> None:
    group = make_group()
    peer = logged_in(group)
    group.faults.on(ArrayFault(FaultName.BUSY))
    group.spread_faults()
    assert short_way(peer, plain(peer)) == 0


@pytest.mark.parametrize("error", [OSError("worn out"), StoreFull("no room")])
def test_a_medium_that_fails_leaves_the_write_to_be_refused(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = logged_in(make_group())

    class Broken:
        def write(self, offset: int, data: bytes) -> None:
            raise error

    monkeypatch.setattr(the_disk(peer), "store", Broken())
    output: list[bytes] = []
    assert answer_plain_writes(peer.connection, peer.bytes_of(plain(peer)), output) == 0
    assert output == []


def the_disk(peer: Peer) -> Disk:
    running = peer.connection.group.volume(VOLUME)
    assert running is not None
    unit = running.luns.get(0)
    assert unit is not None
    return unit.disk
