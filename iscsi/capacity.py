"""Parameter data about the medium: capacity, LUN inventory, and which blocks are allocated.

Source: SBC-3 5.12, 5.13 (READ CAPACITY), 5.4 (GET LBA STATUS), 5.28 (UNMAP parameter list); SPC-4 6.33 (REPORT LUNS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

_CAPACITY_10: Final = Struct(">II")
_CAPACITY_16: Final = Struct(">QIBBH16x")
_MAX_LBA_10: Final = 0xFFFFFFFF
_LBA_STATUS: Final = Struct(">QIB3x")
_UNMAP_HEADER: Final = Struct(">HH4x")
_UNMAP_RANGE: Final = Struct(">QI4x")


@dataclass(frozen=True, slots=True)
class Capacity:
    """What READ CAPACITY says: ``blocks`` logical blocks of ``block_size`` bytes.

    ``physical_exponent``: 2**n logical blocks per physical block; ``thin``: LBPME; ``reads_zeros``: LBPRZ.
    """

    blocks: int
    block_size: int
    physical_exponent: int = 0
    thin: bool = False
    reads_zeros: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes of the medium."""
        return self.blocks * self.block_size

    def encode_10(self) -> bytes:
        """READ CAPACITY(10) data, 8 bytes; the last LBA saturates at FFFFFFFFh."""
        return _CAPACITY_10.pack(min(self.blocks - 1, _MAX_LBA_10), self.block_size)

    def encode_16(self) -> bytes:
        """READ CAPACITY(16) data, 32 bytes."""
        provisioning = self.thin << 15 | self.reads_zeros << 14
        return _CAPACITY_16.pack(self.blocks - 1, self.block_size, 0, self.physical_exponent, provisioning)

    @classmethod
    def decode_10(cls, raw: bytes) -> Capacity | None:
        """Parse; None when the medium is too large for the 10-byte form. ValueError below 8 bytes."""
        if len(raw) < 8:
            raise ValueError(f"READ CAPACITY(10) data has 8 bytes, got {len(raw)}")
        last, block_size = _CAPACITY_10.unpack_from(raw)
        return None if last == _MAX_LBA_10 else cls(last + 1, block_size)

    @classmethod
    def decode_16(cls, raw: bytes) -> Capacity:
        """Parse; the first 12 bytes must be there."""
        if len(raw) < 12:
            raise ValueError(f"READ CAPACITY(16) data has at least 12 bytes, got {len(raw)}")
        last, block_size, _, exponent, provisioning = _CAPACITY_16.unpack(raw[:32].ljust(32, b"\0"))
        return cls(last + 1, block_size, exponent & 0x0F, bool(provisioning & 0x8000), bool(provisioning & 0x4000))


def build_lun_list(luns: Sequence[int]) -> bytes:
    """REPORT LUNS data from raw 64-bit LUN fields."""
    return (8 * len(luns)).to_bytes(4, "big") + bytes(4) + b"".join(lun.to_bytes(8, "big") for lun in luns)


def parse_lun_list(raw: bytes) -> tuple[int, ...]:
    """The raw 64-bit LUN fields the buffer holds; ValueError without the 8-byte header."""
    if len(raw) < 8:
        raise ValueError(f"REPORT LUNS data has at least 8 bytes, got {len(raw)}")
    end = min(len(raw) - 7, 8 + int.from_bytes(raw[:4], "big"))
    return tuple(int.from_bytes(raw[at : at + 8], "big") for at in range(8, end, 8))


class ProvisioningStatus(IntEnum):
    """Whether a run of blocks has storage behind it (SBC-3 table 51)."""

    MAPPED = 0
    DEALLOCATED = 1
    ANCHORED = 2


@dataclass(frozen=True, slots=True)
class LbaStatus:
    """One run of ``blocks`` logical blocks from ``lba`` on, all of one status."""

    lba: int
    blocks: int
    status: ProvisioningStatus


def build_lba_status(runs: Sequence[LbaStatus]) -> bytes:
    """GET LBA STATUS data."""
    body = b"".join(_LBA_STATUS.pack(run.lba, run.blocks, run.status) for run in runs)
    return (len(body) + 4).to_bytes(4, "big") + bytes(4) + body


def parse_lba_status(raw: bytes) -> tuple[LbaStatus, ...]:
    """The descriptors the buffer holds whole; ValueError for a reserved status or a missing header."""
    if len(raw) < 8:
        raise ValueError(f"GET LBA STATUS data has at least 8 bytes, got {len(raw)}")
    end = min(len(raw), int.from_bytes(raw[:4], "big") + 4)
    runs = _LBA_STATUS.iter_unpack(raw[8 : 8 + (end - 8) // 16 * 16])
    return tuple(LbaStatus(lba, blocks, ProvisioningStatus(status & 0x0F)) for lba, blocks, status in runs)


def build_unmap_list(ranges: Sequence[tuple[int, int]]) -> bytes:
    """UNMAP parameter list of (LBA, blocks) pairs."""
    body = b"".join(_UNMAP_RANGE.pack(lba, blocks) for lba, blocks in ranges)
    return _UNMAP_HEADER.pack(len(body) + 6, len(body)) + body


def parse_unmap_list(raw: bytes) -> tuple[tuple[int, int], ...]:
    """The (LBA, blocks) pairs of an UNMAP parameter list.

    A descriptor behind the end of the buffer is left out, as SBC-3 5.28.2 wants; ValueError without the 8-byte header.
    """
    if len(raw) < 8:
        raise ValueError(f"an UNMAP parameter list has at least 8 bytes, got {len(raw)}")
    _, described = _UNMAP_HEADER.unpack_from(raw)
    whole = min(described, len(raw) - 8) // 16 * 16
    return tuple(_UNMAP_RANGE.iter_unpack(raw[8 : 8 + whole]))
