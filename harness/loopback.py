"""A scenario's addresses on real TCP: moved into 127.0.0.0/8 by keeping the last two octets.

192.168.51.2 becomes 127.0.51.2. Linux answers on every loopback address without configuration, so the group address,
the portals and both sources stay distinct, and readable in `ss -nt`, without root. The whole scenario is rewritten
before anything is built from it: its checks then speak of the same addresses as the run.
"""

from __future__ import annotations

import re
from typing import Any

from harness.load import scenario_from
from harness.mistakes import Mistake, ScenarioError
from harness.scenario import Array, Scenario

EVERYBODY = "0.0.0.0/0"
"""The network of an access rule that lets anyone in; it means the same on loopback."""

_ADDRESS = re.compile(r"(\d{1,3}\.\d{1,3})\.(\d{1,3}\.\d{1,3})((?:/\d{1,2}|:\d{1,5})?)")

_NO_ADDRESS = ("secret", "user")
"""Keys whose text stays as it is, even where it looks like an address."""

LOOPBACK_PREFIX = 8


def loopback_address(address: str) -> str:
    """127.0.51.2 of 192.168.51.2; a prefix or a port behind it is kept. No prefix is shorter than loopback's own 8."""
    match = _ADDRESS.fullmatch(address)
    if match is None or address == EVERYBODY:
        return address
    rest = match[3]
    if rest.startswith("/"):
        rest = f"/{max(int(rest[1:]), LOOPBACK_PREFIX)}"
    return f"127.0.{match[2]}{rest}"


def scenario_on_loopback(scenario: Scenario) -> Scenario:
    """The same scenario with every address mapped. Raises ScenarioError when two addresses become one."""
    tables = scenario.tables()
    moved: dict[str, str] = {}
    mapped = _mapped(tables, moved)
    _refuse_collisions(moved)
    return scenario_from(mapped, file=f"{scenario.name} on loopback")


def array_on_loopback(array: Array) -> Array:
    """The same array with every address mapped. Raises ScenarioError when two addresses become one."""
    moved: dict[str, str] = {}
    mapped = _mapped(array.tables(), moved)
    _refuse_collisions(moved)
    return Array.model_validate(mapped)


def _mapped(node: Any, moved: dict[str, str]) -> Any:
    if isinstance(node, str):
        found = loopback_address(node)
        if found != node:
            moved[re.split(r"[/:]", node)[0]] = re.split(r"[/:]", found)[0]
        return found
    if isinstance(node, dict):
        return {
            _mapped(key, moved): value if key.endswith(_NO_ADDRESS) else _mapped(value, moved)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_mapped(item, moved) for item in node]
    return node


def _refuse_collisions(moved: dict[str, str]) -> None:
    origin: dict[str, str] = {}
    for address, found in moved.items():
        if origin.setdefault(found, address) != address:
            raise ScenarioError(
                [Mistake("", "addresses", f"{origin[found]} and {address} both become {found} on real TCP")]
            )
