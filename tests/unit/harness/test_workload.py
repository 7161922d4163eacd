"""A workload keeps its queue depth, its pace and its count, and books every I/O exactly once."""

from __future__ import annotations

from typing import Any

import pytest

from harness.check.conservation import Conservation
from harness.check.history import Ending, History, Ticks
from harness.issuing import Journal
from harness.workload import WorkloadRun
from initiator_model.disk import IoResult, Outcome
from sim.loop import SimLoop
from tests.support.disks import Clock, HandDisk, a_path, a_workload

MS = 1_000_000


class Bench:
    """A workload on a disk of 1024 blocks of 512 bytes; 4 KiB I/Os, so 128 slots."""

    def __init__(self, disk: HandDisk | None = None, **step: Any) -> None:
        self.loop = SimLoop()
        self.disk = disk or HandDisk()
        self.history = History(Ticks(lambda: self.loop.now_ns), 512)
        self.told: list[str] = []
        clock = Clock()
        self.journal = Journal(lambda: self.loop.now_ns, Conservation(lambda: self.loop.now_ns, attempts_max=1))
        self.journal.on_busy = lambda host: self.told.append("busy")
        self.journal.on_idle = lambda host: self.told.append("idle")
        self.journal.on_good = lambda host: self.told.append("good")
        self.run = WorkloadRun(
            a_workload(**step), "w2k3", self.disk, self.history, self.journal, clock.stream, self.loop
        )
        self.run.start()

    @property
    def counts(self) -> tuple[int, int, int, int]:
        counts = self.journal.counts
        return counts.submitted, counts.ok, counts.failed, counts.unknown

    def pass_time(self, ms: float) -> None:
        """Let virtual time go by."""

        async def sleep() -> None:
            import asyncio

            await asyncio.sleep(ms / 1000)

        self.loop.run_until_complete(sleep())


def test_each_completion_submits_the_next() -> None:
    bench = Bench(depth=3, background=True)
    assert len(bench.disk.under_way) == 3
    for _ in range(10):
        bench.disk.complete()
        assert len(bench.disk.under_way) == bench.run.open == 3
    assert bench.counts == (13, 10, 0, 0)
    assert bench.run.ios == 10


def test_a_count_ends_it_when_the_last_has_come_back() -> None:
    bench = Bench(depth=4, ios=6)
    while bench.disk.under_way:
        assert not bench.run.finished.done()
        bench.disk.complete()
    assert bench.run.finished.done()
    assert (bench.run.ios, bench.run.returned, bench.counts) == (6, 6, (6, 6, 0, 0))


def test_a_duration_ends_the_phase_and_what_is_open_drains_outside_it() -> None:
    bench = Bench(depth=2, duration="10ms")
    bench.disk.complete()
    bench.pass_time(11)
    assert bench.run.end_ns == 10 * MS
    assert not bench.run.finished.done()
    while bench.disk.under_way:
        bench.disk.complete()
    assert bench.run.finished.done()
    assert bench.run.ios == 1
    assert bench.counts == (3, 3, 0, 0)


def test_sequential_io_goes_round_the_region() -> None:
    bench = Bench(depth=1, background=True, region="12KiB")
    for _ in range(4):
        bench.disk.complete()
    assert [io.lba for io in bench.disk.asked] == [0, 8, 16, 0, 8]


def test_random_io_stays_in_the_region_and_on_whole_slots() -> None:
    bench = Bench(depth=1, background=True, region="20KiB", pattern="random")
    for _ in range(200):
        bench.disk.complete()
    assert sorted({io.lba for io in bench.disk.asked}) == [0, 8, 16, 24, 32]


def test_the_share_of_reads_is_kept() -> None:
    bench = Bench(op="mixed", read_share=0.75, ios=400, depth=1)
    while bench.disk.under_way:
        io = bench.disk.under_way[0]
        bench.disk.complete(outcome=Outcome.FAILED if io.data is None else Outcome.OK)
        bench.pass_time(1)
    reads = sum(io.data is None for io in bench.disk.asked)
    assert 270 <= reads <= 330


def test_the_pace_is_kept() -> None:
    bench = Bench(depth=8, background=True, iops=100)
    for _ in range(5):
        assert len(bench.disk.under_way) == 1
        bench.disk.complete()
        bench.pass_time(10)
    assert len(bench.disk.asked) == 6


