"""CDBs: what an initiator asks, as the 16 bytes a SCSI Command PDU carries.

Builders return 16 bytes, shorter CDBs zero-padded, because that is the field RFC 7143 11.3.5 gives them. The read
side is ``block_range``: where LBA and length stand in each command on logical blocks, for the device server and for
whoever reads a capture. ``Sense`` and its conditions are in ``iscsi.sense``, statuses in ``iscsi.constants``.

Source: SPC-4 section 6 and SBC-3 section 5; READ(6) and WRITE(6) from SBC-2.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import Final

from iscsi.sense import Sense as Sense

CDB_LENGTH: Final = 16
"""Bytes of the CDB field of a SCSI Command PDU."""


class ScsiOpcode(IntEnum):
    """Operation codes, byte 0 of a CDB."""

    TEST_UNIT_READY = 0x00
    REQUEST_SENSE = 0x03
    READ_6 = 0x08
    WRITE_6 = 0x0A
    INQUIRY = 0x12
    MODE_SELECT_6 = 0x15
    RESERVE_6 = 0x16
    RELEASE_6 = 0x17
    MODE_SENSE_6 = 0x1A
    START_STOP_UNIT = 0x1B
    RECEIVE_DIAGNOSTIC_RESULTS = 0x1C
    SEND_DIAGNOSTIC = 0x1D
    PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1E
    READ_CAPACITY_10 = 0x25
    READ_10 = 0x28
    WRITE_10 = 0x2A
    WRITE_AND_VERIFY_10 = 0x2E
    VERIFY_10 = 0x2F
    PRE_FETCH_10 = 0x34
    SYNCHRONIZE_CACHE_10 = 0x35
    READ_DEFECT_DATA_10 = 0x37
    WRITE_SAME_10 = 0x41
    UNMAP = 0x42
    XDWRITEREAD_10 = 0x53
    SANITIZE = 0x48
    MODE_SELECT_10 = 0x55
    RESERVE_10 = 0x56
    RELEASE_10 = 0x57
    MODE_SENSE_10 = 0x5A
    PERSISTENT_RESERVE_IN = 0x5E
    PERSISTENT_RESERVE_OUT = 0x5F
    VARIABLE_LENGTH = 0x7F
    EXTENDED_COPY = 0x83
    RECEIVE_COPY_RESULTS = 0x84
    READ_16 = 0x88
    COMPARE_AND_WRITE = 0x89
    WRITE_16 = 0x8A
    ORWRITE = 0x8B
    WRITE_AND_VERIFY_16 = 0x8E
    VERIFY_16 = 0x8F
    PRE_FETCH_16 = 0x90
    SYNCHRONIZE_CACHE_16 = 0x91
    WRITE_SAME_16 = 0x93
    WRITE_ATOMIC_16 = 0x9C
    SERVICE_ACTION_IN_16 = 0x9E
    REPORT_LUNS = 0xA0
    MAINTENANCE_IN = 0xA3
    MAINTENANCE_OUT = 0xA4
    READ_12 = 0xA8
    WRITE_12 = 0xAA
    WRITE_AND_VERIFY_12 = 0xAE
    VERIFY_12 = 0xAF
    READ_DEFECT_DATA_12 = 0xB7


class ServiceActionIn(IntEnum):
    """Service actions of SERVICE ACTION IN(16), opcode 9Eh."""

    READ_CAPACITY_16 = 0x10
    GET_LBA_STATUS = 0x12


class VariableLength(IntEnum):
    """Service actions of VARIABLE LENGTH CDB, bytes 8 and 9 (SPC-4 4.2.3, SBC-3 5.1)."""

    XDWRITEREAD_32 = 0x0007


class Sanitize(IntEnum):
    """Service actions of SANITIZE, opcode 48h."""

    OVERWRITE = 0x01
    BLOCK_ERASE = 0x02
    CRYPTO_ERASE = 0x03
    EXIT_FAILURE_MODE = 0x1F


class MaintenanceIn(IntEnum):
    """Service actions of MAINTENANCE IN, opcode A3h."""

    REPORT_TARGET_PORT_GROUPS = 0x0A
    REPORT_SUPPORTED_OPERATION_CODES = 0x0C
    REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS = 0x0D


class MaintenanceOut(IntEnum):
    """Service actions of MAINTENANCE OUT, opcode A4h."""

    SET_TARGET_PORT_GROUPS = 0x0A


class PersistentIn(IntEnum):
    """Service actions of PERSISTENT RESERVE IN."""

    READ_KEYS = 0
    READ_RESERVATION = 1
    REPORT_CAPABILITIES = 2
    READ_FULL_STATUS = 3


class PersistentOut(IntEnum):
    """Service actions of PERSISTENT RESERVE OUT."""

    REGISTER = 0
    RESERVE = 1
    RELEASE = 2
    CLEAR = 3
    PREEMPT = 4
    PREEMPT_AND_ABORT = 5
    REGISTER_AND_IGNORE_EXISTING_KEY = 6
    REGISTER_AND_MOVE = 7


class PersistentType(IntEnum):
    """Persistent reservation types (SPC-4 6.15.3.4)."""

    WRITE_EXCLUSIVE = 1
    EXCLUSIVE_ACCESS = 3
    WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5
    EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 6
    WRITE_EXCLUSIVE_ALL_REGISTRANTS = 7
    EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8


_SIX = Struct(">BxHB11x")  # the top five bits of the 21-bit LBA travel in byte 1, patched in below
_TEN = Struct(">BBIBHx6x")
_TWELVE = Struct(">BBIIxx4x")
_SIXTEEN = Struct(">BBQIBx")

_READ = {6: ScsiOpcode.READ_6, 10: ScsiOpcode.READ_10, 12: ScsiOpcode.READ_12, 16: ScsiOpcode.READ_16}
_WRITE = {6: ScsiOpcode.WRITE_6, 10: ScsiOpcode.WRITE_10, 12: ScsiOpcode.WRITE_12, 16: ScsiOpcode.WRITE_16}
_VERIFY = {10: ScsiOpcode.VERIFY_10, 12: ScsiOpcode.VERIFY_12, 16: ScsiOpcode.VERIFY_16}
_SYNCHRONIZE = {10: ScsiOpcode.SYNCHRONIZE_CACHE_10, 16: ScsiOpcode.SYNCHRONIZE_CACHE_16}
_WRITE_SAME = {10: ScsiOpcode.WRITE_SAME_10, 16: ScsiOpcode.WRITE_SAME_16}


def _block_cdb(opcodes: dict[int, ScsiOpcode], lba: int, blocks: int, width: int | None, flags: int) -> bytes:
    """A CDB of the family ``opcodes``; the 10-byte form where the numbers fit, else the 16-byte one."""
    if width is None:
        width = 10 if lba < 1 << 32 and blocks < 1 << 16 else 16
    try:
        opcode = opcodes[width]
    except KeyError:
        raise ValueError(f"no {width}-byte form of {opcodes[10].name}; expected one of {sorted(opcodes)}") from None
    lba_bits, blocks_bits = _WIDTHS[width]
    if not 0 <= lba < 1 << lba_bits or not 0 <= blocks <= (1 << blocks_bits) - (width != 6):
        raise ValueError(f"{opcode.name}: LBA {lba} and {blocks} blocks do not fit a {width}-byte CDB")
    if width == 6:
        if blocks == 0 or flags:
            raise ValueError(f"{opcode.name} takes 1 to 256 blocks and no flags, got {blocks} blocks, flags {flags:#x}")
        cdb = _SIX.pack(opcode, lba & 0xFFFF, blocks & 0xFF)
        return bytes((cdb[0], lba >> 16)) + cdb[2:]
    if width == 10:
        return _TEN.pack(opcode, flags, lba, 0, blocks)
    if width == 12:
        return _TWELVE.pack(opcode, flags, lba, blocks)
    return _SIXTEEN.pack(opcode, flags, lba, blocks, 0)


_WIDTHS: Final = {6: (21, 8), 10: (32, 16), 12: (32, 32), 16: (64, 32)}
"""CDB bytes: (bits of the LBA field, bits of the length field)."""


def read(lba: int, blocks: int, *, width: int | None = None, fua: bool = False, dpo: bool = False) -> bytes:
    """READ of ``blocks`` logical blocks; ``width`` is the CDB's length in bytes (6, 10, 12, 16; None: as needed)."""
    return _block_cdb(_READ, lba, blocks, width, dpo << 4 | fua << 3)


