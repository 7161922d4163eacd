"""The history of a run: every logical I/O, above the DSM, with when it was invoked and when and how it ended.

An I/O is invoked, then it ends ok, failed or unknown, or it never ends (`Ending`). What came before what is counted in
ticks of one clock that all volumes and observers share, not in time: a closed loop begins its next write in the same
nanosecond in which the last one ended, and those two are in order all the same. The virtual time stands beside it for
people.

Retries, copies and paths are below: one logical write that went down three paths is one operation here. That makes a
write that takes effect again later a plain violation of what a register may do (`registers`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from harness.sectors import RecentWrites, Run

__all__ = ["Ending", "History", "Operation", "Ticks"]


class Ending(Enum):
    """How an I/O ended; values are the words of results."""

    OPEN = "open"
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Ticks:
    """Counts what happens in a run, in order."""

    __slots__ = ("now", "now_ns")

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.now = 0
        self.now_ns = now_ns

    def next(self) -> int:
        """One more thing happens: its number."""
        self.now = now = self.now + 1
        return now


class Operation:
    """One logical I/O. ``number`` is unique in the run; ``seen`` is what an ok read returned.

    ``begun`` and ``ended`` are ticks, ``begun_ns`` and ``ended_ns`` virtual times; ``via`` is the path that answered.
    """

    __slots__ = (
        "begun",
        "begun_ns",
        "blocks",
        "ended",
        "ended_ns",
        "ending",
        "host",
        "is_write",
        "lba",
        "number",
        "seen",
        "via",
    )

    def __init__(
        self, number: int, host: str, is_write: bool, lba: int, blocks: int, begun: int, begun_ns: int
    ) -> None:
        self.number = number
        self.host = host
        self.is_write = is_write
        self.lba = lba
        self.blocks = blocks
        self.begun = begun
        self.begun_ns = begun_ns
        self.ended: int | None = None
        self.ended_ns: int | None = None
        self.ending = Ending.OPEN
        self.via = ""
        self.seen: tuple[Run, ...] = ()

    def __repr__(self) -> str:
        kind = "write" if self.is_write else "read"
        return f"<{kind} {self.number} of {self.blocks} at {self.lba}: {self.ending.value}>"

    @property
    def acknowledged(self) -> int | None:
        """The tick at which a write was acknowledged; None when it never was."""
        return self.ended if self.ending is Ending.OK else None


class History:
    """The I/Os of one volume with blocks of ``block_size`` bytes."""

    def __init__(self, ticks: Ticks, block_size: int) -> None:
        self.block_size = block_size
        self.operations: list[Operation] = []
        self.on_overlap: Callable[[], None] | None = None
        """Told once when an I/O meets another one under way at a block that one of them writes."""
        self._ticks = ticks
        self._open_reads: dict[int, Operation] = {}
        self._open_writes: dict[int, Operation] = {}
        self._recent = RecentWrites(block_size)

    def invoke(self, number: int, host: str, is_write: bool, lba: int, blocks: int) -> Operation:
        """An I/O is handed to the disk."""
        ticks = self._ticks
        ticks.now = now = ticks.now + 1
        operation = Operation(number, host, is_write, lba, blocks, now, ticks.now_ns())
        self.operations.append(operation)
        if self.on_overlap is not None:
            if is_write:
                self._look_for_overlap(operation, self._open_reads)
            if self._open_writes:
                self._look_for_overlap(operation, self._open_writes)
            (self._open_writes if is_write else self._open_reads)[number] = operation
        return operation

    def _look_for_overlap(self, new: Operation, among: dict[int, Operation]) -> None:
        first, end = new.lba, new.lba + new.blocks
        for one in among.values():
            if one.lba < end and first < one.lba + one.blocks and self.on_overlap is not None:
                self.on_overlap()
                self.on_overlap = None

    def data_of(self, operation: Operation) -> bytes:
        """What a write puts into its blocks."""
        return self._recent.stamped(operation.number, operation.lba, operation.blocks)

    def end(self, operation: Operation, ending: Ending, via: str = "", data: bytes | None = None) -> None:
        """It has come back; ``data`` is what an ok read returned."""
        if self.on_overlap is not None:
            (self._open_writes if operation.is_write else self._open_reads).pop(operation.number, None)
        ticks = self._ticks
        ticks.now = operation.ended = ticks.now + 1
        operation.ended_ns = ticks.now_ns()
        operation.ending = ending
        operation.via = via
        if data is not None:
            operation.seen = self._recent.runs_of(data, operation.lba)

    @property
    def written(self) -> list[tuple[int, int]]:
        """Every block some write was begun on, as (first, count) in ascending order."""
        reach: list[tuple[int, int]] = []
        spans = sorted((one.lba, one.lba + one.blocks) for one in self.operations if one.is_write)
        for first, end in spans:
            if reach and first <= reach[-1][1]:
                reach[-1] = (reach[-1][0], max(end, reach[-1][1]))
            else:
                reach.append((first, end))
        return [(first, end - first) for first, end in reach]
