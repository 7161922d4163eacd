"""Which commands each asymmetric access state permits, as tables: what is not permitted ends NOT READY.

SPC-4 names the commands that a device server shall support in a state, and lets it support others. One more is needed
in standby: without the capacity a host cannot put the disk together from its paths. REPORT SUPPORTED OPERATION CODES
and its like ask nothing of the medium either.

Commands do not reach a port that is offline in the standard's sense; one whose interface is there but whose group is
offline serves what a host needs to find that out.

Source: SPC-4 5.15.2.4.4 (standby), 5.15.2.4.5 (unavailable), 5.15.2.5 (transitioning); SPC-4 4.5.6 for the
additional sense codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from iscsi.port_groups import AccessState
from iscsi.scsi import MaintenanceIn, MaintenanceOut, ScsiOpcode, ServiceActionIn
from iscsi.sense import NOT_READY_OFFLINE, NOT_READY_STANDBY, NOT_READY_TRANSITION, NOT_READY_UNAVAILABLE, Sense
from target.command import Command

REFUSALS: Final[Mapping[AccessState, Sense]] = {
    AccessState.STANDBY: NOT_READY_STANDBY,
    AccessState.UNAVAILABLE: NOT_READY_UNAVAILABLE,
    AccessState.OFFLINE: NOT_READY_OFFLINE,
    AccessState.TRANSITIONING: NOT_READY_TRANSITION,
}
"""How a command ends that the state does not permit; states that are not here permit every command."""

_Permitted = frozenset[int | tuple[int, int]]
"""Operation codes, and (operation code, service action) where only one of several is meant."""

_ALWAYS: Final[_Permitted] = frozenset(
    (
        ScsiOpcode.INQUIRY,
        ScsiOpcode.REPORT_LUNS,
        ScsiOpcode.REQUEST_SENSE,
        (ScsiOpcode.MAINTENANCE_IN, MaintenanceIn.REPORT_TARGET_PORT_GROUPS),
    )
)
_UNAVAILABLE: Final[_Permitted] = _ALWAYS | {(ScsiOpcode.MAINTENANCE_OUT, MaintenanceOut.SET_TARGET_PORT_GROUPS)}
_STANDBY: Final[_Permitted] = _UNAVAILABLE | {
    ScsiOpcode.MODE_SELECT_6,
    ScsiOpcode.MODE_SELECT_10,
    ScsiOpcode.MODE_SENSE_6,
    ScsiOpcode.MODE_SENSE_10,
    ScsiOpcode.RECEIVE_DIAGNOSTIC_RESULTS,
    ScsiOpcode.SEND_DIAGNOSTIC,
    ScsiOpcode.PERSISTENT_RESERVE_IN,
    ScsiOpcode.PERSISTENT_RESERVE_OUT,
    ScsiOpcode.READ_CAPACITY_10,
    (ScsiOpcode.SERVICE_ACTION_IN_16, ServiceActionIn.READ_CAPACITY_16),
    (ScsiOpcode.MAINTENANCE_IN, MaintenanceIn.REPORT_SUPPORTED_OPERATION_CODES),
    (ScsiOpcode.MAINTENANCE_IN, MaintenanceIn.REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS),
}

_PERMITTED: Final[Mapping[AccessState, _Permitted]] = {
    AccessState.STANDBY: _STANDBY,
    AccessState.UNAVAILABLE: _UNAVAILABLE,
    AccessState.OFFLINE: _ALWAYS,
    AccessState.TRANSITIONING: _ALWAYS,
}


def permits(state: AccessState, command: Command) -> bool:
    """Whether a command that came in through a group in this state is served."""
    permitted = _PERMITTED.get(state)
    if permitted is None or command.opcode in permitted:
        return True
    return command.service_action is not None and (command.opcode, command.service_action) in permitted
