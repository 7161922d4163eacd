"""Logical I/Os on their way: issued under a number of their own, booked once when they end.

Workloads and single I/Os of a scenario issue through here, so that the history, the counts and what hosts tell of their
I/O are the same whoever asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from harness.check.conservation import Conservation
from harness.check.history import Ending, History, Operation
from initiator_model.disk import DiskRemoved, IoResult, MpioDisk, Outcome, QueueFull

__all__ = ["Counts", "Issuer", "Journal"]

MAX_COMPLAINTS = 5
_OK, _ENDED_WELL = Outcome.OK, Ending.OK  # an enum's attribute is slow to look up, and its hash slow to make
_ENDINGS = {Outcome.OK: Ending.OK, Outcome.FAILED: Ending.FAILED, Outcome.UNKNOWN: Ending.UNKNOWN}


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
    conservation: Conservation
    counts: Counts = field(default_factory=Counts)
    refused: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Why I/Os failed: the first `MAX_COMPLAINTS` reasons."""
    twice: list[str] = field(default_factory=list)
    """Completions of I/Os that had ended before: the first few, as of those that were refused."""
    on_unknown_write: Callable[[], None] | None = None
    """Nobody knows whether a write happened."""
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


class Issuer:
    """Issues I/Os of ``name`` at one host's disk. ``under_way`` holds the numbers of those that have not come back."""

    def __init__(self, name: str, host: str, disk: MpioDisk, history: History, journal: Journal) -> None:
        self.under_way: dict[int, None] = {}
        self._name = name
        self._host = host
        self._disk = disk
        self._history = history
        self._journal = journal
        self._busy = False

    def issue(self, is_write: bool, lba: int, blocks: int, ended: Callable[[IoResult, Operation], None]) -> None:
        """Hand one I/O to the disk; ``ended`` is called once, when it has come back and is booked.

        Raises DiskRemoved or QueueFull when the disk does not take it; it is booked as failed then.
        """
        journal, disk = self._journal, self._disk
        journal.counts.submitted += 1
        number = journal.counts.submitted
        self.under_way[number] = None
        if not self._busy:
            self._busy = True
            if journal.on_busy is not None:
                journal.on_busy(self._host)
        operation = self._history.invoke(number, self._host, is_write, lba, blocks)
        try:
            if is_write:
                data = self._history.data_of(operation)
                disk.submit_write(lba, data, partial(self._came_back, operation, ended))
            else:
                disk.submit_read(lba, blocks, partial(self._came_back, operation, ended))
        except (DiskRemoved, QueueFull) as error:
            del self.under_way[number]
            journal.counts.failed += 1
            if len(journal.refused) < MAX_COMPLAINTS:
                journal.refused.append(f"{self._name}: {error}")
            self._history.end(operation, Ending.FAILED)
            self.rest()
            raise

    def rest(self) -> None:
        """To be called when nothing more is issued at once: if nothing is under way, the host is told to be idle."""
        if self._busy and not self.under_way:
            self._busy = False
            if self._journal.on_idle is not None:
                self._journal.on_idle(self._host)

    def _came_back(self, operation: Operation, ended: Callable[[IoResult, Operation], None], result: IoResult) -> None:
        journal = self._journal
        if operation.number not in self.under_way:
            if len(journal.twice) < MAX_COMPLAINTS:
                journal.twice.append(f"I/O {operation.number} of {self._name} ended more than once")
            return
        del self.under_way[operation.number]
        path = result.path
        good = result.outcome is _OK
        data = result.data if good and not operation.is_write else None
        asked, came = (0, 0) if data is None else (operation.blocks * self._history.block_size, len(data))
        journal.conservation.ended(operation.number, asked, came, result.attempts)
        ending = _ENDED_WELL if good else _ENDINGS[result.outcome]
        self._history.end(operation, ending, "" if path is None else path.source, data)
        if good:
            journal.counts.ok += 1
            if journal.on_good is not None:
                journal.on_good(self._host)
        else:
            journal.complain(f"{self._name}: {result.outcome.value}: {result.why}")
            if result.outcome is Outcome.UNKNOWN:
                journal.counts.unknown += 1
                if operation.is_write and journal.on_unknown_write is not None:
                    journal.on_unknown_write()
            else:
                journal.counts.failed += 1
        ended(result, operation)
