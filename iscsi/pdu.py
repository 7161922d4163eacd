"""Every PDU of RFC 7143 section 11 as a frozen value with a field table, and the codec over them.

A PDU here is what stands in its Basic Header Segment plus its data segment. Lengths, padding and digests are the
framing's business (`encode_buffers`, `iscsi.framer`), so a PDU cannot carry a length that disagrees with its data.
Reserved bits are sent as zero and ignored on receipt (11.1). Integers are kept raw: judging a code that RFC 7143
reserves is the state machines' task, which know what to answer.

LUN fields hold the 64-bit SAM value; `iscsi.lun` converts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MethodType
from typing import ClassVar, Final, TypeVar, cast, dataclass_transform

from google_crc32c import value as crc32c

from iscsi.constants import RESERVED_TAG, Opcode, RejectReason, TaskAttribute
from iscsi.errors import RemoteProtocolError
from iscsi.fields import Field, Pack, Unpack, bits, compile_codec, compile_new, flag, raw, u8, u16, u32, u64
from iscsi.pieces import Bytes, Pieces

C = TypeVar("C", bound="Pdu")


class Pdu:
    """Base of all PDUs. ``TABLE`` is the field table, ``FIXED`` the bits that RFC 7143 sets in every such PDU."""

    __slots__ = ()
    OPCODE: ClassVar[Opcode]
    TABLE: ClassVar[tuple[Field, ...]]
    FIXED: ClassVar[dict[int, int]] = {}
    _pack: ClassVar[Pack]  # a method without arguments
    data: bytes


PDU_TYPES: Final[dict[int, type[Pdu]]] = {}
"""Every PDU class by opcode, in the order of this file."""
_UNPACK: Final[dict[int, Unpack]] = {}
_CARRIES_AHS: Final = {int(Opcode.SCSI_COMMAND)}


@dataclass_transform(frozen_default=True)
def _pdu(cls: type[C]) -> type[C]:
    """Freeze and slot the class, give it a quick constructor, and compile its table into a codec."""
    made = dataclass(frozen=True, slots=True)(cls)
    attributes = compile_new(made)
    names = [name for name in attributes if name not in ("ahs", "data")]
    table = {field.name: field for field in made.TABLE}
    assert sorted(table) == sorted(names), f"{made.__name__}: attributes and field table differ"
    extras = tuple(name for name in ("ahs", "data") if name in attributes)
    pack, unpack = compile_codec(made, int(made.OPCODE), tuple(table[name] for name in names), made.FIXED, extras)
    made._pack = pack
    _UNPACK[int(made.OPCODE)] = unpack
    PDU_TYPES[int(made.OPCODE)] = made
    return made


def maker(kind: type[C]) -> type[C]:
    """The constructor of ``kind`` without the class: to call a class with keywords costs twice what the PDU does.

    For a PDU that is made very often.
    """
    return cast("type[C]", MethodType(kind.__new__, kind))


_IMMEDIATE = flag("immediate", 0, 0x40)
_FINAL = flag("final", 1, 0x80)
_CONTINUE = flag("cont", 1, 0x40)
_LUN = u64("lun", 8)
_ITT = u32("itt", 16)
_TTT = u32("ttt", 20)
_CMD_SN = u32("cmd_sn", 24)
_STAT_SN = u32("stat_sn", 24)
_EXP_STAT_SN = u32("exp_stat_sn", 28)
_EXP_CMD_SN = u32("exp_cmd_sn", 28)
_MAX_CMD_SN = u32("max_cmd_sn", 32)


@_pdu
class NopOut(Pdu):
    """NOP-Out (11.18): a ping, or with a valid TTT the answer to the target's."""

    OPCODE = Opcode.NOP_OUT
    TABLE = (_IMMEDIATE, _LUN, _ITT, _TTT, _CMD_SN, _EXP_STAT_SN)
    FIXED: ClassVar = {1: 0x80}
    immediate: bool = True
    lun: int = 0
    itt: int = RESERVED_TAG
    ttt: int = RESERVED_TAG
    cmd_sn: int = 0
    exp_stat_sn: int = 0
    data: bytes = b""


@_pdu
class NopIn(Pdu):
    """NOP-In (11.19): the answer to a ping, or with a valid TTT the target's own ping."""

    OPCODE = Opcode.NOP_IN
    TABLE = (_LUN, _ITT, _TTT, _STAT_SN, _EXP_CMD_SN, _MAX_CMD_SN)
    FIXED: ClassVar = {1: 0x80}
    lun: int = 0
    itt: int = RESERVED_TAG
    ttt: int = RESERVED_TAG
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    data: bytes = b""


