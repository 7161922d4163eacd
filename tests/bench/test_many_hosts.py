"""What one I/O costs when 32 hosts with 256 paths work at once, beside one host with eight: the same number of I/Os.

`scenarios/many_hosts.toml`, and what is left of it with the first host alone, whose two workloads then do the I/O of
all sixty-four. Processor time from the first workload to the expectations, in alternating rounds, the best of each.
"""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.load import scenario_from
from harness.narration import QuietNarrator
from harness.run import run_scenario
from harness.scenario import Scenario
from harness.steps import AnyStep, Expect, Workload

Tables = dict[str, Any]

FILE = Path(__file__).parents[2] / "scenarios" / "many_hosts.toml"
ROUNDS = 3
BOUND = 1.25


class Stopwatch(QuietNarrator):
    """Processor time of the part of a run in which there is I/O."""

    def __init__(self) -> None:
        self.began_s: float | None = None
        self.took_s = 0.0

    def step(self, step: AnyStep, at_ns: int) -> None:
        if isinstance(step, Workload) and self.began_s is None:
            self.began_s = time.process_time()
        elif isinstance(step, Expect) and self.began_s is not None:
            self.took_s = time.process_time() - self.began_s


def all_hosts() -> Tables:
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
    tables["steps"][-1] = {"do": "expect", "that": [{"check": "io", "failed": 0}]}
    return tables


def one_host() -> Tables:
    """The first host with its two volumes, doing as many I/Os as all of them."""
    tables = all_hosts()
    hosts = len(tables["hosts"])
    host = tables["hosts"][0]["name"]
    tables["hosts"] = tables["hosts"][:1]
    tables["array"]["volumes"] = tables["array"]["volumes"][:2]
    kept = {step["name"] for step in tables["steps"] if step["do"] == "workload" and step["host"] == host}
    steps = []
    for step in tables["steps"]:
        if (step["do"] == "stop" and step["name"] not in kept) or step.get("host", host) != host:
            continue
        if step["do"] == "wait":
            step = {"do": "wait", "duration": "10s"}
        steps.append(step | ({"ios": step["ios"] * hosts} if step["do"] == "workload" else {}))
    return tables | {"steps": steps}


def cost_us(scenario: Scenario) -> float:
    watch = Stopwatch()
    result = run_scenario(scenario, seed=1, net="sim", pcap=None, narrator=watch)
    assert not result.failures, result.failures
    return watch.took_s / result.io.ok * 1e6


@pytest.mark.benchmark_ratio
def test_an_io_costs_the_same_among_many() -> None:
    many, one = scenario_from(all_hosts()), scenario_from(one_host())
    rounds = [(cost_us(many), cost_us(one)) for _ in range(ROUNDS)]
    of_many, of_one = (min(column) for column in zip(*rounds, strict=True))
    costs = f"{of_many:.0f} us with 32 hosts and 256 paths, {of_one:.0f} us with one and 8"
    print(f"\none I/O: {costs}: {of_many / of_one:.2f}")
    assert of_many <= BOUND * of_one
