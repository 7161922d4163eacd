"""What is left is made easy to read: round times, and no setting that the failure does not need."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

from harness.minimize.trial import Tables
from harness.units import format_duration, parse_duration

__all__ = ["nearer_to_the_wrap", "plainer", "rounder", "smaller_workloads"]

_CMD_SN_END: Final = 1 << 32
_GRAINS_NS: Final = (10**9, 10**8, 10**7, 10**6, 10**5, 10**4)
_SPARE: Final = ("at", "host", "persistent", "background", "carrier", "count", "within", "may_be_refused", "standby")
"""Keys of steps that have a default."""
_NEEDED: Final = {
    "network": ("subnet",),
    "array": ("kind", "name", "group", "portals", "volumes"),
    "volume": ("name", "size", "access"),
    "host": ("name", "iqn", "nics", "profile"),
    "nic": ("name", "address"),
}


def rounder(tables: Tables) -> Iterator[Tables]:
    """The scenario with one step's time rounded, to the roundest first; all of them together first of all."""
    for grain_ns in _GRAINS_NS:
        made = copy.deepcopy(tables)
        for step in made["steps"]:
            _round(step, grain_ns)
        if made != tables:
            yield made
    for index, step in enumerate(tables["steps"]):
        for grain_ns in _GRAINS_NS:
            rounded = copy.deepcopy(step)
            _round(rounded, grain_ns)
            if rounded != step:
                yield {**tables, "steps": [*tables["steps"][:index], rounded, *tables["steps"][index + 1 :]]}


def _round(step: dict[str, Any], grain_ns: int) -> None:
    if "at" in step:
        step["at"] = format_duration(round(parse_duration(step["at"]) / grain_ns) * grain_ns)


def plainer(tables: Tables) -> Iterator[Tables]:
    """The scenario without one of the settings that have a default."""
    for key in tables.get("network", {}):
        if key not in _NEEDED["network"]:
            made = copy.deepcopy(tables)
            del made["network"][key]
            yield made
    yield from _without_keys(tables, ("array",), _NEEDED["array"])
    for v, _ in enumerate(tables["array"]["volumes"]):
        yield from _without_keys(tables, ("array", "volumes", v), _NEEDED["volume"])
    for h, host in enumerate(tables["hosts"]):
        yield from _without_keys(tables, ("hosts", h), _NEEDED["host"])
        for n, _ in enumerate(host["nics"]):
            yield from _without_keys(tables, ("hosts", h, "nics", n), _NEEDED["nic"])
        for timer in host.get("timers", {}):
            made = copy.deepcopy(tables)
            del made["hosts"][h]["timers"][timer]
            yield made

    for index, step in enumerate(tables["steps"]):
        for key in _SPARE:
            if key in step:
                bare = {name: value for name, value in step.items() if name != key}
                yield {**tables, "steps": [*tables["steps"][:index], bare, *tables["steps"][index + 1 :]]}


def _without_keys(tables: Tables, path: tuple[str | int, ...], needed: tuple[str, ...]) -> Iterator[Tables]:
    node: Any = tables
    for part in path:
        node = node[part]
    for key in node:
        if key in needed:
            continue
        made = copy.deepcopy(tables)
        below: Any = made
        for part in path:
            below = below[part]
        del below[key]
        yield made


def nearer_to_the_wrap(tables: Tables) -> Iterator[Tables]:
    """The scenario with a host whose sessions have fewer commands to send before CmdSN wraps."""
    for index, host in enumerate(tables["hosts"]):
        left = _CMD_SN_END - host.get("first_cmd_sn", _CMD_SN_END)
        for fewer in (left // 2, left - 1):
            if 0 < fewer < left:
                made = copy.deepcopy(tables)
                made["hosts"][index]["first_cmd_sn"] = _CMD_SN_END - fewer
                yield made


def smaller_workloads(tables: Tables) -> Iterator[Tables]:
    """The scenario with one workload cut to half its I/Os, or to one at a time."""
    for index, step in enumerate(tables["steps"]):
        if step["do"] != "workload":
            continue
        smaller = [{**step, "ios": step["ios"] // 2}] if step.get("ios", 1) > 1 else []
        smaller += [{**step, "depth": 1}] if step.get("depth", 16) > 1 else []
        for one in smaller:
            yield {**tables, "steps": [*tables["steps"][:index], one, *tables["steps"][index + 1 :]]}
