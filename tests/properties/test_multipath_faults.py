"""Whatever breaks and is mended, a host with several paths keeps its promises to the application.

Hypothesis draws whole scenarios: NICs, policy, a workload, and faults that come and go while it runs. Timers are
short, so that a run with minutes of failovers costs a fraction of a second; the disk outlives every outage drawn.

One thing is kept out on purpose: a link that delivers, after LinkDownTime, what a host has given up before. A write can
take effect after its own retry there, on any host that fails over by a timer; `tests/planted` shows that it is seen.
"""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from harness.load import scenario_from
from harness.scenario import Scenario
from tests.support.runs import NICS, PORTALS, SHORT_TIMERS, SOURCES, Tables, login, run, two_paths, workload
from tests.support.watching import watched

TIMERS = SHORT_TIMERS | {"pdo_remove_period": "60s"}
WINDOW_MS = 2500
"""The workload runs so long, and faults begin within it."""


KINDS = ["link_down", "blackhole", "latency", "rate", "portal_down", "array_kill"]
KINDS += ["loss", "reorder", "jitter", "queue_limit"]
# No clog: what it holds it lets go later, and these hosts do not fence (docs/ghost-writes.md).


@st.composite
def outages(draw: st.DrawFn, nics: int) -> list[tuple[int, Tables]]:
    """(when in ms, step): a fault and, unless it is left to the end of the run, its heal."""
    kind = draw(st.sampled_from(KINDS))
    fault: Tables = {"do": "fault", "kind": kind}
    portals = PORTALS[: max(2, nics)]
    if kind == "portal_down":
        fault["portal"] = draw(st.sampled_from(portals))
    elif kind != "array_kill":
        place = draw(st.sampled_from([*NICS[:nics], *portals]))
        fault["nic" if "/" in place else "portal"] = place
    if kind == "link_down":
        fault["carrier"] = draw(st.booleans())
    elif kind == "blackhole":
        fault |= draw(st.sampled_from([{}, {"direction": "in"}, {"direction": "out"}]))
    elif kind == "loss":
        fault["share"] = draw(st.sampled_from([0.001, 0.01, 0.1]))
    elif kind == "reorder":
        fault |= {"share": 0.1, "delay": "300us"}
    elif kind == "jitter":
        fault["extra"] = "2ms"
    elif kind == "queue_limit":
        fault["limit"] = draw(st.sampled_from(["3KB", "30KB"]))
    elif kind == "latency":
        fault["extra"] = f"{draw(st.sampled_from([100, 5_000, 100_000]))}us"
    elif kind == "rate":
        fault["rate"] = draw(st.sampled_from(["50Mbit", "100Mbit"]))
    begins = draw(st.integers(0, WINDOW_MS))
    ends = draw(st.none() | st.integers(1, 1500).map(lambda lasts: begins + lasts))
    steps = [(begins, fault)]
    return steps if ends is None else [*steps, (ends, {"do": "heal"})]


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    nics = draw(st.integers(2, 3))
    policy = draw(st.sampled_from([None, "round-robin", "failover-only"]))
    steps: list[Tables] = [{"do": "discover"}, *[login(source) for source in SOURCES[:nics]]]
    if policy is not None:
        steps.append({"do": "set_policy", "volume": "logs", "policy": policy})
    work: dict[str, Any] = {
        "op": draw(st.sampled_from(["read", "write", "mixed"])),
        "depth": draw(st.sampled_from([1, 4, 16])),
        "block": draw(st.sampled_from(["512B", "4KiB", "64KiB"])),
        "iops": draw(st.sampled_from([50, 200])),
        "region": draw(st.sampled_from(["64KiB", "512KiB"])),
        "pattern": draw(st.sampled_from(["sequential", "random"])),
    }
    steps.append(workload(background=True, **work))
    timed: list[tuple[int, Tables]] = []
    for number, outage in enumerate(draw(st.lists(outages(nics), max_size=4))):
        timed += [(at, step | {"name": f"fault {number}"}) for at, step in outage]
    timed.sort(key=lambda pair: pair[0])
    steps += [step | {"at": f"{at}ms"} for at, step in timed]
    steps.append({"do": "wait", "duration": "10ms", "at": f"{WINDOW_MS}ms"})
    profile = draw(st.sampled_from(["ms-iscsi-2.07", "msdsm-2008"]))
    nop = {"enable_nop_out": True, "nop_out_interval": "300ms", "nop_out_timeout": "200ms"}
    tables = two_paths(*steps, nics=nics, timers=TIMERS | (nop if draw(st.booleans()) else {}))
    tables["hosts"][0]["profile"] = profile
    tables["seed"] = draw(st.integers(0, 3))
    return scenario_from(tables)


@settings(deadline=None, max_examples=80)
@given(scenarios())
def test_faults_cost_time_and_nothing_else(scenario: Scenario) -> None:
    with watched() as watch:
        result = run(scenario, seed=scenario.seed)

    assert not result.failures, [f"{failure.check}: {failure.why}" for failure in result.failures]
    io = result.io
    assert io.submitted == io.ok + io.failed + io.unknown
    assert (io.failed, io.unknown) == (0, 0)
    assert watch.complaints() == []
    assert watch.attempts >= io.submitted > 0
    event(f"{len(result.failovers)} failovers")


@settings(deadline=None, max_examples=15)
@given(scenarios())
def test_every_run_is_the_same_run_again(scenario: Scenario) -> None:
    first = run(scenario, seed=scenario.seed)
    with watched():
        second = run(scenario, seed=scenario.seed)

    assert first.trace_sha256 == second.trace_sha256
    assert first.failovers == second.failovers
    assert first.phases == second.phases
