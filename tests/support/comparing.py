"""Comparisons made by hand: a result under another policy, and the whole of several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.comparison import Column, Comparison
from harness.load import scenario_from
from harness.result import Failure, LatencyUs, Phase, Result


def faster(result: Result, factor: float, policy: str) -> Result:
    """The result of the same run, so many times faster in its first phase."""
    first, *rest = result.phases
    latency = first.latency_us
    changed = replace(
        first,
        policy=policy,
        iops=first.iops * factor,
        throughput_bytes_per_s=first.throughput_bytes_per_s * factor,
        latency_us=LatencyUs(latency.p50 / factor, latency.p99 / factor, latency.max / factor),
    )
    return replace(result, phases=(changed, *rest))


def one_sided(phase: Phase) -> Phase:
    """The phase with everything on its first path."""
    first, *rest = phase.paths
    return replace(
        phase,
        paths=(
            replace(first, ios=phase.ios, bytes=phase.bytes, share=1.0),
            *(replace(path, ios=0, bytes=0, share=0.0) for path in rest),
        ),
    )


def refused(result: Result, why: str) -> Result:
    """A run that ended when its policy was refused."""
    failure = Failure("step set_policy", f"refused: {why}", {"refused": why})
    return replace(result, verdict="fail", failures=(failure,), phases=(), failovers=())


def comparison(tables: dict[str, Any], **results: Result) -> Comparison:
    """The comparison of these runs; a policy's name is the keyword with dashes."""
    columns = tuple(Column(name.replace("_", "-"), name.replace("_", "-"), result) for name, result in results.items())
    return Comparison(scenario_from(tables), 1, "sim", columns)
