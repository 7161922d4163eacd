"""Mode pages a disk has, and the MODE SENSE headers around them.

A host may change two bits, both of the control page: the format of sense data, and the software write protection.

Source: SPC-4 7.5 (mode parameters, control page), SBC-3 6.4 (caching page).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_WRITE_PROTECT: Final = 0x80
_DPO_FUA: Final = 0x10


class ModePage(IntEnum):
    """Page codes."""

    DISCONNECT_RECONNECT = 0x02
    CACHING = 0x08
    CONTROL = 0x0A
    INFORMATIONAL_EXCEPTIONS = 0x1C
    ALL = 0x3F


class PageControl(IntEnum):
    """Which values of a page are wanted (SPC-4 6.11.1)."""

    CURRENT = 0
    CHANGEABLE = 1
    DEFAULT = 2
    SAVED = 3


def caching_page(*, write_cache: bool) -> bytes:
    """Page 08h, 20 bytes: WCE says whether a write may be acknowledged before it is stable."""
    return bytes((ModePage.CACHING, 18, write_cache << 2)) + bytes(17)


D_SENSE: Final = 0x04
SOFTWARE_WRITE_PROTECT: Final = 0x08
CONTROL_PAGE_CHANGEABLE: Final = bytes((ModePage.CONTROL, 10, D_SENSE, 0, SOFTWARE_WRITE_PROTECT)) + bytes(7)


def control_page(*, descriptor_sense: bool, write_protect: bool = False) -> bytes:
    """Page 0Ah, 12 bytes: one task set for all nexuses, commands aborted by another nexus end silently (TAS=0)."""
    sense = D_SENSE if descriptor_sense else 0
    protect = SOFTWARE_WRITE_PROTECT if write_protect else 0
    return bytes((ModePage.CONTROL, 10, sense, 0x10, protect)) + bytes(7)


def disconnect_page() -> bytes:
    """Page 02h, 16 bytes, all zero: the target's own choice of bursts."""
    return bytes((ModePage.DISCONNECT_RECONNECT, 14)) + bytes(14)


def exceptions_page() -> bytes:
    """Page 1Ch, 12 bytes: no informational exceptions are reported (DEXCPT)."""
    return bytes((ModePage.INFORMATIONAL_EXCEPTIONS, 10, 0x08)) + bytes(9)


def changeable(page: bytes) -> bytes:
    """The mask of the bits of ``page`` that MODE SELECT may change."""
    return CONTROL_PAGE_CHANGEABLE if page[0] == ModePage.CONTROL else page[:2] + bytes(len(page) - 2)


@dataclass(frozen=True, slots=True)
class ModeData:
    """A MODE SENSE answer: the device-specific bits, the block descriptor and the pages."""

    write_protected: bool = False
    dpo_fua: bool = True
    block_descriptor: bytes = b""
    pages: tuple[bytes, ...] = ()

    @property
    def _device_specific(self) -> int:
        return (_WRITE_PROTECT if self.write_protected else 0) | (_DPO_FUA if self.dpo_fua else 0)

    def encode_6(self) -> bytes:
        """MODE SENSE(6) data; the length counts everything behind itself."""
        body = bytes((0, self._device_specific, len(self.block_descriptor))) + self.block_descriptor
        body += b"".join(self.pages)
        return bytes((len(body),)) + body

    def encode_10(self, *, long_lba: bool = False) -> bytes:
        """MODE SENSE(10) data."""
        head = bytes((0, self._device_specific, long_lba, 0)) + len(self.block_descriptor).to_bytes(2, "big")
        body = head + self.block_descriptor + b"".join(self.pages)
        return len(body).to_bytes(2, "big") + body

    @classmethod
    def decode_6(cls, raw: bytes) -> ModeData:
        """Parse MODE SENSE(6) data; ValueError below 4 bytes."""
        if len(raw) < 4:
            raise ValueError(f"MODE SENSE(6) data has at least 4 bytes, got {len(raw)}")
        return cls._decode(raw[: raw[0] + 1], raw[2], 4, raw[3])

    @classmethod
    def decode_10(cls, raw: bytes) -> ModeData:
        """Parse MODE SENSE(10) data; ValueError below 8 bytes."""
        if len(raw) < 8:
            raise ValueError(f"MODE SENSE(10) data has at least 8 bytes, got {len(raw)}")
        return cls._decode(raw[: int.from_bytes(raw[:2], "big") + 2], raw[3], 8, int.from_bytes(raw[6:8], "big"))

    @classmethod
    def decode_select(cls, raw: bytes, *, long_header: bool) -> ModeData:
        """Parse a MODE SELECT parameter list, whose mode data length is reserved; ValueError when it is cut short."""
        header = 8 if long_header else 4
        if len(raw) < header:
            raise ValueError(f"a mode parameter list starts with a header of {header} bytes, got {len(raw)}")
        descriptor = int.from_bytes(raw[6:8], "big") if long_header else raw[3]
        data = cls._decode(raw, raw[3 if long_header else 2], header, descriptor)
        if header + len(data.block_descriptor) + sum(map(len, data.pages)) != len(raw) or any(
            len(page) != page[1] + 2 for page in data.pages
        ):
            raise ValueError(f"a mode parameter list of {len(raw)} bytes ends inside a page")
        return data

    @classmethod
    def _decode(cls, raw: bytes, bits: int, at: int, descriptor: int) -> ModeData:
        pages: list[bytes] = []
        start = at + descriptor
        while start + 2 <= len(raw):
            end = start + 2 + raw[start + 1]
            pages.append(raw[start:end])
            start = end
        return cls(bool(bits & _WRITE_PROTECT), bool(bits & _DPO_FUA), raw[at : at + descriptor], tuple(pages))

    def page(self, code: int) -> bytes | None:
        """The page with this code, or None."""
        return next((page for page in self.pages if page[0] & 0x3F == code), None)


def block_descriptor(blocks: int, block_size: int) -> bytes:
    """The short block descriptor, 8 bytes; a block count beyond 32 bits saturates (SBC-3 6.4.2.2)."""
    return min(blocks, 0xFFFFFFFF).to_bytes(4, "big") + block_size.to_bytes(4, "big")


def select_pages(pages: Sequence[bytes], code: int) -> tuple[bytes, ...]:
    """The pages with this code, all of them for 3Fh."""
    if code == ModePage.ALL:
        return tuple(pages)
    return tuple(page for page in pages if page[0] & 0x3F == code)
