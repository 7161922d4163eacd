"""VPD page 83h, device identification: how a host knows that two paths lead to one disk.

The designators of the logical unit must be the same on every portal; those of the target port must be the port's own.

Source: SPC-4 7.8.6; RFC 7143 4.4.2 for the names of iSCSI ports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from iscsi.inquiry import VpdPage, padded, vpd_body, vpd_page


class Association(IntEnum):
    """What a designator names (SPC-4 7.8.6.1)."""

    LOGICAL_UNIT = 0
    TARGET_PORT = 1
    TARGET_DEVICE = 2


class DesignatorType(IntEnum):
    """How a designator names it (SPC-4 7.8.6.1)."""

    VENDOR_SPECIFIC = 0
    T10_VENDOR_ID = 1
    EUI_64 = 2
    NAA = 3
    RELATIVE_TARGET_PORT = 4
    TARGET_PORT_GROUP = 5
    LOGICAL_UNIT_GROUP = 6
    MD5_LOGICAL_UNIT = 7
    SCSI_NAME_STRING = 8


class CodeSet(IntEnum):
    """Code set of a designator."""

    BINARY = 1
    ASCII = 2
    UTF_8 = 3


PROTOCOL_ISCSI: Final = 5


@dataclass(frozen=True, slots=True)
class Designator:
    """One descriptor of page 83h. ``protocol`` is the transport's code (5: iSCSI), None when PIV is clear."""

    association: Association
    kind: DesignatorType
    code_set: CodeSet
    value: bytes
    protocol: int | None = None

    def encode(self) -> bytes:
        """Header of 4 bytes and the value."""
        piv = self.protocol is not None
        first = (self.protocol or 0) << 4 | self.code_set
        return bytes((first, piv << 7 | self.association << 4 | self.kind, 0, len(self.value))) + self.value


def naa_designator(naa: bytes) -> Designator:
    """The logical unit by its 8- or 16-byte NAA name: what must be identical on all portals."""
    return Designator(Association.LOGICAL_UNIT, DesignatorType.NAA, CodeSet.BINARY, naa)


def t10_designator(vendor: str, identifier: str) -> Designator:
    """The logical unit by vendor id and a string the vendor keeps unique."""
    value = padded(vendor, 8, "vendor") + identifier.encode("ascii")
    return Designator(Association.LOGICAL_UNIT, DesignatorType.T10_VENDOR_ID, CodeSet.ASCII, value)


def relative_port_designator(relative_port: int) -> Designator:
    """The target port by its relative identifier."""
    value = b"\0\0" + relative_port.to_bytes(2, "big")
    kind = DesignatorType.RELATIVE_TARGET_PORT
    return Designator(Association.TARGET_PORT, kind, CodeSet.BINARY, value, PROTOCOL_ISCSI)


def port_group_designator(group: int) -> Designator:
    """The target port by the SCSI target port group it belongs to."""
    value = b"\0\0" + group.to_bytes(2, "big")
    kind = DesignatorType.TARGET_PORT_GROUP
    return Designator(Association.TARGET_PORT, kind, CodeSet.BINARY, value, PROTOCOL_ISCSI)


def scsi_name_designator(association: Association, name: str) -> Designator:
    """A SCSI name string: the iSCSI name of a device, or ``<iqn>,t,0x<tpgt>`` of a port; NUL-ended, in fours."""
    value = name.encode("utf-8") + b"\0"
    value += bytes(-len(value) % 4)
    return Designator(association, DesignatorType.SCSI_NAME_STRING, CodeSet.UTF_8, value, PROTOCOL_ISCSI)


def build_device_identification(designators: Sequence[Designator]) -> bytes:
    """Page 83h."""
    return vpd_page(VpdPage.DEVICE_IDENTIFICATION, b"".join(d.encode() for d in designators))


def parse_device_identification(raw: bytes) -> tuple[Designator, ...]:
    """The designators of page 83h, in order; one that the allocation length cut off is left out.

    Raises ValueError for a reserved association, type or code set.
    """
    body = vpd_body(raw, VpdPage.DEVICE_IDENTIFICATION)
    found: list[Designator] = []
    at = 0
    while at + 4 <= len(body) and at + 4 + body[at + 3] <= len(body):
        first, second, length = body[at], body[at + 1], body[at + 3]
        found.append(
            Designator(
                Association(second >> 4 & 3),
                DesignatorType(second & 0x0F),
                CodeSet(first & 0x0F),
                body[at + 4 : at + 4 + length],
                first >> 4 if second & 0x80 else None,
            )
        )
        at += 4 + length
    return tuple(found)
