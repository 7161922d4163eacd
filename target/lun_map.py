"""The logical units of one target, by LUN; and the answers for LUNs where there is none.

An EqualLogic volume is a target with LUN 0, but nothing here depends on it.

Source: SPC-4 6.6.1 (INQUIRY to an unsupported LUN), 6.33 (REPORT LUNS); SAM-5 5.11 (incorrect LUN selection).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.inquiry import NOT_SUPPORTED, StandardInquiry
from iscsi.scsi import CDB_LENGTH, ScsiOpcode
from iscsi.sense import DEVICE_RESET, LOGICAL_UNIT_NOT_SUPPORTED, Sense
from target.command import CheckCondition, DataDirection, ScsiResult
from target.disk_description import report_luns
from target.lun import LogicalUnit
from target.nexus import Nexus

_OUT: Final = DataDirection.OUT
MAX_LUN: Final = 0x3FFF
"""The highest LUN that flat space addressing can name (SAM-5 4.7.7.3)."""


class LunMap:
    """LUN to LogicalUnit, fixed when made. ValueError for a LUN outside 0 to 16383."""

    __slots__ = ("_numbers", "_units")

    def __init__(self, units: Mapping[int, LogicalUnit]) -> None:
        self._units = dict(units)
        self._numbers = tuple(sorted(self._units))
        for number in self._numbers:
            if not 0 <= number <= MAX_LUN:
                raise ValueError(f"LUN {number} is outside 0 to {MAX_LUN}")

    def numbers(self) -> tuple[int, ...]:
        """The LUNs in ascending order."""
        return self._numbers

    def exists(self, lun: int) -> bool:
        """Whether there is a unit at ``lun``."""
        return lun in self._units

    def get(self, lun: int) -> LogicalUnit | None:
        """The unit at ``lun``, None where there is none."""
        return self._units.get(lun)

    def units(self) -> tuple[LogicalUnit, ...]:
        """All units, by ascending LUN."""
        return tuple(self._units[number] for number in self._numbers)

    def execute(self, lun: int, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        """Run a command at ``lun``, which need not exist; as ``LogicalUnit.execute``."""
        unit = self._units.get(lun)
        if unit is None or cdb[0] == ScsiOpcode.REPORT_LUNS:
            return self._without_unit(cdb[:CDB_LENGTH].ljust(CDB_LENGTH, b"\0"))
        return unit.execute(cdb, data_out, nexus)

    def transfer_length(self, lun: int, cdb: bytes) -> int:
        """Bytes of data-out the CDB itself takes; 0 for a read, for an unknown command and where there is no unit."""
        unit = self._units.get(lun)
        moves = None if unit is None else unit.transfer_length(cdb)
        return moves[1] if moves is not None and moves[0] is _OUT else 0

    def nexus_established(self, nexus: Nexus) -> None:
        """A session is there: see ``LogicalUnit.nexus_established``."""
        for unit in self._units.values():
            unit.nexus_established(nexus)

    def nexus_lost(self, nexus: Nexus) -> None:
        """A session is gone: see ``LogicalUnit.nexus_lost``."""
        for unit in self._units.values():
            unit.nexus_lost(nexus)

    def tasks_cleared(self, lun: int, nexus: Nexus) -> None:
        """Tasks of ``nexus`` at ``lun`` were cleared by another nexus."""
        self._units[lun].tasks_cleared(nexus)

    def tasks_terminated(self, lun: int, nexus: Nexus) -> None:
        """Tasks of ``nexus`` at ``lun`` ended without a response: see ``LogicalUnit.tasks_terminated``."""
        self._units[lun].tasks_terminated(nexus)

    def reset(self, lun: int, issuer: Nexus | None = None, cause: Sense = DEVICE_RESET) -> None:
        """A reset of the unit at ``lun``: see ``LogicalUnit.reset``."""
        self._units[lun].reset(issuer, cause)

    def close(self) -> None:
        """Flush and release all stores."""
        for unit in self.units():
            unit.close()

    def _without_unit(self, cdb: bytes) -> ScsiResult:
        match cdb[0]:
            case ScsiOpcode.REPORT_LUNS:
                try:
                    return report_luns(cdb, self._numbers)
                except CheckCondition as end:
                    return ScsiResult(ScsiStatus.CHECK_CONDITION, b"", end.sense.fixed())
            case ScsiOpcode.INQUIRY if not cdb[1] & 1 and not cdb[2]:
                data = StandardInquiry(vendor="", product="", revision="", peripheral=NOT_SUPPORTED).encode()
                return ScsiResult(ScsiStatus.GOOD, data[: int.from_bytes(cdb[3:5], "big")])
            case ScsiOpcode.REQUEST_SENSE:
                sense = LOGICAL_UNIT_NOT_SUPPORTED.encode(descriptor=bool(cdb[1] & 1))
                return ScsiResult(ScsiStatus.GOOD, sense[: cdb[4]])
            case _:
                return ScsiResult(ScsiStatus.CHECK_CONDITION, b"", LOGICAL_UNIT_NOT_SUPPORTED.fixed())
