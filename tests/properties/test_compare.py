"""A comparison adds nothing to a run: under the policy a file already has, it is that file's run, trace and all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.load import scenario_from
from harness.policy_choice import PolicyChoice
from harness.policy_swap import under_policy
from initiator_model.policies.catalog import BUILT_IN
from tests.support.runs import LOGINS, NICS, SOURCES, Tables, run, two_paths, workload

OTHERS = [policy.option for policy in BUILT_IN]

CHOICES = st.sampled_from(
    [
        *(PolicyChoice(name, {}) for name in OTHERS),
        PolicyChoice("vmw-rr", {"iops": 1}),
        PolicyChoice("weighted-paths", {"weights": {SOURCES[0]: 2, SOURCES[1]: 1}}),
        PolicyChoice("dm-service-time", {"grouping": "multibus", "throughputs": {SOURCES[0]: 1, SOURCES[1]: 4}}),
        PolicyChoice("failover-only", {"preferred": SOURCES[1]}),
    ]
)


def story(*policies: Tables) -> Tables:
    """Two workloads, each after its policy, and a cable pulled during the second."""
    set_policies = [{"do": "set_policy", "volume": "logs", **policy} for policy in policies]
    cable = {"do": "fault", "kind": "link_down", "nic": NICS[0], "name": "cable"}
    that = [{"check": "io"}, {"check": "share", "phase": "first", "path": SOURCES[0], "min": 0.0}]
    return two_paths(
        *LOGINS,
        set_policies[0],
        workload("first", ios=60),
        set_policies[1],
        workload("second", background=True),
        {"do": "wait", "duration": "100ms"},
        cable,
        {"do": "wait", "duration": "1s"},
        {"do": "heal", "name": "cable"},
        {"do": "stop", "name": "second"},
        {"do": "expect", "that": that},
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(choice=CHOICES, written=st.tuples(st.sampled_from(OTHERS), st.sampled_from(OTHERS)), seed=st.integers(0, 99))
def test_compared_under_one_policy_is_run_with_that_policy(
    choice: PolicyChoice, written: tuple[str, str], seed: int
) -> None:
    own: dict[str, Any] = {"policy": choice.name, **choice.settings}
    plain = run(scenario_from(story(own, own)), seed=seed)
    other = scenario_from(story({"policy": written[0]}, {"policy": written[1]}))
    compared = run(under_policy(other, choice, "sim", "x.toml"), seed=seed)

    assert compared.trace_sha256 == plain.trace_sha256
    unjudged = {"checks": (), "failures": (), "verdict": "pass", "wall_seconds": 0.0}
    assert replace(compared, **unjudged) == replace(plain, **unjudged)
