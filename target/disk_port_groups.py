"""REPORT TARGET PORT GROUPS and SET TARGET PORT GROUPS: what a disk says of its ways, and lets a host ask for.

A host may ask for the primary states that serve or may soon serve; offline is a state of single ports that only the
operator gives, transitioning is none to ask for, and no state here depends on the LBA.

Source: SPC-4 6.37, 6.45; table 50 for what reservations make of them.
"""

from __future__ import annotations

from typing import Final

from iscsi.constants import ScsiStatus
from iscsi.port_groups import AccessState, parse_set_list
from iscsi.scsi import MaintenanceIn, MaintenanceOut
from iscsi.sense import (
    INVALID_FIELD_IN_PARAMETER_LIST,
    NOT_READY_TRANSITION,
    PARAMETER_LIST_LENGTH_ERROR,
    SET_TARGET_PORT_GROUPS_FAILED,
)
from target.command import (
    GOOD,
    Access,
    CheckCondition,
    Command,
    DataDirection,
    ScsiResult,
    bad_cdb_field,
    field_length,
)
from target.disk import Disk
from target.nexus import Nexus
from target.port_groups import PortGroups, TransitionFailed

_LENGTH_ONLY, _EXTENDED = 0, 1
"""PARAMETER DATA FORMAT."""

_MAY_BE_SET: Final = {
    int(state): state
    for state in (
        AccessState.ACTIVE_OPTIMIZED,
        AccessState.ACTIVE_NON_OPTIMIZED,
        AccessState.STANDBY,
        AccessState.UNAVAILABLE,
    )
}


def commands(port_groups: PortGroups | None) -> tuple[Command, ...]:
    """The rows of a disk with such groups: none without, and no SET where hosts change nothing."""
    if port_groups is None:
        return ()
    return (_REPORT, _SET) if port_groups.config.explicit else (_REPORT,)


def _groups(disk: Disk) -> PortGroups:
    assert disk.port_groups is not None, "the command is in the table of disks with port groups alone"
    return disk.port_groups


def _report(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    form = cdb[1] >> 5
    if form not in (_LENGTH_ONLY, _EXTENDED):
        raise bad_cdb_field(1, 7)
    data = _groups(disk).report(extended=form == _EXTENDED)
    return ScsiResult(ScsiStatus.GOOD, data[: int.from_bytes(cdb[6:10], "big")])


def _set(disk: Disk, cdb: bytes, data_out: bytes, nexus: Nexus) -> ScsiResult:
    groups, length = _groups(disk), int.from_bytes(cdb[6:10], "big")
    if not length:
        return GOOD
    if length % 4 or length == 4:
        raise bad_cdb_field(6)
    if len(data_out) < length:
        raise CheckCondition(PARAMETER_LIST_LENGTH_ERROR)
    wanted = _wanted(groups, data_out[:length])
    if groups.in_transition:
        raise CheckCondition(NOT_READY_TRANSITION)
    try:
        way = groups.set_by_host(wanted, nexus)
    except TransitionFailed:
        raise CheckCondition(SET_TARGET_PORT_GROUPS_FAILED) from None
    return GOOD if way is None else ScsiResult(ScsiStatus.GOOD, pending=way)


def _wanted(groups: PortGroups, parameters: bytes) -> dict[int, AccessState]:
    """The list as states by group. CheckCondition at a state that cannot be, and a group not there or named twice."""
    wanted: dict[int, AccessState] = {}
    for index, (number, code) in enumerate(parse_set_list(parameters)):
        at = 4 + 4 * index
        if code not in _MAY_BE_SET:
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(at, 3, in_cdb=False))
        if number not in groups or number in wanted:
            raise CheckCondition(INVALID_FIELD_IN_PARAMETER_LIST.at(at + 2, in_cdb=False))
        wanted[number] = _MAY_BE_SET[code]
    return wanted


_REPORT: Final = Command(
    "REPORT TARGET PORT GROUPS",
    "a3 ea 00 00 00 00 ff ff ff ff 00 00",
    Access.STATUS,
    _report,
    DataDirection.IN,
    field_length(6, 4),
    service_action=MaintenanceIn.REPORT_TARGET_PORT_GROUPS,
    needs_medium=False,
)
_SET: Final = Command(
    "SET TARGET PORT GROUPS",
    "a4 0a 00 00 00 00 ff ff ff ff 00 00",
    Access.WRITE,
    _set,
    DataDirection.OUT,
    field_length(6, 4),
    service_action=MaintenanceOut.SET_TARGET_PORT_GROUPS,
    needs_medium=False,
)