@_pdu
class ScsiCommand(Pdu):
    """SCSI Command (11.3). ``edtl`` is the Expected Data Transfer Length; ``cdb`` the first 16 bytes of the CDB."""

    OPCODE = Opcode.SCSI_COMMAND
    TABLE = (
        _IMMEDIATE,
        _FINAL,
        flag("read", 1, 0x40),
        flag("write", 1, 0x20),
        bits("attr", 1, 0x07),
        _LUN,
        _ITT,
        u32("edtl", 20),
        _CMD_SN,
        _EXP_STAT_SN,
        raw("cdb", 32, 16),
    )
    lun: int = 0
    itt: int = 0
    edtl: int = 0
    cmd_sn: int = 0
    exp_stat_sn: int = 0
    cdb: bytes = bytes(16)
    final: bool = True
    read: bool = False
    write: bool = False
    attr: int = int(TaskAttribute.SIMPLE)
    immediate: bool = False
    ahs: bytes = b""
    data: bytes = b""


@_pdu
class ScsiResponse(Pdu):
    """SCSI Response (11.4). ``data`` is SenseLength (2 bytes), sense data, response data."""

    OPCODE = Opcode.SCSI_RESPONSE
    TABLE = (
        flag("bidi_overflow", 1, 0x10),
        flag("bidi_underflow", 1, 0x08),
        flag("overflow", 1, 0x04),
        flag("underflow", 1, 0x02),
        u8("response", 2),
        u8("status", 3),
        _ITT,
        u32("snack_tag", 20),
        _STAT_SN,
        _EXP_CMD_SN,
        _MAX_CMD_SN,
        u32("exp_data_sn", 36),
        u32("bidi_residual", 40),
        u32("residual", 44),
    )
    FIXED: ClassVar = {1: 0x80}
    response: int = 0
    status: int = 0
    itt: int = 0
    snack_tag: int = 0
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    exp_data_sn: int = 0
    overflow: bool = False
    underflow: bool = False
    bidi_overflow: bool = False
    bidi_underflow: bool = False
    bidi_residual: int = 0
    residual: int = 0
    data: bytes = b""


@_pdu
class TmfRequest(Pdu):
    """Task Management Function Request (11.5)."""

    OPCODE = Opcode.TMF_REQUEST
    TABLE = (
        _IMMEDIATE,
        bits("function", 1, 0x7F),
        _LUN,
        _ITT,
        u32("referenced_task_tag", 20),
        _CMD_SN,
        _EXP_STAT_SN,
        u32("ref_cmd_sn", 32),
        u32("exp_data_sn", 36),
    )
    FIXED: ClassVar = {1: 0x80}
    function: int = 0
    lun: int = 0
    itt: int = 0
    referenced_task_tag: int = RESERVED_TAG
    cmd_sn: int = 0
    exp_stat_sn: int = 0
    ref_cmd_sn: int = 0
    exp_data_sn: int = 0
    immediate: bool = True
    data: bytes = b""


@_pdu
class TmfResponse(Pdu):
    """Task Management Function Response (11.6).

    ``information`` is the Additional Response Information of iSCSIProtocolLevel 2 (RFC 7144 6.2).
    """

    OPCODE = Opcode.TMF_RESPONSE
    TABLE = (u8("response", 2), raw("information", 8, 3), _ITT, _STAT_SN, _EXP_CMD_SN, _MAX_CMD_SN)
    FIXED: ClassVar = {1: 0x80}
    response: int = 0
    itt: int = 0
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    information: bytes = bytes(3)
    data: bytes = b""


@_pdu
class DataOut(Pdu):
    """SCSI Data-Out (11.7): unsolicited when ``ttt`` is reserved, else the answer to an R2T."""

    OPCODE = Opcode.DATA_OUT
    TABLE = (_FINAL, _LUN, _ITT, _TTT, _EXP_STAT_SN, u32("data_sn", 36), u32("buffer_offset", 40))
    final: bool = True
    lun: int = 0
    itt: int = 0
    ttt: int = RESERVED_TAG
    exp_stat_sn: int = 0
    data_sn: int = 0
    buffer_offset: int = 0
    data: bytes = b""


@_pdu
class DataIn(Pdu):
    """SCSI Data-In (11.7), with the SCSI status in it when ``has_status`` (the S bit, phase collapse)."""

    OPCODE = Opcode.DATA_IN
    TABLE = (
        _FINAL,
        flag("acknowledge", 1, 0x40),
        flag("overflow", 1, 0x04),
        flag("underflow", 1, 0x02),
        flag("has_status", 1, 0x01),
        u8("status", 3),
        _LUN,
        _ITT,
        _TTT,
        _STAT_SN,
        _EXP_CMD_SN,
        _MAX_CMD_SN,
        u32("data_sn", 36),
        u32("buffer_offset", 40),
        u32("residual", 44),
    )
    final: bool = True
    acknowledge: bool = False
    overflow: bool = False
    underflow: bool = False
    has_status: bool = False
    status: int = 0
    lun: int = 0
    itt: int = 0
    ttt: int = RESERVED_TAG
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    data_sn: int = 0
    buffer_offset: int = 0
    residual: int = 0
    data: bytes = b""


