"""Task management functions, and what each is answered (RFC 7143 4.2.3, 11.5, 11.6; RFC 7144 for 9 to 12; SAM-5 7).

A function over one task, and a question, is answered at once. One over many tasks ends them first: with TaskReporting
RFC3720 or ResponseFence that takes until the data they have asked for has come, with FastAbort the array drops them
and tells the connections that did not ask by an Asynchronous Message (4.2.3.4). In either case the commands sent ahead
of the function have to have arrived; a reset of the target ends those unseen. Once the response is out, no covered task
is answered any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from iscsi.constants import RejectReason, TmfFunction, TmfResult
from iscsi.lun import decode_lun
from iscsi.pdu import TmfRequest, TmfResponse
from iscsi.sense import BUS_RESET, COMMANDS_CLEARED_BY_ANOTHER_INITIATOR, DEVICE_RESET, POWER_ON, Sense
from iscsi.serial import lt
from target.async_events import report_task_termination
from target.group import Volume
from target.lun import LogicalUnit
from target.reassignment import reassign
from target.session import Session
from target.waiting_tasks import Allegiance

if TYPE_CHECKING:
    from target.connection import TargetConnection

_NO_INFORMATION: Final = bytes(3)
MAX_WAITING_FUNCTIONS: Final = 8
"""Functions of one session that may wait for what they cover; RFC 7143 4.2.2.1 asks for at least one."""


@dataclass(slots=True)
class Asked:
    """One request on its way to its response."""

    connection: TargetConnection
    request: TmfRequest
    volume: Volume
    lun: int

    @property
    def session(self) -> Session:
        """The session that asks."""
        return self.connection.session

    @property
    def unit(self) -> LogicalUnit:
        """The logical unit the function is about."""
        unit = self.volume.luns.get(self.lun)
        assert unit is not None, "the LUN was looked up before"
        return unit

    def answer(self, result: TmfResult, information: bytes = _NO_INFORMATION) -> None:
        """Send the response, unless nobody is there for it any more."""
        connection = self.connection
        if not connection.closing:
            numbers = connection.numbers(connection.take_stat_sn())
            connection.send(TmfResponse(response=result, itt=self.request.itt, information=information, **numbers))

    def sharers(self) -> list[Session]:
        """Every session of the same target, this one too."""
        name = self.session.identity.target_name
        return [other for other in self.connection.group.sessions.all() if other.identity.target_name == name]


@dataclass(frozen=True, slots=True)
class Function:
    """What a function does; ``level``: the iSCSIProtocolLevel it takes; ``waits``: it may not be answered at once."""

    run: Callable[[Asked], None]
    needs_lun: bool = True
    level: int = 0
    waits: bool = False


def manage(connection: TargetConnection, request: TmfRequest) -> None:
    """Carry out a request that came in on ``connection``, and answer it, now or when what it covers is over."""
    session = connection.session
    volume = connection.group.volume(session.identity.target_name or "")
    assert volume is not None, "a normal session has a volume"
    asked = Asked(connection, request, volume, decode_lun(request.lun))
    function = _FUNCTIONS.get(request.function)
    if function is not None and function.waits and connection.tasks.managing >= MAX_WAITING_FUNCTIONS:
        connection.reject(RejectReason.TOO_MANY_IMMEDIATE_COMMANDS, request)
    elif function is None or session.params.iscsi_protocol_level < function.level:
        asked.answer(TmfResult.FUNCTION_NOT_SUPPORTED)
    elif function.needs_lun and volume.luns.get(asked.lun) is None:
        asked.answer(TmfResult.LUN_DOES_NOT_EXIST)
    else:
        function.run(asked)


# -- one task ----------------------------------------------------------------------------------------------------------


def _abort_task(asked: Asked) -> None:
    """Answer "complete" for an earlier command that is on its way, too: its CmdSN then counts as received (11.6.1)."""
    request, connection, window = asked.request, asked.connection, asked.session.window
    result = TmfResult.FUNCTION_COMPLETE
    if not connection.tasks.abort(request.referenced_task_tag, connection):
        if window.contains(request.ref_cmd_sn) and lt(request.ref_cmd_sn, request.cmd_sn):
            window.skip(request.ref_cmd_sn)  # what waited behind it is delivered after the response
        else:
            result = TmfResult.TASK_DOES_NOT_EXIST
    asked.answer(result)


def _task_reassign(asked: Asked) -> None:
    """No SCSI function: see `target.reassignment`."""
    reassign(asked.connection, asked.request)


# -- questions (RFC 7144) ----------------------------------------------------------------------------------------------


def _query_task(asked: Asked) -> None:
    there = asked.connection.tasks.find(asked.request.referenced_task_tag)
    asked.answer(TmfResult.FUNCTION_SUCCEEDED if there else TmfResult.FUNCTION_COMPLETE)


def _query_task_set(asked: Asked) -> None:
    some = asked.connection.tasks.at(asked.lun)
    asked.answer(TmfResult.FUNCTION_SUCCEEDED if some else TmfResult.FUNCTION_COMPLETE)


def _query_asynchronous_event(asked: Asked) -> None:
    """Is a unit attention pending? The information is its sense, and whether more stand behind it (SAM-5 7.9)."""
    pending = asked.unit.disk.attentions.queue(asked.session.nexus)
    if not pending:
        asked.answer(TmfResult.FUNCTION_COMPLETE)
        return
    first = pending[0]
    depth = _MORE_THAN_ONE if len(pending) > 1 else _ONE
    asked.answer(TmfResult.FUNCTION_SUCCEEDED, bytes((depth | first.key, first.asc, first.ascq)))


_ONE: Final = 0x10
_MORE_THAN_ONE: Final = 0x20
"""The UADE DEPTH field."""


# -- many tasks --------------------------------------------------------------------------------------------------------


def _after_tasks(then: Callable[[Asked], None], *, whole_target: bool = False) -> Callable[[Asked], None]:
    """End this session's tasks that the function covers; ``then`` do the rest, and answer."""

    def run(asked: Asked) -> None:
        session, request = asked.session, asked.request
        lun = None if whole_target else asked.lun
        if whole_target:
            session.window.plug(request.cmd_sn)
        told = asked.connection.tasks.at(lun)

        def on_end(over: bool) -> None:
            if over:
                _report(asked, session, told)
                then(asked)
            _behind_all(asked, TmfResult.FUNCTION_COMPLETE if over else TmfResult.FUNCTION_REJECTED)
            session.wake()

        fast = session.params.task_reporting == "FastAbort"
        asked.connection.tasks.end_tasks(
            lun, request.cmd_sn, asked.connection, on_end, wait_for_data=not fast and not asked.connection.closing
        )

    return run


