"""Mode pages of a disk: their layouts, what a host may change in them, and the MODE SENSE headers around them.

A page is kept as the bytes of the wire. `ModePageFormat` says what a page holds by default and which of its bits
MODE SELECT may change; the formats this project's disks have are built by the functions below.

Source: SPC-4 7.5 (headers, block descriptors, control, control extension, protocol-specific pages, exceptions);
SBC-3 6.4 (caching, read-write error recovery, long LBA block descriptor).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_WRITE_PROTECT: Final = 0x80
_DPO_FUA: Final = 0x10
_LONG_LBA: Final = 0x01
_SUBPAGE_FORMAT: Final = 0x40
_PROTOCOL_ISCSI: Final = 5


class ModePage(IntEnum):
    """Page codes."""

    READ_WRITE_ERROR_RECOVERY = 0x01
    DISCONNECT_RECONNECT = 0x02
    CACHING = 0x08
    CONTROL = 0x0A
    PROTOCOL_SPECIFIC_UNIT = 0x18
    PROTOCOL_SPECIFIC_PORT = 0x19
    INFORMATIONAL_EXCEPTIONS = 0x1C
    ALL = 0x3F


NO_SUBPAGE: Final = 0x00
CONTROL_EXTENSION: Final = 0x01
"""Subpage of the control page."""
ALL_SUBPAGES: Final = 0xFF

PageKey = tuple[int, int]
"""(page code, subpage code)"""


class PageControl(IntEnum):
    """Which values of a page are wanted (SPC-4 6.11.1)."""

    CURRENT = 0
    CHANGEABLE = 1
    DEFAULT = 2
    SAVED = 3


@dataclass(frozen=True, slots=True)
class ModePageFormat:
    """One page a disk has: ``default`` with its header, and the mask of the bits that MODE SELECT may change."""

    default: bytes
    changeable: bytes

    def __post_init__(self) -> None:
        head = header_length(self.default)
        if len(self.changeable) != len(self.default) or self.changeable[:head] != self.default[:head]:
            raise ValueError("a mask has the length and the header of its page")

    @property
    def key(self) -> PageKey:
        return page_key(self.default)

    @classmethod
    def fixed(cls, page: bytes) -> ModePageFormat:
        """A page in which nothing can be changed."""
        head = header_length(page)
        return cls(page, page[:head] + bytes(len(page) - head))


def page_key(page: bytes) -> PageKey:
    """The code and the subpage code of a page; the PS bit does not count."""
    return page[0] & 0x3F, page[1] if page[0] & _SUBPAGE_FORMAT else NO_SUBPAGE


def header_length(page: bytes) -> int:
    """Bytes before the page's own: 4 in the subpage format, else 2."""
    return 4 if page[0] & _SUBPAGE_FORMAT else 2


# -- the pages -----------------------------------------------------------------------------------------------------

WRITE_CACHE: Final = 0x04
"""WCE, byte 2 of the caching page."""
D_SENSE: Final = 0x04
"""Byte 2 of the control page."""
SOFTWARE_WRITE_PROTECT: Final = 0x08
"""SWP, byte 4 of the control page."""
TASK_ABORTED_STATUS: Final = 0x40
"""TAS, byte 5 of the control page."""
_UNRESTRICTED_REORDERING: Final = 0x10
_DISABLE_EXCEPTIONS: Final = 0x08


def error_recovery_page() -> bytes:
    """Page 01h, 12 bytes, all zero: no retries or reallocation for a host to tune."""
    return bytes((ModePage.READ_WRITE_ERROR_RECOVERY, 10)) + bytes(10)


def disconnect_page() -> bytes:
    """Page 02h, 16 bytes, all zero: iSCSI negotiates bursts by text keys instead."""
    return bytes((ModePage.DISCONNECT_RECONNECT, 14)) + bytes(14)


