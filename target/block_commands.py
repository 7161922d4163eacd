"""Which commands read or write blocks, and where their CDBs name them (SBC-3 5)."""

from __future__ import annotations

from typing import Final

from iscsi.scsi import ScsiOpcode

READS: Final = frozenset(
    (
        ScsiOpcode.READ_6,
        ScsiOpcode.READ_10,
        ScsiOpcode.READ_12,
        ScsiOpcode.READ_16,
        ScsiOpcode.VERIFY_10,
        ScsiOpcode.VERIFY_12,
        ScsiOpcode.VERIFY_16,
        ScsiOpcode.COMPARE_AND_WRITE,
        ScsiOpcode.ORWRITE,
    )
)
"""Commands that cannot end well without reading the medium."""


WRITES: Final = frozenset(
    (
        ScsiOpcode.WRITE_6,
        ScsiOpcode.WRITE_10,
        ScsiOpcode.WRITE_12,
        ScsiOpcode.WRITE_16,
        ScsiOpcode.WRITE_AND_VERIFY_10,
        ScsiOpcode.WRITE_AND_VERIFY_12,
        ScsiOpcode.WRITE_AND_VERIFY_16,
        ScsiOpcode.WRITE_SAME_10,
        ScsiOpcode.WRITE_SAME_16,
        ScsiOpcode.WRITE_ATOMIC_16,
        ScsiOpcode.COMPARE_AND_WRITE,
        ScsiOpcode.ORWRITE,
    )
)
"""Commands that cannot end well without writing the medium, and name one range of blocks in their CDB."""


def range_of(cdb: bytes) -> tuple[int, int]:
    """First block and number of blocks of one of these, by the length of its CDB (SPC-4 4.3)."""
    match cdb[0] >> 5:
        case 0:
            return int.from_bytes(cdb[1:4]) & 0x1FFFFF, cdb[4] or 256
        case 1:
            return int.from_bytes(cdb[2:6]), int.from_bytes(cdb[7:9])
        case 5:
            return int.from_bytes(cdb[2:6]), int.from_bytes(cdb[6:10])
        case _:
            return int.from_bytes(cdb[2:10]), _blocks_of_16(cdb)


def _blocks_of_16(cdb: bytes) -> int:
    if cdb[0] == ScsiOpcode.COMPARE_AND_WRITE:
        return cdb[13]
    if cdb[0] == ScsiOpcode.WRITE_ATOMIC_16:
        return int.from_bytes(cdb[12:14])
    return int.from_bytes(cdb[10:14])
