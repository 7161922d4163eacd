"""Task management functions, and what each is answered (RFC 7143 11.5, 11.6; SAM-5 7).

TASK REASSIGN, which is no SCSI function, is in `target.reassignment`.
"""

from __future__ import annotations

from iscsi.constants import TmfFunction, TmfResult
from iscsi.lun import decode_lun
from iscsi.pdu import TmfRequest
from iscsi.sense import BUS_RESET, COMMANDS_CLEARED_BY_ANOTHER_INITIATOR, DEVICE_RESET, POWER_ON, Sense
from iscsi.serial import lt
from target.group import Group, Volume
from target.lun import LogicalUnit
from target.session import Carrier, Session


def manage(group: Group, session: Session, connection: Carrier, request: TmfRequest) -> TmfResult:
    """Carry out one request that came in on ``connection``; return its response code.

    When it returns, no covered task will be answered any more.
    """
    volume = group.volume(session.identity.target_name or "")
    assert volume is not None, "a normal session has a volume"
    lun = decode_lun(request.lun)
    function = request.function
    if function in _NEEDS_LUN and volume.luns.get(lun) is None:
        return TmfResult.LUN_DOES_NOT_EXIST
    if function == TmfFunction.ABORT_TASK:
        return _abort_task(session, connection, request)
    if function == TmfFunction.ABORT_TASK_SET:
        session.abort_tasks(lun, by=session)
        return TmfResult.FUNCTION_COMPLETE
    if function == TmfFunction.CLEAR_TASK_SET:
        for other in _sessions_of(group, session):
            if other.abort_tasks(lun, by=session) and other is not session:
                _unit(volume, lun).disk.attentions.establish(other.nexus, COMMANDS_CLEARED_BY_ANOTHER_INITIATOR)
        return TmfResult.FUNCTION_COMPLETE
    if function == TmfFunction.LOGICAL_UNIT_RESET:
        _reset(group, session, volume, lun, DEVICE_RESET)
        return TmfResult.FUNCTION_COMPLETE
    if function in (TmfFunction.TARGET_WARM_RESET, TmfFunction.TARGET_COLD_RESET):
        cause = BUS_RESET if function == TmfFunction.TARGET_WARM_RESET else POWER_ON
        for number in volume.luns.numbers:
            _reset(group, session, volume, number, cause)
        if function == TmfFunction.TARGET_COLD_RESET:
            # As a power cycle: every session of the target ends (11.5.1), this one by its owner after the response.
            for other in _sessions_of(group, session):
                group.end(other)
                if other is not session:
                    other.abandon("target cold reset")
        return TmfResult.FUNCTION_COMPLETE
    return TmfResult.FUNCTION_NOT_SUPPORTED


_NEEDS_LUN = (
    TmfFunction.ABORT_TASK,
    TmfFunction.ABORT_TASK_SET,
    TmfFunction.CLEAR_TASK_SET,
    TmfFunction.LOGICAL_UNIT_RESET,
)


def _abort_task(session: Session, connection: Carrier, request: TmfRequest) -> TmfResult:
    """Answer "complete" for an earlier command that is on its way, too: its CmdSN then counts as received (11.6.1)."""
    window = session.window
    assert session.tasks is not None, "a normal session has tasks"
    if session.tasks.abort(request.referenced_task_tag, connection):
        return TmfResult.FUNCTION_COMPLETE
    if window.contains(request.ref_cmd_sn) and lt(request.ref_cmd_sn, request.cmd_sn):
        window.skip(request.ref_cmd_sn)  # what waited behind it is delivered after the response
        return TmfResult.FUNCTION_COMPLETE
    return TmfResult.TASK_DOES_NOT_EXIST


def _reset(group: Group, session: Session, volume: Volume, lun: int, cause: Sense) -> None:
    """Every initiator's tasks on the unit end; each nexus is told by a unit attention, see `LogicalUnit.reset`."""
    for other in _sessions_of(group, session):
        other.abort_tasks(lun, by=session)
    _unit(volume, lun).reset(cause, by=session.nexus)


def _unit(volume: Volume, lun: int) -> LogicalUnit:
    unit = volume.luns.get(lun)
    assert unit is not None, "the LUN was looked up before"
    return unit


def _sessions_of(group: Group, session: Session) -> list[Session]:
    name = session.identity.target_name
    return [other for other in group.sessions.all() if other.identity.target_name == name]
