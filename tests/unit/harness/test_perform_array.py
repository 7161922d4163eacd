"""The steps of the array's operator: what they do, what the story tells of it, and what they refuse."""

from __future__ import annotations

import pytest

from harness.mistakes import ScenarioError
from harness.narration import QuietNarrator
from harness.result import Result
from tests.support.runs import LOGINS, PORTALS, SOURCES, Tables, failed, login, run, two_paths, workload

HERE, THERE, SPARE = PORTALS
ROUND_ROBIN: Tables = {"do": "set_policy", "volume": "logs", "policy": "round-robin"}
WRITES = workload("writes", op="write", background=True)
STOP: Tables = {"do": "stop", "name": "writes"}
A_WHILE: Tables = {"do": "wait", "duration": "300ms"}


class Lines(QuietNarrator):
    """Keeps what the story tells."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str, at_ns: int) -> None:
        self.lines.append(text)

    def of_the_array(self) -> list[str]:
        """The array's own lines."""
        return [line.removeprefix("PS100: ") for line in self.lines if line.startswith("PS100: ")]


def story(*steps: Tables, **array: object) -> tuple[Result, Lines]:
    """A run of two paths over three portals, under writes, and what was told of it."""
    told = Lines()
    tables = two_paths(*LOGINS, ROUND_ROBIN, WRITES, A_WHILE, *steps, STOP, nics=3, **array)
    return run(tables, narrator=told), told


def ends(result: Result) -> dict[str, str]:
    """Where the paths of each source address ended."""
    return {row.local.partition(":")[0]: row.remote.partition(":")[0] for row in result.connections if row.via}


def no_io_failed(result: Result) -> None:
    assert not result.failures, result.failures
    assert result.io.ok == result.io.submitted > 0


def test_drain_empties_a_portal_and_undrain_opens_it() -> None:
    result, told = story({"do": "drain", "portal": HERE, "within": "3s"}, A_WHILE, {"do": "undrain", "portal": HERE})
    no_io_failed(result)
    assert ends(result) == {SOURCES[0]: SPARE, SOURCES[1]: THERE}
    assert told.of_the_array() == [
        f"portal {HERE} drained: by the operator",
        f"w2k3 {SOURCES[0]} → {HERE} is asked to log out within 3 s, to go elsewhere: {HERE} is drained",
        f"w2k3 {SOURCES[0]} is sent to {SPARE}: least connections: 0 of this host and volume, 0 in all",
        f"portal {HERE} takes logins again: by the operator",
    ]
    assert any(f"{SOURCES[0]}: session logged out as the array asked" in line for line in told.lines)


def test_a_path_that_is_asked_to_log_out_comes_back_elsewhere_with_its_identity() -> None:
    result, _ = story({"do": "request_logout", "source": SOURCES[1], "volume": "logs"}, A_WHILE)
    no_io_failed(result)
    assert ends(result) == {SOURCES[0]: HERE, SOURCES[1]: SPARE}
    assert [failover.cause for failover in result.failovers] == ["asked to log out"]


def test_rebalance_parts_two_paths_that_share_a_portal() -> None:
    down: Tables = {"do": "fault", "kind": "portal_down", "portal": THERE, "name": "eth1"}
    both: Tables = {"do": "fault", "kind": "portal_down", "portal": SPARE, "name": "eth2"}
    told = Lines()
    steps = [down, both, *LOGINS, ROUND_ROBIN, WRITES, {"do": "heal", "name": "eth1"}, A_WHILE]
    result = run(two_paths(*steps, {"do": "rebalance"}, A_WHILE, STOP, nics=3), narrator=told)
    no_io_failed(result)
    assert sorted(ends(result).values()) == [HERE, THERE]
    moved = [line for line in told.of_the_array() if "is asked to log out" in line]
    assert len(moved) == 1
    assert f"by the operator, 2 paths of this host to this volume share {HERE}, {THERE} has none" in moved[0]


def test_rebalance_says_why_nothing_moves() -> None:
    result, told = story({"do": "rebalance"})
    no_io_failed(result)
    (line,) = told.of_the_array()
    assert line.startswith("all connections stay: by the operator, no move is worth it: ")


@pytest.mark.parametrize("how", ["rst", "fin", "silent"])
def test_a_controller_failover_ends_every_session_and_the_disk_lives_on(how: str) -> None:
    """The gap is shorter than LinkDownTime and PDORemovePeriod together (2.5 s here)."""
    result, told = story({"do": "controller_failover", "gap": "1200ms", "how": how}, {"do": "wait", "duration": "4s"})
    no_io_failed(result)
    assert set(ends(result)) == {SOURCES[0], SOURCES[1]}
    assert told.of_the_array() == [
        f"controller lost: sessions end by {how}, the other controller serves in 1.2 s",
        "controller took over: its addresses are up",
    ]
    assert {failover.cause for failover in result.failovers} == {"controller failover"}


