"""32-bit serial number arithmetic for CmdSN and StatSN (RFC 1982, as RFC 7143 4.2.2.1 asks for).

``a`` comes before ``b`` when (b - a) mod 2^32 lies in 1 .. 2^31 - 1. Two numbers exactly 2^31 apart are in no order;
`lt` is False both ways for them.
"""

from __future__ import annotations

from typing import Final

MASK: Final = 0xFFFFFFFF
HALF: Final = 0x80000000


def add(a: int, n: int) -> int:
    """``a + n`` modulo 2^32; ``n`` may be negative."""
    return (a + n) & MASK


def distance(a: int, b: int) -> int:
    """How many increments lead from ``a`` to ``b``: 0 .. 2^32 - 1."""
    return (b - a) & MASK


def lt(a: int, b: int) -> bool:
    """True when ``a`` precedes ``b``."""
    return 0 < (b - a) & MASK < HALF


def le(a: int, b: int) -> bool:
    """True when ``a`` precedes or equals ``b``."""
    return (b - a) & MASK < HALF