def write(lba: int, blocks: int, *, width: int | None = None, fua: bool = False, dpo: bool = False) -> bytes:
    """WRITE of ``blocks`` logical blocks; arguments as for ``read``."""
    return _block_cdb(_WRITE, lba, blocks, width, dpo << 4 | fua << 3)


def verify(lba: int, blocks: int, *, width: int | None = None, byte_check: int = 0) -> bytes:
    """VERIFY; ``byte_check`` 0 compares nothing, 1 the data-out blocks, 3 one data-out block against every block."""
    return _block_cdb(_VERIFY, lba, blocks, width, byte_check << 1)


def synchronize_cache(lba: int = 0, blocks: int = 0, *, width: int | None = None, immediate: bool = False) -> bytes:
    """SYNCHRONIZE CACHE; zero blocks means to the end of the medium."""
    return _block_cdb(_SYNCHRONIZE, lba, blocks, width, immediate << 1)


def write_same(lba: int, blocks: int, *, width: int | None = None, unmap: bool = False, no_data: bool = False) -> bytes:
    """WRITE SAME; ``no_data`` sets NDOB (16-byte form only): zeros, and no data-out block."""
    if no_data:
        width = 16
    return _block_cdb(_WRITE_SAME, lba, blocks, width, unmap << 3 | no_data)


