"""Commands that move or compare logical blocks: READ, WRITE, VERIFY, COMPARE AND WRITE, ORWRITE and the cache.

READ is the path every simulated and every real I/O takes, so it does nothing but look up, check and copy.

When the initiator announced less data than the CDB wants (an iSCSI residual overflow, RFC 7143 11.4.5.1), a write
stores the whole blocks that came and ends GOOD; the transport reports the residual.

Source: SBC-3 section 5; READ(6) and WRITE(6) SBC-2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.scsi import RANGE_BY_OPCODE
from iscsi.sense import INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT, MISCOMPARE_DURING_VERIFY
from target.command import GOOD, Access, CheckCondition, Command, DataDirection, Handler, ScsiResult, bad_cdb_field
from target.disk import Disk
from target.nexus import Nexus

FUA: Final = 0x08
"""In byte 1 of a CDB of 10 bytes or more: it must be stable when it is answered."""
_IMMEDIATE: Final = 0x02
"""Of SYNCHRONIZE CACHE: answer when it has begun. A failure is told to whoever synchronizes next."""
_GOOD: Final = ScsiStatus.GOOD  # looking up an enum member costs a tenth of a read
_CONDITION_MET: Final = ScsiResult(ScsiStatus.CONDITION_MET)

_NO_COMPARE: Final = 0
_COMPARE_ALL: Final = 1
_COMPARE_ONE: Final = 3

Locate = Callable[[bytes], tuple[int, int]]


def _reader(locate: Locate) -> Handler:
    def read(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        lba, blocks = locate(cdb)
        if lba + blocks > disk.blocks or blocks > disk.max_transfer_blocks:
            disk.check_range(lba, blocks)
            disk.check_transfer(blocks, cdb)
        size = disk.block_size
        return ScsiResult(_GOOD, disk.store.gather(lba * size, blocks * size))

    return read


def _writer(locate: Locate) -> Handler:
    def write(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        lba, blocks = locate(cdb)
        if disk.write_protected or lba + blocks > disk.blocks or blocks > disk.max_transfer_blocks:
            disk.check_writable()
            disk.check_range(lba, blocks)
            disk.check_transfer(blocks, cdb)
        size = disk.block_size
        disk.store.write(lba * size, whole_blocks(data_out, blocks, size))
        if cdb[1] & FUA or disk.write_through:
            return disk.flushed()
        return GOOD

    return write


def whole_blocks(data_out: bytes, blocks: int, block_size: int) -> bytes:
    """The data of at most ``blocks`` blocks, without a torn one at the end."""
    wanted = blocks * block_size
    length = len(data_out)
    if length == wanted:
        return data_out
    return data_out[: min(wanted, length // block_size * block_size)]


def check_all_there(data_out: bytes, length: int) -> None:
    """INVALID FIELD IN COMMAND INFORMATION UNIT unless the initiator announced what the CDB wants, to the byte.

    For commands that mean nothing with a part of their data.
    """
    if len(data_out) != length:
        raise CheckCondition(INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT)


def _compare(disk: Disk, lba: int, blocks: int, cdb: bytes, data_out: bytes) -> None:
    """What BYTCHK asks: raises MISCOMPARE with the offset of the first differing byte."""
    mode = cdb[1] >> 1 & 3
    if mode == _NO_COMPARE:
        return
    if mode not in (_COMPARE_ALL, _COMPARE_ONE):
        raise bad_cdb_field(1, 2)
    disk.check_transfer(blocks, cdb)
    size = disk.block_size
    expected = data_out[:size] * blocks if mode == _COMPARE_ONE else whole_blocks(data_out, blocks, size)
    raise_if_different(disk.store.read(lba * size, len(expected)), expected)


def raise_if_different(found: bytes, expected: bytes) -> None:
    """MISCOMPARE DURING VERIFY OPERATION with the offset of the first byte that differs (SBC-3 5.2)."""
    if found != expected:
        raise CheckCondition(MISCOMPARE_DURING_VERIFY.with_information(_first_difference(found, expected)))


def _first_difference(one: bytes, other: bytes) -> int:
    """Where two strings of the same length begin to differ, found by halving."""
    same, differs = 0, len(one)
    while differs - same > 1:
        middle = (same + differs) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            differs = middle
    return same


def _verifier(locate: Locate) -> Handler:
    def verify(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        lba, blocks = locate(cdb)
        disk.check_range(lba, blocks)
        _compare(disk, lba, blocks, cdb, data_out)
        return GOOD

    return verify


def _write_verifier(locate: Locate) -> Handler:
    write = _writer(locate)

    def write_and_verify(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        if cdb[1] >> 1 & 3 not in (_NO_COMPARE, _COMPARE_ALL):
            raise bad_cdb_field(1, 2)
        result = write(disk, cdb, data_out, nexus)
        lba, blocks = locate(cdb)
        _compare(disk, lba, blocks, cdb, data_out)
        return result if disk.write_through else disk.flushed()

    return write_and_verify


def _prefetcher(locate: Locate) -> Handler:
    """PRE-FETCH: the blocks are as near as they get, so the condition (they fit the cache) is always met."""

    def prefetch(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        disk.check_range(*locate(cdb))
        return _CONDITION_MET

    return prefetch


def _synchronizer(locate: Locate) -> Handler:
    def synchronize_cache(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        disk.check_range(*locate(cdb))
        result = disk.flushed()
        return GOOD if cdb[1] & _IMMEDIATE else result

    return synchronize_cache


def _compare_and_write(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    lba, blocks = RANGE_BY_OPCODE[cdb[0]](cdb)
    disk.check_writable()
    disk.check_range(lba, blocks)
    size = disk.block_size
    half = blocks * size
    if blocks > disk.limits.max_compare_and_write or len(data_out) != 2 * half:
        raise bad_cdb_field(13)
    raise_if_different(disk.store.read(lba * size, half), data_out[:half])
    disk.store.write(lba * size, data_out[half : 2 * half])
    return disk.written(stable=bool(cdb[1] & FUA))


def _write_atomic(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    """All of the write survives a loss of power or none; its limits are those of the store (SBC-4 4.29, 5.50)."""
    lba, blocks = RANGE_BY_OPCODE[cdb[0]](cdb)
    limits = disk.limits
    disk.check_writable()
    disk.check_range(lba, blocks)
    if limits.atomic_alignment and lba % limits.atomic_alignment:
        raise bad_cdb_field(2)
    if blocks > limits.max_atomic:
        raise bad_cdb_field(12)
    check_all_there(data_out, blocks * disk.block_size)
    disk.store.write(lba * disk.block_size, data_out)
    return disk.written(stable=bool(cdb[1] & FUA))


def _or_write(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    lba, blocks = RANGE_BY_OPCODE[cdb[0]](cdb)
    disk.check_writable()
    disk.check_range(lba, blocks)
    disk.check_transfer(blocks, cdb)
    size = disk.block_size
    given = whole_blocks(data_out, blocks, size)
    found = disk.store.read(lba * size, len(given))
    merged = int.from_bytes(found, "big") | int.from_bytes(given, "big")
    disk.store.write(lba * size, merged.to_bytes(len(given), "big"))
    return disk.written(stable=bool(cdb[1] & FUA))


def _blocks_length(disk: Disk, cdb: bytes) -> int:
    return RANGE_BY_OPCODE[cdb[0]](cdb)[1] * disk.block_size


def _verify_length(disk: Disk, cdb: bytes) -> int:
    mode = cdb[1] >> 1 & 3
    if mode == _COMPARE_ONE:
        return disk.block_size
    return _blocks_length(disk, cdb) if mode == _COMPARE_ALL else 0


def _twice_blocks_length(disk: Disk, cdb: bytes) -> int:
    return 2 * _blocks_length(disk, cdb)


def _row(name: str, usage: str, access: Access, make: Callable[[Locate], Handler], direction: DataDirection) -> Command:
    length = _verify_length if make is _verifier else _blocks_length
    locate = RANGE_BY_OPCODE[int(usage[:2], 16)]
    if direction is DataDirection.NONE:
        return Command(name, usage, access, make(locate))
    return Command(name, usage, access, make(locate), direction, length)


_IN = DataDirection.IN
_OUT = DataDirection.OUT
_NONE = DataDirection.NONE

COMMANDS: Final[tuple[Command, ...]] = (
    # name, usage (byte 1: 10 DPO, 08 FUA, 02 FUA_NV of older SBC; 1f behind the numbers: GROUP NUMBER), access, ...
    _row("READ(6)", "08 1f ff ff ff 00", Access.READ, _reader, _IN),
    _row("READ(10)", "28 1a ff ff ff ff 1f ff ff 00", Access.READ, _reader, _IN),
    _row("READ(12)", "a8 1a ff ff ff ff ff ff ff ff 1f 00", Access.READ, _reader, _IN),
    _row("READ(16)", "88 1a ff ff ff ff ff ff ff ff ff ff ff ff 1f 00", Access.READ, _reader, _IN),
    _row("WRITE(6)", "0a 1f ff ff ff 00", Access.WRITE, _writer, _OUT),
    _row("WRITE(10)", "2a 1a ff ff ff ff 1f ff ff 00", Access.WRITE, _writer, _OUT),
    _row("WRITE(12)", "aa 1a ff ff ff ff ff ff ff ff 1f 00", Access.WRITE, _writer, _OUT),
    _row("WRITE(16)", "8a 1a ff ff ff ff ff ff ff ff ff ff ff ff 1f 00", Access.WRITE, _writer, _OUT),
    _row("WRITE AND VERIFY(10)", "2e 16 ff ff ff ff 1f ff ff 00", Access.WRITE, _write_verifier, _OUT),
    _row("WRITE AND VERIFY(12)", "ae 16 ff ff ff ff ff ff ff ff 1f 00", Access.WRITE, _write_verifier, _OUT),
    _row(
        "WRITE AND VERIFY(16)",
        "8e 16 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00",
        Access.WRITE,
        _write_verifier,
        _OUT,
    ),
    _row("VERIFY(10)", "2f 16 ff ff ff ff 1f ff ff 00", Access.READ, _verifier, _OUT),
    _row("VERIFY(12)", "af 16 ff ff ff ff ff ff ff ff 1f 00", Access.READ, _verifier, _OUT),
    _row("VERIFY(16)", "8f 16 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00", Access.READ, _verifier, _OUT),
    _row("PRE-FETCH(10)", "34 02 ff ff ff ff 1f ff ff 00", Access.READ, _prefetcher, _NONE),
    _row("PRE-FETCH(16)", "90 02 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00", Access.READ, _prefetcher, _NONE),
    _row("SYNCHRONIZE CACHE(10)", "35 06 ff ff ff ff 1f ff ff 00", Access.WRITE, _synchronizer, _NONE),
    _row(
        "SYNCHRONIZE CACHE(16)",
        "91 06 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00",
        Access.WRITE,
        _synchronizer,
        _NONE,
    ),
    Command(
        "COMPARE AND WRITE",
        "89 1a ff ff ff ff ff ff ff ff 00 00 00 ff 1f 00",
        Access.WRITE,
        _compare_and_write,
        _OUT,
        _twice_blocks_length,
        exact=True,
    ),
    Command(
        # The ATOMIC BOUNDARY, bytes 10 and 11, must be zero: there are none to keep.
        "WRITE ATOMIC(16)",
        "9c 18 ff ff ff ff ff ff ff ff 00 00 ff ff 1f 00",
        Access.WRITE,
        _write_atomic,
        _OUT,
        _blocks_length,
        exact=True,
    ),
    Command(
        "ORWRITE(16)",
        "8b 1a ff ff ff ff ff ff ff ff ff ff ff ff 1f 00",
        Access.WRITE,
        _or_write,
        _OUT,
        _blocks_length,
    ),
)
