"""A workload: a closed loop of reads and writes that keeps a queue depth, and what it measured.

Each completion submits the next I/O from its own callback, so nothing but the disk is on the way. A phase counts what
completed between its start and its end; I/Os still open at the end drain afterwards and belong to the run, not to
the phase.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.check.history import Ending, History, Operation
from harness.sectors import stamped
from harness.steps import Workload
from initiator_model.disk import DiskRemoved, IoResult, MpioDisk, Outcome, QueueFull
from initiator_model.paths import Path
from sim.rng import Stream

MAX_COMPLAINTS = 5
FAILED_PAUSE_NS = 1_000_000
"""After an I/O that failed the next one waits so long: a disk that refuses at once would be asked for ever at one
instant of virtual time."""


_ENDINGS = {Outcome.OK: Ending.OK, Outcome.FAILED: Ending.FAILED, Outcome.UNKNOWN: Ending.UNKNOWN}


@dataclass(slots=True)
class PathTally:
    """What one path carried during a phase."""

    path: Path
    ios: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Counts:
    """Logical I/Os of a run, by how they ended."""

    submitted: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0


@dataclass(slots=True)
class Journal:
    """What all workloads of a run share: numbering, counts, and what was found wrong."""

    now_ns: Callable[[], int]
    counts: Counts = field(default_factory=Counts)
    refused: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Why I/Os failed: the first `MAX_COMPLAINTS` reasons."""
    twice: list[str] = field(default_factory=list)
    """Completions of I/Os that had ended before."""
    on_good: Callable[[str], None] | None = None
    """An I/O of this host came back well."""
    on_busy: Callable[[str], None] | None = None
    """A workload of this host that had no I/O under way has some now."""
    on_idle: Callable[[str], None] | None = None
    """Its last one has come back, and no other follows at once."""

    def complain(self, why: str) -> None:
        """An I/O ended badly."""
        if len(self.complaints) < MAX_COMPLAINTS and why not in self.complaints:
            self.complaints.append(why)


