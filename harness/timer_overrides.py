"""The timers a host may override: those of `initiator_model.profiles.Timers`, by the same names.

A duration is written with its unit (`link_down_time = "15s"`), a count as a whole number, a switch as true or false.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from harness.mistakes import did_you_mean, show
from harness.units import format_duration, parse_duration
from initiator_model.profiles import Timers, least_value

_SUFFIX = "_ns"
DURATIONS = frozenset(f.name.removesuffix(_SUFFIX) for f in dataclasses.fields(Timers) if f.name.endswith(_SUFFIX))
NAMES = tuple(f.name.removesuffix(_SUFFIX) for f in dataclasses.fields(Timers))


def check(overrides: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Unknown names and values of the wrong kind: (name, what was expected)."""
    for name, value in overrides.items():
        if name not in NAMES:
            yield name, f"unknown timer{did_you_mean(name, NAMES)}"
        elif name in DURATIONS and not isinstance(value, str):
            yield name, f'expected a duration such as "15s", got {show(value)}'
        elif name not in DURATIONS and isinstance(value, str):
            yield name, f"expected a whole number, or true or false for a switch, got {show(value)}"
        else:
            yield from _too_small(name, value)


def _too_small(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Values below the least one the host can work with; what is no quantity is reported elsewhere."""
    least = least_value(name + _SUFFIX if name in DURATIONS else name)
    try:
        quantity = parse_duration(value) if name in DURATIONS else value
    except ValueError:
        return
    if isinstance(quantity, int) and quantity < least:
        wanted = format_duration(least) if name in DURATIONS else least
        yield name, f"expected at least {wanted}, got {show(value)}"


def as_written(overrides: Mapping[str, int]) -> dict[str, str | int]:
    """Overrides in nanoseconds as a file writes them."""
    return {name: format_duration(value) if name in DURATIONS else value for name, value in overrides.items()}