@_pdu
class R2T(Pdu):
    """Ready To Transfer (11.8): StatSN is the next one and is not used up."""

    OPCODE = Opcode.R2T
    TABLE = (
        _LUN,
        _ITT,
        _TTT,
        _STAT_SN,
        _EXP_CMD_SN,
        _MAX_CMD_SN,
        u32("r2t_sn", 36),
        u32("buffer_offset", 40),
        u32("desired_length", 44),
    )
    FIXED: ClassVar = {1: 0x80}
    lun: int = 0
    itt: int = 0
    ttt: int = 0
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    r2t_sn: int = 0
    buffer_offset: int = 0
    desired_length: int = 0
    data: bytes = b""


@_pdu
class AsyncMessage(Pdu):
    """Asynchronous Message (11.9)."""

    OPCODE = Opcode.ASYNC_MESSAGE
    TABLE = (
        _LUN,
        _STAT_SN,
        _EXP_CMD_SN,
        _MAX_CMD_SN,
        u8("event", 36),
        u8("vcode", 37),
        u16("param1", 38),
        u16("param2", 40),
        u16("param3", 42),
        _ITT,
    )
    FIXED: ClassVar = {1: 0x80}
    lun: int = 0
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    event: int = 0
    vcode: int = 0
    param1: int = 0
    param2: int = 0
    param3: int = 0
    itt: int = RESERVED_TAG
    data: bytes = b""


@_pdu
class TextRequest(Pdu):
    """Text Request (11.10)."""

    OPCODE = Opcode.TEXT_REQUEST
    TABLE = (_IMMEDIATE, _FINAL, _CONTINUE, _LUN, _ITT, _TTT, _CMD_SN, _EXP_STAT_SN)
    final: bool = True
    cont: bool = False
    lun: int = 0
    itt: int = 0
    ttt: int = RESERVED_TAG
    cmd_sn: int = 0
    exp_stat_sn: int = 0
    immediate: bool = False
    data: bytes = b""


@_pdu
class TextResponse(Pdu):
    """Text Response (11.11)."""

    OPCODE = Opcode.TEXT_RESPONSE
    TABLE = (_FINAL, _CONTINUE, _LUN, _ITT, _TTT, _STAT_SN, _EXP_CMD_SN, _MAX_CMD_SN)
    final: bool = True
    cont: bool = False
    lun: int = 0
    itt: int = 0
    ttt: int = RESERVED_TAG
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    data: bytes = b""


@_pdu
class LoginRequest(Pdu):
    """Login Request (11.12); always immediate."""

    OPCODE = Opcode.LOGIN_REQUEST
    TABLE = (
        flag("transit", 1, 0x80),
        _CONTINUE,
        bits("csg", 1, 0x0C),
        bits("nsg", 1, 0x03),
        u8("version_max", 2),
        u8("version_min", 3),
        raw("isid", 8, 6),
        u16("tsih", 14),
        _ITT,
        u16("cid", 20),
        _CMD_SN,
        _EXP_STAT_SN,
    )
    FIXED: ClassVar = {0: 0x40}
    transit: bool = False
    cont: bool = False
    csg: int = 0
    nsg: int = 0
    version_max: int = 0
    version_min: int = 0
    isid: bytes = bytes(6)
    tsih: int = 0
    itt: int = 0
    cid: int = 0
    cmd_sn: int = 0
    exp_stat_sn: int = 0
    data: bytes = b""


@_pdu
class LoginResponse(Pdu):
    """Login Response (11.13). ``status`` is Status-Class and Status-Detail as one 16-bit number."""

    OPCODE = Opcode.LOGIN_RESPONSE
    TABLE = (
        flag("transit", 1, 0x80),
        _CONTINUE,
        bits("csg", 1, 0x0C),
        bits("nsg", 1, 0x03),
        u8("version_max", 2),
        u8("version_active", 3),
        raw("isid", 8, 6),
        u16("tsih", 14),
        _ITT,
        _STAT_SN,
        _EXP_CMD_SN,
        _MAX_CMD_SN,
        u16("status", 36),
    )
    transit: bool = False
    cont: bool = False
    csg: int = 0
    nsg: int = 0
    version_max: int = 0
    version_active: int = 0
    isid: bytes = bytes(6)
    tsih: int = 0
    itt: int = 0
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    status: int = 0
    data: bytes = b""


