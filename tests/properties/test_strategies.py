"""What the strategies draw: valid scenarios that read back, pass, and shrink to next to nothing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from random import Random

import pytest
from hypothesis import HealthCheck, event, find, given, settings
from hypothesis import strategies as st

from harness.fault_step import Fault
from harness.io_step import SingleIo
from harness.load import scenario_from
from harness.mistakes import ScenarioError
from harness.scenario import Scenario
from harness.steps import Heal, Login
from harness.strategies import fault_schedules, operations, scenarios, topologies
from harness.strategies.drawn import outcomes
from harness.swarm import features_of, scenario_toml
from harness.swarm.chance import Chance
from harness.swarm.fault_table import FAULTS
from tests.support.runs import run

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
PLAIN = find(topologies(), lambda _: True)


@settings(SLOW, max_examples=60)
@given(scenarios())
def test_a_drawn_scenario_reads_back_from_its_file(scenario: Scenario) -> None:
    assert scenario_from(tomllib.loads(scenario_toml(scenario))) == scenario
    assert scenario.seed == 0
    for feature in features_of(scenario):
        event(feature)


@settings(SLOW, max_examples=60)
@given(scenarios())
def test_what_is_broken_is_healed_and_times_never_go_back(scenario: Scenario) -> None:
    standing: list[str] = []
    times = [step.at_ns for step in scenario.steps if step.at_ns is not None]
    for step in scenario.steps:
        if isinstance(step, Fault):
            standing.append(step.fault_name)
        elif isinstance(step, Heal):
            standing.remove(step.name)

    assert standing == []
    assert times == sorted(times)


@settings(SLOW, max_examples=30)
@given(scenarios())
def test_a_drawn_scenario_passes(scenario: Scenario) -> None:
    result = run(scenario, seed=0)

    assert result.failures == ()
    event(f"{result.io.submitted} I/Os")


def smallest(condition: Callable[[Scenario], bool]) -> tuple[Scenario, list[Fault], list[SingleIo]]:
    """What Hypothesis shrinks to; its faults and its I/Os."""
    scenario = find(scenarios(), condition, settings=settings(SLOW, max_examples=1000, database=None), random=Random(1))
    return (
        scenario,
        [step for step in scenario.steps if isinstance(step, Fault)],
        [step for step in scenario.steps if isinstance(step, SingleIo)],
    )


def breaks(scenario: Scenario, kind: str) -> bool:
    return any(isinstance(step, Fault) and step.kind == kind for step in scenario.steps)


def test_a_mistake_that_wants_a_fault_shrinks_to_one_fault_and_one_operation() -> None:
    scenario, faults, ios = smallest(lambda one: breaks(one, "array_kill"))

    assert [fault.kind for fault in faults] == ["array_kill"]
    assert [(io.op, io.lba, io.blocks) for io in ios] == [("write", 0, 8)]
    assert [step.at_ns for step in scenario.steps if step.at_ns] == [10**9, 10**9, 11 * 10**8], "round times"
    assert len(scenario.hosts) == len(scenario.array.portals) == len(scenario.hosts[0].nics) == 1
    assert scenario.hosts[0].profile == "ms-iscsi-2.07"


def test_a_mistake_in_reads_shrinks_to_one_read_and_no_fault() -> None:
    _, faults, ios = smallest(lambda one: any(isinstance(step, SingleIo) and step.op == "read" for step in one.steps))

    assert faults == []
    assert [io.op for io in ios] == ["read"]


@settings(SLOW, max_examples=30)
@given(scenarios(topology=topologies(hosts=3, paths=4, portals=2, profiles=["esxi", "linux-dm-multipath"])))
def test_machines_are_as_many_and_of_the_kind_that_was_asked_for(scenario: Scenario) -> None:
    assert [len(host.nics) for host in scenario.hosts] == [4, 4, 4]
    assert len(scenario.array.portals) == 2
    assert {host.profile for host in scenario.hosts} <= {"esxi", "linux-dm-multipath"}


MINE = [{"do": "io", "at": "2s", "volume": "vol1", "op": "read", "lba": 7}]


@settings(SLOW, max_examples=30)
@given(
    scenarios(
        topology=topologies(paths=2, profiles=["msdsm-2012"]),
        faults=partial(fault_schedules, kinds=["link_down", "silent"], at_most=1),
        workload=MINE,
        fencing=st.sampled_from(["none", "lun-reset"]),
    )
)
def test_every_part_can_be_fixed(scenario: Scenario) -> None:
    faults = [step for step in scenario.steps if isinstance(step, Fault)]

    assert len(faults) <= 1
    assert {fault.kind for fault in faults} <= {"link_down", "silent"}
    assert [step.lba for step in scenario.steps if isinstance(step, SingleIo)] == [7]


@settings(SLOW, max_examples=20)
@given(scenarios(topology=topologies(paths=2), fencing="preempt-and-abort"))
def test_only_hosts_that_have_their_volumes_to_themselves_fence(scenario: Scenario) -> None:
    shared = len(scenario.hosts) > len({step.volume for step in scenario.steps if isinstance(step, Login)})

    assert {host.fencing for host in scenario.hosts} == {"none" if shared else "preempt-and-abort"}


def test_steps_of_ones_own_must_fit_the_machines() -> None:
    with pytest.raises(ScenarioError, match='no volume "vol9"'):
        find(scenarios(topology=PLAIN, workload=[MINE[0] | {"volume": "vol9"}]), lambda _: True)


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda: topologies(hosts=9), "hosts=9: expected 1 to 8"),
        (lambda: topologies(profiles=["esx"]), 'did you mean "esxi"'),
        (lambda: topologies(paths=3, profiles=["eql-hit"]), "no kind of host is left"),
        (lambda: fault_schedules(PLAIN, kinds=["link_dwn"]), 'did you mean "link_down"'),
        (lambda: fault_schedules(PLAIN, at_most=99), "at_most=99: expected 0 to 20"),
        (lambda: operations(PLAIN, at_most=0), "at_most=0: expected 1 to 200"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_asked_for(ask: Callable[[], object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        ask()


def test_a_kind_that_no_such_array_can_have_is_refused() -> None:
    listed = find(topologies(), lambda topology: topology.tables["array"]["kind"] == "listed")

    with pytest.raises(ValueError, match="none of them can strike these machines"):
        fault_schedules(listed, kinds=["redirect_to_dead"])


def test_every_kind_of_the_swarms_table_can_be_drawn() -> None:
    group = find(
        topologies(hosts=1),
        lambda topology: (
            topology.tables["array"]["kind"] == "equallogic" and topology.tables["hosts"][0].get("digests")
        ),
    )
    for fault in FAULTS:
        steps = find(
            fault_schedules(group, kinds=[fault.kind]), lambda steps: bool(steps), settings=settings(database=None)
        )
        assert [step["do"] for step in steps] == ["fault", "heal"]
        assert steps[0]["kind"] == fault.kind


def test_outcomes_are_all_there_are_and_the_plainest_comes_first() -> None:
    def drawing(chance: Chance) -> str:
        return chance.pick("ab") + (str(chance.below(3)) if chance.chance(0.1) else "")

    assert outcomes(drawing) == ["a", "a0", "a1", "a2", "b", "b0", "b1", "b2"]


def test_without_hypothesis_the_extra_is_named() -> None:
    code = "import sys; sys.modules['hypothesis'] = None\nimport harness.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert 'pip install "mpiolab[check]"' in done.stderr
