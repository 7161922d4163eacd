"""What a scenario has in it, in a few words: what rows of a sweep are told apart and found again by."""

from __future__ import annotations

from collections.abc import Iterator

from harness.array_steps import AccessState, ControllerFailover, Drain, Drop, Rebalance, RequestLogout
from harness.fault_step import Fault
from harness.policy_step import SetPolicy
from harness.scenario import FixedPlacement, Scenario
from harness.steps import Workload

__all__ = ["features_of"]

_OPERATIONS = (AccessState, ControllerFailover, Drain, Drop, Rebalance, RequestLogout)


def features_of(scenario: Scenario) -> tuple[str, ...]:
    """Such as ("2 NICs", "3 portals", "esxi", "vmw-rr", "blackhole"): each once, machines first, then what happens."""
    return tuple(dict.fromkeys([*_machines(scenario), *_events(scenario)]))


def _machines(scenario: Scenario) -> Iterator[str]:
    array = scenario.array
    nics = sum(len(host.nics) for host in scenario.hosts)
    for count, what in ((len(scenario.hosts), "host"), (nics, "NIC"), (len(array.portals), "portal")):
        yield f"{count} {what}{'' if count == 1 else 's'}"
    yield array.kind
    if array.kind == "equallogic":
        yield "fixed" if isinstance(array.placement, FixedPlacement) else array.placement
    yield from ("ALUA" for _ in [array.alua] if array.alua is not None)
    yield from ("CHAP" for volume in array.volumes for rule in volume.access if rule.chap is not None)
    yield from ("digests" for host in scenario.hosts if host.digests)
    yield from (host.profile for host in scenario.hosts)


def _events(scenario: Scenario) -> Iterator[str]:
    for step in scenario.steps:
        if isinstance(step, SetPolicy):
            yield step.policy
        elif isinstance(step, Workload):
            yield step.op
        elif isinstance(step, Fault):
            yield step.kind
        elif isinstance(step, _OPERATIONS):
            yield step.do