class WorkloadRun:
    """One workload step at work. ``finished`` is done when it has ended and every I/O has come back."""

    def __init__(
        self,
        step: Workload,
        host: str,
        disk: MpioDisk,
        history: History,
        journal: Journal,
        rng: Stream,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.step = step
        self.host = host
        self.disk = disk
        self.start_ns = journal.now_ns()
        self.end_ns: int | None = None
        self.ios = 0
        self.bytes = 0
        self.latencies_ns: list[int] = []
        self.paths: dict[int, PathTally] = {}
        self.finished: asyncio.Future[None] = loop.create_future()
        self._history = history
        self._journal = journal
        self._rng = rng
        self._loop = loop
        self._block_lbas = step.block_bytes // disk.block_size
        self._slots = max(1, min(step.region_bytes or disk.blocks * disk.block_size, disk.blocks * disk.block_size))
        self._slots //= step.block_bytes
        self._next_slot = 0
        self._issued = 0
        self._under_way: dict[int, None] = {}
        self._busy = False
        self._ended = False
        self._due_ns = self.start_ns
        self._not_before_ns = self.start_ns
        self._timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._pumping = False

    @property
    def returned(self) -> int:
        """I/Os that have come back, however they ended, after the phase too."""
        return self._issued - len(self._under_way)

    @property
    def open(self) -> int:
        """I/Os under way."""
        return len(self._under_way)

    def start(self) -> None:
        """Begin: fill the queue."""
        if self.step.duration_ns is not None:
            self._end_timer = self._loop.call_later(self.step.duration_ns / 1e9, self.stop)
        self._pump()

    def stop(self) -> None:
        """End the phase now; the open I/Os drain."""
        if self._ended:
            return
        self._ended = True
        self.end_ns = self._journal.now_ns()
        for timer in (self._timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._settle()

    def _settle(self) -> None:
        if self._ended and not self._under_way and not self.finished.done():
            self.finished.set_result(None)

    def _pump(self) -> None:
        """Submit until the depth is reached, or the pace or the count forbids it. Completions may come at once."""
        if self._pumping:
            return
        self._pumping = True
        step = self.step
        while not self._ended and len(self._under_way) < step.depth:
            if self._journal.now_ns() < self._not_before_ns:
                if self._timer is None:
                    self._timer = self._loop.call_later(FAILED_PAUSE_NS / 1e9, self._on_pace)
                break
            if step.ios is not None and self._issued >= step.ios:
                if not self._under_way:
                    self.stop()
                break
            if step.iops is not None:
                now_ns = self._journal.now_ns()
                if now_ns < self._due_ns:
                    if self._timer is None:
                        self._timer = self._loop.call_later((self._due_ns - now_ns) / 1e9, self._on_pace)
                    break
                interval_ns = 10**9 // step.iops
                if now_ns - self._due_ns >= interval_ns:
                    # After a stall the pace goes on from now: what was missed is not made up for in a burst.
                    self._due_ns = now_ns
                self._due_ns += interval_ns
            try:
                self._submit()
            except (DiskRemoved, QueueFull) as error:
                self._journal.refused.append(f"{step.name}: {error}")
                self.stop()
        self._pumping = False

    def _on_pace(self) -> None:
        self._timer = None
        self._pump()

    def _submit(self) -> None:
        step, journal = self.step, self._journal
        read = step.op == "read" or (step.op == "mixed" and self._rng.random() < step.read_share)
        if step.pattern == "random":
            slot = int(self._rng.random() * self._slots)
        else:
            slot = self._next_slot
            self._next_slot = (slot + 1) % self._slots
        lba = slot * self._block_lbas
        journal.counts.submitted += 1
        number = journal.counts.submitted
        self._issued += 1
        self._under_way[number] = None
        if not self._busy:
            self._busy = True
            if journal.on_busy is not None:
                journal.on_busy(self.host)
        history, blocks = self._history, self._block_lbas
        operation = history.invoke(number, self.host, not read, lba, blocks)
        try:
            if read:
                self.disk.submit_read(lba, blocks, lambda result: self._ended_io(result, operation))
            else:
                data = stamped(number, lba, blocks, self.disk.block_size)
                self.disk.submit_write(lba, data, lambda result: self._ended_io(result, operation))
        except (DiskRemoved, QueueFull):
            del self._under_way[number]
            journal.counts.failed += 1
            history.end(operation, Ending.FAILED)
            self._rest()
            raise

    def _ended_io(self, result: IoResult, operation: Operation) -> None:
        if operation.number not in self._under_way:
            self._journal.twice.append(f"I/O {operation.number} of {self.step.name} ended more than once")
            return
        del self._under_way[operation.number]
        path = result.path
        data = result.data if result.ok and not operation.is_write else None
        via = "" if path is None else path.source
        self._history.end(operation, _ENDINGS[result.outcome], via, data)
        self._done(result, operation.begun_ns)

    def _done(self, result: IoResult, begun_ns: int) -> None:
        journal = self._journal
        path = result.path
        if result.ok:
            now_ns = journal.now_ns()
            journal.counts.ok += 1
            if not self._ended:
                self.ios += 1
                self.bytes += self.step.block_bytes
                self.latencies_ns.append(now_ns - begun_ns)
                if path is not None:
                    tally = self.paths.get(path.path_id)
                    if tally is None:
                        tally = self.paths[path.path_id] = PathTally(path)
                    tally.ios += 1
                    tally.bytes += self.step.block_bytes
            if journal.on_good is not None:
                journal.on_good(self.host)
        else:
            self._not_before_ns = journal.now_ns() + FAILED_PAUSE_NS
            journal.complain(f"{self.step.name}: {result.outcome.value}: {result.why}")
        if result.outcome is Outcome.UNKNOWN:
            journal.counts.unknown += 1
        elif result.outcome is Outcome.FAILED:
            journal.counts.failed += 1
        self._pump()
        self._rest()
        self._settle()

    def _rest(self) -> None:
        """Nothing is under way any more, and nothing was submitted at once."""
        if self._busy and not self._under_way:
            self._busy = False
            if self._journal.on_idle is not None:
                self._journal.on_idle(self.host)
