"""One row of a device server's command table, and what a handler gives back.

The row says everything about a command that is not its effect: which CDB bits it evaluates (all others must be zero),
which reservations stop it, how many bytes it moves and in which direction. Dispatch, the checks in front of a handler,
the transport's buffers and REPORT SUPPORTED OPERATION CODES all read the same rows.

Source: SPC-4 5.9 (reservations), 6.35 (REPORT SUPPORTED OPERATION CODES); SAM-5 5.3 (status).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from iscsi.constants import ScsiStatus
from iscsi.pieces import Pieces
from iscsi.scsi import CDB_LENGTH, ScsiOpcode
from iscsi.sense import INVALID_FIELD_IN_CDB, Sense
from target.flush import Flush
from target.nexus import Nexus

if TYPE_CHECKING:
    from target.disk import Disk


class ScsiResult(NamedTuple):
    """How a command ended.

    ``data``: the whole Data-In, already cut to the allocation length of the CDB; ``sense``: bare sense data, without
    the length field iSCSI puts before it; ``aborted``: nexuses whose tasks on this logical unit the transport must now
    abort (PREEMPT AND ABORT); ``pending``: a flush the answer must wait for, which turns into MEDIUM ERROR when that
    fails. A tuple, because every read makes one.
    """

    status: ScsiStatus
    data: bytes | Pieces = b""
    sense: bytes = b""
    aborted: tuple[Nexus, ...] = ()
    pending: Flush | None = None


GOOD: Final = ScsiResult(ScsiStatus.GOOD)
CONFLICT: Final = ScsiResult(ScsiStatus.RESERVATION_CONFLICT)
TASK_ABORTED: Final = ScsiResult(ScsiStatus.TASK_ABORTED)


class CheckCondition(Exception):
    """A handler's way out: the command ends CHECK CONDITION with this sense."""

    def __init__(self, sense: Sense) -> None:
        super().__init__(sense.words)
        self.sense = sense


class DataDirection(Enum):
    """Which way data moves, seen from the initiator."""

    NONE = "none"
    IN = "in"
    OUT = "out"
    BOTH = "both"
    """As many bytes out as in."""


class Provisioned(Enum):
    """How a disk's blocks come by their space."""

    THIN = "thin"
    FULL = "full"


class Access(Enum):
    """What a command is to a reservation held by another nexus (SPC-4 table 50, SBC-3 table 13)."""

    ALWAYS = "always"
    """Allowed whoever holds what: INQUIRY, REPORT LUNS, REQUEST SENSE."""
    STATUS = "status"
    """Allowed beside any persistent reservation, stopped by RESERVE: TEST UNIT READY, READ CAPACITY."""
    READ = "read"
    """Stopped by exclusive access."""
    WRITE = "write"
    """Stopped by write exclusive and by exclusive access."""
    PERSISTENT = "persistent"
    """PERSISTENT RESERVE IN and OUT: stopped by RESERVE; a persistent reservation is their own matter."""
    RESERVE = "reserve"
    """RESERVE and RELEASE judge for themselves."""


Handler = Callable[["Disk", bytes, bytes, Nexus], ScsiResult]
"""(disk, CDB of 16 bytes, data-out, nexus) to a result; raises CheckCondition."""

Spared = Callable[[bytes], bool]
"""CDB to whether this use of the command is allowed beside any reservation."""

Length = Callable[["Disk", bytes], int]
"""(disk, CDB) to the bytes the command moves."""


def never(cdb: bytes) -> bool:
    """Reservations stop every use of the command that its ``Access`` names."""
    return False


def no_data(disk: Disk, cdb: bytes) -> int:
    """The length of a command that moves no data."""
    return 0


def field_length(start: int, width: int) -> Length:
    """The length a CDB carries in bytes: an allocation length or a parameter list length."""

    def length(disk: Disk, cdb: bytes) -> int:
        return int.from_bytes(cdb[start : start + width], "big")

    return length


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table.

    ``usage`` is the CDB usage data of SPC-4 6.35.3 in hex: the opcode, then a mask per byte of the bits the command
    evaluates; its length is the length of the CDB. ``service_action`` is given where byte 1 selects the command, or in
    a variable length CDB bytes 8 and 9.
    """

    name: str
    usage: str
    access: Access
    run: Handler
    direction: DataDirection = DataDirection.NONE
    length: Length = no_data
    service_action: int | None = None
    exact: bool = False
    """With more or less data than ``length`` the command is refused, where others take what they can use."""
    only_for: Provisioned | None = None
    reports_attention: bool = True
    needs_medium: bool = True
    """Refused while the disk is not ready."""
    while_sanitizing: bool = False
    """Served even while a sanitize operation runs."""
    spared: Spared = never
    opcode: int = field(init=False)
    mask: bytes = field(init=False)
    reserved: int = field(init=False)
    """The bits of the CDB, 16 bytes or its own length if that is more, as one number, that must be zero."""

    def __post_init__(self) -> None:
        mask = bytes.fromhex(self.usage)
        evaluated = bytearray(mask)
        evaluated[0] = 0xFF
        if mask[0] == ScsiOpcode.VARIABLE_LENGTH:
            evaluated[7:10] = b"\xff\xff\xff"
        elif self.service_action is not None:
            evaluated[1] |= 0x1F
        unused = bytes(0xFF ^ byte for byte in evaluated).ljust(CDB_LENGTH, b"\0")
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "opcode", mask[0])
        object.__setattr__(self, "reserved", int.from_bytes(unused, "big"))


def reserved_bit_set(violation: int, length: int) -> CheckCondition:
    """The complaint about reserved bits of a CDB of ``length`` bytes, given as one number: it names the first one."""
    from_right = violation.bit_length() - 1
    return CheckCondition(INVALID_FIELD_IN_CDB.at(length - 1 - from_right // 8, from_right % 8))


def bad_cdb_field(byte: int, bit: int | None = None) -> CheckCondition:
    """INVALID FIELD IN CDB, pointing at ``byte``."""
    return CheckCondition(INVALID_FIELD_IN_CDB.at(byte, bit))
