"""What a disk promises to survive, checked: disks live, lose power or their process, and are read back.

A block holds the stamp of one write and nothing else. After a loss it holds what was written to it last before the
latest flush that was answered, or anything written to it since. `live` runs a `Life` and raises `Broken` when that is
not so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from iscsi import scsi
from iscsi.constants import ScsiStatus
from target.command import ScsiResult
from target.file_store import FileStore
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.snapshot_store import Head, SnapshotStore
from target.store import BlockStore
from tests.support.power import Background, PoweredFile, PowerLost, picks

NEXUS = Nexus("iqn.host,i,0x1", "iqn.array,t,0x0001", 1, 1)
VOLUME_BYTES = 5 * 4096
BASE_GENERATION = 0xFFFF


class Broken(AssertionError):
    """A promise was broken."""


class Do(Enum):
    """What happens to a living disk."""

    WRITE = "write"
    WRITE_FUA = "write with FUA"
    DISCARD = "UNMAP"
    SYNCHRONIZE = "SYNCHRONIZE CACHE"
    GO_ON = "a flush under way goes on by one operation"
    FAIL = "the next sync of the medium fails"


class Event(NamedTuple):
    """``first`` and ``count`` are blocks, taken modulo what the volume has."""

    what: Do
    first: int = 0
    count: int = 1


class Ending(Enum):
    """How a life ends."""

    POWER = "the power goes: what was not synced may be lost, sector by sector"
    KILL = "the process is killed: what it has written is in the page cache still"
    CLOSE = "the store is closed"


@dataclass(frozen=True)
class Life:
    """One life of a disk. ``operations``: how many the medium does before the power goes early (None: it does not).

    After a sync that failed the power goes in any case: what such a page cache holds is nobody's promise.
    """

    events: Sequence[Event] = ()
    ending: Ending = Ending.POWER
    operations: int | None = None
    choices: Sequence[int] = ()
    """Which content each sector in doubt is left with."""


@dataclass(frozen=True)
class Plan:
    """A disk and its lives."""

    snapshot: bool = False
    block_bytes: int = 512
    sector_bytes: int = 512
    offload: bool = True
    write_cache: bool = True
    lives: Sequence[Life] = field(default_factory=tuple)


@dataclass(slots=True)
class BlockHistory:
    """What a block may hold: one of ``values``, the oldest first; ``forgotten`` came before those."""

    values: list[bytes]
    forgotten: int = 0

    @property
    def newest(self) -> int:
        """The number of its newest value, counted from the beginning; equal values have numbers of their own."""
        return self.forgotten + len(self.values) - 1

    def keep_from(self, number: int) -> None:
        """It can hold nothing older than this value any more."""
        if number > self.forgotten:
            del self.values[: number - self.forgotten]
            self.forgotten = number


def stamp(block: int, generation: int, length: int) -> bytes:
    """The content of a block: number and generation, over and over."""
    return (block.to_bytes(4, "big") + generation.to_bytes(4, "big")) * (length // 8)


class Lives:
    """A disk through its lives, and what it has promised so far."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._size = plan.block_bytes
        self._blocks = VOLUME_BYTES // plan.block_bytes
        self._generation = 0
        content = b"".join(stamp(number, BASE_GENERATION, self._size) for number in range(self._blocks))
        self._base = PoweredFile(VOLUME_BYTES, plan.sector_bytes, content)
        self._head = Head(VOLUME_BYTES, 0)
        if plan.snapshot:
            self._file = PoweredFile(self._head.file_bytes, plan.sector_bytes, self._head.encode())
        else:
            self._file = PoweredFile(VOLUME_BYTES, plan.sector_bytes, content)
        self._allowed = [BlockHistory([content[at : at + self._size]]) for at in range(0, VOLUME_BYTES, self._size)]

    def run(self) -> None:
        """All lives; raises Broken."""
        for life in self._plan.lives:
            self._live(life)

    def _open(self) -> tuple[LogicalUnit, Background]:
        background = Background(self._file)
        offload = background if self._plan.offload else None
        store: BlockStore
        if self._plan.snapshot:
            store = SnapshotStore(self._base, self._file, self._head, offload)
        else:
            store = FileStore(self._file, offload)
        unit = LogicalUnit.over(store, volume_identity("g", "v"), block_size=self._size)
        unit.execute(scsi.test_unit_ready(), b"", NEXUS)
        unit.disk.write_through = not self._plan.write_cache
        return unit, background

    def _live(self, life: Life) -> None:
        unit, background = self._open()
        self._file.operations_left = life.operations
        try:
            for event in life.events:
                self._happen(unit, background, event)
                self._read_all(unit, "before the end", [block.values[-1:] for block in self._allowed])
            if life.ending is Ending.CLOSE:
                self._promised(unit.close)
        except PowerLost:
            self._lose_power(life)
        else:
            if life.ending is Ending.POWER or self._file.has_failed:
                self._lose_power(life)
        self._file.operations_left = None
        self._file.sync_fails = False
        unit, _ = self._open()
        found = self._read_all(unit, f"after {life.ending.value}", [block.values for block in self._allowed])
        for block, value in zip(self._allowed, found, strict=True):
            block.values.append(value)
            if life.ending is not Ending.KILL:  # then it is not stable yet: the next loss may bring another to light
                block.keep_from(block.newest)

    def _lose_power(self, life: Life) -> None:
        self._file = self._file.after_power_loss(picks(life.choices))

    def _happen(self, unit: LogicalUnit, background: Background, event: Event) -> None:
        first = event.first % self._blocks
        count = min(1 + event.count % self._blocks, self._blocks - first)
        match event.what:
            case Do.WRITE | Do.WRITE_FUA:
                self._generation += 1
                values = [stamp(number, self._generation, self._size) for number in range(first, first + count)]
                self._note(first, values)
                fua = event.what is Do.WRITE_FUA
                self._command(unit, scsi.write(first, count, fua=fua), b"".join(values), fua)
            case Do.DISCARD:
                self._note(first, [bytes(self._size)] * count)
                cdb = scsi.write_same(first, count, width=16, unmap=True)
                self._command(unit, cdb, bytes(self._size), False)
            case Do.SYNCHRONIZE:
                self._command(unit, scsi.synchronize_cache(), b"", True)
            case Do.GO_ON:
                background.step()
            case Do.FAIL:
                self._file.sync_fails = True

    def _note(self, first: int, values: list[bytes]) -> None:
        """Whatever comes of the write, its blocks may hold its values from now on."""
        for block, value in zip(self._allowed[first:], values, strict=False):
            block.values.append(value)

    def _command(self, unit: LogicalUnit, cdb: bytes, data: bytes, stable: bool) -> None:
        """Run it; when it is answered well and asked for stable data, hold the disk to it."""
        hold = self._holder()
        result = unit.execute(cdb, data, NEXUS)
        stable |= unit.disk.write_through
        if result.pending is not None:
            result.pending.on_done(lambda error: hold() if error is None else None)
        elif stable and _good(result):
            hold()

    def _holder(self) -> Callable[[], None]:
        """From when it is called on, blocks hold nothing older than they do now."""
        now = [(block, block.newest) for block in self._allowed]

        def hold() -> None:
            for block, newest in now:
                block.keep_from(newest)

        return hold

    def _promised(self, close: Callable[[], None]) -> None:
        hold = self._holder()
        try:
            close()
        except OSError:
            return
        hold()

    def _read_all(self, unit: LogicalUnit, when: str, allowed: list[list[bytes]]) -> list[bytes]:
        data = bytes(unit.execute(scsi.read(0, self._blocks), b"", NEXUS).data)
        found = [data[at : at + self._size] for at in range(0, VOLUME_BYTES, self._size)]
        for number, (value, values) in enumerate(zip(found, allowed, strict=True)):
            if value not in values:
                options = ", ".join(map(words, values))
                raise Broken(f"{when} block {number} holds {words(value)}; allowed: {options}")
        return found


def _good(result: ScsiResult) -> bool:
    return result.status == ScsiStatus.GOOD


def words(value: bytes) -> str:
    """What a block holds."""
    head = value[:8]
    if head * (len(value) // 8) != value:
        return "a torn mixture"
    return "zeros" if not any(head) else f"write {head[4:].hex()} of block {int.from_bytes(head[:4], 'big')}"


def check(plan: Plan) -> None:
    """Run a disk through its lives; raises Broken."""
    Lives(plan).run()
