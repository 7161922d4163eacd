"""What a few hundred seeds have in them: every kind of everything, and what is typical."""

from __future__ import annotations

from collections import Counter
from statistics import median

import pytest

from harness.check.marks import MARKS
from harness.fault_step import FAULTS as STEP_FAULTS
from harness.fault_step import Fault
from harness.scenario import Scenario
from harness.steps import Expect, Workload
from harness.swarm import features_of, swarm_scenario
from harness.swarm.breaking import break_phase_of
from harness.swarm.fault_table import BY_KIND, FAULTS, NOT_DRAWN, Cost
from harness.swarm.hosts import KINDS
from harness.swarm.switches import OPERATIONS, switches_of
from harness.swarm.topology import topology_of
from initiator_model.policies.catalog import BUILT_IN
from initiator_model.profiles import PROFILES
from target.faults import FaultName

SEEDS = range(400)


@pytest.fixture(scope="module")
def scenarios() -> list[Scenario]:
    return [swarm_scenario(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def features(scenarios: list[Scenario]) -> Counter[str]:
    return Counter(feature for scenario in scenarios for feature in features_of(scenario))


def test_the_table_has_every_kind_of_fault_there_is_or_says_why_not() -> None:
    names = [name.value.replace("-", "_") for name in FaultName]

    assert sorted([*BY_KIND, *NOT_DRAWN]) == sorted([*STEP_FAULTS, *names])


def test_every_kind_of_fault_is_drawn(features: Counter[str]) -> None:
    assert [fault.kind for fault in FAULTS if not features[fault.kind]] == []


def test_every_profile_and_every_policy_is_drawn(features: Counter[str]) -> None:
    assert sorted(kind.profile for kind in KINDS) == sorted(PROFILES)
    assert [name for name in PROFILES if not features[name]] == []
    assert [policy.option for policy in BUILT_IN if not features[policy.option]] == []


def test_operators_are_at_work(features: Counter[str]) -> None:
    assert [name for name in (*OPERATIONS, "access_state") if not features[name]] == []


def test_some_are_rare_and_none_is_in_every_seed(features: Counter[str]) -> None:
    for rare in ("CHAP", "ALUA"):
        assert 0 < features[rare] < len(SEEDS) / 4
    for fault in FAULTS:
        assert features[fault.kind] < len(SEEDS) / 2, "a feature that is always on hides what only its absence shows"


def test_the_median_scenario_is_small(scenarios: list[Scenario]) -> None:
    def ios(scenario: Scenario) -> int:
        return sum(step.ios or 0 for step in scenario.steps if isinstance(step, Workload))

    assert 400 <= median(map(ios, scenarios)) <= 600
    assert median(max(len(host.nics) for host in scenario.hosts) for scenario in scenarios) == 2
    faults = [sum(isinstance(step, Fault) for step in scenario.steps) for scenario in scenarios]
    assert 2 <= median(faults) <= 3
    assert max(faults) > 5


def test_nothing_may_fail_where_faults_cost_time_alone_and_hosts_are_patient(scenarios: list[Scenario]) -> None:
    strict = 0
    for seed, scenario in enumerate(scenarios):
        on = switches_of(seed)
        kinds = break_phase_of(seed, on, topology_of(seed, on)).kinds
        (check,) = [check for step in scenario.steps if isinstance(step, Expect) for check in step.that]
        assert check.check == "io"
        forgiving = check.failed_min == 0
        assert forgiving == (not on.patient or any(fault.cost is Cost.IO for fault in kinds))
        strict += not forgiving
    assert strict > len(SEEDS) / 3


def test_marks_have_names() -> None:
    assert len(set(MARKS)) == len(MARKS) > 10
