"""The logical units of one target, by LUN; and the answers for LUNs where there is none.

An EqualLogic volume is a target with LUN 0, but nothing here depends on it.

Source: SPC-4 6.6.1 (INQUIRY to an unsupported LUN), 6.33 (REPORT LUNS); SAM-5 5.11 (incorrect LUN selection).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.inquiry import NOT_SUPPORTED, StandardInquiry
from iscsi.lun import MAX_LUN
from iscsi.scsi import CDB_LENGTH, ScsiOpcode
from iscsi.sense import LOGICAL_UNIT_NOT_SUPPORTED, NOT_READY_STANDBY, REPORTED_LUNS_CHANGED, Sense
from target.command import CheckCondition, DataDirection, ScsiResult
from target.disk import Disk
from target.disk_description import report_luns
from target.lun import LogicalUnit
from target.nexus import Nexus
from target.ownership import Ownership
from target.port_groups import PortGroups

_REPORT_LUNS: Final = int(ScsiOpcode.REPORT_LUNS)


class LunMap:
    """LUN to LogicalUnit; with ``ownership`` they are served through one portal at a time.

    ``port_groups`` are those the units were made with.
    ValueError for a LUN outside 0 to 16383.
    """

    __slots__ = ("_adopt", "_numbers", "_ownership", "_units", "port_groups")

    def __init__(
        self,
        units: Mapping[int, LogicalUnit],
        ownership: Ownership | None = None,
        port_groups: PortGroups | None = None,
    ) -> None:
        self._units: dict[int, LogicalUnit] = {}
        self._ownership = ownership
        self.port_groups = port_groups
        if port_groups is not None:
            port_groups.tell = self._tell
        self._adopt: Callable[[LogicalUnit], None] | None = None
        self._numbers: tuple[int, ...] = ()
        for number, unit in units.items():
            self._put(number, unit)

    def adopt(self, adopt: Callable[[LogicalUnit], None]) -> None:
        """Have every unit, those to come too, introduced to the array it is part of."""
        self._adopt = adopt
        for unit in self.units():
            adopt(unit)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The LUNs in ascending order."""
        return self._numbers

    def get(self, lun: int) -> LogicalUnit | None:
        """The unit at ``lun``, None where there is none."""
        return self._units.get(lun)

    def units(self) -> tuple[LogicalUnit, ...]:
        """All units, by ascending LUN."""
        return tuple(self._units[number] for number in self._numbers)

    def add(self, number: int, unit: LogicalUnit) -> None:
        """A further unit; at the others every nexus is told REPORTED LUNS DATA HAS CHANGED. ValueError where one is."""
        self._put(number, unit)
        self._tell_change()

    def remove(self, number: int) -> LogicalUnit:
        """Take the unit at ``number`` away, which is told as in `add`; KeyError where there is none."""
        unit = self._units.pop(number)
        self._numbers = tuple(sorted(self._units))
        self._tell_change()
        return unit

    def _put(self, number: int, unit: LogicalUnit) -> None:
        if not 0 <= number <= MAX_LUN or number in self._units:
            raise ValueError(f"LUN {number} is outside 0 to {MAX_LUN}, or there is a unit")
        self._units[number] = unit
        if self._adopt is not None:
            self._adopt(unit)
        self._numbers = tuple(sorted(self._units))

    def _tell_change(self) -> None:
        self._tell(REPORTED_LUNS_CHANGED, None)

    def _tell(self, condition: Sense, but: Nexus | None) -> None:
        for unit in self.units():
            unit.disk.attentions.establish_for_all(condition, but=but)

    def open_to_reads(self, lun: int, nexus: Nexus) -> Disk | None:
        """The disk at ``lun`` when nothing stops a read of ``nexus`` there; as ``LogicalUnit.open_to_reads``."""
        unit = self._units.get(lun)
        return None if unit is None or self._ownership is not None else unit.open_to_reads(nexus)

    def open_to_writes(self, lun: int, nexus: Nexus) -> Disk | None:
        """The same for writes; as ``LogicalUnit.open_to_writes``."""
        unit = self._units.get(lun)
        return None if unit is None or self._ownership is not None else unit.open_to_writes(nexus)

    def execute(self, lun: int, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
        """Run a command at ``lun``, which need not exist; as ``LogicalUnit.execute``."""
        unit = self._units.get(lun)
        if cdb[0] == _REPORT_LUNS:
            return self._report_luns(cdb[:CDB_LENGTH].ljust(CDB_LENGTH, b"\0"), nexus)
        if unit is None:
            return self._without_unit(cdb[:CDB_LENGTH].ljust(CDB_LENGTH, b"\0"))
        if self._ownership is not None and self._ownership.refuses(cdb[0], nexus):
            return unit.check_condition(NOT_READY_STANDBY)
        return unit.execute(cdb, data_out, nexus)

    def transfer_length(self, lun: int, cdb: bytes) -> tuple[DataDirection, int] | None:
        """As ``LogicalUnit.transfer_length``; None where there is no unit."""
        unit = self._units.get(lun)
        return None if unit is None else unit.transfer_length(cdb)

    def check_condition(self, lun: int, condition: Sense) -> ScsiResult:
        """How a command ends that the transport itself refuses, in the sense format of the unit at ``lun``."""
        unit = self._units.get(lun)
        if unit is None:
            return ScsiResult(ScsiStatus.CHECK_CONDITION, b"", condition.fixed())
        return unit.check_condition(condition)

    def wants_exactly(self, lun: int, cdb: bytes) -> bool:
        """As ``LogicalUnit.wants_exactly``; False where there is no unit."""
        unit = self._units.get(lun)
        return unit is not None and unit.wants_exactly(cdb)

    def close(self) -> None:
        """Flush and release all stores."""
        for unit in self.units():
            unit.close()

    def _report_luns(self, cdb: bytes, nexus: Nexus) -> ScsiResult:
        """REPORT LUNS at any LUN; who has seen the list need not be told of its change any more (SPC-4 6.33)."""
        try:
            result = report_luns(cdb, self._numbers)
        except CheckCondition as end:
            return ScsiResult(ScsiStatus.CHECK_CONDITION, b"", end.sense.fixed())
        for unit in self.units():
            unit.disk.attentions.withdraw(nexus, REPORTED_LUNS_CHANGED)
        return result

    def _without_unit(self, cdb: bytes) -> ScsiResult:
        match cdb[0]:
            case ScsiOpcode.INQUIRY if not cdb[1] & 1 and not cdb[2]:
                data = StandardInquiry(vendor="", product="", revision="", peripheral=NOT_SUPPORTED).encode()
                return ScsiResult(ScsiStatus.GOOD, data[: int.from_bytes(cdb[3:5], "big")])
            case ScsiOpcode.REQUEST_SENSE:
                sense = LOGICAL_UNIT_NOT_SUPPORTED.encode(descriptor=bool(cdb[1] & 1))
                return ScsiResult(ScsiStatus.GOOD, sense[: cdb[4]])
            case _:
                return ScsiResult(ScsiStatus.CHECK_CONDITION, b"", LOGICAL_UNIT_NOT_SUPPORTED.fixed())
