"""Sense data: why a SCSI command did not end GOOD.

A target reports a condition as key, ASC and ASCQ in one of two layouts: fixed format (response code 70h), which every
host of the Windows 2003 age reads, and descriptor format (72h), which REQUEST SENSE may ask for and which can carry a
64-bit information field. Hosts decide by the triple whether a path failed, so the conditions both sides know by name
stand here once.

Source: SPC-4 4.5 (sense data), 4.5.6 (ASC and ASCQ assignments); RFC 7143 11.4.7.2 for the iSCSI conditions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from iscsi.constants import SenseKey

_FIXED: Final = 0x70
_FIXED_DEFERRED: Final = 0x71
_DESCRIPTOR: Final = 0x72
_DESCRIPTOR_DEFERRED: Final = 0x73
_FIXED_LENGTH: Final = 18
_INFORMATION_DESCRIPTOR: Final = bytes((0x00, 0x0A, 0x80, 0x00))
_COMMAND_SPECIFIC_DESCRIPTOR: Final = bytes((0x01, 0x0A, 0x00, 0x00))
_KEY_SPECIFIC_DESCRIPTOR: Final = bytes((0x02, 0x06, 0x00, 0x00))
_VALID: Final = 0x80


@dataclass(frozen=True, slots=True)
class FieldPointer:
    """Which field of the CDB (or of the parameter list) was wrong (SPC-4 4.5.2.4.2)."""

    byte: int
    bit: int | None = None
    in_cdb: bool = True

    def encode(self) -> bytes:
        """The three sense-key-specific bytes."""
        flags = _VALID | (0x40 if self.in_cdb else 0)
        if self.bit is not None:
            flags |= 0x08 | self.bit
        return bytes((flags,)) + self.byte.to_bytes(2, "big")

    @classmethod
    def decode(cls, raw: bytes) -> FieldPointer | None:
        """The pointer in three sense-key-specific bytes, or None when SKSV is clear."""
        if not raw[0] & _VALID:
            return None
        bit = raw[0] & 0x07 if raw[0] & 0x08 else None
        return cls(byte=int.from_bytes(raw[1:3], "big"), bit=bit, in_cdb=bool(raw[0] & 0x40))


@dataclass(frozen=True, slots=True)
class Sense:
    """One condition: ``key``/``asc``/``ascq``, and what the device adds to it.

    ``information`` is the number that goes with the condition (for a miscompare: the offset in bytes),
    ``command_specific`` what the command itself adds (for a copy: the segment). Fixed format drops a number that does
    not fit 32 bits, and shows no command specific one as 0. ``progress`` is in parts of 65536, of an operation that
    makes the unit not ready; it takes the place of a field pointer. Equality covers all fields; compare ``code`` to ask
    for the condition alone.
    """

    key: SenseKey
    asc: int
    ascq: int
    information: int | None = None
    field_pointer: FieldPointer | None = None
    command_specific: int | None = None
    progress: int | None = None

    @property
    def code(self) -> tuple[int, int, int]:
        """(key, ASC, ASCQ), the triple a host looks up."""
        return int(self.key), self.asc, self.ascq

    @property
    def words(self) -> str:
        """The condition as a log line says it: ``6/29/00 unit attention``."""
        return f"{self.key:x}/{self.asc:02X}/{self.ascq:02X} {self.key.name.lower().replace('_', ' ')}"

    def at(self, byte: int, bit: int | None = None, *, in_cdb: bool = True) -> Sense:
        """The same condition, pointing at the field that caused it."""
        return replace(self, field_pointer=FieldPointer(byte, bit, in_cdb))

    def with_information(self, information: int) -> Sense:
        """The same condition with its INFORMATION field set."""
        return replace(self, information=information)

    def with_command_specific(self, number: int) -> Sense:
        """The same condition with its COMMAND-SPECIFIC INFORMATION field set."""
        return replace(self, command_specific=number)

    def with_progress(self, progress: int) -> Sense:
        """The same condition with a progress indication of 0 to 65535."""
        return replace(self, progress=progress)

    def _key_specific(self) -> bytes | None:
        if self.progress is not None:
            return bytes((_VALID,)) + self.progress.to_bytes(2, "big")
        return None if self.field_pointer is None else self.field_pointer.encode()

    def fixed(self) -> bytes:
        """Fixed format, 18 bytes (SPC-4 4.5.3)."""
        raw = bytearray(_FIXED_LENGTH)
        raw[0] = _FIXED
        raw[2] = self.key
        if self.information is not None and self.information < 1 << 32:
            raw[0] |= _VALID
            raw[3:7] = self.information.to_bytes(4, "big")
        raw[7] = _FIXED_LENGTH - 8
        if self.command_specific is not None and self.command_specific < 1 << 32:
            raw[8:12] = self.command_specific.to_bytes(4, "big")
        raw[12] = self.asc
        raw[13] = self.ascq
        specific = self._key_specific()
        if specific is not None:
            raw[15:18] = specific
        return bytes(raw)

    def descriptor(self) -> bytes:
        """Descriptor format (SPC-4 4.5.2): 8 bytes and one descriptor per extra field."""
        parts = b""
        if self.information is not None:
            parts += _INFORMATION_DESCRIPTOR + self.information.to_bytes(8, "big")
        if self.command_specific is not None:
            parts += _COMMAND_SPECIFIC_DESCRIPTOR + self.command_specific.to_bytes(8, "big")
        specific = self._key_specific()
        if specific is not None:
            parts += _KEY_SPECIFIC_DESCRIPTOR + specific + b"\0"
        return bytes((_DESCRIPTOR, self.key, self.asc, self.ascq, 0, 0, 0, len(parts))) + parts

    def encode(self, *, descriptor: bool = False) -> bytes:
        """Either format; a device chooses by the D_SENSE bit of its control mode page."""
        return self.descriptor() if descriptor else self.fixed()

    @classmethod
    def decode(cls, raw: bytes) -> Sense:
        """Read either format; fields a short buffer cut off read as absent.

        Raises ValueError when the response code is unknown or the buffer ends before the sense key.
        """
        code = raw[0] & 0x7F if raw else None
        if code in (_FIXED, _FIXED_DEFERRED) and len(raw) >= 3:
            return cls._decode_fixed(raw)
        if code in (_DESCRIPTOR, _DESCRIPTOR_DEFERRED) and len(raw) >= 4:
            return cls._decode_descriptor(raw)
        raise ValueError(f"sense data must start with 70h to 73h and hold the sense key, got {raw[:8].hex(' ')!r}")

    @classmethod
    def _decode_fixed(cls, raw: bytes) -> Sense:
        information = int.from_bytes(raw[3:7], "big") if raw[0] & _VALID and len(raw) >= 7 else None
        whole = raw[:_FIXED_LENGTH].ljust(_FIXED_LENGTH, b"\0")
        specific = int.from_bytes(whole[8:12], "big") or None
        key = _key(raw[2])
        return cls(key, whole[12], whole[13], information, *_pointer_and_progress(key, whole[15:18], specific))

    @classmethod
    def _decode_descriptor(cls, raw: bytes) -> Sense:
        information: int | None = None
        specific: int | None = None
        key, key_specific = _key(raw[1]), bytes(3)
        end = min(len(raw), 8 + (raw[7] if len(raw) > 7 else 0))
        at = 8
        while at + 2 <= end:
            body = raw[at + 2 : min(end, at + 2 + raw[at + 1])]
            if raw[at] == 0x00 and len(body) >= 10 and body[0] & _VALID:
                information = int.from_bytes(body[2:10], "big")
            elif raw[at] == 0x01 and len(body) >= 10:
                specific = int.from_bytes(body[2:10], "big") or None
            elif raw[at] == 0x02 and len(body) >= 5:
                key_specific = body[2:5]
            at += 2 + raw[at + 1]
        return cls(key, raw[2], raw[3], information, *_pointer_and_progress(key, key_specific, specific))


def _pointer_and_progress(
    key: SenseKey, raw: bytes, command_specific: int | None
) -> tuple[FieldPointer | None, int | None, int | None]:
    """What the three sense-key-specific bytes mean under this key, in the order of `Sense`'s fields."""
    if key in _HAS_PROGRESS:
        return None, command_specific, int.from_bytes(raw[1:3], "big") if raw[0] & _VALID else None
    return FieldPointer.decode(raw), command_specific, None


