"""RESERVE and RELEASE as commands on top of ``target.reservations``; they reserve the whole unit.

Source: SPC-2 7.21, 7.22.
"""

from __future__ import annotations

from typing import Final

from target.command import CONFLICT, GOOD, Access, Command, ScsiResult
from target.disk import Disk
from target.nexus import Nexus


def _reserve(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return GOOD if disk.reservations.reserve(nexus) else CONFLICT


def _release(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    return GOOD if disk.reservations.release(nexus) else CONFLICT


COMMANDS: Final[tuple[Command, ...]] = (
    Command("RESERVE(6)", "16 00 00 00 00 00", Access.RESERVE, _reserve, needs_medium=False),
    Command("RELEASE(6)", "17 00 00 00 00 00", Access.RESERVE, _release, needs_medium=False),
    Command("RESERVE(10)", "56 00 00 00 00 00 00 00 00 00", Access.RESERVE, _reserve, needs_medium=False),
    Command("RELEASE(10)", "57 00 00 00 00 00 00 00 00 00", Access.RESERVE, _release, needs_medium=False),
)
