"""What stands between the tasks of a session and its logical units while a fault is on that ends commands.

The first spoiler that ends a command, ends it; what none of them ends is executed. The healthy array has none of this
in the path of a command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from iscsi.constants import ScsiStatus
from iscsi.scsi import ScsiOpcode
from iscsi.sense import LOGICAL_UNIT_NOT_SUPPORTED, MEDIUM_READ_ERROR, MEDIUM_WRITE_ERROR, Sense
from target.array_fault import ArrayFault, FaultName, parse_sense
from target.block_commands import READS, WRITES, range_of
from target.command import DataDirection, ScsiResult
from target.disk import Disk
from target.lun import LogicalUnit
from target.nexus import Nexus

Meets = Callable[[ArrayFault], bool]
"""Whether a command meets a fault, which counts it."""


class Luns(Protocol):
    """The logical units of a target as its tasks need them; see `target.lun_map.LunMap`."""

    def get(self, lun: int) -> LogicalUnit | None:
        """The unit at ``lun``."""

    def open_to_reads(self, lun: int, nexus: Nexus) -> Disk | None:
        """The disk that reads of ``nexus`` at ``lun`` would be served by; None when anything might stop one."""

    def open_to_writes(self, lun: int, nexus: Nexus) -> Disk | None:
        """The same for writes that need not be flushed."""

    def execute(self, lun: int, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        """Run a command."""

    def transfer_length(self, lun: int, cdb: bytes) -> tuple[DataDirection, int] | None:
        """Which way and how many bytes the CDB itself moves."""

    def wants_exactly(self, lun: int, cdb: bytes) -> bool:
        """Whether the command takes all the data its CDB calls for or none."""

    def check_condition(self, lun: int, condition: Sense) -> ScsiResult:
        """How a command ends that is refused by this condition."""


class Spoiler(Protocol):
    """Ends some commands before they reach their logical unit."""

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        """How this command ends; None when it goes through."""


class SpoiledLuns:
    """Logical units behind spoilers: the first one that ends a command, ends it."""

    __slots__ = ("_luns", "_spoilers")

    def __init__(self, luns: Luns, spoilers: Sequence[Spoiler]) -> None:
        self._luns = luns
        self._spoilers = tuple(spoilers)

    def get(self, lun: int) -> LogicalUnit | None:
        """See `Luns.get`."""
        return self._luns.get(lun)

    def open_to_reads(self, lun: int, nexus: Nexus) -> None:
        """See `Luns.open_to_reads`: the spoilers have to look at each command."""

    def open_to_writes(self, lun: int, nexus: Nexus) -> None:
        """As `open_to_reads`."""

    def execute(self, lun: int, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        """See `Luns.execute`."""
        for spoiler in self._spoilers:
            end = spoiler.spoil(self._luns, lun, cdb)
            if end is not None:
                return end
        return self._luns.execute(lun, cdb, data_out, nexus)

    def transfer_length(self, lun: int, cdb: bytes) -> tuple[DataDirection, int] | None:
        """See `Luns.transfer_length`."""
        return self._luns.transfer_length(lun, cdb)

    def wants_exactly(self, lun: int, cdb: bytes) -> bool:
        """See `Luns.wants_exactly`."""
        return self._luns.wants_exactly(lun, cdb)

    def check_condition(self, lun: int, condition: Sense) -> ScsiResult:
        """See `Luns.check_condition`."""
        return self._luns.check_condition(lun, condition)


_ALWAYS_ANSWERED: Final = frozenset((ScsiOpcode.INQUIRY, ScsiOpcode.REPORT_LUNS, ScsiOpcode.REQUEST_SENSE))


@dataclass(frozen=True, slots=True)
class _WithStatus:
    """Every command ends with a status."""

    fault: ArrayFault
    meets: Meets

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        return ScsiResult(_STATUSES[self.fault.name])


_STATUSES: Final = {
    FaultName.BUSY: ScsiStatus.BUSY,
    FaultName.TASK_SET_FULL: ScsiStatus.TASK_SET_FULL,
    FaultName.RESERVATION_CONFLICT: ScsiStatus.RESERVATION_CONFLICT,
}


@dataclass(frozen=True, slots=True)
class _WithSense:
    """Commands end CHECK CONDITION, but for those that a unit answers in any state."""

    fault: ArrayFault
    meets: Meets

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        assert self.fault.sense is not None
        if cdb[0] in _ALWAYS_ANSWERED or not self.meets(self.fault):
            return None
        return luns.check_condition(lun, parse_sense(self.fault.sense))


@dataclass(frozen=True, slots=True)
class _BadBlocks:
    """Commands that touch one of the blocks fail; INFORMATION names the first of them (SPC-4 4.5.2)."""

    fault: ArrayFault
    meets: Meets

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        assert self.fault.lba is not None
        assert self.fault.blocks is not None
        commands, sense = _BAD_BLOCKS[self.fault.name]
        if lun or cdb[0] not in commands:
            return None
        first, count = range_of(cdb)
        bad = max(first, self.fault.lba)
        if bad >= min(first + count, self.fault.lba + self.fault.blocks):
            return None
        return luns.check_condition(lun, sense.with_information(bad))


_BAD_BLOCKS: Final = {
    FaultName.MEDIUM_ERROR: (READS, MEDIUM_READ_ERROR),
    FaultName.WRITE_ERROR: (WRITES, MEDIUM_WRITE_ERROR),
}


SPOILERS: Final[dict[FaultName, Callable[[ArrayFault, Meets], Spoiler]]] = {
    FaultName.BUSY: _WithStatus,
    FaultName.TASK_SET_FULL: _WithStatus,
    FaultName.RESERVATION_CONFLICT: _WithStatus,
    FaultName.CHECK_CONDITION: _WithSense,
    FaultName.MEDIUM_ERROR: _BadBlocks,
    FaultName.WRITE_ERROR: _BadBlocks,
}


# -- a defect of real firmware -----------------------------------------------------------------------------------------


class GoneAfterLogoutRequest:
    """EqualLogic firmware 7.x: between the logout request and the drop, commands end LOGICAL UNIT NOT SUPPORTED.

    5/25/00 makes Microsoft's DSM and dm-multipath fail over, and ESXi fail the I/O (docs/profiles.md). Bug 71409 was
    mended in 7.0.7, 73732 still there in 7.0.9 (FACTS C.3).
    """

    __slots__ = ()

    def spoil(self, luns: Luns, lun: int, cdb: bytes) -> ScsiResult | None:
        """See `Spoiler.spoil`."""
        return None if cdb[0] in _ALWAYS_ANSWERED else luns.check_condition(lun, LOGICAL_UNIT_NOT_SUPPORTED)