def write_atomic(lba: int, blocks: int, *, boundary: int = 0, fua: bool = False, dpo: bool = False) -> bytes:
    """WRITE ATOMIC(16) of at most 65535 blocks; ``boundary`` is the ATOMIC BOUNDARY in blocks."""
    head = bytes((ScsiOpcode.WRITE_ATOMIC_16, dpo << 4 | fua << 3)) + lba.to_bytes(8, "big")
    return _pad(head + boundary.to_bytes(2, "big") + blocks.to_bytes(2, "big"))


def compare_and_write(lba: int, blocks: int, *, fua: bool = False) -> bytes:
    """COMPARE AND WRITE; the data-out buffer holds ``blocks`` to compare, then ``blocks`` to write."""
    return bytes((ScsiOpcode.COMPARE_AND_WRITE, fua << 3)) + lba.to_bytes(8, "big") + bytes((0, 0, 0, blocks, 0, 0))


def unmap(parameter_list_length: int) -> bytes:
    """UNMAP; the parameter list is ``iscsi.capacity.build_unmap_list``."""
    return _pad(bytes((ScsiOpcode.UNMAP, 0, 0, 0, 0, 0, 0)) + parameter_list_length.to_bytes(2, "big"))


def test_unit_ready() -> bytes:
    """TEST UNIT READY: the path check of MSDSM and of multipathd's ``tur``."""
    return bytes(CDB_LENGTH)


def request_sense(allocation_length: int = 252, *, descriptor: bool = False) -> bytes:
    """REQUEST SENSE; ``descriptor`` asks for the 72h format."""
    return _pad(bytes((ScsiOpcode.REQUEST_SENSE, descriptor, 0, 0, allocation_length)))


def inquiry(allocation_length: int = 255, *, vpd_page: int | None = None) -> bytes:
    """INQUIRY: standard data, or one vital product data page."""
    head = bytes((ScsiOpcode.INQUIRY, vpd_page is not None, vpd_page or 0))
    return _pad(head + allocation_length.to_bytes(2, "big"))


def read_capacity_10() -> bytes:
    """READ CAPACITY(10): 8 bytes; FFFFFFFFh means ask READ CAPACITY(16)."""
    return _pad(bytes((ScsiOpcode.READ_CAPACITY_10,)))


def read_capacity_16(allocation_length: int = 32) -> bytes:
    """READ CAPACITY(16)."""
    head = bytes((ScsiOpcode.SERVICE_ACTION_IN_16, ServiceActionIn.READ_CAPACITY_16)) + bytes(8)
    return _pad(head + allocation_length.to_bytes(4, "big"))


def get_lba_status(lba: int, allocation_length: int = 24) -> bytes:
    """GET LBA STATUS from ``lba`` on."""
    head = bytes((ScsiOpcode.SERVICE_ACTION_IN_16, ServiceActionIn.GET_LBA_STATUS)) + lba.to_bytes(8, "big")
    return _pad(head + allocation_length.to_bytes(4, "big"))


def sanitize(
    action: Sanitize, *, parameter_list_length: int = 0, immediate: bool = False, unrestricted: bool = False
) -> bytes:
    """SANITIZE; OVERWRITE has a parameter list: flags and count, 0, pattern length, pattern."""
    flags = immediate << 7 | unrestricted << 5 | action
    return _pad(bytes((ScsiOpcode.SANITIZE, flags)) + bytes(5) + parameter_list_length.to_bytes(2, "big"))


def extended_copy(parameter_list_length: int) -> bytes:
    """EXTENDED COPY(LID1); the parameter list is ``iscsi.copying.CopyList``."""
    return _pad(bytes((ScsiOpcode.EXTENDED_COPY,)) + bytes(9) + parameter_list_length.to_bytes(4, "big"))


def receive_copy_results(action: int, *, list_id: int = 0, allocation_length: int = 1024) -> bytes:
    """RECEIVE COPY RESULTS; ``action`` is one of ``iscsi.copying.CopyResults``."""
    head = bytes((ScsiOpcode.RECEIVE_COPY_RESULTS, action, list_id)) + bytes(7)
    return _pad(head + allocation_length.to_bytes(4, "big"))


def report_luns(allocation_length: int = 4096, *, select_report: int = 0) -> bytes:
    """REPORT LUNS; the allocation length must be at least 16 bytes."""
    return _pad(bytes((ScsiOpcode.REPORT_LUNS, 0, select_report, 0, 0, 0)) + allocation_length.to_bytes(4, "big"))


