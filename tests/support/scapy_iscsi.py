"""iSCSI a second time: every PDU of RFC 7143 section 11 as a scapy packet, drawn from the RFC's figures alone.

It shares nothing with `iscsi.pdu`, neither tables nor code, so that a field at the wrong place has to be wrong twice
before a test believes it. Fields stand in the order of the figures and carry the figures' names; what a figure
reserves is a field of its own, so a dissection shows whether it was zero. Digests are framing and do not occur here.
"""

from __future__ import annotations

from typing import ClassVar

from scapy.fields import (
    BitField,
    BitFieldLenField,
    ByteField,
    IntField,
    LongField,
    PadField,
    ShortField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet


def _byte_0(opcode: int, *, immediate: bool | None = None) -> list[BitField]:
    """The first byte. ``immediate`` None: the figure reserves the I bit (every PDU a target sends)."""
    i_bit = BitField("reserved_0_1", 0, 1) if immediate is None else BitField("I", int(immediate), 1)
    return [BitField("reserved_0_0", 0, 1), i_bit, BitField("Opcode", opcode, 6)]


def _lengths() -> list[BitField]:
    return [
        BitFieldLenField("TotalAHSLength", None, 8, length_of="AHS", adjust=lambda _, octets: octets // 4),
        BitFieldLenField("DataSegmentLength", None, 24, length_of="DataSegment"),
    ]


def _tail() -> list[StrLenField]:
    return [
        StrLenField("AHS", b"", length_from=lambda packet: packet.TotalAHSLength * 4),
        PadField(StrLenField("DataSegment", b"", length_from=lambda packet: packet.DataSegmentLength), 4),
    ]


def _reserved(byte: int, size: int) -> StrFixedLenField:
    return StrFixedLenField(f"reserved_{byte}", bytes(size), size)


class IscsiPacket(Packet):  # type: ignore[misc]
    """What all PDUs share: nothing follows a PDU inside it."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Bytes behind the PDU belong to the next one."""
        return b"", s


class ScsiCommand(IscsiPacket):
    name = "SCSI Command (11.3)"
    fields_desc: ClassVar = [
        *_byte_0(0x01, immediate=False),
        BitField("F", 1, 1),
        BitField("R", 0, 1),
        BitField("W", 0, 1),
        BitField("reserved_1_3", 0, 2),
        BitField("ATTR", 0, 3),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("ExpectedDataTransferLength", 0),
        IntField("CmdSN", 0),
        IntField("ExpStatSN", 0),
        StrFixedLenField("CDB", bytes(16), 16),
        *_tail(),
    ]


class ScsiResponse(IscsiPacket):
    name = "SCSI Response (11.4)"
    fields_desc: ClassVar = [
        *_byte_0(0x21),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 2),
        BitField("o", 0, 1),
        BitField("u", 0, 1),
        BitField("O", 0, 1),
        BitField("U", 0, 1),
        BitField("reserved_1_7", 0, 1),
        ByteField("Response", 0),
        ByteField("Status", 0),
        *_lengths(),
        _reserved(8, 8),
        IntField("InitiatorTaskTag", 0),
        IntField("SNACKTag", 0),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        IntField("ExpDataSN", 0),
        IntField("BidirectionalReadResidualCount", 0),
        IntField("ResidualCount", 0),
        *_tail(),
    ]


class TmfRequest(IscsiPacket):
    name = "Task Management Function Request (11.5)"
    fields_desc: ClassVar = [
        *_byte_0(0x02, immediate=False),
        BitField("final_1_0", 1, 1),
        BitField("Function", 0, 7),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("ReferencedTaskTag", 0),
        IntField("CmdSN", 0),
        IntField("ExpStatSN", 0),
        IntField("RefCmdSN", 0),
        IntField("ExpDataSN", 0),
        _reserved(40, 8),
        *_tail(),
    ]


class TmfResponse(IscsiPacket):
    name = "Task Management Function Response (11.6)"
    fields_desc: ClassVar = [
        *_byte_0(0x22),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 7),
        ByteField("Response", 0),
        ByteField("reserved_3", 0),
        *_lengths(),
        StrFixedLenField("AdditionalResponseInformation", bytes(3), 3),
        _reserved(11, 5),
        IntField("InitiatorTaskTag", 0),
        _reserved(20, 4),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        _reserved(36, 12),
        *_tail(),
    ]