def caching_page(*, write_cache: bool) -> bytes:
    """Page 08h, 20 bytes: WCE says whether a write may be acknowledged before it is stable."""
    return bytes((ModePage.CACHING, 18, WRITE_CACHE if write_cache else 0)) + bytes(17)


def control_page(
    *, descriptor_sense: bool = False, write_protect: bool = False, task_aborted_status: bool = False
) -> bytes:
    """Page 0Ah, 12 bytes: one task set for all nexuses (TST=0), no task ends for another's error (QErr=0)."""
    sense = D_SENSE if descriptor_sense else 0
    protect = SOFTWARE_WRITE_PROTECT if write_protect else 0
    aborted = TASK_ABORTED_STATUS if task_aborted_status else 0
    return bytes((ModePage.CONTROL, 10, sense, _UNRESTRICTED_REORDERING, protect, aborted)) + bytes(6)


def control_extension_page() -> bytes:
    """Page 0Ah/01h, 32 bytes, all zero: no clock, no implicit changes of access states, sense of any length."""
    return bytes((_SUBPAGE_FORMAT | ModePage.CONTROL, CONTROL_EXTENSION, 0, 28)) + bytes(28)


def protocol_page(page: ModePage) -> bytes:
    """Page 18h or 19h, 8 bytes: the protocol is iSCSI, which keeps its parameters in text keys."""
    return bytes((page, 6, _PROTOCOL_ISCSI)) + bytes(5)


def exceptions_page() -> bytes:
    """Page 1Ch, 12 bytes: no informational exceptions are reported (DEXCPT)."""
    return bytes((ModePage.INFORMATIONAL_EXCEPTIONS, 10, _DISABLE_EXCEPTIONS)) + bytes(9)


def disk_pages(*, write_cache: bool, descriptor_sense: bool = False) -> tuple[ModePageFormat, ...]:
    """The pages of a disk by ascending code; the two values are the defaults of WCE and D_SENSE."""
    fixed = ModePageFormat.fixed
    return (
        fixed(error_recovery_page()),
        fixed(disconnect_page()),
        ModePageFormat(caching_page(write_cache=write_cache), caching_page(write_cache=True)),
        ModePageFormat(
            control_page(descriptor_sense=descriptor_sense),
            bytes((ModePage.CONTROL, 10, D_SENSE, 0, SOFTWARE_WRITE_PROTECT, TASK_ABORTED_STATUS)) + bytes(6),
        ),
        fixed(control_extension_page()),
        fixed(protocol_page(ModePage.PROTOCOL_SPECIFIC_UNIT)),
        fixed(protocol_page(ModePage.PROTOCOL_SPECIFIC_PORT)),
        fixed(exceptions_page()),
    )


