"""The PDUs of plain reads and writes as two structs, for who cannot afford an object per PDU (RFC 7143 11).

`iscsi.pdu` says what every field means and checks it; this says only where the fields of three headers stand. A plain
command is not immediate, has no AHS, and either reads, without data, or writes, with all of its data in it. It ends
GOOD without a residual: a read in the last of its Data-In PDUs, a write in a SCSI Response.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from iscsi.constants import Opcode, TaskAttribute

_COMMAND: Final = Struct(">IIQIIII16s")

unpack_command: Final = _COMMAND.unpack_from
"""(buffer, position) to: the first word, the lengths (11.2.1.5, 11.2.1.6), LUN, ITT, Expected Data Transfer Length,
CmdSN, ExpStatSN, CDB."""

pack_command: Final = _COMMAND.pack
"""The same fields to a header."""

COMMAND_MASK: Final = 0x7FE00000
"""What the first word says of a command: I and opcode, then F, R and W; not the attribute, and nothing reserved."""

READ_COMMAND: Final = int(Opcode.SCSI_COMMAND) << 24 | 0xC00000
"""A plain read's first word under that mask: F and R."""

SIMPLE_READ: Final = READ_COMMAND | int(TaskAttribute.SIMPLE) << 16
"""The whole first word of a plain read."""

WRITE_COMMAND: Final = int(Opcode.SCSI_COMMAND) << 24 | 0xA00000
"""A plain write's: F and W."""

pack_digest: Final = Struct("<I").pack
"""A CRC32C as it stands behind a header or a data segment (13.1)."""

unpack_digest: Final = Struct("<I").unpack_from
"""(buffer, position) to a tuple of the CRC32C there."""

WRITE_BIT: Final = 0x20
"""W, in byte 1 of a command."""

pack_answer: Final = Struct(">IIQIIIIIIII").pack
"""The header of an answer: the first word, DataSegmentLength, LUN, ITT, TTT or SNACK Tag, StatSN, ExpCmdSN, MaxCmdSN,
DataSN or ExpDataSN, Buffer Offset or bidirectional residual, residual."""

unpack_answer: Final = Struct(">II8xI4xIIIII4x").unpack_from
"""(buffer, position) to what of it an initiator looks at: the first word, the lengths, ITT, StatSN, ExpCmdSN, MaxCmdSN,
DataSN or ExpDataSN, Buffer Offset."""

DATA_IN: Final = int(Opcode.DATA_IN) << 24
"""The first word of a Data-In PDU in the middle of a burst."""

DATA_IN_FINAL: Final = DATA_IN | 0x800000
"""Of one that ends its burst."""

DATA_IN_GOOD: Final = DATA_IN_FINAL | 0x010000
"""Of the last one, with a GOOD status."""

RESPONSE_GOOD: Final = int(Opcode.SCSI_RESPONSE) << 24 | 0x800000
"""The first word of a SCSI Response with a GOOD status."""
