"""Commands that move data both ways, and long CDBs: XDWRITEREAD over iSCSI (RFC 7143 11.2.2, 11.4.5; SBC-3 5.48)."""

from __future__ import annotations

from typing import Any

import pytest

from iscsi.ahs import encode_ahs
from iscsi.constants import RESERVED_TAG, RejectReason, ScsiStatus
from iscsi.pdu import R2T, DataIn, DataOut, Pdu, Reject, ScsiResponse
from iscsi.sense import (
    INVALID_FIELD_IN_CDB,
    INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT,
    INVALID_OPERATION_CODE,
    LBA_OUT_OF_RANGE,
)
from target.config import Limits
from target.group import Group
from tests.support.array import BLOCK, Peer, disk_bytes, fill_disk, logged_in, make_group, read_data, sense_of, volume

OLD = bytes(range(256)) * 32
NEW = bytes(255 - (n * 7) % 256 for n in range(256)) * 32
SMALL = Limits(max_burst_length=2048, first_burst_length=1024, max_recv_data_segment_length=1024)


def fully_provisioned(**changes: Any) -> Group:
    """Disks that are not thin have the 32-byte form, too."""
    return make_group(volume(thin=False), **changes)


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def cdb_10(lba: int, blocks: int, flags: int = 0) -> bytes:
    return b"\x53" + bytes((flags,)) + lba.to_bytes(4) + b"\0" + blocks.to_bytes(2) + b"\0"


def cdb_32(lba: int, blocks: int, flags: int = 0, action: int = 7, additional: int = 0x18) -> bytes:
    head = b"\x7f" + bytes(6) + bytes((additional,)) + action.to_bytes(2) + bytes((flags, 0))
    return head + lba.to_bytes(8) + bytes(8) + blocks.to_bytes(4)


def run(peer: Peer, cdb: bytes, data: bytes, *, read_length: int | None = None, **changes: Any) -> list[Pdu]:
    """The whole command: immediate data as the session allows, then each R2T answered."""
    wanted = len(data) if read_length is None else read_length
    fields: dict[str, Any] = {"read": True, "write": True, "edtl": len(data), "ahs": encode_ahs(cdb, wanted)}
    answers = peer.send(peer.command(cdb[:16], **(fields | changes)))
    said: list[Pdu] = []
    while answers:
        answer = answers.pop(0)
        if isinstance(answer, R2T):
            answers += peer.answer_r2t(answer, data)
        said.append(answer)
    return said


@pytest.mark.parametrize("cdb", [cdb_10, cdb_32])
@pytest.mark.parametrize("level", [0, 1])
def test_what_is_read_is_the_difference_and_what_is_written_is_new(cdb: Any, level: int) -> None:
    """R2Ts and Data-In PDUs share one run of numbers, and ExpDataSN counts both (4.2.2.4)."""
    group = fully_provisioned(limits=SMALL)
    fill_disk(group, 4 * BLOCK, OLD[:4096])
    peer = logged_in(group, immediate_data=False, max_recv_data_segment_length=1024, error_recovery_level=level)
    answers = run(peer, cdb(4, 8), NEW[:4096])
    r2ts = [answer for answer in answers if isinstance(answer, R2T)]
    data_in = [answer for answer in answers if isinstance(answer, DataIn)]
    response = answers[-1]
    assert read_data(answers) == xor(OLD[:4096], NEW[:4096])
    assert disk_bytes(group, 4 * BLOCK, 4096) == NEW[:4096]
    assert [r2t.r2t_sn for r2t in r2ts] == [0, 1]
    assert [pdu.data_sn for pdu in data_in] == [2, 3, 4, 5]
    assert not any(pdu.has_status for pdu in data_in), "a bidirectional command's status is in a response (11.7.3)"
    assert isinstance(response, ScsiResponse)
    assert (response.status, response.exp_data_sn) == (ScsiStatus.GOOD, 6)
    assert (response.residual, response.bidi_residual) == (0, 0)


def test_with_the_write_disabled_it_only_looks() -> None:
    group = fully_provisioned()
    fill_disk(group, 0, OLD[:512])
    answers = run(logged_in(group), cdb_10(0, 1, flags=0x04), NEW[:512])
    assert read_data(answers) == xor(OLD[:512], NEW[:512])
    assert disk_bytes(group, 0, 512) == OLD[:512]


