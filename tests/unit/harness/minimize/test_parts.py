"""What a scenario is taken apart into: units of steps, pieces of topology, plainer settings, I/Os of their own."""

from __future__ import annotations

from typing import Any

import pytest

from harness.load import scenario_from
from harness.minimize.explicit import spelled_out
from harness.minimize.tidying import nearer_to_the_wrap, plainer, rounder, smaller_workloads
from harness.minimize.topology import smaller_topologies
from harness.minimize.trial import Trial
from harness.minimize.units import steps_of, units
from tests.support.runs import LOGINS, NICS, PORTALS, SOURCES, Tables, two_paths, workload

CABLE: Tables = {"do": "fault", "kind": "link_down", "nic": NICS[0], "name": "cable"}
HEAL: Tables = {"do": "heal", "name": "cable"}
BACKGROUND = workload(background=True)
STOP: Tables = {"do": "stop", "name": "io"}


def whole(*steps: Tables, **more: Any) -> Tables:
    """Tables as the minimizer has them."""
    return scenario_from(two_paths(*LOGINS, *steps, **more)).tables()


def test_a_fault_goes_with_its_heal_and_a_workload_with_its_stop() -> None:
    steps = [*LOGINS, BACKGROUND, CABLE, {"do": "rebalance"}, HEAL, STOP]
    assert units(steps) == [(3, 7), (4, 6), (5,)]
    assert steps_of(steps, [(4, 6)]) == [*LOGINS, CABLE, HEAL]
    assert steps_of(steps, []) == LOGINS


@pytest.mark.parametrize(
    "unnamed",
    [
        {"do": "fault", "kind": "blackhole", "nic": NICS[0]},
        {"do": "fault", "kind": "portal_down", "portal": PORTALS[0]},
    ],
)
def test_a_fault_without_a_name_is_known_by_its_kind_and_place(unnamed: Tables) -> None:
    place = unnamed.get("nic") or unnamed.get("portal")
    assert units([unnamed, {"do": "heal", "name": f"{unnamed['kind']} {place}"}]) == [(0, 1)]


def test_a_drain_goes_with_its_undrain() -> None:
    steps = [{"do": "drain", "portal": PORTALS[0]}, {"do": "undrain", "portal": PORTALS[0]}]
    assert units(steps) == [(0, 1)]


def test_every_smaller_topology_is_a_scenario() -> None:
    """Whatever names what is taken out goes with it: logins, faults and their heals, preferred and standby paths."""
    policy = {"do": "set_policy", "volume": "logs", "policy": "failover-only", "preferred": SOURCES[0]}
    until = {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2}
    portal = {"do": "fault", "kind": "portal_down", "portal": PORTALS[1], "name": "portal"}
    tables = whole(policy, BACKGROUND, CABLE, portal, {"do": "heal", "name": "portal"}, HEAL, until, STOP)
    smaller = list(smaller_topologies(tables))
    assert len(smaller) == 4  # each of two NICs, each of two portals
    for one in smaller:
        scenario_from(one)
    (host,) = smaller[0]["hosts"]
    assert [nic["name"] for nic in host["nics"]] == ["B"]
    assert not [step for step in smaller[0]["steps"] if step["do"] in ("fault", "heal") and step["name"] == "cable"]
    assert "preferred" not in next(step for step in smaller[0]["steps"] if step["do"] == "set_policy")


def test_settings_go_one_by_one() -> None:
    tables = whole(workload(ios=1), rate="10Gbit")
    left = list(plainer(tables))
    assert any("rate" not in one["array"] for one in left)
    timers = tables["hosts"][0]["timers"]
    without_one = [one for one in left if len(one["hosts"][0].get("timers", {})) == len(timers) - 1]
    assert len(without_one) == len(timers)
    for one in left:
        scenario_from(one)


def test_times_get_rounder_all_at_once_first() -> None:
    tables = whole(CABLE | {"at": "1234567us"}, HEAL | {"at": "2345ms"})
    first = next(rounder(tables))
    assert [step.get("at") for step in first["steps"][-2:]] == ["1s", "2s"]


def test_workloads_are_halved_and_go_one_at_a_time() -> None:
    sizes = [one["steps"][-1] for one in smaller_workloads(whole(workload(ios=40)))]
    assert [(step.get("ios"), step["depth"]) for step in sizes] == [(20, 4), (40, 1)]


def test_a_host_that_begins_near_the_end_of_cmd_sn_gets_nearer() -> None:
    tables = whole(workload(ios=1))
    tables["hosts"][0]["first_cmd_sn"] = 2**32 - 100
    assert [one["hosts"][0]["first_cmd_sn"] for one in nearer_to_the_wrap(tables)] == [2**32 - 50, 2**32 - 99]
    assert list(nearer_to_the_wrap(whole(workload(ios=1)))) == []


def test_a_workload_spelled_out_is_the_same_ios_at_the_same_times() -> None:
    tables = whole(workload(ios=20), {"do": "wait", "duration": "1s"}, CABLE, HEAL)
    made = spelled_out(tables, Trial(("nothing",), 1, 60))
    assert made is not None
    ios = [step for step in made["steps"] if step["do"] == "io"]
    assert len(ios) == 20
    assert [step["do"] for step in made["steps"] if step["do"] not in ("io", "discover", "login")] == ["fault", "heal"]
    scenario_from(made)
    assert spelled_out(made, Trial(("nothing",), 1, 60)) is None  # there is no workload left
