"""Judges a run by the checks its scenario asks for.

`judge_now` answers checks about a state at the moment of their step, `judge_run` all others when the run has ended,
and `with_judgements` writes the outcome into the result. A judgement says why in a sentence that holds what was
measured and what was expected, because whoever reads it will not have the scenario open.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, assert_never

from harness.checks_model import (
    Check,
    ConnectionsCheck,
    IoCheck,
    LatencyCheck,
    PathStatesCheck,
    PolicyCheck,
    RedirectsCheck,
    ShareCheck,
    StallCheck,
    StateCheck,
    TargetStateCheck,
    ThroughputCheck,
)
from harness.facts import RunFacts
from harness.goodput import goodput_bytes_per_s
from harness.result import CheckVerdict, Failure, FailureKind, Result
from harness.scenario import Scenario
from harness.units import format_duration, format_rate


@dataclass(frozen=True, slots=True)
class Judgement:
    """One check and its outcome; `why` is a sentence in either case."""

    check: str
    ok: bool
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    kind: FailureKind = "correctness"
    unknown: bool = False
    """Nothing can be said, and `why` says for what reason; `ok` is True then, for nothing was found wrong."""


def check_name(check: Check) -> str:
    """The name a check has in results and on the terminal, such as "throughput two-paths"."""
    subject = getattr(check, "phase", None) or getattr(check, "volume", None) or getattr(check, "host", None)
    return f"{check.check} {subject}" if subject else check.check


def judge_now(check: StateCheck, scenario: Scenario, facts: RunFacts) -> Judgement:
    """Judge a check that speaks of a state, at the moment of its step."""
    host, name = scenario.host(check.host).name, check_name(check)
    match check:
        case PathStatesCheck():
            states = facts.path_states(host, check.volume)
            found = dict(Counter(states))
            wanted = {state: count for state, count in check.states.items() if count}
            ok = found == wanted
            why = f"{host} sees the paths of {check.volume} as {_counts(found)}{_unless(ok, _counts(wanted))}"
            return Judgement(name, ok, why, {"states": list(states)})
        case PolicyCheck():
            policy = facts.policy(host, check.volume)
            found_policy = policy or "unset: there is no disk"
            ok = policy == check.policy
            why = f"the policy of {check.volume} at {host} is {found_policy}{_unless(ok, check.policy)}"
            return Judgement(name, ok, why, {"policy": policy})
        case TargetStateCheck():
            state = facts.target_state(host, check.volume)
            ok = state == check.state
            why = f"{host} lists {check.volume} as {state or 'not discovered'}{_unless(ok, check.state)}"
            return Judgement(name, ok, why, {"state": state})
        case _:
            assert_never(check)


def judge_run(check: Check, scenario: Scenario, result: Result, facts: RunFacts) -> Judgement:
    """Judge any other check when the run has ended."""
    match check:
        case ThroughputCheck():
            return _throughput(check, scenario, result, facts)
        case ShareCheck():
            return _share(check, result)
        case LatencyCheck():
            return _latency(check, result)
        case ConnectionsCheck():
            return _connections(check, scenario, result)
        case IoCheck():
            return _io(check, result, facts)
        case StallCheck():
            return _stall(check, scenario, result, facts)
        case RedirectsCheck():
            return _redirects(check, scenario, facts)
        case PathStatesCheck() | PolicyCheck() | TargetStateCheck():
            return judge_now(check, scenario, facts)
        case _:
            assert_never(check)


def _verdict(judgement: Judgement) -> Literal["pass", "fail", "unknown"]:
    if judgement.unknown:
        return "unknown"
    return "pass" if judgement.ok else "fail"


def with_judgements(result: Result, judgements: Iterable[Judgement]) -> Result:
    """The result with these checks added; one failure, old or new, makes the verdict "fail"."""
    found = tuple(judgements)
    checks = tuple(CheckVerdict(one.check, _verdict(one)) for one in found)
    failures = tuple(Failure(one.check, one.why, one.evidence, one.kind) for one in found if not one.ok)
    failed = bool(result.failures or failures)
    return replace(
        result,
        verdict="fail" if failed else "pass",
        checks=result.checks + checks,
        failures=result.failures + failures,
    )


def _throughput(check: ThroughputCheck, scenario: Scenario, result: Result, facts: RunFacts) -> Judgement:
    name, phase = check_name(check), result.phase(check.phase)
    if phase is None:
        return _never_ran(name, check.phase)
    measured = phase.throughput_bytes_per_s
    evidence: dict[str, Any] = {"throughput_bytes_per_s": measured}
    wants: list[str] = []
    ok = True
    if check.min_bits_per_s is not None:
        wants.append(f"at least {format_rate(check.min_bits_per_s)} ({_mb(check.min_bits_per_s / 8)})")
        ok &= measured * 8 >= check.min_bits_per_s
    if check.max_bits_per_s is not None:
        wants.append(f"at most {format_rate(check.max_bits_per_s)} ({_mb(check.max_bits_per_s / 8)})")
        ok &= measured * 8 <= check.max_bits_per_s
    if check.of is not None:
        other = result.phase(check.of)
        if other is None or not other.throughput_bytes_per_s:
            return _never_ran(name, check.of)
        ratio = measured / other.throughput_bytes_per_s
        evidence |= {"ratio": ratio, "of_bytes_per_s": other.throughput_bytes_per_s}
        ok &= (check.ratio_min is None or ratio >= check.ratio_min) and (
            check.ratio_max is None or ratio <= check.ratio_max
        )
        bounds = _between(check.ratio_min, check.ratio_max)
        wants.append(
            f'{bounds} times the {_mb(other.throughput_bytes_per_s)} of "{check.of}" (it is {ratio:.3f} times)'
        )
    if check.of_arithmetic_bits_per_s is not None:
        work = scenario.workload(check.phase)
        op: Literal["read", "write"] = "read" if work.op == "read" else "write"
        framing = facts.framing(check.phase)
        line_rate = check.of_arithmetic_bits_per_s
        allowed = goodput_bytes_per_s(op, work.block_bytes, line_rate, framing)
        evidence["allowed_bytes_per_s"] = allowed
        ok &= abs(measured - allowed) <= check.within * allowed
        wants.append(
            f"{_mb(allowed)} within {check.within:.1%}: what headers leave of {format_rate(line_rate)} "
            f"(off by {(measured - allowed) / allowed:+.1%})"
        )
    return Judgement(name, ok, f'"{check.phase}" moved {_mb(measured)}; expected {" and ".join(wants)}', evidence)


def _share(check: ShareCheck, result: Result) -> Judgement:
    name, told = check_name(check), " and ".join(f'"{phase}"' for phase in (check.phase, *check.beside))
    carried: dict[str, list[int]] = {}
    sources: dict[str, str] = {}
    for wanted in (check.phase, *check.beside):
        phase = result.phase(wanted)
        if phase is None:
            return _never_ran(name, wanted)
        for path in phase.paths:
            sources[path.id] = path.local
            carried.setdefault(path.id, []).append(path.ios if check.of == "ios" else path.bytes)
    whole = sum(map(sum, carried.values()))
    shares = [(sources[id], sum(amounts) / whole if whole else 0.0) for id, amounts in carried.items()]
    spread = ", ".join(f"{source} {share:.1%}" for source, share in shares) or "no path"
    if check.each is not None:
        each = check.each
        ok = bool(shares) and all(abs(share - each) <= check.within for _, share in shares)
        why = f"{told} spread over {spread}; expected {check.each:.1%} each, within {check.within:.1%}"
    else:
        share = sum(share for source, share in shares if source == check.path)
        ok = (check.min is None or share >= check.min) and (check.max is None or share <= check.max)
        what = f"{share:.1%} of " + ("the bytes of " if check.of == "bytes" else "")
        why = f"{check.path} carried {what}{told}; expected {_between(check.min, check.max)}"
    return Judgement(name, ok, why, {"shares": dict(shares)})


def _latency(check: LatencyCheck, result: Result) -> Judgement:
    name, phase = check_name(check), result.phase(check.phase)
    if phase is None:
        return _never_ran(name, check.phase)
    latency = phase.latency_us
    ok, told = True, [f'"{check.phase}"']
    if check.p99_max_ns is not None:
        ok &= latency.p99 * 1000 <= check.p99_max_ns
        told.append(
            f"99 of 100 I/Os took at most {latency.p99:.0f} us; expected at most {format_duration(check.p99_max_ns)}"
        )
    if check.longest_min_ns is not None or check.longest_max_ns is not None:
        low, high = (None if bound is None else bound / 1e9 for bound in (check.longest_min_ns, check.longest_max_ns))
        longest_s = latency.max / 1e6
        ok &= (low is None or longest_s >= low) and (high is None or longest_s <= high)
        told.append(f"the longest I/O took {longest_s:.3f} s; expected {_between(low, high)} s")
    return Judgement(name, ok, f"{told[0]}: {'; '.join(told[1:])}", {"p99_us": latency.p99, "max_us": latency.max})


def _connections(check: ConnectionsCheck, scenario: Scenario, result: Result) -> Judgement:
    host = scenario.host(check.host).name
    rows = [row for row in result.connections if row.host == host and row.state == "ESTABLISHED"]
    missing = dict(check.table)
    surplus: list[str] = []
    for row in rows:
        pair = next(
            ((here, there) for here, there in missing.items() if _is(row.local, here) and _is(row.remote, there)), None
        )
        if pair is None:
            surplus.append(f"{row.local} → {row.remote}")
        else:
            del missing[pair[0]]
    wrong = [row.local for row in rows if check.offload is not None and row.offload != check.offload]
    complaints = [f"{here} → {there} is missing" for here, there in missing.items()]
    complaints += [f"{pair} is not expected" for pair in surplus]
    complaints += [f"{local} is {'not ' if check.offload else ''}offloaded" for local in wrong]
    found = ", ".join(f"{row.local} → {row.remote}" for row in rows) or "none"
    why = f"{host} has these connections: {found}" + "".join(f"; {complaint}" for complaint in complaints)
    return Judgement(
        f"connections {host}", not complaints, why, {"connections": [[row.local, row.remote] for row in rows]}
    )


def _io(check: IoCheck, result: Result, facts: RunFacts) -> Judgement:
    io = result.io
    why = f"of {io.submitted} I/Os {io.ok} succeeded, {io.failed} failed and {io.unknown} stayed open"
    if check.failed_min is None and check.failed_max is None:
        ok = io.failed == check.failed and io.unknown == check.unknown
        why += _unless(ok, f"{check.failed} failed and {check.unknown} open")
    else:
        bad = io.failed + io.unknown
        ok = (check.failed_min or 0) <= bad and (check.failed_max is None or bad <= check.failed_max)
        why += f"; expected {_between(check.failed_min, check.failed_max)} of both together"
    complaints = facts.io_complaints()
    if complaints:
        why += f" ({'; '.join(complaints)})"
    evidence = {"submitted": io.submitted, "ok": io.ok, "failed": io.failed, "unknown": io.unknown}
    return Judgement("io", ok, why, {**evidence, "complaints": list(complaints)})


def _stall(check: StallCheck, scenario: Scenario, result: Result, facts: RunFacts) -> Judgement:
    host = scenario.host(check.host).name
    name = f"stall {host}"
    losses = [failover for failover in result.failovers if failover.host == host]
    if not losses:
        return Judgement(name, False, f"{host} lost no path, so nothing stalled; expected a path loss", {})
    last = losses[-1]
    if last.stall_s is None:
        why = f"after the loss of {last.path} ({last.cause}) at {last.fault_at_s:.3f} s I/O of {host} never resumed"
        return Judgement(name, False, why, {"fault_at_s": last.fault_at_s}, kind="liveness")
    told = f"after the loss of {last.path} ({last.cause}) I/O of {host} stood still for {last.stall_s:.3f} s"
    evidence: dict[str, Any] = {"stall_s": last.stall_s, "path": last.path}
    if check.min_ns is not None or check.max_ns is not None:
        low, high = (None if bound is None else bound / 1e9 for bound in (check.min_ns, check.max_ns))
        ok = (low is None or last.stall_s >= low) and (high is None or last.stall_s <= high)
        return Judgement(name, ok, f"{told}; expected {_between(low, high)} s", evidence)
    expected_ns = facts.expected_stall_ns(last)
    if expected_ns is None:
        why = f"{told}; the timers say nothing about such a loss, so only min and/or max can be expected of it"
        return Judgement(name, False, why, evidence)
    expected_s = expected_ns / 1e9
    evidence["expected_s"] = expected_s
    ok = abs(last.stall_s - expected_s) <= check.within * expected_s
    return Judgement(name, ok, f"{told}; the timers give {expected_s:.3f} s, within {check.within:.0%}", evidence)


def _redirects(check: RedirectsCheck, scenario: Scenario, facts: RunFacts) -> Judgement:
    host = scenario.host(check.host).name
    sent_to = facts.redirects(host)
    wants = [] if check.count is None else [f"{check.count} redirects"]
    wants += [] if check.portals is None else [f"to {', '.join(check.portals)}"]
    ok = check.count in (None, len(sent_to)) and check.portals in (None, sent_to)
    found = f"redirected {len(sent_to)} times, to {', '.join(sent_to)}" if sent_to else "never redirected"
    why = f"{host} was {found}{_unless(ok, ' '.join(wants))}"
    return Judgement(f"redirects {host}", ok, why, {"portals": list(sent_to)})


def _never_ran(name: str, phase: str) -> Judgement:
    return Judgement(name, False, f'the workload "{phase}" moved nothing in this run', {"phase": phase})


def _is(address: str, wanted: str) -> bool:
    """ "192.168.51.2:3260" is "192.168.51.2:3260", and also "192.168.51.2"."""
    return address == wanted or address.rpartition(":")[0] == wanted


def _unless(ok: bool, expected: str) -> str:
    """What was expected, where it is not what was found."""
    return "" if ok else f"; expected {expected}"


def _mb(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e6:.1f} MB/s"


def _counts(states: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no path"


def _between(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
