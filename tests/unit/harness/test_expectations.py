"""Each kind of check, once satisfied and once not, with the sentence an engineer reads."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.checks_model import Check
from harness.expectations import Judgement, judge_run, with_judgements
from harness.goodput import Framing, goodput_bytes_per_s
from harness.load import scenario_from
from harness.result import Failover, Failure, Phase, Result

_CHECK: TypeAdapter[Check] = TypeAdapter(Check)


@dataclass
class Facts:
    """What a run would answer."""

    states: tuple[str, ...] = ("Active", "Standby")
    redirected: tuple[str, ...] = ("192.168.51.2", "192.168.51.3")
    stall_ns: int | None = 15 * 10**9
    complaints: tuple[str, ...] = ()

    def path_states(self, host: str, volume: str) -> tuple[str, ...]:
        return self.states

    def policy(self, host: str, volume: str) -> str | None:
        return "failover-only"

    def target_state(self, host: str, volume: str) -> str | None:
        return None

    def redirects(self, host: str) -> tuple[str, ...]:
        return self.redirected

    def framing(self, phase: str) -> Framing:
        return Framing()

    def io_complaints(self) -> tuple[str, ...]:
        return self.complaints

    def expected_stall_ns(self, failover: Failover) -> int | None:
        return self.stall_ns


@pytest.fixture
def judge(tables: dict[str, Any], result: Result) -> Any:
    scenario = scenario_from(tables)

    def of(run: Result = result, facts: Facts | None = None, **check: Any) -> Judgement:
        return judge_run(_CHECK.validate_python(check), scenario, run, facts or Facts())

    return of


@pytest.mark.parametrize(
    ("check", "ok"),
    [
        ({"check": "throughput", "phase": "reads", "min": "786Mbit"}, True),
        ({"check": "throughput", "phase": "reads", "min": "787Mbit"}, False),
        ({"check": "throughput", "phase": "reads", "max": "786Mbit"}, False),
        ({"check": "throughput", "phase": "reads", "of": "reads", "ratio_min": 1.0, "ratio_max": 1.0}, True),
        ({"check": "throughput", "phase": "reads", "of": "reads", "ratio_min": 1.9}, False),
        ({"check": "share", "phase": "reads", "each": 0.5}, True),
        ({"check": "share", "phase": "reads", "each": 0.33}, False),
        ({"check": "share", "phase": "reads", "path": "192.168.50.105", "min": 0.5, "max": 0.5}, True),
        ({"check": "share", "phase": "reads", "path": "192.168.50.105", "max": 0.0}, False),
        ({"check": "latency", "phase": "reads", "p99_max": "900us"}, True),
        ({"check": "latency", "phase": "reads", "p99_max": "899us"}, False),
        ({"check": "io"}, True),
        ({"check": "io", "failed": 1}, False),
        ({"check": "connections", "table": {"192.168.50.105:2817": "192.168.51.2:3260"}, "offload": True}, True),
        ({"check": "connections", "table": {"192.168.50.105": "192.168.51.2"}}, True),
        ({"check": "connections", "table": {"192.168.50.105": "192.168.51.2"}, "offload": False}, False),
        ({"check": "connections", "table": {"192.168.50.105:2817": "192.168.51.3:3260"}}, False),
        ({"check": "stall"}, True),
        ({"check": "stall", "within": 0.01}, False),
        ({"check": "stall", "min": "15s", "max": "16s"}, True),
        ({"check": "stall", "max": "1s"}, False),
        ({"check": "redirects", "count": 2, "portals": ["192.168.51.2", "192.168.51.3"]}, True),
        ({"check": "redirects", "count": 1}, False),
        ({"check": "redirects", "portals": ["192.168.51.3", "192.168.51.2"]}, False),
        ({"check": "path_states", "volume": "logs", "states": {"Active": 1, "Standby": 1}}, True),
        ({"check": "path_states", "volume": "logs", "states": {"Active": 1}}, False),
        ({"check": "path_states", "volume": "logs", "states": {"Active": 1, "Standby": 1, "Failed": 0}}, True),
        ({"check": "policy", "volume": "logs", "policy": "failover-only"}, True),
        ({"check": "policy", "volume": "logs", "policy": "round-robin"}, False),
        ({"check": "target_state", "volume": "logs", "state": "Connected"}, False),
    ],
)
def test_each_check_holds_or_does_not(judge: Any, check: dict[str, Any], ok: bool) -> None:
    assert judge(**check).ok is ok


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (
            {"check": "throughput", "phase": "reads", "min": "1.8Gbit"},
            '"reads" moved 98.3 MB/s; expected at least 1.8Gbit (225.0 MB/s)',
        ),
        (
            {"check": "share", "phase": "reads", "each": 0.33},
            '"reads" spread over 192.168.50.105 50.0%, 192.168.50.125 50.0%; expected 33.0% each, within 1.0%',
        ),
        (
            {"check": "stall", "within": 0.01},
            "after the loss of 192.168.50.105 → 192.168.51.2 (link down) I/O of w2k3 stood still for 15.250 s; "
            "the timers give 15.000 s, within 1%",
        ),
        (
            {"check": "connections", "table": {"192.168.50.125": "192.168.51.3"}},
            "w2k3 has these connections: 192.168.50.105:2817 → 192.168.51.2:3260; "
            "192.168.50.125 → 192.168.51.3 is missing; 192.168.50.105:2817 → 192.168.51.2:3260 is not expected",
        ),
        (
            {"check": "path_states", "volume": "logs", "states": {"Active": 2}},
            "w2k3 sees the paths of logs as 1 Active, 1 Standby; expected 2 Active",
        ),
        (
            {"check": "target_state", "volume": "logs", "state": "Connected"},
            "w2k3 lists logs as not discovered; expected Connected",
        ),
    ],
)
def test_a_failure_says_what_was_found_and_what_was_expected(judge: Any, check: dict[str, Any], why: str) -> None:
    assert judge(**check).why == why


def at(result: Result, throughput_bytes_per_s: float) -> Result:
    [phase] = result.phases
    return replace(result, phases=(replace(phase, throughput_bytes_per_s=throughput_bytes_per_s),))


@pytest.mark.parametrize(("factor", "ok"), [(1.0, True), (0.98, True), (0.96, False), (1.04, False)])
def test_throughput_is_held_against_what_headers_leave(judge: Any, result: Result, factor: float, ok: bool) -> None:
    allowed = goodput_bytes_per_s("read", 65_536, 10**9, Framing())
    check = {"check": "throughput", "phase": "reads", "of_arithmetic": "1Gbit", "within": 0.03}
    assert judge(at(result, allowed * factor), **check).ok is ok


def test_a_phase_that_never_ran_fails_its_checks(judge: Any, result: Result) -> None:
    none: tuple[Phase, ...] = ()
    judgement = judge(replace(result, phases=none), check="share", phase="reads", each=0.5)
    assert (judgement.ok, judgement.why) == (False, 'the workload "reads" moved nothing in this run')


def test_workloads_counted_together_may_be_even_in_ios_and_uneven_in_bytes(judge: Any, result: Result) -> None:
    """3,000 I/Os of 64 KiB over one path beside 3,000 of 4 KiB over the other: 16 of 17 bytes on the first."""
    [reads] = result.phases
    first, second = reads.paths
    large = replace(reads, paths=(replace(first, ios=3000, bytes=3000 << 16), replace(second, ios=0, bytes=0)))
    none, mail = replace(first, ios=0, bytes=0), replace(second, ios=3000, bytes=3000 << 12)
    small = replace(reads, name="mail", paths=(none, mail))
    both = replace(result, phases=(large, small))

    even = judge(both, check="share", phase="reads", beside=["mail"], each=0.5)
    assert (even.ok, even.evidence["shares"]) == (True, {"192.168.50.105": 0.5, "192.168.50.125": 0.5})
    uneven = judge(both, check="share", phase="reads", beside=["mail"], of="bytes", path="192.168.50.105", max=0.9)
    assert not uneven.ok
    assert uneven.why == '192.168.50.105 carried 94.1% of the bytes of "reads" and "mail"; expected at most 0.9'


def test_io_that_never_resumed_is_a_failure_of_liveness(judge: Any, result: Result) -> None:
    [loss] = result.failovers
    stuck = replace(result, failovers=(replace(loss, resumed_at_s=None, stall_s=None),))
    judgement = judge(stuck, check="stall", max="30s")
    assert (judgement.ok, judgement.kind) == (False, "liveness")
    assert "never resumed" in judgement.why


def test_a_stall_without_a_path_loss_is_no_stall(judge: Any, result: Result) -> None:
    judgement = judge(replace(result, failovers=()), check="stall", max="30s")
    assert (judgement.ok, judgement.why) == (False, "w2k3 lost no path, so nothing stalled; expected a path loss")


def test_one_failed_check_fails_the_run(result: Result) -> None:
    good, bad = Judgement("policy logs", True, "as it should be"), Judgement("io", False, "one failed", {"failed": 1})
    assert with_judgements(result, [good]).verdict == "pass"
    judged = with_judgements(result, [good, bad])
    assert judged.verdict == "fail"
    assert [(check.name, check.verdict) for check in judged.checks][1:] == [("policy logs", "pass"), ("io", "fail")]
    assert judged.failures == (Failure("io", "one failed", {"failed": 1}),)


def test_a_failure_found_elsewhere_stays(result: Result) -> None:
    ghost = replace(result, failures=(Failure("registers", "block 7 is stale", {}),))
    assert with_judgements(ghost, []).verdict == "fail"


def test_a_loss_that_no_fault_explains_has_no_expected_stall(judge: Any) -> None:
    judgement = judge(facts=Facts(stall_ns=None), check="stall")
    assert not judgement.ok
    assert "the timers say nothing about such a loss, so only min and/or max can be expected" in judgement.why
    assert judge(facts=Facts(stall_ns=None), check="stall", min="15s", max="16s").ok
