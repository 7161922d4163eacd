"""The two PDUs of a plain read as one struct each, for those who cannot afford an object per PDU (RFC 7143 11.3, 11.7).

`iscsi.pdu` says what every field means and checks it; this says only where the fields of two headers stand. A plain
read is a SCSI Command that is not immediate, has the F and R bits and not W, no AHS and no data, and is answered by
Data-In PDUs of which the last carries a GOOD status without residual.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from iscsi.constants import Opcode

unpack_command: Final = Struct(">IIQIIII16s").unpack_from
"""(buffer, position) to: the first word, the lengths (11.2.1.5, 11.2.1.6), LUN, ITT, Expected Data Transfer Length,
CmdSN, ExpStatSN, CDB."""

COMMAND_MASK: Final = 0x7FE00000
"""What the first word says of a command: I and opcode, then F, R and W; not the attribute, and nothing reserved."""

COMMAND: Final = int(Opcode.SCSI_COMMAND) << 24 | 0xC00000
"""A plain read's first word under that mask."""

pack_data_in: Final = Struct(">IIQIIIIIIII").pack
"""A Data-In header of: the first word, DataSegmentLength, LUN, ITT, TTT, StatSN, ExpCmdSN, MaxCmdSN, DataSN, Buffer
Offset, residual count."""

DATA_IN: Final = int(Opcode.DATA_IN) << 24
"""The first word of a Data-In PDU in the middle of a burst."""

DATA_IN_FINAL: Final = DATA_IN | 0x800000
"""Of one that ends its burst."""

DATA_IN_GOOD: Final = DATA_IN_FINAL | 0x010000
"""Of the last one, with a GOOD status."""
