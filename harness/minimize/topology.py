"""What a scenario consists of, piece by piece: hosts, interfaces, portals and volumes, each with all that names it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

from harness.minimize.trial import Tables

__all__ = ["smaller_topologies"]

Step = dict[str, Any]


def smaller_topologies(tables: Tables) -> Iterator[Tables]:
    """The scenario without one of its parts, for each part it could do without."""
    hosts = tables["hosts"]
    for host in hosts if len(hosts) > 1 else []:
        yield _without_host(tables, host["name"])
    volumes = tables["array"]["volumes"]
    for volume in volumes if len(volumes) > 1 else []:
        yield _without_volume(tables, volume["name"])
    for host in hosts:
        for nic in host["nics"] if len(host["nics"]) > 1 else []:
            yield _without_nic(tables, host["name"], nic)
    portals = tables["array"]["portals"]
    for portal in portals if len(portals) > 1 else []:
        yield _without_portal(tables, portal)


def _without_host(tables: Tables, name: str) -> Tables:
    first = tables["hosts"][0]["name"]
    made = copy.deepcopy(tables)
    made["hosts"] = [host for host in made["hosts"] if host["name"] != name]

    def concerns(step: Step) -> bool:
        at_host = step.get("host", first if step["do"] in _AT_A_HOST else None)
        return at_host == name or str(step.get("nic", "")).startswith(f"{name}/")

    return _without_steps(made, concerns)


_AT_A_HOST: Final = (
    "discover",
    "login",
    "logout",
    "targets",
    "devices",
    "netstat",
    "mpclaim",
    "set_policy",
    "workload",
    "io",
    "wait",
)
"""Steps done at a host; at the first one when they name none."""


def _without_volume(tables: Tables, name: str) -> Tables:
    made = copy.deepcopy(tables)
    made["array"]["volumes"] = [volume for volume in made["array"]["volumes"] if volume["name"] != name]
    return _without_steps(made, lambda step: step.get("volume") == name)


def _without_nic(tables: Tables, host_name: str, nic: dict[str, Any]) -> Tables:
    made = copy.deepcopy(tables)
    for host in made["hosts"]:
        if host["name"] == host_name:
            host["nics"] = [one for one in host["nics"] if one["name"] != nic["name"]]
    address = nic["address"].partition("/")[0]
    place = f"{host_name}/{nic['name']}"
    made = _without_steps(made, lambda step: step.get("nic") == place or step.get("source") == address)
    for step in made["steps"]:
        _forget_path(step, address)
    return made


def _forget_path(step: Step, address: str) -> None:
    """A step that still names the source address of a path names it no more."""
    if step.get("preferred") == address:
        del step["preferred"]
    if "standby" in step:
        step["standby"] = [one for one in step["standby"] if one != address]
    for key in ("weights", "throughputs"):
        if key in step:
            step[key] = {source: value for source, value in step[key].items() if source != address}
    if step["do"] == "wait" and "count" in step and step["count"] > 1:
        step["count"] -= 1


def _without_portal(tables: Tables, portal: str) -> Tables:
    made = copy.deepcopy(tables)
    array = made["array"]
    array["portals"] = [one for one in array["portals"] if one != portal]
    if array.get("placement") == {"fixed": portal}:
        del array["placement"]
    for group in array.get("alua", {}).get("groups", []):
        group["portals"] = [one for one in group["portals"] if one != portal]
    if "alua" in array:
        array["alua"]["groups"] = [group for group in array["alua"]["groups"] if group["portals"]]
    return _without_steps(made, lambda step: step.get("portal") == portal)


def _without_steps(tables: Tables, concerns: Any) -> Tables:
    """Without these steps, and without what refers to them by name."""
    gone = [step for step in tables["steps"] if concerns(step)]
    names = [str(step["name"]) for step in gone if step["do"] in ("fault", "workload") and "name" in step]
    tables["steps"] = [
        step
        for step in tables["steps"]
        if not concerns(step) and not (step["do"] in ("heal", "stop") and step.get("name") in names)
    ]
    return tables
