"""Thin provisioning: UNMAP, WRITE SAME and GET LBA STATUS.

A deallocated block reads as zeros (LBPRZ), so deallocating and writing zeros differ only in the space they leave.

Source: SBC-3 4.7 (provisioning), 5.4, 5.28, 5.50, 5.51.
"""

from __future__ import annotations

from typing import Final

from iscsi.capacity import LbaStatus, ProvisioningStatus, build_lba_status, parse_unmap_list
from iscsi.constants import ScsiStatus
from iscsi.scsi import RANGE_BY_OPCODE, ServiceActionIn
from iscsi.sense import INVALID_FIELD_IN_PARAMETER_LIST, LBA_OUT_OF_RANGE, PARAMETER_LIST_LENGTH_ERROR
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
from target.disk_io import check_all_there
from target.nexus import Nexus
from target.store import extents

_UNMAP_BIT: Final = 0x08
_NO_DATA_OUT_BIT: Final = 0x01
_WRITE_SAME_16: Final = 0x93
_MAX_RUN_BLOCKS: Final = 0xFFFFFFFF
_MAX_RUNS: Final = 256


def _unmap(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    disk.check_writable()
    if not int.from_bytes(cdb[7:9], "big"):
        return GOOD
    if len(data_out) < 8:
        raise CheckCondition(PARAMETER_LIST_LENGTH_ERROR)
    ranges = parse_unmap_list(data_out)
    if len(ranges) > disk.limits.max_unmap_descriptors:
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(2, in_cdb=False))
    if sum(blocks for _, blocks in ranges) > disk.limits.max_unmap_blocks:
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(8, in_cdb=False))
    for lba, blocks in ranges:
        disk.check_range(lba, blocks)
    for lba, blocks in ranges:
        disk.store.discard(lba * disk.block_size, blocks * disk.block_size)
    return disk.written(stable=False)


def _write_same(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    lba, blocks = RANGE_BY_OPCODE[cdb[0]](cdb)
    disk.check_writable()
    if cdb[1] & _UNMAP_BIT and not disk.thin:
        raise bad_cdb_field(1, 3)
    disk.check_range(lba, blocks)
    if not 0 < blocks <= disk.limits.max_write_same:  # none would mean all that follow: WSNZ of page B0h says no
        raise bad_cdb_field(10 if cdb[0] == _WRITE_SAME_16 else 7)
    size = disk.block_size
    check_all_there(data_out, _write_same_length(disk, cdb))
    pattern = data_out or bytes(size)
    if cdb[1] & _UNMAP_BIT and not any(pattern):
        disk.store.discard(lba * size, blocks * size)
    else:
        disk.store.write(lba * size, pattern * blocks)
    return disk.written(stable=False)


def _carries_no_data(cdb: bytes) -> bool:
    return cdb[0] == _WRITE_SAME_16 and bool(cdb[1] & _NO_DATA_OUT_BIT)


def _write_same_length(disk: Disk, cdb: bytes) -> int:
    return 0 if _carries_no_data(cdb) else disk.block_size


def _get_lba_status(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    lba = int.from_bytes(cdb[2:10], "big")
    allocation = int.from_bytes(cdb[10:14], "big")
    if lba >= disk.blocks:
        raise CheckCondition(LBA_OUT_OF_RANGE)
    room = min(max((allocation - 8) // 16, 1), _MAX_RUNS)
    runs: list[LbaStatus] = []
    size = disk.block_size
    for extent in extents(disk.store, lba * size, disk.blocks * size, size):
        blocks = min(extent.length // size, _MAX_RUN_BLOCKS)
        status = ProvisioningStatus.MAPPED if extent.mapped or not disk.thin else ProvisioningStatus.DEALLOCATED
        runs.append(LbaStatus(lba, blocks, status))
        lba += blocks
        if len(runs) == room or blocks < extent.length // size:
            break
    return ScsiResult(ScsiStatus.GOOD, build_lba_status(runs)[:allocation])


COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        "UNMAP",
        "42 00 00 00 00 00 1f ff ff 00",
        Access.WRITE,
        _unmap,
        DataDirection.OUT,
        field_length(7, 2),
        only_for=Provisioned.THIN,
    ),
    Command(
        "WRITE SAME(10)",
        "41 08 ff ff ff ff 1f ff ff 00",
        Access.WRITE,
        _write_same,
        DataDirection.OUT,
        _write_same_length,
        exact=True,
    ),
    Command(
        "WRITE SAME(16)",
        "93 09 ff ff ff ff ff ff ff ff ff ff ff ff 1f 00",
        Access.WRITE,
        _write_same,
        DataDirection.OUT,
        _write_same_length,
        exact=True,
    ),
    Command(
        "GET LBA STATUS",
        "9e 12 ff ff ff ff ff ff ff ff ff ff ff ff 00 00",
        Access.READ,
        _get_lba_status,
        DataDirection.IN,
        field_length(10, 4),
        service_action=ServiceActionIn.GET_LBA_STATUS,
        only_for=Provisioned.THIN,
    ),
)
