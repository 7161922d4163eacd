"""The same scenario under another policy: which steps change, what they keep, and what is no longer expected."""

from __future__ import annotations

from typing import Any

import pytest

from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.narration import QuietNarrator
from harness.policy_choice import choices
from harness.policy_step import SetPolicy
from harness.policy_swap import JUDGED, under_policy
from harness.result import Net
from harness.run import run_scenario
from harness.scenario import Scenario
from tests.support.runs import LOGINS, SOURCES, Tables, login, two_paths, workload

READS = workload("reads", ios=10)


def swapped(tables: Tables, policy: str, net: Net = "sim") -> Scenario:
    [choice] = choices([policy])
    return under_policy(scenario_from(tables), choice, net, "x.toml")


def set_policy(policy: str, **more: Any) -> Tables:
    return {"do": "set_policy", "volume": "logs", "policy": policy, **more}


def policies(scenario: Scenario) -> list[tuple[int, dict[str, Any]]]:
    """Index and table of each step that sets a policy."""
    return [(index, step.tables()) for index, step in enumerate(scenario.steps) if isinstance(step, SetPolicy)]


def test_every_step_that_sets_a_policy_sets_this_one() -> None:
    tables = two_paths(*LOGINS, set_policy("round-robin"), READS, set_policy("least-blocks", use_cache=True))
    found = policies(swapped(tables, "vmw-rr iops=1"))
    assert found == [(3, set_policy("vmw-rr", iops=1)), (5, set_policy("vmw-rr", iops=1))]


@pytest.mark.parametrize(
    ("before", "policy", "after"),
    [
        (set_policy("weighted-paths", weights={SOURCES[0]: 1}), "round-robin", set_policy("round-robin")),
        (set_policy("failover-only", preferred=SOURCES[0]), "vmw-fixed", set_policy("vmw-fixed", preferred=SOURCES[0])),
        (set_policy("failover-only", preferred=SOURCES[0]), "vmw-mru", set_policy("vmw-mru")),
        (
            set_policy("failover-only", preferred=SOURCES[0]),
            f"vmw-fixed preferred={SOURCES[1]}",
            set_policy("vmw-fixed", preferred=SOURCES[1]),
        ),
        (
            set_policy("dm-service-time", grouping="multibus", throughputs={SOURCES[0]: 4}),
            "dm-queue-length",
            set_policy("dm-queue-length", grouping="multibus"),
        ),
        (set_policy("vmw-rr", iops=8), "vmw-rr", set_policy("vmw-rr", iops=8)),
        (set_policy("vmw-rr", iops=8), "vmw-rr bytes=1MiB", set_policy("vmw-rr", bytes="1MiB")),
        (set_policy("round-robin-subset", standby=[SOURCES[1]]), "least-blocks", set_policy("least-blocks")),
        (set_policy("round-robin-subset", standby=[SOURCES[1]]), "dm-queue-length", set_policy("dm-queue-length")),
        (
            set_policy("round-robin-subset", standby=[SOURCES[1]]),
            "failover-only",
            set_policy("failover-only", standby=[SOURCES[1]]),
        ),
        (set_policy("round-robin", expect_error="cannot be active"), "round-robin", set_policy("round-robin")),
        (set_policy("round-robin", note="Turns", net="sim"), "vmw-mru", set_policy("vmw-mru", note="Turns", net="sim")),
    ],
)  # fmt: skip
def test_a_setting_stays_where_the_other_policy_has_it(before: Tables, policy: str, after: Tables) -> None:
    [(_, found)] = policies(swapped(two_paths(*LOGINS, before, READS), policy))
    assert found == after


def test_a_disk_without_a_policy_gets_it_after_its_last_login_before_its_first_workload() -> None:
    found = policies(swapped(two_paths(*LOGINS, {"do": "targets"}, READS, login(SOURCES[2]), nics=3), "round-robin"))
    assert found == [(3, {"do": "set_policy", "host": "w2k3", "volume": "logs", "policy": "round-robin"})]


def test_a_refused_login_is_no_login() -> None:
    refused = login(SOURCES[1], expect_error="already")
    found = policies(swapped(two_paths(*LOGINS[:2], refused, READS), "round-robin"))
    assert [index for index, _ in found] == [2]


def test_each_disk_gets_its_own() -> None:
    tables = two_paths(*LOGINS)
    other = {**tables["array"]["volumes"][0], "name": "data"}
    tables["array"]["volumes"].append(other)
    tables["steps"] += [login(SOURCES[0], volume="data"), READS, workload("more", volume="data", ios=5)]
    found = policies(swapped(tables, "round-robin"))
    assert [(index, step["volume"]) for index, step in found] == [(3, "logs"), (5, "data")]


def test_a_disk_nobody_works_on_and_a_host_without_mpio_get_none() -> None:
    assert policies(swapped(two_paths(*LOGINS), "round-robin")) == []
    tables = two_paths(*LOGINS[:2], READS)
    tables["hosts"][0]["multipath"] = False
    assert policies(swapped(tables, "round-robin")) == []


def test_steps_of_the_other_network_do_not_count() -> None:
    tables = two_paths(*LOGINS, set_policy("vmw-mru", net="tcp"), READS)
    assert [index for index, _ in policies(swapped(tables, "round-robin", "sim"))] == [3, 4]
    assert [index for index, _ in policies(swapped(tables, "round-robin", "tcp"))] == [3]


@pytest.mark.parametrize(("judged", "failing"), [(None, {"share reads", "policy logs"}), (JUDGED, set())])
def test_only_what_holds_under_every_policy_is_still_judged(judged: tuple[str, ...] | None, failing: set[str]) -> None:
    that = [
        {"check": "share", "phase": "reads", "path": SOURCES[0], "min": 1.0},
        {"check": "io"},
        {"check": "policy", "volume": "logs", "policy": "failover-only"},
    ]
    scenario = swapped(two_paths(*LOGINS, READS, {"do": "expect", "that": that}), "round-robin")
    result = run_scenario(scenario, seed=1, net="sim", pcap=None, narrator=QuietNarrator(), judged=judged)
    assert {failure.check for failure in result.failures} == failing
    assert ("io", "pass") in [(check.name, check.verdict) for check in result.checks]


def test_a_setting_for_a_path_the_host_cannot_have_is_refused() -> None:
    with pytest.raises(
        ScenarioError, match=r'x.toml, policy "failover-only preferred=10\.0\.0\.1": steps\[3\]\.preferred'
    ):
        swapped(two_paths(*LOGINS, set_policy("round-robin"), READS), "failover-only preferred=10.0.0.1")
