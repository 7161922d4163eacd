"""Whole scenarios: machines, logins, policies, I/O under faults, and what must hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.load import scenario_from
from harness.scenario import Scenario
from harness.strategies.drawn import Drawn, Steps
from harness.strategies.faults import fault_schedules
from harness.strategies.operations import operations
from harness.strategies.topologies import topologies
from harness.swarm.drawing import expectation, logins
from harness.swarm.fault_table import BY_KIND, Cost
from harness.swarm.policies import policy_step
from harness.swarm.topology import DrawnHost, Topology
from harness.units import parse_duration

__all__ = ["scenarios"]

NAME: Final = "drawn"
Part = Callable[[Topology], SearchStrategy[Steps]] | SearchStrategy[Steps] | Sequence[dict[str, Any]]
"""A strategy of steps that have times, one made for the machines that were drawn, or the steps themselves."""


def scenarios(
    *,
    topology: Topology | SearchStrategy[Topology] | None = None,
    faults: Part = fault_schedules,
    workload: Part = operations,
    fencing: str | SearchStrategy[str] = "none",
) -> SearchStrategy[Scenario]:
    """Valid scenarios, each of which `run_scenario` should pass.

    ``topology`` fixes the machines, or how they are drawn (None: `topologies()`). ``faults`` and ``workload`` are the
    steps of the break phase, each with its `at`: a strategy, a function of the topology that makes one (such as
    ``partial(fault_schedules, kinds=["link_down"], at_most=1)``), or fixed steps. ``fencing`` is the `fencing` of hosts
    that have multipath, and their volumes to themselves. I/O has to end well, unless a fault is there that makes the
    array refuse it, or a machine go away. Drawing raises ScenarioError for parts that do not fit together.
    """
    return _scenarios(topology if topology is not None else topologies(), faults, workload, fencing)


@st.composite
def _scenarios(
    draw: DrawFn,
    topology: Topology | SearchStrategy[Topology],
    faults: Part,
    workload: Part,
    fencing: str | SearchStrategy[str],
) -> Scenario:
    machines = topology if isinstance(topology, Topology) else draw(topology)
    machines = _fenced(machines, fencing if isinstance(fencing, str) else draw(fencing))
    broken = _drawn(draw, faults, machines)
    work = _drawn(draw, workload, machines)
    may_fail = any(_cost(step) is Cost.IO for step in broken if step["do"] == "fault")
    if may_fail:  # the disk itself may be gone
        work = tuple({**step, "may_be_refused": True} if step["do"] == "io" else step for step in work)
    policies = [policy_step(Drawn(draw), *disk) for disk in _disks(machines) if draw(st.booleans())]
    return scenario_from(
        {
            "name": NAME,
            "seed": 0,
            **machines.tables,
            "steps": [
                *logins(machines),
                *policies,
                *sorted([*broken, *work], key=_at_ns),
                expectation(may_fail=may_fail),
            ],
        }
    )


def _drawn(draw: DrawFn, part: Part, topology: Topology) -> Steps:
    if isinstance(part, SearchStrategy):
        return draw(part)
    if callable(part):
        return draw(part(topology))
    return tuple(part)


def _cost(step: dict[str, Any]) -> Cost:
    row = BY_KIND.get(step["kind"])
    return Cost.IO if row is None else row.cost


def _disks(topology: Topology) -> list[tuple[DrawnHost, str]]:
    return [(host, volume) for host in topology.hosts if host.multipath for volume in host.volumes]


def _fenced(topology: Topology, fencing: str) -> Topology:
    hosts = [
        {**tables, "fencing": fencing} if fencing != "none" and _may_fence(topology, host) else tables
        for tables, host in zip(topology.tables["hosts"], topology.hosts, strict=True)
    ]
    return replace(topology, tables={**topology.tables, "hosts": hosts})


def _may_fence(topology: Topology, host: DrawnHost) -> bool:
    """Fences of one host strike the others at its volumes, and without a second path there is nothing to fence."""
    return host.multipath and not any(
        volume in other.volumes for other in topology.hosts if other is not host for volume in host.volumes
    )


def _at_ns(step: dict[str, Any]) -> int:
    """The step's time; one without comes first."""
    return parse_duration(step.get("at", "0ms"))
