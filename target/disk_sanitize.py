"""SANITIZE: make what was on a disk irretrievable.

A thin disk erases by giving every block back, at once: BLOCK ERASE, and CRYPTO ERASE, since nothing is left that a key
could open. Where every block is provisioned it can be overwritten, too, which takes its time (`target.sanitize`).

Source: SBC-4 4.11, 5.37; table 33 for the commands that are served meanwhile.
"""

from __future__ import annotations

from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.scsi import Sanitize
from iscsi.sense import INVALID_FIELD_IN_PARAMETER_LIST
from target.command import (
    GOOD,
    Access,
    CheckCondition,
    Command,
    DataDirection,
    Provisioned,
    ScsiResult,
    bad_cdb_field,
    field_length,
)
from target.disk import Disk
from target.nexus import Nexus
from target.sanitize import Overwriting

_IMMEDIATE: Final = 0x80
_UNRESTRICTED: Final = 0x20
_INVERT: Final = 0x80
_COUNT: Final = 0x1F
_HEADER_BYTES: Final = 4


def _check_may_begin(disk: Disk, *, unrestricted: bool) -> None:
    """Refused while another one runs, without a medium, and when a failed one did not leave that way open."""
    sanitizing = disk.sanitizing
    if disk.not_ready is not None and (sanitizing is None or not sanitizing.failed):
        raise CheckCondition(disk.not_ready)
    if sanitizing is not None and unrestricted and not sanitizing.unrestricted:
        raise bad_cdb_field(1, 5)
    disk.check_writable()


def _erase(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    _check_may_begin(disk, unrestricted=bool(cdb[1] & _UNRESTRICTED))
    disk.store.discard(0, disk.store.size_bytes)
    disk.sanitizing = disk.not_ready = None
    return disk.written(stable=not cdb[1] & _IMMEDIATE)


def _overwrite(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    unrestricted = bool(cdb[1] & _UNRESTRICTED)
    _check_may_begin(disk, unrestricted=unrestricted)
    length = int.from_bytes(cdb[7:9], "big")
    if not _HEADER_BYTES < length <= _HEADER_BYTES + disk.block_size:
        raise bad_cdb_field(7)
    chore = Overwriting(disk, _patterns(data_out[:length], disk.block_size), unrestricted=unrestricted)
    disk.take_up(chore)
    if cdb[1] & _IMMEDIATE:
        return GOOD
    if chore.due_ns is None:  # a disk on its own: over by now
        if disk.not_ready is not None:
            raise CheckCondition(disk.not_ready)
        return GOOD
    return ScsiResult(ScsiStatus.GOOD, pending=chore.ended)


def _patterns(parameters: bytes, block_size: int) -> tuple[bytes, ...]:
    """What each pass writes to a block: the pattern repeated, and inverted in every other pass if that is asked."""
    header, pattern = parameters[:_HEADER_BYTES], parameters[_HEADER_BYTES:]
    count, length = header[0] & _COUNT if header else 0, int.from_bytes(header[2:4], "big")
    if not count:
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(0, 4, in_cdb=False))
    if not 0 < length <= block_size or len(pattern) != length:
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(2, in_cdb=False))
    block = (pattern * -(-block_size // length))[:block_size]
    inverted = bytes(byte ^ 0xFF for byte in block) if header[0] & _INVERT else block
    return tuple(inverted if number % 2 else block for number in range(count))


def _exit_failure_mode(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    """The blocks may hold anything after a failure; they can be read again, which is the unrestricted way out."""
    sanitizing = disk.sanitizing
    if sanitizing is None or not sanitizing.failed:
        if disk.not_ready is not None:
            raise CheckCondition(disk.not_ready)
        return GOOD
    if not sanitizing.unrestricted:
        raise bad_cdb_field(1, 4)
    disk.sanitizing = disk.not_ready = None
    return GOOD


COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        "SANITIZE OVERWRITE",
        "48 a1 00 00 00 00 00 ff ff 00",
        Access.WRITE,
        _overwrite,
        DataDirection.OUT,
        field_length(7, 2),
        service_action=Sanitize.OVERWRITE,
        only_for=Provisioned.FULL,
        needs_medium=False,
        while_sanitizing=True,
    ),
    *(
        Command(
            f"SANITIZE {name}",
            f"48 {0xA0 | action:02x} 00 00 00 00 00 00 00 00",
            Access.WRITE,
            _erase,
            service_action=action,
            needs_medium=False,
            while_sanitizing=True,
        )
        for name, action in (("BLOCK ERASE", Sanitize.BLOCK_ERASE), ("CRYPTO ERASE", Sanitize.CRYPTO_ERASE))
    ),
    Command(
        "SANITIZE EXIT FAILURE MODE",
        "48 1f 00 00 00 00 00 00 00 00",
        Access.WRITE,
        _exit_failure_mode,
        service_action=Sanitize.EXIT_FAILURE_MODE,
        needs_medium=False,
        while_sanitizing=True,
    ),
)
