"""From a workload to the phase of the result: percentiles, shares, rates."""

from __future__ import annotations

import asyncio

import pytest

from harness.check.conservation import Conservation
from harness.check.history import History, Ticks
from harness.issuing import Journal
from harness.phases import latency_us, phase_of
from harness.result import LatencyUs
from harness.workload import WorkloadRun
from initiator_model.paths import Path, PathState
from sim.loop import SimLoop
from tests.support.disks import Clock, HandDisk, a_path, a_workload


def a_history(clock: Clock) -> History:
    return History(Ticks(clock), 512)


def test_percentiles_are_by_nearest_rank() -> None:
    assert latency_us(range(1_000, 101_000, 1_000)) == LatencyUs(p50=50.0, p99=99.0, max=100.0)
    assert latency_us([5_000]) == LatencyUs(5.0, 5.0, 5.0)
    assert latency_us([3_000, 1_000]) == LatencyUs(p50=1.0, p99=3.0, max=3.0)
    assert latency_us([]) == LatencyUs(0.0, 0.0, 0.0)


@pytest.fixture
def paths() -> tuple[Path, Path]:
    return a_path(0), a_path(1)


def test_a_phase_has_the_figures_of_its_workload_and_lists_idle_paths_too(paths: tuple[Path, Path]) -> None:
    clock, disk = Clock(), HandDisk()
    run = WorkloadRun(
        a_workload(op="read", depth=1, ios=4),
        "w2k3",
        disk,
        a_history(clock),
        Journal(clock, Conservation(clock, attempts_max=1)),
        clock.stream,
        SimLoop(),
    )
    run.start()
    for _ in range(4):
        clock.now_ns += 500_000_000
        disk.complete(path=paths[0])

    phase = phase_of(run, "round-robin", paths)

    assert (phase.name, phase.policy, phase.start_s, phase.end_s) == ("io", "round-robin", 0.0, 2.0)
    assert (phase.ios, phase.bytes, phase.iops, phase.throughput_bytes_per_s) == (4, 16384, 2.0, 8192.0)
    assert phase.latency_us == LatencyUs(500_000.0, 500_000.0, 500_000.0)
    assert [(share.local, share.portal, share.state, share.ios, share.share) for share in phase.paths] == [
        ("192.168.50.1", "192.168.51.2", "Active", 4, 1.0),
        ("192.168.50.2", "192.168.51.2", "Active", 0, 0.0),
    ]


def test_a_path_that_left_during_the_phase_is_still_listed(paths: tuple[Path, Path]) -> None:
    clock, disk = Clock(), HandDisk()
    run = WorkloadRun(
        a_workload(op="read", depth=1, ios=1),
        "w2k3",
        disk,
        a_history(clock),
        Journal(clock, Conservation(clock, attempts_max=1)),
        clock.stream,
        SimLoop(),
    )
    run.start()
    disk.complete(path=paths[1])
    paths[1].enter(PathState.REMOVED)

    phase = phase_of(run, "round-robin", paths[:1])

    assert [(share.state, share.ios) for share in phase.paths] == [("Active", 0), ("Removed", 1)]


def test_a_phase_that_took_no_time_has_no_rate(paths: tuple[Path, Path]) -> None:
    clock = Clock()
    run = WorkloadRun(
        a_workload(op="read", background=True, ios=None),
        "w2k3",
        HandDisk(),
        a_history(clock),
        Journal(clock, Conservation(clock, attempts_max=1)),
        clock.stream,
        SimLoop(),
    )
    run.start()
    run.stop()

    phase = phase_of(run, "round-robin", paths)

    assert (phase.iops, phase.throughput_bytes_per_s, phase.ios) == (0.0, 0.0, 0)
    assert isinstance(run.finished, asyncio.Future)