def test_an_array_that_is_killed_during_a_failover_is_not_revived_by_it() -> None:
    """The failover belongs to the process that died; the new one is started by the heal alone."""
    steps: list[Tables] = [
        {"do": "controller_failover", "gap": "100ms"},
        {"do": "fault", "kind": "array_kill", "name": "kill"},
        {"do": "heal", "name": "kill"},
        {"do": "wait", "until": "paths_usable", "volume": "logs", "count": 2, "within": "30s"},
    ]
    result, _ = story(*steps)
    no_io_failed(result)


def test_an_array_that_is_dead_takes_no_orders() -> None:
    kill: Tables = {"do": "fault", "kind": "array_kill", "name": "kill"}
    result = run(two_paths(*LOGINS, kill, {"do": "rebalance"}))
    assert failed(result, "step rebalance") == "refused: the array's process is not running"


def test_orders_that_cannot_be_carried_out_end_the_run() -> None:
    result = run(two_paths(*LOGINS, {"do": "request_logout", "source": SOURCES[1], "volume": "logs"}))
    assert not result.failures
    result = run(two_paths(LOGINS[0], LOGINS[1], {"do": "request_logout", "source": SOURCES[1], "volume": "logs"}))
    assert failed(result, "step request_logout") == f"refused: no session from {SOURCES[1]} to logs"
    expected = {"do": "request_logout", "source": SOURCES[1], "expect_error": "no session"}
    assert not run(two_paths(LOGINS[0], LOGINS[1], expected)).failures


def test_the_balancer_of_the_array_table_looks_by_itself() -> None:
    down: Tables = {"do": "fault", "kind": "portal_down", "portal": THERE, "name": "eth1"}
    steps = [down, *LOGINS, ROUND_ROBIN, WRITES, {"do": "heal", "name": "eth1"}, {"do": "wait", "duration": "900ms"}]
    told = Lines()
    result = run(two_paths(*steps, STOP, rebalance_interval="200ms", logout_request="4s"), narrator=told)
    no_io_failed(result)
    assert sorted(ends(result).values()) == [HERE, THERE]
    assert sum("is asked to log out within 4 s" in line for line in told.of_the_array()) == 1


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ({"do": "drain", "portal": "192.168.77.9"}, 'steps[0].portal: no portal "192.168.77.9"'),
        ({"do": "drain", "portal": "192.168.77.1"}, 'steps[0].portal: no portal "192.168.77.1"'),
        ({"do": "drain", "portal": HERE, "within": "1500ms"}, "expected whole seconds from 1 to 65535"),
        ({"do": "rebalance", "within": "0s"}, "expected whole seconds from 1 to 65535"),
        ({"do": "request_logout", "source": "192.168.76.9"}, 'no source address of this host "192.168.76.9"'),
        ({"do": "controller_failover", "how": "loud"}, "steps[0].how"),
        ({"do": "swap_volumes", "volumes": ["logs", "dogs"]}, 'steps[0].volumes[1]: no volume "dogs"'),
        ({"do": "swap_volumes", "volumes": ["logs", "logs"]}, "expected two volumes, got one twice"),
        ({"do": "swap_volumes", "volumes": ["logs"]}, "steps[0].volumes"),
    ],
)
def test_mistakes_of_the_file_are_named(step: Tables, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        run(two_paths(step))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        ({"rebalance_interval": "10s", "placement": "hash-source"}, "placement hash-source sends each login back"),
        ({"rebalance_interval": "10s", "kind": "listed", "group": None}, "cannot say where a login goes"),
        ({"logout_request": "100ms"}, "expected whole seconds"),
        ({"rebalance_threshold": 11.0}, "array.rebalance_threshold"),
    ],
)
def test_balancing_that_cannot_be_meant_is_refused(array: dict[str, object], complaint: str) -> None:
    tables = two_paths(*LOGINS, **{key: value for key, value in array.items() if value is not None})
    if array.get("group", "") is None:
        del tables["array"]["group"]
    with pytest.raises(ScenarioError) as caught:
        run(tables)
    assert complaint in str(caught.value)


# -- asymmetric access -------------------------------------------------------------------------------------------------

GROUPS: list[Tables] = [
    {"id": 1, "portals": [HERE]},
    {"id": 2, "portals": [THERE, SPARE], "state": "active-non-optimized"},
]


def alua(**more: object) -> Tables:
    return {"groups": GROUPS, **more}


def access(group: int, state: str, **more: object) -> Tables:
    return {"do": "access_state", "group": group, "state": state, **more}


