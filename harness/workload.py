"""A workload: a closed loop of reads and writes that keeps a queue depth, and what it measured.

Each completion submits the next I/O from its own callback, so nothing but the disk is on the way. A phase counts what
completed between its start and its end; I/Os still open at the end drain afterwards and belong to the run, not to
the phase.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from harness.check.history import History, Operation
from harness.issuing import Issuer, Journal
from harness.steps import Workload
from initiator_model.disk import DiskRemoved, IoResult, MpioDisk, QueueFull
from initiator_model.paths import Path
from sim.rng import Stream

FAILED_PAUSE_NS = 1_000_000
"""After an I/O that failed the next one waits so long: a disk that refuses at once would be asked for ever at one
instant of virtual time."""


@dataclass(slots=True)
class PathTally:
    """What one path carried during a phase."""

    path: Path
    ios: int = 0
    bytes: int = 0


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
        self._issuer = Issuer(step.name, host, disk, history, journal)
        self._under_way = self._issuer.under_way
        self._journal = journal
        self._rng = rng
        self._loop = loop
        self._block_lbas = step.block_bytes // disk.block_size
        self._slots = max(1, min(step.region_bytes or disk.blocks * disk.block_size, disk.blocks * disk.block_size))
        self._slots //= step.block_bytes
        self._next_slot = 0
        self._issued = 0
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
            except (DiskRemoved, QueueFull):
                self.stop()
        self._pumping = False

    def _on_pace(self) -> None:
        self._timer = None
        self._pump()

    def _submit(self) -> None:
        step = self.step
        read = step.op == "read" or (step.op == "mixed" and self._rng.random() < step.read_share)
        if step.pattern == "random":
            slot = int(self._rng.random() * self._slots)
        else:
            slot = self._next_slot
            self._next_slot = (slot + 1) % self._slots
        self._issued += 1
        self._issuer.issue(not read, slot * self._block_lbas, self._block_lbas, self._done)

    def _done(self, result: IoResult, operation: Operation) -> None:
        path = result.path
        if not result.ok:
            self._not_before_ns = self._journal.now_ns() + FAILED_PAUSE_NS
        elif not self._ended:
            self.ios += 1
            self.bytes += self.step.block_bytes
            self.latencies_ns.append(self._journal.now_ns() - operation.begun_ns)
            if path is not None:
                tally = self.paths.get(path.path_id)
                if tally is None:
                    tally = self.paths[path.path_id] = PathTally(path)
                tally.ios += 1
                tally.bytes += self.step.block_bytes
        self._pump()
        self._issuer.rest()
        self._settle()
