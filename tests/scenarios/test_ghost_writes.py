"""The ghost write as it is told in docs/ghost-writes.md: who has it, who has not, and how each knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.load import load_scenario
from harness.narration import QuietNarrator
from harness.result import ExitCode, Result
from harness.run import run_scenario
from harness.scenario import Scenario
from tests.support.runs import LOGINS, NICS, PORTALS, SHORT_TIMERS, SOURCES, failed, login, run, two_paths, workload

GHOST = "ghost writes"
"""The oracle that sees them."""
UNSAFE = sorted(Path("scenarios/unsafe").glob("ghost_write_*.toml"))
SAFE = sorted(Path("scenarios").glob("ghost_write_*.toml"))


def told(scenario: Scenario) -> Result:
    return run_scenario(scenario, seed=scenario.seed, net="sim", pcap=None, narrator=QuietNarrator())


@pytest.mark.parametrize("path", UNSAFE, ids=lambda path: path.stem)
def test_an_unsafe_scenario_fails_by_its_ghost_alone(path: Path) -> None:
    scenario = load_scenario(path)

    result = told(scenario)

    assert scenario.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert result.exit_code is ExitCode.CORRECTNESS
    assert [failure.check for failure in result.failures] == [GHOST]
    assert "write 1 landed again, over write 2" in failed(result, GHOST)
    assert (result.io.ok, result.io.failed, result.io.unknown) == (3, 0, 0), "the application was told that all is well"


@pytest.mark.parametrize("path", [*UNSAFE, *SAFE], ids=lambda path: path.stem)
def test_it_is_the_same_run_again(path: Path) -> None:
    scenario = load_scenario(path)
    assert told(scenario).trace_sha256 == told(scenario).trace_sha256


@pytest.mark.parametrize("path", SAFE, ids=lambda path: path.stem)
def test_a_safe_scenario_is_the_unsafe_one_but_for_what_makes_it_safe(path: Path) -> None:
    """The same steps and the same profile; without its one option the ghost is there."""
    scenario, unsafe = load_scenario(path), load_scenario(Path("scenarios/unsafe/ghost_write_windows.toml"))
    assert [step for step in scenario.steps if step.do != "expect"] == [
        step for step in unsafe.steps if step.do != "expect"
    ]

    host, array = scenario.hosts[0], scenario.array
    assert (
        host.model_copy(update={"fencing": "none", "target_notices_ns": unsafe.hosts[0].target_notices_ns})
        == (unsafe.hosts[0])
    )
    assert (host.fencing != "none") != (array != unsafe.array), "one of the two does something about it"


PINGS = {"ping_interval_ns": 3 * 10**9, "ping_timeout_ns": 3 * 10**9}


@pytest.mark.parametrize(
    ("array", "ghost"),
    [
        ({"lost_tasks": "kill"}, True),  # the loss is not seen in time
        (PINGS, True),  # it is, and the tasks are kept
        (PINGS | {"lost_tasks": "kill"}, False),
        (PINGS | {"lost_tasks": "kill-beside-another-path"}, False),
        (PINGS | {"time2retain_ns": 0}, False),
    ],
)
def test_what_an_array_can_do_by_itself_takes_a_loss_that_it_sees(array: dict[str, object], ghost: bool) -> None:
    scenario = load_scenario(Path("scenarios/unsafe/ghost_write_windows.toml"))
    result = told(scenario.model_copy(update={"array": scenario.array.model_copy(update=array)}))
    assert any(failure.check == GHOST for failure in result.failures) is ghost


@pytest.mark.parametrize("profile", ["msdsm-2008", "linux-dm-multipath"])
def test_a_write_that_waits_behind_a_living_connection_is_ended_there_before_it_is_sent_again(profile: str) -> None:
    """Windows drops the connection and logs in again, Linux aborts the task: each ends it, and nobody fences."""
    scenario = load_scenario(Path("scenarios/unsafe/ghost_write_windows.toml"))
    steps = tuple(step for step in scenario.steps if getattr(step, "name", "") != "cable" and step.do != "expect")
    host = scenario.hosts[0].model_copy(update={"profile": profile})
    result = told(scenario.model_copy(update={"steps": steps, "hosts": (host,)}))
    assert not result.failures, [f"{failure.check}: {failure.why}" for failure in result.failures]
    assert result.io.ok == 3


def test_waiting_is_as_good_as_what_the_host_knows_of_the_array() -> None:
    """The array needs 30 s to see the loss, and the host believes 3: it is through with waiting before the array is."""
    scenario = load_scenario(Path("scenarios/ghost_write_wait.toml"))
    (host,) = scenario.hosts
    hasty = host.model_copy(update={"target_notices_ns": 3 * 10**9})
    result = told(scenario.model_copy(update={"hosts": (hasty,)}))
    assert "write 1 landed again, over write 2" in failed(result, GHOST)


@pytest.mark.parametrize(
    ("rule", "ghost"), [("none", True), ("wait", False), ("lun-reset", True), ("preempt-and-abort", False)]
)
def test_a_command_that_is_still_on_its_way(rule: str, ghost: bool) -> None:
    """64 KiB take 2.6 s at 200 Kbit/s. A reset is done before they arrive; a key that is gone keeps them out."""
    slow = {"do": "fault", "kind": "rate", "nic": NICS[0], "rate": "200Kbit", "at": "688ms"}
    work = workload(background=True, block="64KiB", region="64KiB")
    nop = {"enable_nop_out": True, "nop_out_interval": "300ms", "nop_out_timeout": "200ms"}
    timers = SHORT_TIMERS | nop | {"pdo_remove_period": "60s"}
    policy = {"do": "set_policy", "volume": "logs", "policy": "round-robin"}
    tables = two_paths(*LOGINS, policy, work, slow, {"do": "wait", "duration": "10ms", "at": "6s"}, timers=timers)
    tables["hosts"][0] |= {"profile": "msdsm-2008", "fencing": rule}

    result = run(tables)

    assert any(failure.check == GHOST for failure in result.failures) is ghost


def test_a_unit_reset_costs_the_other_paths_time_and_no_write() -> None:
    """It sweeps away what is under way on every path, and leaves each a unit attention: all of it is tried again."""
    policy = {"do": "set_policy", "volume": "logs", "policy": "round-robin"}
    cable = {"do": "fault", "kind": "link_down", "nic": NICS[0], "at": "300ms"}
    held = {"do": "fault", "kind": "late", "op": "write", "portal": PORTALS[0], "name": "queue"}
    logins = [{"do": "discover"}, *(login(source) for source in SOURCES)]
    work = workload(background=True, op="write", depth=12, iops=2000)
    steps = [*logins, policy, held, work, cable, {"do": "wait", "duration": "10ms", "at": "3s"}]
    tables = two_paths(*steps, nics=3, timers=SHORT_TIMERS | {"pdo_remove_period": "60s"})
    tables["hosts"][0] |= {"profile": "msdsm-2008", "fencing": "lun-reset"}

    result = run(tables)

    assert not result.failures, [f"{failure.check}: {failure.why}" for failure in result.failures]
    assert (result.io.failed, result.io.unknown) == (0, 0)
    assert len(result.failovers) == 1
