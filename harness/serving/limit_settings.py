"""The `[serve.limits]` of an array file: the bounds of `target.config.Limits`, by the same names without their unit.

A time is written with its unit (`login_timeout = "15s"`), a size as well (`write_buffer = "32MiB"`), a count as a whole
number. The three lengths that a login negotiates are sizes, too (RFC 7143 13.12 to 13.14).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from harness.mistakes import did_you_mean, show
from harness.units import parse_duration, parse_size
from target.config import ConfigError, Limits

Finding = tuple[str, str]
"""The key within the table, and what was expected there."""


def _seconds(value: object) -> float:
    return parse_duration(value) / 1e9


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected a whole number, got {show(value)}")
    return value


_READERS: Final[tuple[tuple[str, str, Callable[[object], int | float]], ...]] = (
    ("_s", "_s", _seconds),
    ("_bytes", "_bytes", parse_size),
    ("_length", "", parse_size),
    ("", "", _count),
)
"""By the end of the field's name: what a file leaves away of it, and how its value is read."""


def _settings() -> dict[str, tuple[str, Callable[[object], int | float]]]:
    found = {}
    for field in dataclasses.fields(Limits):
        _, unit, reader = next(row for row in _READERS if field.name.endswith(row[0]))
        found[field.name.removesuffix(unit)] = (field.name, reader)
    return found


_SETTINGS: Final = _settings()
NAMES: Final = tuple(_SETTINGS)
"""Every key the table may have."""


def read_limits(table: Mapping[str, object]) -> tuple[Limits, list[Finding]]:
    """The limits a table asks for; with findings, the defaults stand in for what is wrong."""
    values: dict[str, int | float] = {}
    findings: list[Finding] = []
    for key, value in table.items():
        if key not in _SETTINGS:
            findings.append((key, f"unknown limit{did_you_mean(key, NAMES)}"))
            continue
        name, reader = _SETTINGS[key]
        try:
            values[name] = reader(value)
        except ValueError as error:
            findings.append((key, str(error)))
    try:
        return Limits(**values), findings  # type: ignore[arg-type]
    except ConfigError as error:
        return Limits(), [*findings, _in_words_of_the_file(str(error))]


def _in_words_of_the_file(complaint: str) -> Finding:
    """`Limits` names its own fields, first the one that is wrong."""
    for key, (name, _) in _SETTINGS.items():
        if complaint.startswith(f"{name} "):
            return key, complaint
    return "", complaint
