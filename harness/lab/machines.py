"""What a lab has on its table when nobody says otherwise, and the ways to say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from harness.load import load_scenario, scenario_from
from harness.scenario import Scenario

__all__ = ["ARRAY", "MACHINES", "What", "machines_of", "scenario_of"]

What = Scenario | Mapping[str, Any] | Path | str
"""A scenario, its tables, or its file."""

ARRAY: Final[dict[str, Any]] = {
    "kind": "equallogic",
    "name": "PS100",
    "group": "192.168.51.1/22",
    "portals": ["192.168.51.2", "192.168.51.3", "192.168.51.4"],
    "volumes": [{"name": "disk", "size": "64MiB", "access": [{"source": "0.0.0.0/0"}]}],
}
"""The array of the walkthrough, with one volume that is open to everybody."""

MACHINES: Final[dict[str, Any]] = {
    "name": "lab",
    "network": {"subnet": "192.168.48.0/22"},
    "array": ARRAY,
    "hosts": [
        {
            "name": "host",
            "iqn": "iqn.2003-01.org.example:host",
            "nics": [
                {"name": "a", "address": "192.168.50.105/22"},
                {"name": "b", "address": "192.168.50.125/22"},
            ],
        }
    ],
}
"""It, and one host with two NICs."""

_SOME_STEP: Final = [{"do": "wait", "duration": "0s"}]


def scenario_of(what: What) -> Scenario:
    """The scenario. Raises ScenarioError with all its mistakes."""
    if isinstance(what, Scenario):
        return what
    if isinstance(what, Mapping):
        return scenario_from(what)
    return load_scenario(Path(what))


def machines_of(what: What) -> dict[str, Any]:
    """Tables without steps: the machines of a scenario, or those tables, with what they lack from `MACHINES`.

    Raises ScenarioError with all their mistakes.
    """
    tables = dict(what) if isinstance(what, Mapping) else scenario_of(what).tables()
    whole = {**MACHINES, **tables}
    scenario_from({**whole, "steps": _SOME_STEP})
    return {key: value for key, value in whole.items() if key != "steps"}
