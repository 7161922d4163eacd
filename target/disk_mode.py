"""MODE SENSE and MODE SELECT: the settings a disk shows, and the few a host may change (`iscsi.mode`).

A parameter list is taken whole or not at all. A change is told to every other nexus by MODE PARAMETERS CHANGED, and
lasts until a reset.

Source: SPC-4 6.9 to 6.12, 7.5.
"""

from __future__ import annotations

from typing import Final

from iscsi import mode
from iscsi.constants import ScsiStatus
from iscsi.scsi import ScsiOpcode
from iscsi.sense import (
    INVALID_FIELD_IN_PARAMETER_LIST,
    MODE_PARAMETERS_CHANGED,
    PARAMETER_LIST_LENGTH_ERROR,
    SAVING_PARAMETERS_NOT_SUPPORTED,
)
from target.command import GOOD, Access, CheckCondition, Command, DataDirection, ScsiResult, bad_cdb_field, field_length
from target.disk import Disk
from target.mode_pages import UnchangeableBit
from target.nexus import Nexus

_PAGE_FORMAT: Final = 0x10
_DISABLE_BLOCK_DESCRIPTOR: Final = 0x08
_LONG_LBA_ACCEPTED: Final = 0x10
_ALL_BLOCKS: Final = (0, 0xFFFFFFFF)
"""Numbers of blocks by which a block descriptor asks for what there is."""


def _mode_data(disk: Disk, cdb: bytes, *, long_lba: bool) -> mode.ModeData:
    control, code, subpage = mode.PageControl(cdb[2] >> 6), cdb[2] & 0x3F, cdb[3]
    if control is mode.PageControl.SAVED:
        raise CheckCondition(SAVING_PARAMETERS_NOT_SUPPORTED)
    pages = disk.modes.sense(code, subpage, control)
    if not pages:
        raise bad_cdb_field(3) if disk.modes.sense(code, mode.ALL_SUBPAGES, control) else bad_cdb_field(2, 5)
    descriptor = b""
    if not cdb[1] & _DISABLE_BLOCK_DESCRIPTOR:
        blocks = 0 if disk.not_ready else disk.blocks
        descriptor = mode.block_descriptor(blocks, disk.block_size, long_lba=long_lba)
    return mode.ModeData(disk.write_protected, True, descriptor, pages)


def _mode_sense_6(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return ScsiResult(ScsiStatus.GOOD, _mode_data(disk, cdb, long_lba=False).encode_6()[: cdb[4]])


def _mode_sense_10(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    data = _mode_data(disk, cdb, long_lba=bool(cdb[1] & _LONG_LBA_ACCEPTED)).encode_10()
    return ScsiResult(ScsiStatus.GOOD, data[: int.from_bytes(cdb[7:9], "big")])


def _mode_select(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    long_header = cdb[0] == ScsiOpcode.MODE_SELECT_10
    length = int.from_bytes(cdb[7:9], "big") if long_header else cdb[4]
    if not cdb[1] & _PAGE_FORMAT:
        raise bad_cdb_field(1, 4)
    if not length:
        return GOOD
    try:
        data = mode.ModeData.decode_select(data_out[:length], long_header=long_header)
    except ValueError:
        raise CheckCondition(PARAMETER_LIST_LENGTH_ERROR) from None
    if data.medium_type:
        raise _bad_parameter(2 if long_header else 1)
    header = 8 if long_header else 4
    long_lba = long_header and bool(data_out[4] & 1)
    _check_block_descriptor(disk, data.block_descriptor, header, long_lba=long_lba)
    _check_pages(disk, data.pages, header + len(data.block_descriptor))
    if disk.modes.change(data.pages):
        disk.apply_modes()
        disk.attentions.establish_for_all(MODE_PARAMETERS_CHANGED, but=nexus)
        if disk.write_through:
            return disk.flushed()  # a write cache that has been switched off holds nothing any more
    return GOOD


def _check_block_descriptor(disk: Disk, descriptor: bytes, at: int, *, long_lba: bool) -> None:
    """The size of the disk and of its blocks stay what they are."""
    if not descriptor:
        return
    wanted = mode.block_descriptor(disk.blocks, disk.block_size, long_lba=long_lba)
    if len(descriptor) != len(wanted):
        raise _bad_parameter(at - 1)
    width = 8 if long_lba else 4
    if descriptor[:width] != wanted[:width] and int.from_bytes(descriptor[:width], "big") not in _ALL_BLOCKS:
        raise _bad_parameter(at)
    if descriptor[-3:] != wanted[-3:]:
        raise _bad_parameter(at + len(wanted) - 3)


def _check_pages(disk: Disk, pages: tuple[bytes, ...], at: int) -> None:
    for page in pages:
        try:
            disk.modes.check(page)
        except UnchangeableBit as refused:
            raise _bad_parameter(at + refused.byte) from None
        at += len(page)


def _bad_parameter(byte: int) -> CheckCondition:
    return CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(byte, in_cdb=False))


_IN = DataDirection.IN
_OUT = DataDirection.OUT

COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        "MODE SENSE(6)", "1a 08 ff ff ff 00", Access.WRITE, _mode_sense_6, _IN, field_length(4, 1), needs_medium=False
    ),
    Command(
        "MODE SENSE(10)",
        "5a 18 ff ff 00 00 00 ff ff 00",
        Access.WRITE,
        _mode_sense_10,
        _IN,
        field_length(7, 2),
        needs_medium=False,
    ),
    Command(
        "MODE SELECT(6)", "15 10 00 00 ff 00", Access.WRITE, _mode_select, _OUT, field_length(4, 1), needs_medium=False
    ),
    Command(
        "MODE SELECT(10)",
        "55 10 00 00 00 00 00 ff ff 00",
        Access.WRITE,
        _mode_select,
        _OUT,
        field_length(7, 2),
        needs_medium=False,
    ),
)
