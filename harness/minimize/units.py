"""The steps of a scenario as units that come and go together: a fault with its heal, a workload with its stop.

The steps that bring the hosts up (discovery, logins) are no units here: they go with their host or interface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["is_fault", "is_operation", "steps_of", "units"]

_SETTING_UP: Final = ("discover", "login")
_PAIRS: Final = {"heal": "fault", "stop": "workload"}

Step = Mapping[str, Any]
Unit = tuple[int, ...]
"""Indexes of steps."""


def units(steps: Sequence[Step]) -> list[Unit]:
    """The units of these steps, by their first one."""
    made: dict[tuple[str, str], list[int]] = {}
    for index, step in enumerate(steps):
        do = str(step.get("do"))
        if do in _SETTING_UP:
            continue
        opened = _PAIRS.get(do)
        if opened is not None and (opened, str(step.get("name"))) in made:
            made[opened, str(step.get("name"))].append(index)
        elif do == "undrain" and ("drain", str(step.get("portal"))) in made:
            made["drain", str(step.get("portal"))].append(index)
        else:
            made[_key(do, step, index)] = [index]
    return [tuple(unit) for unit in made.values()]


def steps_of(steps: Sequence[Step], kept: Sequence[Unit]) -> list[Step]:
    """The steps that are left when these units are, and what sets the hosts up."""
    wanted = dict.fromkeys(index for unit in kept for index in unit)
    return [step for index, step in enumerate(steps) if step.get("do") in _SETTING_UP or index in wanted]


def is_fault(step: Step) -> bool:
    """Whether the step breaks something, or makes the array do something that hosts feel."""
    return step.get("do") in (
        "fault",
        "drain",
        "rebalance",
        "request_logout",
        "drop",
        "controller_failover",
        "access_state",
        "portal_group_tag",
    )


def is_operation(step: Step) -> bool:
    """Whether the step is a single I/O."""
    return step.get("do") == "io"


def _key(do: str, step: Step, index: int) -> tuple[str, str]:
    if do == "fault":
        place = step.get("nic") or step.get("portal") or step.get("host") or step.get("volume") or "array"
        return do, str(step.get("name") or f"{step.get('kind')} {place}")
    if do == "workload":
        return do, str(step.get("name"))
    if do == "drain":
        return do, str(step.get("portal"))
    return do, f"#{index}"
