"""The simulated world of a scenario: what is where, and faults that overlap at one place and heal in any order."""

from __future__ import annotations

import asyncio
import gc
from itertools import permutations
from typing import Any

import pytest

from harness.fault_step import Fault
from harness.load import scenario_from
from harness.sim_world import SimWorld
from harness.trace import Trace
from harness.world import WorldFault
from tests.support.runs import GROUP, NICS, PORTALS, SOURCES, two_paths

Reboots = list[str]


def world(**array: Any) -> SimWorld:
    scenario = scenario_from(two_paths({"do": "discover"}, **array))
    return SimWorld(scenario, 1, Trace(), None, lambda decision: None, lambda text: None)


def prepared(at: SimWorld, told: Reboots | None = None, **fault: Any) -> WorldFault:
    step = Fault.model_validate({"do": "fault", **fault})
    heard = [] if told is None else told
    return at.make_fault(step, lambda host: heard.append(f"{host} down"), lambda host: heard.append(f"{host} up"))


def test_machines_and_nics_stand_where_the_scenario_puts_them() -> None:
    one = world(rate="10Gbit", latency="30us")
    assert one.host("w2k3").nics["A"].addresses == [SOURCES[0]]
    assert one.nic(NICS[1]).addresses == [SOURCES[1]]
    assert one.portal_nic(PORTALS[0]).addresses == [PORTALS[0], GROUP]
    assert one.portal_nic(PORTALS[1]).rate_bits_per_s == 10**10
    assert one.portal_nic(PORTALS[1]).latency_ns == 30_000


def test_a_name_is_not_an_address_of_this_network() -> None:
    one = world()

    async def connect() -> None:
        await one.connector("w2k3").connect(asyncio.Protocol, ("array.example.com", 3260), SOURCES[0])

    with pytest.raises(OSError, match=r"array\.example\.com cannot be resolved"):
        one.run(connect())


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_is_left_as_it_was_found(collecting: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        seen: list[bool] = []

        async def look() -> None:
            seen.append(gc.isenabled())

        world().run(look())
        assert (seen, gc.isenabled()) == ([False], collecting)
    finally:
        (gc.enable if was else gc.disable)()


FAULTS_AT_ONE_PORTAL: list[dict[str, Any]] = [
    {"kind": "portal_down", "portal": PORTALS[0]},
    {"kind": "portal_down", "portal": PORTALS[0]},
    {"kind": "link_down", "portal": PORTALS[0]},
]


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_a_portal_is_whole_when_the_last_of_its_faults_is_healed(order: tuple[int, ...]) -> None:
    one = world()

    async def story() -> None:
        await one.site.start()
        made = [prepared(one, **fault) for fault in FAULTS_AT_ONE_PORTAL]
        for each in made:
            await each.apply()
        assert one.site.server is not None
        for number, index in enumerate(order):
            assert not one.site.server.group.portal_is_up(PORTALS[0]), f"after {number} heals"
            await made[index].heal()
        assert one.site.server.group.portal_is_up(PORTALS[0])
        assert one.portal_nic(PORTALS[0]).carrier
        assert one.portal_nic(PORTALS[0]).addresses == [PORTALS[0], GROUP]
        one.site.close()

    one.run(story())


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_of_several_rates_the_last_holds_and_the_first_comes_back(order: tuple[int, ...]) -> None:
    one = world()
    rates = [10_000_000, 1_000_000, 100_000_000]

    async def story() -> None:
        made = [prepared(one, kind="rate", nic=NICS[0], rate=f"{rate // 1_000_000}Mbit") for rate in rates]
        for each in made:
            await each.apply()
        standing = list(range(3))
        for index in order:
            assert one.nic(NICS[0]).rate_bits_per_s == rates[standing[-1]]
            await made[index].heal()
            standing.remove(index)
        assert one.nic(NICS[0]).rate_bits_per_s == 10**9

    one.run(story())


def test_the_group_address_moves_to_an_interface_that_works_and_back() -> None:
    one = world()

    async def story() -> None:
        await one.site.start()
        cable = prepared(one, kind="link_down", portal=PORTALS[0])
        await cable.apply()
        assert one.portal_nic(PORTALS[1]).addresses == [PORTALS[1], GROUP]
        await cable.heal()
        assert one.portal_nic(PORTALS[0]).addresses == [PORTALS[0], GROUP]
        one.site.close()

    one.run(story())


def test_a_cable_that_keeps_its_light_on_is_not_noticed_by_the_array() -> None:
    one = world()

    async def story() -> None:
        await one.site.start()
        await prepared(one, kind="link_down", portal=PORTALS[0], carrier=True).apply()
        assert one.site.server is not None
        assert one.site.server.group.portal_is_up(PORTALS[0])
        assert GROUP in one.portal_nic(PORTALS[0]).addresses
        one.site.close()

    one.run(story())


def test_a_host_that_went_down_twice_comes_up_once() -> None:
    one, told = world(), Reboots()

    async def story() -> None:
        first, second = (prepared(one, told, kind="host_reboot", host="w2k3") for _ in range(2))
        await first.apply()
        await second.apply()
        await first.heal()
        assert not one.host("w2k3").up
        await second.heal()
        assert one.host("w2k3").up

    one.run(story())
    assert told == ["w2k3 down", "w2k3 up"]