_HAS_PROGRESS: Final = (SenseKey.NO_SENSE, SenseKey.NOT_READY)


def _key(byte: int) -> SenseKey:
    try:
        return SenseKey(byte & 0x0F)
    except ValueError:
        raise ValueError(f"sense key {byte & 0x0F:#x} is reserved") from None


NO_SENSE: Final = Sense(SenseKey.NO_SENSE, 0x00, 0x00)

NOT_READY_BECOMING_READY: Final = Sense(SenseKey.NOT_READY, 0x04, 0x01)
NOT_READY_START_REQUIRED: Final = Sense(SenseKey.NOT_READY, 0x04, 0x02)
NOT_READY_MANUAL_INTERVENTION: Final = Sense(SenseKey.NOT_READY, 0x04, 0x03)
NOT_READY_TRANSITION: Final = Sense(SenseKey.NOT_READY, 0x04, 0x0A)
NOT_READY_STANDBY: Final = Sense(SenseKey.NOT_READY, 0x04, 0x0B)
NOT_READY_UNAVAILABLE: Final = Sense(SenseKey.NOT_READY, 0x04, 0x0C)
NOT_READY_OFFLINE: Final = Sense(SenseKey.NOT_READY, 0x04, 0x12)
SANITIZE_IN_PROGRESS: Final = Sense(SenseKey.NOT_READY, 0x04, 0x1B)
MEDIUM_NOT_PRESENT: Final = Sense(SenseKey.NOT_READY, 0x3A, 0x00)

