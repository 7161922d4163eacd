"""From a workload that has ended to the phase of the result."""

from __future__ import annotations

from collections.abc import Sequence

from harness.result import LatencyUs, PathShare, Phase
from harness.workload import WorkloadRun
from initiator_model.paths import Path


def phase_of(run: WorkloadRun, policy: str, paths: Sequence[Path]) -> Phase:
    """The figures of one workload. ``paths`` are the disk's, in the order of its pane; idle ones are listed too."""
    end_ns = run.end_ns if run.end_ns is not None else run.start_ns
    seconds = (end_ns - run.start_ns) / 1e9
    listed = list(paths) + [
        tally.path for tally in run.paths.values() if tally.path.path_id not in [path.path_id for path in paths]
    ]
    shares = []
    for path in listed:
        tally = run.paths.get(path.path_id)
        ios, size = (tally.ios, tally.bytes) if tally is not None else (0, 0)
        shares.append(
            PathShare(
                id=path.label,
                local=path.source.rpartition(":")[0],
                portal=path.portal.rpartition(":")[0],
                state=path.shown.display,
                ios=ios,
                bytes=size,
                share=ios / run.ios if run.ios else 0.0,
            )
        )
    return Phase(
        name=run.step.name,
        policy=policy,
        start_s=run.start_ns / 1e9,
        end_s=end_ns / 1e9,
        ios=run.ios,
        bytes=run.bytes,
        iops=run.ios / seconds if seconds else 0.0,
        throughput_bytes_per_s=run.bytes / seconds if seconds else 0.0,
        latency_us=latency_us(run.latencies_ns),
        paths=tuple(shares),
    )


def latency_us(latencies_ns: Sequence[int]) -> LatencyUs:
    """Median, 99th percentile (nearest rank) and maximum, in microseconds; zeros when there was nothing."""
    if not latencies_ns:
        return LatencyUs(0.0, 0.0, 0.0)
    ordered = sorted(latencies_ns)

    def rank(percent: int) -> float:
        return ordered[-(-len(ordered) * percent // 100) - 1] / 1e3

    return LatencyUs(rank(50), rank(99), ordered[-1] / 1e3)