def report_target_port_groups(allocation_length: int = 1024, *, extended: bool = False) -> bytes:
    """REPORT TARGET PORT GROUPS; the data is ``iscsi.port_groups.PortGroups``, ``extended`` under the longer header."""
    head = bytes((ScsiOpcode.MAINTENANCE_IN, extended << 5 | MaintenanceIn.REPORT_TARGET_PORT_GROUPS, 0, 0, 0, 0))
    return _pad(head + allocation_length.to_bytes(4, "big"))


def set_target_port_groups(parameter_list_length: int) -> bytes:
    """SET TARGET PORT GROUPS; the parameter list is ``iscsi.port_groups.build_set_list``."""
    head = bytes((ScsiOpcode.MAINTENANCE_OUT, MaintenanceOut.SET_TARGET_PORT_GROUPS, 0, 0, 0, 0))
    return _pad(head + parameter_list_length.to_bytes(4, "big"))


def mode_sense_6(page: int, *, allocation_length: int = 255, page_control: int = 0) -> bytes:
    """MODE SENSE(6) of one page, 3Fh for all."""
    return _pad(bytes((ScsiOpcode.MODE_SENSE_6, 0, page_control << 6 | page, 0, allocation_length)))


def mode_sense_10(page: int, *, allocation_length: int = 1024, page_control: int = 0) -> bytes:
    """MODE SENSE(10) of one page, 3Fh for all."""
    head = bytes((ScsiOpcode.MODE_SENSE_10, 0, page_control << 6 | page, 0, 0, 0, 0))
    return _pad(head + allocation_length.to_bytes(2, "big"))


def mode_select_6(parameter_list_length: int) -> bytes:
    """MODE SELECT(6) in page format; the changes are not saved."""
    return _pad(bytes((ScsiOpcode.MODE_SELECT_6, 0x10, 0, 0, parameter_list_length)))


def reserve_6() -> bytes:
    """RESERVE(6): the whole unit, for this I_T nexus only (SPC-2)."""
    return _pad(bytes((ScsiOpcode.RESERVE_6,)))


def release_6() -> bytes:
    """RELEASE(6)."""
    return _pad(bytes((ScsiOpcode.RELEASE_6,)))


def persistent_reserve_in(action: PersistentIn, allocation_length: int = 1024) -> bytes:
    """PERSISTENT RESERVE IN."""
    head = bytes((ScsiOpcode.PERSISTENT_RESERVE_IN, action, 0, 0, 0, 0, 0))
    return _pad(head + allocation_length.to_bytes(2, "big"))


def persistent_reserve_out(action: PersistentOut, kind: PersistentType | None = None) -> bytes:
    """PERSISTENT RESERVE OUT with the basic 24-byte parameter list, LU scope."""
    head = bytes((ScsiOpcode.PERSISTENT_RESERVE_OUT, action, kind or 0, 0, 0))
    return _pad(head + (24).to_bytes(4, "big"))


def persistent_reserve_list(key: int, service_action_key: int = 0, *, all_target_ports: bool = False) -> bytes:
    """The 24-byte parameter list of PERSISTENT RESERVE OUT: both keys as numbers of 64 bits."""
    flags = bytes((all_target_ports << 2, 0, 0, 0))
    return key.to_bytes(8, "big") + service_action_key.to_bytes(8, "big") + bytes(4) + flags


def _pad(cdb: bytes) -> bytes:
    return cdb.ljust(CDB_LENGTH, b"\0")


def _range_6(cdb: bytes) -> tuple[int, int]:
    return int.from_bytes(cdb[1:4], "big") & 0x1FFFFF, cdb[4] or 256


RANGE_BY_OPCODE: Final[dict[int, Callable[[bytes], tuple[int, int]]]] = (
    dict.fromkeys((0x08, 0x0A), _range_6)
    | dict.fromkeys((0x28, 0x2A, 0x2E, 0x2F, 0x34, 0x35, 0x41), Struct(">2xIxH").unpack_from)
    | dict.fromkeys((0xA8, 0xAA, 0xAE, 0xAF), Struct(">2xII").unpack_from)
    | dict.fromkeys((0x88, 0x8A, 0x8B, 0x8E, 0x8F, 0x90, 0x91, 0x93), Struct(">2xQI").unpack_from)
    | {0x89: Struct(">2xQ3xB").unpack_from, 0x9C: Struct(">2xQ2xH").unpack_from}
)
"""Where each command on logical blocks holds its LBA and its length: opcode to a function of the CDB."""


def block_range(cdb: bytes) -> tuple[int, int] | None:
    """(LBA, blocks) of a command on logical blocks; None for any other command.

    READ(6) and WRITE(6) with length zero mean 256 blocks; everywhere else the length is what the field says.
    """
    locate = RANGE_BY_OPCODE.get(cdb[0])
    return None if locate is None else locate(cdb)
