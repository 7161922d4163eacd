"""The same run on real TCP: the faults that have a meaning there, and nothing left when it is over."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from harness.fault_step import Fault
from harness.load import scenario_from
from harness.loopback import scenario_on_loopback
from harness.tcp_world import TcpWorld
from harness.world import WorldError
from tests.support.runs import NICS, PORTALS, SHORT_TIMERS, SOURCES, Tables, login, run, two_paths, verdicts, workload

GROUP = "127.0.77.1"
QUICK = SHORT_TIMERS | {"link_down_time": "3s", "pdo_remove_period": "20s"}
"""Held long enough for a machine that is busy with other tests."""
PERSISTENT = [{"do": "discover"}, login(SOURCES[0], persistent=True), login(SOURCES[1], persistent=True)]
BACKGROUND = workload(background=True, iops=100)
A_WHILE: Tables = {"do": "wait", "duration": "100ms"}


def tables(*steps: Tables) -> Tables:
    with socket.socket() as probe:
        probe.bind((GROUP, 0))
        port: int = probe.getsockname()[1]
    return two_paths(*steps, timers=QUICK, port=port)


def a_world() -> TcpWorld:
    scenario = scenario_on_loopback(scenario_from(tables({"do": "discover"})))
    return TcpWorld(scenario, 1, lambda decision: None, lambda text: None)


def test_io_goes_on_after_the_array_was_killed_and_started_again() -> None:
    kill = {"do": "fault", "kind": "array_kill", "name": "kill"}
    result = run(tables(*PERSISTENT, BACKGROUND, A_WHILE, kill, A_WHILE, {"do": "heal", "name": "kill"}), net="tcp")
    assert not result.failures
    assert result.io.ok == result.io.submitted > 0
    assert {"paths agree", "path selection", "linearizability", "sequence"} <= verdicts(result).keys()


def test_a_host_that_reboots_makes_its_persistent_logins_again() -> None:
    reboot = {"do": "fault", "kind": "host_reboot", "host": "w2k3", "name": "reboot"}
    back = {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2, "within": "20s"}
    steps = [*PERSISTENT, workload(ios=20, iops=None), reboot, A_WHILE, {"do": "heal", "name": "reboot"}, back]
    result = run(tables(*steps, {"do": "netstat"}), net="tcp")
    assert not result.failures
    assert [row.local.partition(":")[0] for row in result.connections] == ["127.0.76.105", "127.0.76.125"]


def test_a_run_that_fails_leaves_no_task_and_no_connection() -> None:
    """Warnings are errors here: a socket or a task that was left behind would be one."""
    wait = {"do": "wait", "until": "no_paths", "volume": "logs", "within": "50ms"}
    result = run(tables(*PERSISTENT, BACKGROUND, wait), net="tcp")
    assert [failure.check for failure in result.failures] == ["step wait"]


def test_an_error_of_the_run_itself_comes_out_and_leaves_nothing_either() -> None:
    world = a_world()

    made: list[asyncio.Transport] = []

    async def story() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(3600))
        await world.site.start()
        transport, _ = await world.connector("w2k3").connect(asyncio.Protocol, (GROUP, world.site.config.port), None)
        made.append(transport)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.run(story())
    assert made[0].is_closing()
    assert world.loop.is_closed()
    assert world.site.server is None


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "link_down", "nic": NICS[0]},
        {"kind": "blackhole", "portal": PORTALS[0]},
        {"kind": "latency", "nic": NICS[0], "extra": "1ms"},
        {"kind": "rate", "nic": NICS[0], "rate": "1Mbit"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_fault_of_the_network_has_no_meaning_there(fault: dict[str, Any]) -> None:
    world = a_world()
    step = Fault.model_validate({"do": "fault", **fault})
    with pytest.raises(WorldError, match=f'"{fault["kind"]}" has no meaning on real TCP'):
        world.make_fault(step, lambda host: None, lambda host: None)
    world.loop.close()
