"""Asynchronous Messages that are not about leaving: a SCSI event, a negotiation, tasks that were ended (RFC 7143 11.9).

A *SCSI event* (0) belongs to asynchronous event reporting, which SPC-3 made obsolete and the array's INQUIRY data does
not claim (AERC is zero): the array never sends one by itself, it reports by unit attention; one can be sent on behalf
of an operator. A *negotiation* (4) is asked for when the array's own MaxRecvDataSegmentLength is to change. *Task
termination* (5) is the notice of FastAbort, see `target.management`. A discovery session hears of none of them: its
connection carries texts and the logout (7.4.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iscsi.constants import AsyncEvent
from iscsi.lun import encode_lun
from iscsi.pdu import AsyncMessage
from iscsi.sense import Sense
from target.states import ConnectionState

if TYPE_CHECKING:
    from target.connection import TargetConnection


def report_scsi_event(connection: TargetConnection, lun: int, condition: Sense) -> None:
    """Event 0: ``condition`` has come about at ``lun``."""
    sense = condition.fixed()
    _say(connection, AsyncMessage(event=AsyncEvent.SCSI, lun=encode_lun(lun), data=_with_length(sense)))


def request_negotiation(connection: TargetConnection, within_s: int, max_recv_data_segment_length: int) -> None:
    """Event 4: the initiator is to send a Text Request within so many seconds, and hears the new length in its answer.

    What it does not answer is not asked again: the array goes on taking what it took.
    """
    if _listening(connection):
        connection.texts.offer(max_recv_data_segment_length)
        _say(connection, AsyncMessage(event=AsyncEvent.NEGOTIATION_REQUEST, param3=within_s))


def report_task_termination(connection: TargetConnection, lun: int) -> None:
    """Event 5: the tasks of this connection at ``lun`` have been ended by another's task management (4.2.3.4)."""
    _say(connection, AsyncMessage(event=AsyncEvent.TASK_TERMINATION, lun=encode_lun(lun)))


def _listening(connection: TargetConnection) -> bool:
    in_session = connection.state in (ConnectionState.LOGGED_IN, ConnectionState.LOGOUT_REQUESTED)
    return in_session and not connection.session.discovery and not connection.closing


def _say(connection: TargetConnection, message: AsyncMessage) -> None:
    if _listening(connection):
        connection.send_numbered(message)
        connection.wake()


def _with_length(sense: bytes) -> bytes:
    return len(sense).to_bytes(2, "big") + sense