@pytest.mark.parametrize(
    ("read_length", "data", "overflow", "underflow", "count"),
    [
        (1024, 1024, False, False, 0),
        (512, 512, True, False, 512),
        (2048, 1024, False, True, 1024),
        (0, 0, True, False, 1024),
    ],
)
def test_the_read_part_has_a_residual_of_its_own(
    read_length: int, data: int, overflow: bool, underflow: bool, count: int
) -> None:
    answers = run(logged_in(fully_provisioned()), cdb_10(0, 2), NEW[:1024], read_length=read_length)
    assert len(read_data(answers)) == data
    response = answers[-1]
    assert isinstance(response, ScsiResponse)
    assert (response.bidi_overflow, response.bidi_underflow, response.bidi_residual) == (overflow, underflow, count)
    assert (response.overflow, response.underflow, response.residual) == (False, False, 0)


@pytest.mark.parametrize(
    ("cdb", "condition"),
    [
        (cdb_10(1 << 20, 1), LBA_OUT_OF_RANGE),
        (cdb_32(1 << 40, 1), LBA_OUT_OF_RANGE),
        (cdb_10(0, 1, flags=0x08), INVALID_FIELD_IN_CDB),
        (cdb_32(0, 1, flags=0x08), INVALID_FIELD_IN_CDB),
        (cdb_32(0, 1, action=9), INVALID_FIELD_IN_CDB),
        (cdb_32(0, 1, additional=0x1C), INVALID_FIELD_IN_CDB),
        (cdb_32(0, 1)[:16], INVALID_FIELD_IN_CDB),
        (cdb_32(0, 1)[:24], INVALID_FIELD_IN_CDB),
        (cdb_10(0, 2), INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT),
        (b"\x7e" + bytes(31), INVALID_OPERATION_CODE),
    ],
)
def test_what_the_disk_refuses(cdb: bytes, condition: Any) -> None:
    group = fully_provisioned()
    answers = run(logged_in(group), cdb, NEW[:512])
    sense = sense_of(answers[-1])
    assert sense is not None
    assert sense.code == condition.code
    assert read_data(answers) == b""
    assert disk_bytes(group, 0, 512) == bytes(512)


def test_reserved_bits_of_a_long_cdb_are_named_by_their_place() -> None:
    cdb = bytearray(cdb_32(0, 1))
    cdb[20] = 0x10
    sense = sense_of(run(logged_in(fully_provisioned()), bytes(cdb), NEW[:512])[-1])
    assert sense is not None
    assert sense.field_pointer is not None
    assert (sense.field_pointer.byte, sense.field_pointer.bit) == (20, 4)


def test_an_ahs_that_says_nothing_known_is_rejected_and_the_session_goes_on() -> None:
    peer = logged_in(fully_provisioned())
    (answer,) = peer.send(peer.read_command(0, 1, ahs=bytes.fromhex("0005 09 00 00000000")))
    assert isinstance(answer, Reject)
    assert answer.reason == RejectReason.INVALID_PDU_FIELD
    assert peer.test_unit_ready() is None


def test_a_long_cdb_of_an_opcode_that_has_none_is_cut() -> None:
    """The device server looks at as much of a CDB as its opcode has (SPC-4 4.2.1)."""
    group = fully_provisioned()
    fill_disk(group, 0, OLD[:512])
    peer = logged_in(group)
    command = peer.read_command(0, 1, ahs=encode_ahs(bytes(16) + b"rest"))
    assert read_data(peer.send(command)) == OLD[:512]


def test_data_that_is_wrong_ends_a_bidirectional_command_too() -> None:
    peer = logged_in(fully_provisioned(), immediate_data=False)
    fields: dict[str, Any] = {"read": True, "write": True, "edtl": 512, "ahs": encode_ahs(read_length=512)}
    (r2t,) = peer.send(peer.command(cdb_10(0, 1), **fields))
    assert isinstance(r2t, R2T)
    assert r2t.ttt != RESERVED_TAG
    (answer,) = peer.send(DataOut(itt=r2t.itt, ttt=r2t.ttt, data=b"short"))
    assert isinstance(answer, ScsiResponse)
    assert answer.status == ScsiStatus.CHECK_CONDITION
