"""Every seed is a whole scenario: valid, the same every time, and the same when read back from a file."""

from __future__ import annotations

import tomllib

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from harness.fault_step import Fault
from harness.load import scenario_from
from harness.steps import Heal, Wait
from harness.swarm import features_of, scenario_toml, swarm_scenario

SEEDS = st.integers(0, 2**63 - 1)


@settings(deadline=None, max_examples=200)
@given(SEEDS)
@example(0)
def test_a_seed_reads_back_from_its_file(seed: int) -> None:
    scenario = swarm_scenario(seed)

    text = scenario_toml(scenario, f"Seed {seed}")

    assert text.startswith(f"# Seed {seed}\n")
    assert scenario_from(tomllib.loads(text)) == scenario
    assert swarm_scenario(seed) == scenario


@settings(deadline=None, max_examples=200)
@given(SEEDS)
def test_what_a_seed_breaks_it_heals_before_it_asks_for_every_path(seed: int) -> None:
    scenario = swarm_scenario(seed)

    standing: list[str] = []
    for step in scenario.steps:
        if isinstance(step, Fault):
            standing.append(step.fault_name)
        elif isinstance(step, Heal):
            standing.remove(step.name)
        elif isinstance(step, Wait):
            assert standing == []
    assert standing == []
    asked = {(step.host, step.volume) for step in scenario.steps if isinstance(step, Wait)}
    assert {host for host, _ in asked} == {host.name for host in scenario.hosts}
    event(f"{sum(isinstance(step, Fault) for step in scenario.steps)} faults")


@settings(deadline=None, max_examples=200)
@given(SEEDS)
def test_times_never_go_back(seed: int) -> None:
    times = [step.at_ns for step in swarm_scenario(seed).steps if step.at_ns is not None]

    assert times == sorted(times)


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_features_are_words_and_each_stands_once(seed: int) -> None:
    features = features_of(swarm_scenario(seed))

    assert len(set(features)) == len(features) >= 6
