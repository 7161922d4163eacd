"""The timers a host may override: those of its profile, by the names of the profile's stack.

A duration is written with its unit (`link_down_time = "15s"`), a count as a whole number, a switch as true or false.
"""

from collections.abc import Iterator, Mapping

from harness.mistakes import did_you_mean, show
from harness.units import format_duration, parse_duration
from initiator_model.profiles import PROFILES
from initiator_model.timers import Timers


def check(overrides: Mapping[str, object], profile: str) -> Iterator[tuple[str, str]]:
    """Unknown names and values of the wrong kind: (name, what was expected). Nothing where there is no such profile."""
    if profile not in PROFILES:
        return
    timers = type(PROFILES[profile].timers)
    names = timers.names()
    for name, value in overrides.items():
        if name not in names:
            yield name, f"unknown timer of {profile}{did_you_mean(name, names)}"
        elif _is_duration(names[name]) and not isinstance(value, str):
            yield name, f'expected a duration such as "15s", got {show(value)}'
        elif not _is_duration(names[name]) and isinstance(value, str):
            yield name, f"expected a whole number, or true or false for a switch, got {show(value)}"
        else:
            yield from _too_small(timers, name, value)


def _is_duration(field: str) -> bool:
    return field.endswith("_ns")


def _too_small(timers: type[Timers], name: str, value: object) -> Iterator[tuple[str, str]]:
    """Values below the least one the host can work with; what is no quantity is reported elsewhere."""
    field = timers.names()[name]
    least = timers.least_value(field)
    try:
        quantity = parse_duration(value) if _is_duration(field) else value
    except ValueError:
        return
    if isinstance(quantity, int) and quantity < least:
        wanted = format_duration(least) if _is_duration(field) else least
        yield name, f"expected at least {wanted}, got {show(value)}"


def as_written(overrides: Mapping[str, int], profile: str) -> dict[str, str | int]:
    """Overrides in nanoseconds as a file writes them."""
    names = type(PROFILES[profile].timers).names()
    return {name: format_duration(value) if _is_duration(names[name]) else value for name, value in overrides.items()}