def _behind_all(asked: Asked, result: TmfResult) -> None:
    """Answer behind every response that was sent before, on whichever connection of the session (4.2.3.3 d)."""
    others = [
        cast("TargetConnection", carrier)
        for carrier in asked.session.connections.values()
        if carrier is not asked.connection and not carrier.closing
    ]
    if not others:
        asked.answer(result)
        return
    left = len(others)

    def reached() -> None:
        nonlocal left
        left -= 1
        if not left:
            asked.answer(result)
            asked.connection.wake()

    for other in others:
        other.fence(reached)


def _end_elsewhere(asked: Asked, lun: int, *, attention: Sense | None = None) -> None:
    """End the tasks other sessions have at the unit: with TAS by TASK ABORTED, else by ``attention`` if one is due."""
    unit = asked.volume.luns.get(lun)
    assert unit is not None, "the LUN was looked up before"
    answer = unit.end_of_aborted()
    for other in asked.sharers():
        if other is asked.session or other.tasks is None:
            continue
        told = other.tasks.at(lun)
        if other.abort_tasks(lun, asked.session, answer):
            _report(asked, other, told)
            if attention is not None and answer is None:
                unit.disk.attentions.establish(other.nexus, attention)


def _report(asked: Asked, session: Session, lost: list[tuple[int, Allegiance]]) -> None:
    """With FastAbort each connection that lost tasks is told, unit by unit, but the one that asked (4.2.3.4)."""
    if session.params.task_reporting != "FastAbort":
        return
    for lun, carrier in dict.fromkeys(lost):
        if carrier is not asked.connection:
            report_task_termination(cast("TargetConnection", carrier), lun)


def _nothing_more(asked: Asked) -> None:
    """The tasks were all there was to it."""


def _clear_others(asked: Asked) -> None:
    _end_elsewhere(asked, asked.lun, attention=COMMANDS_CLEARED_BY_ANOTHER_INITIATOR)


def _reset_unit(asked: Asked) -> None:
    _end_elsewhere(asked, asked.lun)
    asked.unit.reset(DEVICE_RESET, by=asked.session.nexus)


def _reset_target(asked: Asked, cause: Sense) -> None:
    for lun, unit in zip(asked.volume.luns.numbers, asked.volume.luns.units(), strict=True):
        _end_elsewhere(asked, lun)
        unit.reset(cause, by=asked.session.nexus)


def _warm(asked: Asked) -> None:
    _reset_target(asked, BUS_RESET)


def _cold(asked: Asked) -> None:
    """As a power cycle: every session of the target ends (11.5.1), this one when the response is out."""
    _reset_target(asked, POWER_ON)
    connection, group = asked.connection, asked.connection.group
    asked.answer(TmfResult.FUNCTION_COMPLETE)
    for other in asked.sharers():
        group.end(other)
        other.abandon("target cold reset", but=connection)
    connection.close("target cold reset")


def _lose_nexus(asked: Asked) -> None:
    """I_T NEXUS RESET: what the loss of the nexus clears is cleared, and the session goes on (RFC 7144 6.1)."""
    for unit in asked.volume.luns.units():
        unit.nexus_lost(asked.session.nexus)


_FUNCTIONS: Final[Mapping[int, Function]] = MappingProxyType(
    {
        TmfFunction.ABORT_TASK: Function(_abort_task),
        TmfFunction.ABORT_TASK_SET: Function(_after_tasks(_nothing_more), waits=True),
        TmfFunction.CLEAR_TASK_SET: Function(_after_tasks(_clear_others), waits=True),
        TmfFunction.LOGICAL_UNIT_RESET: Function(_after_tasks(_reset_unit), waits=True),
        TmfFunction.TARGET_WARM_RESET: Function(_after_tasks(_warm, whole_target=True), needs_lun=False, waits=True),
        TmfFunction.TARGET_COLD_RESET: Function(_after_tasks(_cold, whole_target=True), needs_lun=False, waits=True),
        TmfFunction.TASK_REASSIGN: Function(_task_reassign, needs_lun=False),
        TmfFunction.QUERY_TASK: Function(_query_task, level=2),
        TmfFunction.QUERY_TASK_SET: Function(_query_task_set, level=2),
        TmfFunction.I_T_NEXUS_RESET: Function(
            _after_tasks(_lose_nexus, whole_target=True), needs_lun=False, level=2, waits=True
        ),
        TmfFunction.QUERY_ASYNC_EVENT: Function(_query_asynchronous_event, level=2),
    }
)
"""CLEAR ACA is not among them: the array has no auto contingent allegiance (NormACA is zero)."""