@_pdu
class LogoutRequest(Pdu):
    """Logout Request (11.14)."""

    OPCODE = Opcode.LOGOUT_REQUEST
    TABLE = (_IMMEDIATE, bits("reason", 1, 0x7F), _ITT, u16("cid", 20), _CMD_SN, _EXP_STAT_SN)
    FIXED: ClassVar = {1: 0x80}
    reason: int = 0
    itt: int = 0
    cid: int = 0
    cmd_sn: int = 0
    exp_stat_sn: int = 0
    immediate: bool = True
    data: bytes = b""


@_pdu
class LogoutResponse(Pdu):
    """Logout Response (11.15); times in seconds."""

    OPCODE = Opcode.LOGOUT_RESPONSE
    TABLE = (u8("response", 2), _ITT, _STAT_SN, _EXP_CMD_SN, _MAX_CMD_SN, u16("time2wait", 40), u16("time2retain", 42))
    FIXED: ClassVar = {1: 0x80}
    response: int = 0
    itt: int = 0
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    time2wait: int = 0
    time2retain: int = 0
    data: bytes = b""


@_pdu
class SnackRequest(Pdu):
    """SNACK Request (11.16)."""

    OPCODE = Opcode.SNACK_REQUEST
    TABLE = (
        bits("type", 1, 0x0F),
        _LUN,
        _ITT,
        _TTT,
        _EXP_STAT_SN,
        u32("beg_run", 40),
        u32("run_length", 44),
    )
    FIXED: ClassVar = {1: 0x80}
    type: int = 0
    lun: int = 0
    itt: int = RESERVED_TAG
    ttt: int = RESERVED_TAG
    exp_stat_sn: int = 0
    beg_run: int = 0
    run_length: int = 0
    data: bytes = b""


@_pdu
class Reject(Pdu):
    """Reject (11.17). ``data`` is the header (with AHS) of the rejected PDU."""

    OPCODE = Opcode.REJECT
    TABLE = (u8("reason", 2), _ITT, _STAT_SN, _EXP_CMD_SN, _MAX_CMD_SN, u32("data_sn", 36))
    FIXED: ClassVar = {1: 0x80}
    reason: int = 0
    stat_sn: int = 0
    exp_cmd_sn: int = 0
    max_cmd_sn: int = 0
    data_sn: int = 0
    itt: int = RESERVED_TAG
    data: bytes = b""


def decode(header: bytes, ahs: bytes = b"", data: bytes = b"") -> Pdu:
    """The PDU in a 48-byte BHS with its AHS and (unpadded) data segment.

    Raises RemoteProtocolError for an opcode RFC 7143 does not define, and for an AHS on a PDU that has none.
    """
    return decode_at(header, 0, ahs, data)


def decode_at(buffer: Bytes, position: int, ahs: bytes, data: bytes) -> Pdu:
    """As `decode`, for a BHS that stands at ``position`` in ``buffer``."""
    opcode = buffer[position] & 0x3F
    unpack = _UNPACK.get(opcode)
    if unpack is None:
        raise RemoteProtocolError(
            f"opcode 0x{opcode:02x} is not one RFC 7143 defines", reject_reason=RejectReason.COMMAND_NOT_SUPPORTED
        )
    if ahs and opcode not in _CARRIES_AHS:
        raise RemoteProtocolError(
            f"{Opcode(opcode).name} arrived with an AHS of {len(ahs)} bytes; only SCSI_COMMAND has one",
            reject_reason=RejectReason.INVALID_PDU_FIELD,
        )
    pdu: Pdu = unpack(buffer, position, ahs, data)
    return pdu


def encode_header(pdu: Pdu) -> bytes:
    """BHS and AHS of a PDU, without digest."""
    return pdu._pack()


_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


def encode_buffers(pdu: Pdu, header_digest: bool = False, data_digest: bool = False) -> list[bytes]:
    """The PDU as buffers for one vectored write: header, then the data segment uncopied, then padding and digests.

    The data segment of a PDU that is only sent may be `Pieces`, or a memoryview where there is no data digest.
    """
    header = pdu._pack()
    if header_digest:
        header += crc32c(header).to_bytes(4, "little")
    data: bytes | Pieces = pdu.data
    if not data:
        return [header]
    padding = _PADDING[len(data) & 3]
    if isinstance(data, Pieces):
        if not data_digest:
            return [header, *data.buffers, padding] if padding else [header, *data.buffers]
        data = bytes(data)
    if data_digest:
        return [header, data, padding + crc32c(data + padding if padding else data).to_bytes(4, "little")]
    return [header, data, padding] if padding else [header, data]


def encode(pdu: Pdu, header_digest: bool = False, data_digest: bool = False) -> bytes:
    """The PDU as one run of bytes, as it goes on the wire."""
    return b"".join(encode_buffers(pdu, header_digest, data_digest))