def test_a_port_group_changes_its_state_under_io() -> None:
    steps = [access(1, "standby", volume="logs"), A_WHILE, access(1, "active-optimized"), A_WHILE]
    result, told = story(*steps, alua=alua(transition="20ms"))
    assert result.io.ok > 0
    over = "the transition is over"
    assert told.of_the_array() == [
        "volume logs: port group 1 is transitioning from active-optimized to standby: by the operator",
        f"volume logs: port group 1 is standby: {over}",
        "volume logs: port group 1 is transitioning from standby to active-optimized: by the operator",
        f"volume logs: port group 1 is active-optimized: {over}",
    ]


def test_a_portal_that_fails_moves_the_volume_to_the_other_group() -> None:
    down: Tables = {"do": "fault", "kind": "portal_down", "portal": HERE, "name": "eth0"}
    result, told = story(down, {"do": "wait", "duration": "4s"}, alua=alua(failover=True))
    no_io_failed(result)
    why = "every portal of port group 1 is down"
    assert told.of_the_array() == [
        f"portal {HERE} down: the array sees its interface fail",
        f"volume logs: port group 1 is active-non-optimized: {why}",
        f"volume logs: port group 2 is active-optimized: {why}",
        f"portal {HERE} up: its interface is back",
    ]


def test_the_slower_way_is_slower_in_virtual_time() -> None:
    def median_us(**latency: object) -> float | None:
        groups = [{"id": 1, "portals": list(PORTALS), "state": "active-non-optimized"}]
        reads = workload("reads", op="read", ios=20, depth=1)
        result = run(two_paths(*LOGINS, reads, nics=3, alua={"groups": groups, **latency}))
        no_io_failed(result)
        (phase,) = result.phases
        return phase.latency_us.p50

    assert median_us(non_optimized_latency="2ms") - median_us() == pytest.approx(2000, abs=1)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"groups": GROUPS[:1]}, f"array.alua.groups: every portal is in one port group; in none: {THERE}, {SPARE}"),
        (
            {"groups": [*GROUPS, {"id": 2, "portals": [HERE]}]},
            "array.alua.groups[2].id: there is already a port group 2",
        ),
        (
            {"groups": [*GROUPS, {"id": 3, "portals": [HERE]}]},
            f"array.alua.groups[2].portals[0]: {HERE} is already in the port group at array.alua.groups[0].portals[0]",
        ),
        (
            {"groups": [*GROUPS, {"id": 3, "portals": ["192.168.77.9"]}]},
            'array.alua.groups[2].portals[0]: no portal "192.168.77.9"',
        ),
        ({"groups": [*GROUPS, {"id": 3, "portals": []}]}, "array.alua.groups[2].portals: expected at least 1"),
        ({"groups": [{"id": 0, "portals": list(PORTALS)}]}, "array.alua.groups[0].id: expected at least 1"),
        ({"groups": [{"id": 65536, "portals": list(PORTALS)}]}, "array.alua.groups[0].id: expected at most 65535"),
        (
            {"groups": [{"id": 1, "portals": list(PORTALS), "state": "lba-dependent"}]},
            'array.alua.groups[0].state: expected "active-optimized"',
        ),
        (alua(implicit=False), "array.alua: nobody could change a state"),
        (alua(implicit=False, explicit=True, failover=True), "array.alua: failover is a change by the array itself"),
        (alua(transition="256s"), "array.alua.transition: expected at most 255s"),
        (alua(preferred=1), "array.alua.preferred: unknown key"),
    ],
)
def test_port_groups_that_cannot_be_meant_are_named(settings: Tables, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        run(two_paths(*LOGINS, nics=3, alua=settings))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("array", "step", "complaint"),
    [
        ({}, access(1, "standby"), "steps[0].do: the array has no target port groups: see [array.alua]"),
        ({"alua": alua()}, access(3, "standby"), "steps[0].group: no port group 3 (known: 1, 2)"),
        ({"alua": alua()}, access(1, "asleep"), 'steps[0].state: expected "active-optimized"'),
        ({"alua": alua()}, access(1, "standby", volume="lags"), 'steps[0].volume: no volume "lags"'),
        ({"alua": alua(), "active_passive": True}, access(1, "standby"), "array: active_passive and alua"),
    ],
)
def test_an_access_step_that_cannot_be_meant_is_named(array: Tables, step: Tables, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        run(two_paths(step, nics=3, **array))
    assert complaint in str(caught.value)


# -- the array's own faults --------------------------------------------------------------------------------------------


def broken(kind: str, **place: object) -> Tables:
    return {"do": "fault", "kind": kind, "name": "broken", **place}


MEND: Tables = {"do": "heal", "name": "broken"}


def test_an_array_fault_begins_and_ends_like_any_other() -> None:
    result, told = story(broken("busy", portal=HERE), A_WHILE, MEND, {"do": "wait", "duration": "500ms"})
    assert told.of_the_array() == [
        f"fault busy on: portal {HERE}",
        f"fault busy off: portal {HERE}",
    ]
    assert not [failure for failure in result.failures if failure.check != "io"]


def test_it_outlasts_the_process_that_had_it() -> None:
    steps = [
        LOGINS[0],
        broken("no_login", volume="logs"),
        {"do": "fault", "kind": "array_kill", "name": "kill"},
        {"do": "heal", "name": "kill"},
        login(SOURCES[0], expect_error="SERVICE_UNAVAILABLE"),
        MEND,
        login(SOURCES[0]),
    ]
    assert not run(two_paths(*steps)).failures


def test_a_redirect_to_a_dead_address_is_followed_once_more_and_then_told() -> None:
    """The initiator goes back to the group once; the second time it gives up, and names the whole chain."""
    steps = [
        LOGINS[0],
        broken("redirect_to_dead", to="192.168.77.99"),
        login(SOURCES[0], expect_error="login at 192.168.77.99:3260 failed"),
        MEND,
        login(SOURCES[0]),
    ]
    result = run(two_paths(*steps))
    assert not result.failures


def test_blocks_that_cannot_be_read_fail_their_reads() -> None:
    unreadable = broken("medium_error", volume="logs", lba=0, blocks=8)
    reads = workload("reads", op="read", ios=4, depth=1, pattern="sequential", region="16KiB", iops=None)
    result = run(two_paths(*LOGINS, unreadable, reads))
    assert result.io.failed == 1


def test_blocks_that_cannot_be_written_fail_their_writes() -> None:
    bad = broken("write_error", volume="logs", lba=0, blocks=8)
    writes = workload("writes", op="write", ios=4, depth=1, pattern="sequential", region="16KiB", iops=None)
    result = run(two_paths(*LOGINS, bad, writes))
    assert result.io.unknown == 1  # a medium error does not say how far the write got


def test_slow_commands_take_so_much_longer_and_stalled_ones_until_it_is_healed() -> None:
    one = {"op": "write", "ios": 1, "depth": 1, "iops": None}
    steps = [broken("slow", extra="200ms"), workload("slow", **one), MEND]
    steps += [broken("stalled"), workload("stalled", background=True, **one), A_WHILE, MEND]
    result = run(two_paths(*LOGINS, *steps, {"do": "stop", "name": "stalled"}))
    slow, stalled = result.phases
    assert not result.failures
    assert 200_000 <= slow.latency_us.p99 < 201_000
    assert stalled.ios == 0  # while it was counted, nothing came back
    assert result.io.ok == 2


def test_a_late_command_is_executed_when_it_is_healed_and_the_array_says_how_many() -> None:
    held = broken("late", op="write", count=1)
    write = workload("w", op="write", ios=1, depth=1, iops=None, background=True)
    result, told = story(held, write, A_WHILE, MEND, {"do": "stop", "name": "w"})
    assert told.of_the_array()[-1] == "fault late off, 1 held executed: writes only, 1 times"
    assert not [failure for failure in result.failures if failure.check != "io"]


def test_an_array_without_room_refuses_logins() -> None:
    full = broken("out_of_resources", portal=HERE)
    steps = [LOGINS[0], full, login(SOURCES[0], expect_error="OUT_OF_RESOURCES"), MEND, login(SOURCES[0])]
    assert not run(two_paths(*steps)).failures


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (broken("slow"), "slow wants extra"),
        (broken("late", extra="1s"), "late has no extra"),
        (broken("late", nic="w2k3/A"), 'a fault of kind "late" has no nic'),
        (broken("stalled", op="read"), "stalled has no op"),
        (broken("link_down", nic="w2k3/A", op="read"), 'a fault of kind "link_down" has no op'),
        (broken("late", op="flush"), "steps[0].op: expected"),
        (broken("silent"), "silent wants portal"),
        (broken("silent", nic="w2k3/A"), 'a fault of kind "silent" has no nic'),
        (broken("busy", volume="nix"), 'steps[0].volume: no volume "nix"'),
        (broken("medium_error", volume="logs"), "medium-error wants lba and blocks"),
        (broken("busy", carrier=True), 'a fault of kind "busy" has no carrier'),
        (broken("link_down", nic="w2k3/A", volume="logs"), 'a fault of kind "link_down" has no volume'),
    ],
)
def test_places_that_a_fault_cannot_have_are_named(step: Tables, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        run(two_paths(step))
    assert complaint in str(caught.value)
