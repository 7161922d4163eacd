"""Quantities as people write them, as the integers the simulator counts in.

A scenario says `rate = "1Gbit"`, `block = "64KiB"`, `latency = "10us"`; the simulator wants bits per second, bytes
and nanoseconds, and wants them exact: a float of seconds drifts, an integer of nanoseconds does not. Rates and the
`B`, `KB`, `MB` family are decimal, `KiB` and its family binary (IEC 80000-13). A fraction is accepted where the
result is whole (`"1.5Gbit"`, `"2.5us"`); a bare number never is, because nobody can see what it counts.

The formatters write the shortest form that parses back to the same integer.
"""

import re
from collections.abc import Mapping
from fractions import Fraction

BITS_PER_S: Mapping[str, int] = {"bit": 1, "Kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}

BYTES: Mapping[str, int] = {
    "B": 1,
    "KB": 10**3,
    "KiB": 2**10,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
    "TB": 10**12,
    "TiB": 2**40,
}

NANOSECONDS: Mapping[str, int] = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
}

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ]+)\Z")


class UnitError(ValueError):
    """A text that is no such quantity; the message says what was expected, with an example."""


def parse_rate(text: object) -> int:
    """`"1Gbit"` → 1_000_000_000 bits per second. Raises UnitError."""
    return _parse(text, BITS_PER_S, "a rate", "1Gbit")


def parse_size(text: object) -> int:
    """`"64KiB"` → 65_536 bytes, `"64KB"` → 64_000 bytes. Raises UnitError."""
    return _parse(text, BYTES, "a size", "64KiB")


def parse_duration(text: object) -> int:
    """`"250us"` → 250_000 ns. Raises UnitError."""
    return _parse(text, NANOSECONDS, "a duration", "250us")


def format_rate(bits_per_s: int) -> str:
    """1_500_000_000 → `"1.5Gbit"`: the largest unit that keeps the number short and exact."""
    return _format(bits_per_s, BITS_PER_S)


def format_size(size_bytes: int) -> str:
    """65_536 → `"64KiB"`."""
    return _format(size_bytes, BYTES)


def format_duration(duration_ns: int) -> str:
    """15_000_000_000 → `"15s"`."""
    return _format(duration_ns, NANOSECONDS)


def _parse(text: object, units: Mapping[str, int], what: str, example: str) -> int:
    expected = f'expected {what} such as "{example}" (units: {", ".join(units)})'
    if not isinstance(text, str):
        raise UnitError(f"{expected}, got {text!r} without a unit")
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise UnitError(f'{expected}, got "{text}"')
    number, unit = match.groups()
    if unit not in units:
        raise UnitError(f'{expected}, got the unit "{unit}" in "{text}"{_same_letters(unit, units)}')
    amount = Fraction(number) * units[unit]
    if amount.denominator != 1:
        raise UnitError(f'{expected}, got "{text}", which is finer than {min(units, key=lambda name: units[name])}')
    return int(amount)


def _same_letters(unit: str, units: Mapping[str, int]) -> str:
    """A hint for `gbit` and `kib`: the case is part of a unit's name."""
    alike = [name for name in units if name.lower() == unit.lower()]
    return f': did you mean "{alike[0]}"?' if alike else ""


def _format(amount: int, units: Mapping[str, int]) -> str:
    """The shortest exact text; among equally short ones the larger unit. Tenths because people say 1.5Gbit."""
    if amount == 0:
        return f"0{next(iter(units))}"
    candidates = []
    for name, size in units.items():
        if amount % size == 0:
            candidates.append((f"{amount // size}{name}", size))
        elif amount > size and amount * 10 % size == 0:
            candidates.append((f"{amount // size}.{amount * 10 // size % 10}{name}", size))
    text, _ = min(candidates, key=lambda candidate: (len(candidate[0]), -candidate[1]))
    return text