def test_after_a_stall_the_pace_goes_on_without_a_burst() -> None:
    bench = Bench(depth=4, background=True, iops=100)
    bench.pass_time(500)
    assert len(bench.disk.under_way) == 4  # the queue is full and nothing comes back
    asked = len(bench.disk.asked)
    while bench.disk.under_way:
        bench.disk.complete()
        if len(bench.disk.asked) > asked + 1:
            pytest.fail("missed I/Os are made up for at once")
        if len(bench.disk.under_way) == 1 and len(bench.disk.asked) == asked + 1:
            break
    bench.pass_time(95)
    assert len(bench.disk.asked) <= asked + 4


def test_every_outcome_is_booked_under_its_name() -> None:
    bench = Bench(depth=3, ios=3)
    for outcome in (Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN):
        bench.disk.complete(outcome=outcome)
    assert bench.counts == (3, 1, 1, 1)
    assert bench.run.ios == 1


def test_a_disk_that_is_gone_ends_the_workload_and_the_refused_io_counts_as_failed() -> None:
    bench = Bench(depth=2, background=True)
    bench.disk.gone = True
    while bench.disk.under_way:
        bench.disk.complete(outcome=Outcome.FAILED)
    bench.pass_time(1)  # after an I/O that failed the next is not asked for at the same instant
    assert bench.run.finished.done()
    assert bench.journal.refused == ["io: the disk was removed"]
    submitted, ok, failed, unknown = bench.counts
    assert (submitted, ok + failed + unknown) == (3, 3)


def test_a_full_queue_is_told_not_raised() -> None:
    bench = Bench(HandDisk(limit=2), depth=3, background=True)
    assert bench.journal.refused == ["io: 2 I/Os are under way already"]
    assert bench.counts == (3, 0, 1, 0)


def test_paths_are_tallied_by_what_they_completed_well() -> None:
    bench = Bench(depth=1, ios=3)
    one, other = a_path(0), a_path(1)
    for path, outcome in ((one, Outcome.OK), (other, Outcome.OK), (other, Outcome.FAILED)):
        bench.disk.complete(path=path, outcome=outcome)
    tallies = [(tally.path, tally.ios, tally.bytes) for tally in bench.run.paths.values()]
    assert tallies == [(one, 1, 4096), (other, 1, 4096)]


def test_the_history_has_every_io_with_its_ending_and_what_reads_saw() -> None:
    bench = Bench(op="read", depth=1, ios=3)
    bench.disk.complete(value=98, path=a_path(0))
    bench.disk.complete(outcome=Outcome.FAILED)
    bench.pass_time(2)  # after an I/O that failed the next one waits a little
    bench.disk.complete()
    first, second, third = bench.history.operations
    assert (first.ending, first.seen, first.via) == (Ending.OK, ((0, 8, 98),), a_path(0).source)
    assert (second.ending, second.seen) == (Ending.FAILED, ())
    assert third.seen == ((16, 8, 0),)
    assert first.begun < first.ended < second.begun  # type: ignore[operator]


def test_busy_from_the_first_io_to_the_last_and_not_in_between() -> None:
    bench = Bench(depth=1, ios=3)
    for _ in range(3):
        bench.disk.complete()
    assert bench.told == ["busy", "good", "good", "good", "idle"]


def test_waiting_for_its_turn_a_paced_workload_is_idle() -> None:
    bench = Bench(depth=1, background=True, iops=100)
    bench.disk.complete()
    assert bench.told == ["busy", "good", "idle"]


def test_stopping_twice_is_stopping_once() -> None:
    bench = Bench(depth=1, background=True)
    bench.run.stop()
    bench.pass_time(1)
    bench.run.stop()
    bench.disk.complete()
    assert (bench.run.end_ns, bench.run.ios) == (0, 0)
    assert bench.run.finished.done()


@pytest.mark.parametrize("op", ["read", "write"])
def test_an_io_that_ends_twice_is_noted_and_counted_once(op: str) -> None:
    bench = Bench(op=op, depth=2, ios=2)
    io = bench.disk.under_way[0]
    bench.disk.complete()
    io.done(IoResult(Outcome.OK, bytes(4096) if op == "read" else b"", None, 1, None))
    assert bench.journal.twice == ["I/O 1 of io ended more than once"]
    assert bench.counts == (2, 1, 0, 0)
    assert bench.run.open == 1