MEDIUM_READ_ERROR: Final = Sense(SenseKey.MEDIUM_ERROR, 0x11, 0x00)
MEDIUM_WRITE_ERROR: Final = Sense(SenseKey.MEDIUM_ERROR, 0x0C, 0x00)
SELF_TEST_FAILED: Final = Sense(SenseKey.HARDWARE_ERROR, 0x3E, 0x03)
SANITIZE_FAILED: Final = Sense(SenseKey.MEDIUM_ERROR, 0x31, 0x03)
INTERNAL_TARGET_FAILURE: Final = Sense(SenseKey.HARDWARE_ERROR, 0x44, 0x00)
SET_TARGET_PORT_GROUPS_FAILED: Final = Sense(SenseKey.HARDWARE_ERROR, 0x67, 0x0A)

PARAMETER_LIST_LENGTH_ERROR: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x1A, 0x00)
INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x0E, 0x03)
INVALID_OPERATION_CODE: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x20, 0x00)
LBA_OUT_OF_RANGE: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x21, 0x00)
INVALID_FIELD_IN_CDB: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x24, 0x00)
LOGICAL_UNIT_NOT_SUPPORTED: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x25, 0x00)
INVALID_FIELD_IN_PARAMETER_LIST: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x00)
TOO_MANY_TARGET_DESCRIPTORS: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x06)
UNSUPPORTED_TARGET_DESCRIPTOR: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x07)
TOO_MANY_SEGMENT_DESCRIPTORS: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x08)
UNSUPPORTED_SEGMENT_DESCRIPTOR: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x09)
INLINE_DATA_LENGTH_EXCEEDED: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x0B)
INVALID_RELEASE_OF_RESERVATION: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x26, 0x04)
SAVING_PARAMETERS_NOT_SUPPORTED: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x39, 0x00)
MEDIUM_REMOVAL_PREVENTED: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x53, 0x02)
INSUFFICIENT_REGISTRATION_RESOURCES: Final = Sense(SenseKey.ILLEGAL_REQUEST, 0x55, 0x04)

MEDIUM_MAY_HAVE_CHANGED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x28, 0x00)
POWER_ON_OR_RESET: Final = Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x00)
POWER_ON: Final = Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x01)
BUS_RESET: Final = Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x02)
DEVICE_RESET: Final = Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x03)
NEXUS_LOSS: Final = Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x07)
MODE_PARAMETERS_CHANGED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x2A, 0x01)
RESERVATIONS_PREEMPTED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x2A, 0x03)
RESERVATIONS_RELEASED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x2A, 0x04)
REGISTRATIONS_PREEMPTED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x2A, 0x05)
ASYMMETRIC_ACCESS_CHANGED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x2A, 0x06)
IMPLICIT_TRANSITION_FAILED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x2A, 0x07)
CAPACITY_CHANGED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x2A, 0x09)
COMMANDS_CLEARED_BY_ANOTHER_INITIATOR: Final = Sense(SenseKey.UNIT_ATTENTION, 0x2F, 0x00)
INQUIRY_DATA_CHANGED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x3F, 0x03)
REPORTED_LUNS_CHANGED: Final = Sense(SenseKey.UNIT_ATTENTION, 0x3F, 0x0E)
COMMANDS_CLEARED_BY_PROTOCOL_EVENT: Final = Sense(SenseKey.UNIT_ATTENTION, 0x47, 0x7F)

WRITE_PROTECTED: Final = Sense(SenseKey.DATA_PROTECT, 0x27, 0x00)
SPACE_ALLOCATION_FAILED: Final = Sense(SenseKey.DATA_PROTECT, 0x27, 0x07)

COPY_ABORTED: Final = Sense(SenseKey.COPY_ABORTED, 0x00, 0x00)
UNREACHABLE_COPY_TARGET: Final = Sense(SenseKey.COPY_ABORTED, 0x08, 0x04)
COPY_TARGET_NOT_REACHABLE: Final = Sense(SenseKey.COPY_ABORTED, 0x0D, 0x02)
UNEXPECTED_INEXACT_SEGMENT: Final = Sense(SenseKey.COPY_ABORTED, 0x26, 0x0A)

UNEXPECTED_UNSOLICITED_DATA: Final = Sense(SenseKey.ABORTED_COMMAND, 0x0C, 0x0C)
NOT_ENOUGH_UNSOLICITED_DATA: Final = Sense(SenseKey.ABORTED_COMMAND, 0x0C, 0x0D)
PROTOCOL_CRC_ERROR: Final = Sense(SenseKey.ABORTED_COMMAND, 0x47, 0x05)
SNACK_REJECTED: Final = Sense(SenseKey.ABORTED_COMMAND, 0x11, 0x13)

MISCOMPARE_DURING_VERIFY: Final = Sense(SenseKey.MISCOMPARE, 0x1D, 0x00)
