"""XDWRITEREAD: write blocks and get back the old data XOR the new, in one command that moves data both ways.

What a RAID controller asks of a disk to bring a parity block up to date. The 32-byte form has no operation code of its
own: it is a service action of VARIABLE LENGTH CDB. Over iSCSI the first is a bidirectional command, the second has a
long CDB as well, so both bring Additional Header Segments (RFC 7143 11.2.2).

Only fully provisioned disks have the 32-byte form: what hosts and libiscsi's suite know of a thin disk is spared a
command whose CDB many of them cannot hold.

Source: SBC-3 5.48 (XDWRITEREAD(10)), 5.49 (XDWRITEREAD(32)); SPC-4 4.2.3 (variable length CDBs).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.scsi import ScsiOpcode, VariableLength
from target.command import Access, Command, DataDirection, Handler, Provisioned, ScsiResult, bad_cdb_field
from target.disk import Disk
from target.disk_io import check_all_there
from target.nexus import Nexus

_DISABLE_WRITE: Final = 0x04

_Locate = Callable[[bytes], tuple[int, int]]
_locate_10: Final[_Locate] = Struct(">2xIxH").unpack_from
_locate_32: Final[_Locate] = Struct(">12xQ8xI").unpack_from


def _xdwriteread(locate: _Locate, flags_byte: int, length_byte: int) -> Handler:
    def run(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        lba, blocks = locate(cdb)
        disk.check_writable()
        disk.check_range(lba, blocks)
        if blocks > disk.max_transfer_blocks:
            raise bad_cdb_field(length_byte)
        start, length = lba * disk.block_size, blocks * disk.block_size
        check_all_there(data_out, length)
        old = disk.store.read(start, length)
        difference = (int.from_bytes(old) ^ int.from_bytes(data_out)).to_bytes(length)
        if cdb[flags_byte] & _DISABLE_WRITE:
            return ScsiResult(ScsiStatus.GOOD, difference)
        disk.store.write(start, data_out)
        return disk.written(stable=False)._replace(data=difference)

    return run


def _length(locate: _Locate) -> Callable[[Disk, bytes], int]:
    def length(disk: Disk, cdb: bytes) -> int:
        return locate(cdb)[1] * disk.block_size

    return length


COMMANDS: Final = (
    Command(
        "XDWRITEREAD(10)",
        "53 14 ff ff ff ff 1f ff ff 00",
        Access.WRITE,
        _xdwriteread(_locate_10, 1, 7),
        DataDirection.BOTH,
        _length(_locate_10),
        exact=True,
    ),
    Command(
        "XDWRITEREAD(32)",
        f"{ScsiOpcode.VARIABLE_LENGTH:02x} 00 00 00 00 00 1f 18 {VariableLength.XDWRITEREAD_32:04x} 14 00"
        + "ff" * 8
        + "00" * 8
        + "ff" * 4,
        Access.WRITE,
        _xdwriteread(_locate_32, 10, 28),
        DataDirection.BOTH,
        _length(_locate_32),
        service_action=VariableLength.XDWRITEREAD_32,
        only_for=Provisioned.FULL,
        exact=True,
    ),
)