# -- the parameter list --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModeData:
    """A MODE SENSE answer or a MODE SELECT list: the device-specific bits, the block descriptor and the pages."""

    write_protected: bool = False
    dpo_fua: bool = True
    block_descriptor: bytes = b""
    pages: tuple[bytes, ...] = ()
    medium_type: int = 0

    @property
    def _device_specific(self) -> int:
        return (_WRITE_PROTECT if self.write_protected else 0) | (_DPO_FUA if self.dpo_fua else 0)

    def encode_6(self) -> bytes:
        """MODE SENSE(6) data; the length counts everything behind itself."""
        body = bytes((self.medium_type, self._device_specific, len(self.block_descriptor))) + self.block_descriptor
        body += b"".join(self.pages)
        return bytes((len(body),)) + body

    def encode_10(self) -> bytes:
        """MODE SENSE(10) data; LONGLBA is set when the block descriptor is a long one."""
        long_lba = _LONG_LBA if len(self.block_descriptor) == LONG_BLOCK_DESCRIPTOR_BYTES else 0
        head = bytes((self.medium_type, self._device_specific, long_lba, 0))
        body = head + len(self.block_descriptor).to_bytes(2, "big") + self.block_descriptor + b"".join(self.pages)
        return len(body).to_bytes(2, "big") + body

    @classmethod
    def decode_6(cls, raw: bytes) -> ModeData:
        """Parse MODE SENSE(6) data; ValueError below 4 bytes."""
        if len(raw) < 4:
            raise ValueError(f"MODE SENSE(6) data has at least 4 bytes, got {len(raw)}")
        return cls._decode(raw[: raw[0] + 1], raw[1:3], 4, raw[3])

    @classmethod
    def decode_10(cls, raw: bytes) -> ModeData:
        """Parse MODE SENSE(10) data; ValueError below 8 bytes."""
        if len(raw) < 8:
            raise ValueError(f"MODE SENSE(10) data has at least 8 bytes, got {len(raw)}")
        return cls._decode(raw[: int.from_bytes(raw[:2], "big") + 2], raw[2:4], 8, int.from_bytes(raw[6:8], "big"))

    @classmethod
    def decode_select(cls, raw: bytes, *, long_header: bool) -> ModeData:
        """Parse a MODE SELECT parameter list, whose mode data length is reserved; ValueError when it is cut short."""
        header = 8 if long_header else 4
        if len(raw) < header:
            raise ValueError(f"a mode parameter list starts with a header of {header} bytes, got {len(raw)}")
        descriptor = int.from_bytes(raw[6:8], "big") if long_header else raw[3]
        data = cls._decode(raw, raw[2:4] if long_header else raw[1:3], header, descriptor)
        if header + descriptor + sum(map(len, data.pages)) != len(raw) or any(
            len(page) != _page_length(page) for page in data.pages
        ):
            raise ValueError(f"a mode parameter list of {len(raw)} bytes ends inside a page")
        return data

    @classmethod
    def _decode(cls, raw: bytes, type_and_bits: bytes, at: int, descriptor: int) -> ModeData:
        medium_type, bits = type_and_bits
        pages = tuple(_pages(raw[at + descriptor :]))
        return cls(bool(bits & _WRITE_PROTECT), bool(bits & _DPO_FUA), raw[at : at + descriptor], pages, medium_type)

    def page(self, code: int, subpage: int = NO_SUBPAGE) -> bytes | None:
        """The page with this code, or None."""
        return next((page for page in self.pages if page_key(page) == (code, subpage)), None)


def _pages(raw: bytes) -> Iterator[bytes]:
    """The pages one behind the other; the last may be cut short, a rest without a whole header is left out."""
    while len(raw) >= 2 and len(raw) >= header_length(raw):
        length = _page_length(raw)
        yield raw[:length]
        raw = raw[length:]


def _page_length(page: bytes) -> int:
    if page[0] & _SUBPAGE_FORMAT:
        return 4 + int.from_bytes(page[2:4], "big")
    return 2 + page[1]


LONG_BLOCK_DESCRIPTOR_BYTES: Final = 16
_MAX_SHORT_BLOCKS: Final = 0xFFFFFFFF


def block_descriptor(blocks: int, block_size: int, *, long_lba: bool = False) -> bytes:
    """The block descriptor, 8 bytes or with ``long_lba`` 16; 8 bytes count at most 2**32 - 1 blocks (SBC-3 6.4.2)."""
    if long_lba:
        return blocks.to_bytes(8, "big") + bytes(4) + block_size.to_bytes(4, "big")
    return min(blocks, _MAX_SHORT_BLOCKS).to_bytes(4, "big") + block_size.to_bytes(4, "big")


def select_pages(keys: Sequence[PageKey], code: int, subpage: int) -> tuple[PageKey, ...]:
    """The pages that a MODE SENSE for this code and subpage code means (SPC-4 table 147); none when there are none."""
    if code == ModePage.ALL and subpage not in (NO_SUBPAGE, ALL_SUBPAGES):
        return ()
    return tuple(key for key in keys if code in (ModePage.ALL, key[0]) and (subpage in (ALL_SUBPAGES, key[1])))
