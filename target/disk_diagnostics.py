"""SEND DIAGNOSTIC, RECEIVE DIAGNOSTIC RESULTS, and which task management functions there are.

The self-test reads both ends of the medium. Of diagnostic pages there is only the list of them.

Source: SPC-4 6.28 (RECEIVE DIAGNOSTIC RESULTS), 6.36 (REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS), 6.42 (SEND
DIAGNOSTIC), 7.2 (diagnostic pages).
"""

from __future__ import annotations

from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.scsi import MaintenanceIn
from iscsi.sense import INVALID_FIELD_IN_PARAMETER_LIST, PARAMETER_LIST_LENGTH_ERROR, SELF_TEST_FAILED
from target.command import GOOD, Access, CheckCondition, Command, DataDirection, ScsiResult, bad_cdb_field, field_length
from target.disk import Disk
from target.nexus import Nexus

_PAGE_FORMAT: Final = 0x10
_SELF_TEST: Final = 0x04
_PAGE_CODE_VALID: Final = 0x01
_FOREGROUND_TESTS: Final = (5, 6)
"""Self-test codes: short and extended, which make no difference here."""
_SUPPORTED_PAGES: Final = bytes((0x00, 0, 0, 1, 0x00))
"""Diagnostic page 00h, which lists itself."""
_EXTENDED: Final = 0x80
_TASK_MANAGEMENT: Final = bytes((0xDE, 0x07))
"""80 ABORT TASK, 40 ABORT TASK SET, 10 CLEAR TASK SET, 08 LOGICAL UNIT RESET, 04 QUERY TASK, 02 target resets; second
byte 04 QUERY ASYNCHRONOUS EVENT, 02 QUERY TASK SET, 01 I_T NEXUS RESET. Not 20, CLEAR ACA."""


def _send_diagnostic(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    code, length = cdb[1] >> 5, int.from_bytes(cdb[3:5], "big")
    if not cdb[1] & _SELF_TEST and code == 0:
        _check_page(cdb, data_out[:length], length)
        return GOOD
    if code and (cdb[1] & _SELF_TEST or code not in _FOREGROUND_TESTS):
        raise bad_cdb_field(1, 7)
    if length:
        raise bad_cdb_field(3)
    try:
        disk.store.read(0, disk.block_size)
        disk.store.read((disk.blocks - 1) * disk.block_size, disk.block_size)
    except OSError:
        raise CheckCondition(SELF_TEST_FAILED) from None
    return GOOD


def _check_page(cdb: bytes, page: bytes, length: int) -> None:
    """The one page that can be sent asks for the list of pages."""
    if not length:
        return
    if not cdb[1] & _PAGE_FORMAT:
        raise bad_cdb_field(1, 4)
    if len(page) < max(length, 4) or len(page) != 4 + int.from_bytes(page[2:4], "big"):
        raise CheckCondition(PARAMETER_LIST_LENGTH_ERROR)
    if page != bytes(4):
        raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(0, in_cdb=False))


def _receive_diagnostic(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    if cdb[1] & _PAGE_CODE_VALID and cdb[2] != _SUPPORTED_PAGES[0]:
        raise bad_cdb_field(2)
    return ScsiResult(ScsiStatus.GOOD, _SUPPORTED_PAGES[: int.from_bytes(cdb[3:5], "big")])


def _report_task_management(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    allocation = int.from_bytes(cdb[6:10], "big")
    if allocation < 4:
        raise bad_cdb_field(6)
    data = _TASK_MANAGEMENT + (bytes((0, 12)) + bytes(12) if cdb[2] & _EXTENDED else bytes(2))
    return ScsiResult(ScsiStatus.GOOD, data[:allocation])


COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        "SEND DIAGNOSTIC", "1d f7 00 ff ff 00", Access.WRITE, _send_diagnostic, DataDirection.OUT, field_length(3, 2)
    ),
    Command(
        "RECEIVE DIAGNOSTIC RESULTS",
        "1c 01 ff ff ff 00",
        Access.WRITE,
        _receive_diagnostic,
        DataDirection.IN,
        field_length(3, 2),
        needs_medium=False,
    ),
    Command(
        "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
        "a3 0d 80 00 00 00 ff ff ff ff 00 00",
        Access.WRITE,
        _report_task_management,
        DataDirection.IN,
        field_length(6, 4),
        service_action=MaintenanceIn.REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS,
        needs_medium=False,
    ),
)