class DataOut(IscsiPacket):
    name = "SCSI Data-Out (11.7)"
    fields_desc: ClassVar = [
        *_byte_0(0x05),
        BitField("F", 0, 1),
        BitField("reserved_1_1", 0, 7),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("TargetTransferTag", 0),
        _reserved(24, 4),
        IntField("ExpStatSN", 0),
        _reserved(32, 4),
        IntField("DataSN", 0),
        IntField("BufferOffset", 0),
        _reserved(44, 4),
        *_tail(),
    ]


class DataIn(IscsiPacket):
    name = "SCSI Data-In (11.7)"
    fields_desc: ClassVar = [
        *_byte_0(0x25),
        BitField("F", 0, 1),
        BitField("A", 0, 1),
        BitField("reserved_1_2", 0, 3),
        BitField("O", 0, 1),
        BitField("U", 0, 1),
        BitField("S", 0, 1),
        ByteField("reserved_2", 0),
        ByteField("Status", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("TargetTransferTag", 0),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        IntField("DataSN", 0),
        IntField("BufferOffset", 0),
        IntField("ResidualCount", 0),
        *_tail(),
    ]


class R2T(IscsiPacket):
    name = "Ready To Transfer (11.8)"
    fields_desc: ClassVar = [
        *_byte_0(0x31),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 7),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("TargetTransferTag", 0),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        IntField("R2TSN", 0),
        IntField("BufferOffset", 0),
        IntField("DesiredDataTransferLength", 0),
        *_tail(),
    ]


class AsyncMessage(IscsiPacket):
    name = "Asynchronous Message (11.9)"
    fields_desc: ClassVar = [
        *_byte_0(0x32),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 7),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0xFFFFFFFF),
        _reserved(20, 4),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        ByteField("AsyncEvent", 0),
        ByteField("AsyncVCode", 0),
        ShortField("Parameter1", 0),
        ShortField("Parameter2", 0),
        ShortField("Parameter3", 0),
        _reserved(44, 4),
        *_tail(),
    ]


class TextRequest(IscsiPacket):
    name = "Text Request (11.10)"
    fields_desc: ClassVar = [
        *_byte_0(0x04, immediate=False),
        BitField("F", 0, 1),
        BitField("C", 0, 1),
        BitField("reserved_1_2", 0, 6),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("TargetTransferTag", 0),
        IntField("CmdSN", 0),
        IntField("ExpStatSN", 0),
        _reserved(32, 16),
        *_tail(),
    ]


class TextResponse(IscsiPacket):
    name = "Text Response (11.11)"
    fields_desc: ClassVar = [
        *_byte_0(0x24),
        BitField("F", 0, 1),
        BitField("C", 0, 1),
        BitField("reserved_1_2", 0, 6),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("TargetTransferTag", 0),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        _reserved(36, 12),
        *_tail(),
    ]


class LoginRequest(IscsiPacket):
    name = "Login Request (11.12)"
    fields_desc: ClassVar = [
        *_byte_0(0x03, immediate=True),
        BitField("T", 0, 1),
        BitField("C", 0, 1),
        BitField("reserved_1_2", 0, 2),
        BitField("CSG", 0, 2),
        BitField("NSG", 0, 2),
        ByteField("VersionMax", 0),
        ByteField("VersionMin", 0),
        *_lengths(),
        StrFixedLenField("ISID", bytes(6), 6),
        ShortField("TSIH", 0),
        IntField("InitiatorTaskTag", 0),
        ShortField("CID", 0),
        ShortField("reserved_22", 0),
        IntField("CmdSN", 0),
        IntField("ExpStatSN", 0),
        _reserved(32, 16),
        *_tail(),
    ]


