"""MODE SENSE and MODE SELECT: the few settings a disk shows, and the two a host may change.

A change is told to every other nexus by MODE PARAMETERS CHANGED, and lasts until a reset.

Source: SPC-4 6.9 to 6.12, 7.5.
"""

from __future__ import annotations

from typing import Final

from iscsi import mode
from iscsi.constants import ScsiStatus
from iscsi.scsi import ScsiOpcode
from iscsi.sense import INVALID_FIELD_IN_PARAMETER_LIST, MODE_PARAMETERS_CHANGED, PARAMETER_LIST_LENGTH_ERROR
from target.command import GOOD, Access, CheckCondition, Command, DataDirection, ScsiResult, bad_cdb_field, field_length
from target.disk import Disk
from target.nexus import Nexus

_PAGE_FORMAT: Final = 0x10
_DISABLE_BLOCK_DESCRIPTOR: Final = 0x08
_ALL_SUBPAGES: Final = (0x00, 0xFF)


def _pages(disk: Disk) -> tuple[bytes, ...]:
    return (
        mode.disconnect_page(),
        mode.caching_page(write_cache=disk.store.write_cache),
        _control_page(disk),
        mode.exceptions_page(),
    )


def _control_page(disk: Disk) -> bytes:
    software = disk.write_protected and not disk.read_only
    return mode.control_page(descriptor_sense=disk.descriptor_sense, write_protect=software)


def _default_pages(disk: Disk) -> tuple[bytes, ...]:
    default = mode.control_page(descriptor_sense=disk.default_descriptor_sense)
    return tuple(default if page[0] == mode.ModePage.CONTROL else page for page in _pages(disk))


def _mode_data(disk: Disk, cdb: bytes) -> mode.ModeData:
    control, code = mode.PageControl(cdb[2] >> 6), cdb[2] & 0x3F
    if cdb[3] not in _ALL_SUBPAGES:
        raise bad_cdb_field(3)
    if control is mode.PageControl.SAVED:
        raise bad_cdb_field(2, 7)
    pages = mode.select_pages(_default_pages(disk) if control is mode.PageControl.DEFAULT else _pages(disk), code)
    if not pages:
        raise bad_cdb_field(2, 5)
    if control is mode.PageControl.CHANGEABLE:
        pages = tuple(map(mode.changeable, pages))
    without = cdb[1] & _DISABLE_BLOCK_DESCRIPTOR
    descriptor = b"" if without else mode.block_descriptor(0 if disk.not_ready else disk.blocks, disk.block_size)
    return mode.ModeData(disk.write_protected, True, descriptor, pages)


def _mode_sense_6(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return ScsiResult(ScsiStatus.GOOD, _mode_data(disk, cdb).encode_6()[: cdb[4]])


def _mode_sense_10(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return ScsiResult(ScsiStatus.GOOD, _mode_data(disk, cdb).encode_10()[: int.from_bytes(cdb[7:9], "big")])


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
    if data.block_descriptor and data.block_descriptor[-3:] != disk.block_size.to_bytes(3, "big"):
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)
    for page in data.pages:
        _check_page(disk, page)
    control = data.page(mode.ModePage.CONTROL)
    if control is not None and control != _control_page(disk):
        disk.descriptor_sense = bool(control[2] & mode.D_SENSE)
        disk.write_protected = disk.read_only or bool(control[4] & mode.SOFTWARE_WRITE_PROTECT)
        disk.attentions.establish_for_all(MODE_PARAMETERS_CHANGED, but=nexus)
    return GOOD


def _check_page(disk: Disk, page: bytes) -> None:
    """INVALID FIELD IN PARAMETER LIST unless ``page`` is one of the disk's and differs in changeable bits only."""
    for known in _pages(disk):
        if known[0] == page[0] & 0x7F and len(known) == len(page):
            mask = mode.changeable(known)
            fixed = all(
                not (old ^ new) & ~bits & 0xFF for old, new, bits in zip(known[2:], page[2:], mask[2:], strict=True)
            )
            if fixed:
                return
    raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST)


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
