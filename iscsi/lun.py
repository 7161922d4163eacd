"""LUNs between plain numbers and the 64-bit values of the wire (SAM-5 4.7), for single-level addressing."""

from __future__ import annotations

from typing import Final

from iscsi.errors import LocalProtocolError

MAX_LUN: Final = 0x3FFF
"""The highest LUN that flat space addressing can name (SAM-5 4.7.7.3)."""


def encode_lun(number: int) -> int:
    """A LUN as the 64-bit value of the wire: peripheral addressing below 256, flat space below 16384 (SAM-5 4.7)."""
    if 0 <= number < 256:
        return number << 48
    if 256 <= number <= MAX_LUN:
        return (0x4000 | number) << 48
    raise LocalProtocolError(f"a single-level LUN is 0 to {MAX_LUN}, not {number}")


def decode_lun(value: int) -> int:
    """The LUN number of a 64-bit wire value, or -1 for a form this project's arrays never present."""
    number = value >> 48
    if value != number << 48:
        return -1
    if number < 256:  # peripheral addressing, bus 0
        return number
    return number & MAX_LUN if number >> 14 == 1 else -1