class LoginResponse(IscsiPacket):
    name = "Login Response (11.13)"
    fields_desc: ClassVar = [
        *_byte_0(0x23),
        BitField("T", 0, 1),
        BitField("C", 0, 1),
        BitField("reserved_1_2", 0, 2),
        BitField("CSG", 0, 2),
        BitField("NSG", 0, 2),
        ByteField("VersionMax", 0),
        ByteField("VersionActive", 0),
        *_lengths(),
        StrFixedLenField("ISID", bytes(6), 6),
        ShortField("TSIH", 0),
        IntField("InitiatorTaskTag", 0),
        _reserved(20, 4),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        ByteField("StatusClass", 0),
        ByteField("StatusDetail", 0),
        ShortField("reserved_38", 0),
        _reserved(40, 8),
        *_tail(),
    ]


class LogoutRequest(IscsiPacket):
    name = "Logout Request (11.14)"
    fields_desc: ClassVar = [
        *_byte_0(0x06, immediate=False),
        BitField("final_1_0", 1, 1),
        BitField("ReasonCode", 0, 7),
        ShortField("reserved_2", 0),
        *_lengths(),
        _reserved(8, 8),
        IntField("InitiatorTaskTag", 0),
        ShortField("CID", 0),
        ShortField("reserved_22", 0),
        IntField("CmdSN", 0),
        IntField("ExpStatSN", 0),
        _reserved(32, 16),
        *_tail(),
    ]


class LogoutResponse(IscsiPacket):
    name = "Logout Response (11.15)"
    fields_desc: ClassVar = [
        *_byte_0(0x26),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 7),
        ByteField("Response", 0),
        ByteField("reserved_3", 0),
        *_lengths(),
        _reserved(8, 8),
        IntField("InitiatorTaskTag", 0),
        _reserved(20, 4),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        _reserved(36, 4),
        ShortField("Time2Wait", 0),
        ShortField("Time2Retain", 0),
        _reserved(44, 4),
        *_tail(),
    ]


class SnackRequest(IscsiPacket):
    name = "SNACK Request (11.16)"
    fields_desc: ClassVar = [
        *_byte_0(0x10),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 3),
        BitField("Type", 0, 4),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("TargetTransferTagOrSNACKTag", 0),
        _reserved(24, 4),
        IntField("ExpStatSN", 0),
        _reserved(32, 8),
        IntField("BegRun", 0),
        IntField("RunLength", 0),
        *_tail(),
    ]


class Reject(IscsiPacket):
    name = "Reject (11.17)"
    fields_desc: ClassVar = [
        *_byte_0(0x3F),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 7),
        ByteField("Reason", 0),
        ByteField("reserved_3", 0),
        *_lengths(),
        _reserved(8, 8),
        IntField("InitiatorTaskTag", 0xFFFFFFFF),
        _reserved(20, 4),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        IntField("DataSNorR2TSN", 0),
        _reserved(40, 8),
        *_tail(),
    ]


class NopOut(IscsiPacket):
    name = "NOP-Out (11.18)"
    fields_desc: ClassVar = [
        *_byte_0(0x00, immediate=False),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 7),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("TargetTransferTag", 0),
        IntField("CmdSN", 0),
        IntField("ExpStatSN", 0),
        _reserved(32, 16),
        *_tail(),
    ]


class NopIn(IscsiPacket):
    name = "NOP-In (11.19)"
    fields_desc: ClassVar = [
        *_byte_0(0x20),
        BitField("final_1_0", 1, 1),
        BitField("reserved_1_1", 0, 7),
        ShortField("reserved_2", 0),
        *_lengths(),
        LongField("LUN", 0),
        IntField("InitiatorTaskTag", 0),
        IntField("TargetTransferTag", 0),
        IntField("StatSN", 0),
        IntField("ExpCmdSN", 0),
        IntField("MaxCmdSN", 0),
        _reserved(36, 12),
        *_tail(),
    ]


PACKETS: dict[int, type[IscsiPacket]] = {
    packet().Opcode: packet
    for packet in (
        NopOut,
        ScsiCommand,
        TmfRequest,
        LoginRequest,
        TextRequest,
        DataOut,
        LogoutRequest,
        SnackRequest,
        NopIn,
        ScsiResponse,
        TmfResponse,
        LoginResponse,
        TextResponse,
        DataIn,
        LogoutResponse,
        R2T,
        AsyncMessage,
        Reject,
    )
}
"""Every packet class by opcode."""
