"""INQUIRY data: what a logical unit says it is and can do.

A host picks its device specific module by vendor and product, and its transfer sizes by the block limits. Builder and
parser stand side by side, so the array and the host model cannot disagree about a layout. Page 83h, by which a host
knows that two paths lead to one disk, is in ``iscsi.identification``.

Source: SPC-4 6.6 (INQUIRY), 7.8 (vital product data); SBC-3 6.5 (pages B0h, B1h, B2h).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

NOT_SUPPORTED: Final = 0x7F
"""Peripheral qualifier 3 and device type 1Fh: no logical unit at this LUN."""

VERSION_SPC_4: Final = 0x06
VERSION_DESCRIPTORS: Final = (0x00A0, 0x0960, 0x0460, 0x04C0)
"""SAM-5, iSCSI, SPC-4, SBC-3, no version of each claimed."""


class VpdPage(IntEnum):
    """Vital product data pages (SPC-4 7.8.1)."""

    SUPPORTED_PAGES = 0x00
    UNIT_SERIAL_NUMBER = 0x80
    DEVICE_IDENTIFICATION = 0x83
    THIRD_PARTY_COPY = 0x8F
    BLOCK_LIMITS = 0xB0
    BLOCK_DEVICE_CHARACTERISTICS = 0xB1
    LOGICAL_BLOCK_PROVISIONING = 0xB2


@dataclass(frozen=True, slots=True)
class StandardInquiry:
    """Standard INQUIRY data, 74 bytes as built here; a parser is content with the first 36."""

    vendor: str
    product: str
    revision: str
    peripheral: int = 0x00
    version: int = VERSION_SPC_4
    tpgs: int = 0
    removable: bool = False
    third_party_copy: bool = False
    multi_port: bool = True
    command_queuing: bool = True
    version_descriptors: tuple[int, ...] = VERSION_DESCRIPTORS

    def encode(self) -> bytes:
        """The payload; names are padded with spaces to 8, 16 and 4 characters."""
        raw = bytearray(58)
        raw[0] = self.peripheral
        raw[1] = self.removable << 7
        raw[2] = self.version
        raw[3] = 0x12  # HISUP: LUNs are hierarchical; response data format 2
        raw[5] = self.tpgs << 4 | self.third_party_copy << 3
        raw[6] = self.multi_port << 4
        raw[7] = self.command_queuing << 1
        raw[8:16] = padded(self.vendor, 8, "vendor")
        raw[16:32] = padded(self.product, 16, "product")
        raw[32:36] = padded(self.revision, 4, "revision")
        descriptors = b"".join(d.to_bytes(2, "big") for d in self.version_descriptors[:8]).ljust(16, b"\0")
        raw += descriptors
        raw[4] = len(raw) - 5
        return bytes(raw)

    @classmethod
    def decode(cls, raw: bytes) -> StandardInquiry:
        """Parse; raises ValueError for fewer than 36 bytes. Names come back without their padding."""
        if len(raw) < 36:
            raise ValueError(f"standard INQUIRY data has at least 36 bytes, got {len(raw)}")
        descriptors = (int.from_bytes(raw[at : at + 2], "big") for at in range(58, min(len(raw), 74) - 1, 2))
        return cls(
            vendor=text_field(raw[8:16]),
            product=text_field(raw[16:32]),
            revision=text_field(raw[32:36]),
            peripheral=raw[0],
            version=raw[2],
            tpgs=raw[5] >> 4 & 3,
            removable=bool(raw[1] & 0x80),
            third_party_copy=bool(raw[5] & 0x08),
            multi_port=bool(raw[6] & 0x10),
            command_queuing=bool(raw[7] & 0x02),
            version_descriptors=tuple(d for d in descriptors if d),
        )


def vpd_page(page: int, body: bytes, *, peripheral: int = 0) -> bytes:
    """A VPD page: the 4-byte header and ``body``."""
    return bytes((peripheral, page)) + len(body).to_bytes(2, "big") + body


def vpd_body(raw: bytes, page: int) -> bytes:
    """The body of VPD page ``page``, as far as the buffer holds it; ValueError for another page or no header."""
    if len(raw) < 4 or raw[1] != page:
        raise ValueError(f"expected VPD page {page:02x}h, got {raw[:4].hex(' ') or 'nothing'}")
    return raw[4 : 4 + int.from_bytes(raw[2:4], "big")]


def build_supported_pages(pages: Sequence[int]) -> bytes:
    """Page 00h: the codes in ascending order."""
    return vpd_page(VpdPage.SUPPORTED_PAGES, bytes(sorted(pages)))


def parse_supported_pages(raw: bytes) -> tuple[int, ...]:
    """The codes of page 00h."""
    return tuple(vpd_body(raw, VpdPage.SUPPORTED_PAGES))


def build_serial_number(serial: str) -> bytes:
    """Page 80h."""
    return vpd_page(VpdPage.UNIT_SERIAL_NUMBER, serial.encode("ascii"))


def parse_serial_number(raw: bytes) -> str:
    """The serial number of page 80h without padding."""
    return text_field(vpd_body(raw, VpdPage.UNIT_SERIAL_NUMBER))


_BLOCK_LIMITS: Final = Struct(">BBHIIIIIIIQIII8x")


@dataclass(frozen=True, slots=True)
class BlockLimits:
    """Page B0h; every number counts logical blocks except the descriptor count. Zero means no limit is reported.

    ``max_atomic`` and the two behind it are those of WRITE ATOMIC(16) (SBC-4 6.6.4); zero: it is not offered.
    """

    write_same_non_zero: bool = False
    max_compare_and_write: int = 0
    optimal_granularity: int = 0
    max_transfer: int = 0
    optimal_transfer: int = 0
    max_prefetch: int = 0
    max_unmap_blocks: int = 0
    max_unmap_descriptors: int = 0
    unmap_granularity: int = 0
    max_write_same: int = 0
    max_atomic: int = 0
    atomic_alignment: int = 0
    atomic_granularity: int = 0

    def encode(self) -> bytes:
        """The page, 64 bytes."""
        body = _BLOCK_LIMITS.pack(
            self.write_same_non_zero,
            self.max_compare_and_write,
            self.optimal_granularity,
            self.max_transfer,
            self.optimal_transfer,
            self.max_prefetch,
            self.max_unmap_blocks,
            self.max_unmap_descriptors,
            self.unmap_granularity,
            0x80000000 if self.unmap_granularity else 0,  # UGAVALID, alignment 0
            self.max_write_same,
            self.max_atomic,
            self.atomic_alignment,
            self.atomic_granularity,
        )
        return vpd_page(VpdPage.BLOCK_LIMITS, body)

    @classmethod
    def decode(cls, raw: bytes) -> BlockLimits:
        """Parse; a short page (SBC-2 devices send 12 bytes) reads as zeros behind its end."""
        fields = _BLOCK_LIMITS.unpack(vpd_body(raw, VpdPage.BLOCK_LIMITS)[:60].ljust(60, b"\0"))
        non_zero, compare, granularity, transfer, optimal, prefetch, unmap, ranges, unmap_unit, _, *rest = fields
        same, max_atomic, atomic_alignment, atomic_granularity = rest
        return cls(
            write_same_non_zero=bool(non_zero & 1),
            max_compare_and_write=compare,
            optimal_granularity=granularity,
            max_transfer=transfer,
            optimal_transfer=optimal,
            max_prefetch=prefetch,
            max_unmap_blocks=unmap,
            max_unmap_descriptors=ranges,
            unmap_granularity=unmap_unit,
            max_write_same=same,
            max_atomic=max_atomic,
            atomic_alignment=atomic_alignment,
            atomic_granularity=atomic_granularity,
        )


def build_block_characteristics(rotation_rate: int, form_factor: int = 0, *, reads_after_erase: bool = False) -> bytes:
    """Page B1h; rotation rate in turns per minute, 1 for a medium that does not rotate.

    ``reads_after_erase``: after SANITIZE BLOCK ERASE or CRYPTO ERASE blocks can be read before they are written
    (WABEREQ and WACEREQ 01b).
    """
    body = rotation_rate.to_bytes(2, "big") + bytes((0, 0x50 * reads_after_erase | form_factor)) + bytes(56)
    return vpd_page(VpdPage.BLOCK_DEVICE_CHARACTERISTICS, body)


def parse_block_characteristics(raw: bytes) -> int:
    """The rotation rate of page B1h."""
    return int.from_bytes(vpd_body(raw, VpdPage.BLOCK_DEVICE_CHARACTERISTICS)[:2], "big")


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Page B2h: which commands deallocate, and whether a deallocated block reads zeros."""

    unmap: bool
    write_same_16: bool
    write_same_10: bool
    reads_zeros: bool
    thin: bool

    def encode(self) -> bytes:
        """The page, 8 bytes."""
        bits = self.unmap << 7 | self.write_same_16 << 6 | self.write_same_10 << 5 | self.reads_zeros << 2
        return vpd_page(VpdPage.LOGICAL_BLOCK_PROVISIONING, bytes((0, bits, 2 if self.thin else 0, 0)))

    @classmethod
    def decode(cls, raw: bytes) -> Provisioning:
        """Parse; ValueError when the page is shorter than 7 bytes."""
        body = vpd_body(raw, VpdPage.LOGICAL_BLOCK_PROVISIONING)
        if len(body) < 3:
            raise ValueError(f"VPD page B2h has at least 7 bytes, got {len(raw)}")
        bits = body[1]
        return cls(bool(bits & 0x80), bool(bits & 0x40), bool(bits & 0x20), bool(bits & 0x04), body[2] & 7 == 2)


def padded(text: str, width: int, what: str) -> bytes:
    """``text`` in ASCII, filled with spaces to ``width`` bytes; ValueError when it is longer."""
    raw = text.encode("ascii")
    if len(raw) > width:
        raise ValueError(f"INQUIRY {what} {text!r} is longer than {width} characters")
    return raw.ljust(width)


def text_field(raw: bytes) -> str:
    """An ASCII field without its padding."""
    return raw.rstrip(b"\0 ").decode("ascii", "replace")
