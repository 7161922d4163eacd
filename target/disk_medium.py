"""The medium in the drive: TEST UNIT READY, START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL.

A removable medium can be ejected and loaded again, unless a nexus has prevented it. Without it, every command that
wants the medium ends MEDIUM NOT PRESENT; the other nexuses hear of a load by MEDIUM MAY HAVE CHANGED.

A volume of an array has no motor: starting, stopping and power conditions are accepted and change nothing, because one
host must not make the disk unready for all others. Stopping still flushes, as SBC-3 5.25 wants, unless NO_FLUSH is set.

Source: SBC-3 5.10 (PREVENT ALLOW MEDIUM REMOVAL), 5.25 (START STOP UNIT), table 13 (reservations).
"""

from __future__ import annotations

from typing import Final

from iscsi.sense import MEDIUM_MAY_HAVE_CHANGED, MEDIUM_NOT_PRESENT, MEDIUM_REMOVAL_PREVENTED
from target.command import GOOD, Access, CheckCondition, Command, ScsiResult, bad_cdb_field
from target.disk import Disk
from target.nexus import Nexus

_POWER_CONDITION: Final = 0xF0
_NO_FLUSH: Final = 0x04
_LOAD_OR_EJECT: Final = 0x02
_START: Final = 0x01
_PREVENT: Final = 0x01


def _test_unit_ready(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    """Dispatch has already refused it when the disk is not ready."""
    return GOOD


def _start_stop_unit(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    flags = cdb[4]
    if flags & _POWER_CONDITION:  # START and LOEJ are then ignored
        return GOOD
    if flags & _LOAD_OR_EJECT:
        if not disk.removable:
            raise bad_cdb_field(4, 1)
        if disk.prevention:
            raise CheckCondition(MEDIUM_REMOVAL_PREVENTED)
    if flags & _LOAD_OR_EJECT:
        if flags & _START:
            _load(disk, nexus)
        else:
            disk.not_ready = MEDIUM_NOT_PRESENT
    return GOOD if flags & (_START | _NO_FLUSH) else disk.flushed()


def _load(disk: Disk, nexus: Nexus) -> None:
    if disk.not_ready is MEDIUM_NOT_PRESENT:
        disk.not_ready = None
        disk.attentions.establish_for_all(MEDIUM_MAY_HAVE_CHANGED, but=nexus)


def _starts(cdb: bytes) -> bool:
    """Starting is allowed beside any reservation; stopping, ejecting and power conditions are not."""
    return bool(cdb[4] & _START) and not cdb[4] & _POWER_CONDITION


def _prevent_allow(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    """Removal is prevented as long as one nexus prevents it; a medium that is not removable stays without asking."""
    if not cdb[4] & _PREVENT:
        disk.prevention.pop(nexus, None)
        return disk.flushed()
    if disk.removable:
        disk.prevention[nexus] = None
    return GOOD


def _allows(cdb: bytes) -> bool:
    return not cdb[4] & _PREVENT


COMMANDS: Final[tuple[Command, ...]] = (
    Command("TEST UNIT READY", "00 00 00 00 00 00", Access.STATUS, _test_unit_ready),
    Command(
        "START STOP UNIT",
        "1b 01 00 0f f7 00",
        Access.WRITE,
        _start_stop_unit,
        needs_medium=False,
        spared=_starts,
    ),
    Command(
        "PREVENT ALLOW MEDIUM REMOVAL",
        "1e 00 00 00 01 00",
        Access.WRITE,
        _prevent_allow,
        needs_medium=False,
        spared=_allows,
    ),
)
