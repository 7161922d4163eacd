"""TASK REASSIGN: a task goes on at another connection (RFC 7143 7.2.2, 11.5, 11.6).

It takes ErrorRecoveryLevel 2, and a logout for recovery of the connection the task was allegiant to, explicit or by
the reinstatement of that connection. The response comes first; then a write asks for the data it still lacks, and a
task that has run has its status sent again, after all Data-In PDUs that ExpDataSN does not acknowledge. Those are cut
anew to what the new connection takes. What `target.retained` had to let go of cannot be sent again: such a read ends
with ABORTED COMMAND, FAILED RETRANSMISSION REQUEST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iscsi.constants import ScsiStatus, TmfResult
from iscsi.pdu import DataIn, ScsiResponse, TmfRequest, TmfResponse
from iscsi.sense import SNACK_REJECTED
from iscsi.transfer import segments
from target.cleanup import recovers
from target.retained import Retained
from target.session import Carrier, Session

if TYPE_CHECKING:
    from target.connection import TargetConnection


def reassign(connection: TargetConnection, request: TmfRequest) -> None:
    """Answer the request and, if it is granted, go on with the task on this connection."""
    session, itt = connection.session, request.referenced_task_tag
    owner = _owner(session, itt)
    result = _result(session, request, owner)
    numbers = connection.numbers(connection.take_stat_sn())
    connection.send(TmfResponse(response=result, itt=request.itt, **numbers))
    if result is not TmfResult.FUNCTION_COMPLETE or owner is None:
        return
    if connection.tasks.allegiance(itt) is not None:
        connection.tasks.reassign(itt, connection, request.exp_data_sn)
    elif owner.retained is not None:
        _answer_again(connection, owner.retained, request)
        owner.retained.release(itt)


def _result(session: Session, request: TmfRequest, owner: Carrier | None) -> TmfResult:
    if not recovers(session):
        return TmfResult.REASSIGNMENT_NOT_SUPPORTED
    if not request.immediate:
        return TmfResult.FUNCTION_REJECTED  # it must be (11.5.1)
    if owner is None:
        return TmfResult.TASK_DOES_NOT_EXIST
    without_allegiance = any(remains.carrier is owner for remains in session.orphans)
    return TmfResult.FUNCTION_COMPLETE if without_allegiance else TmfResult.TASK_STILL_ALLEGIANT


def _owner(session: Session, itt: int) -> Carrier | None:
    """The connection that a task was last allegiant to: it waits, or its status is not acknowledged."""
    owners: list[Carrier] = [
        *session.connections.values(),
        *(remains.carrier for remains in (*session.lost.values(), *session.orphans)),
    ]
    waiting = None if session.tasks is None else session.tasks.allegiance(itt)
    for owner in owners:
        if owner is waiting or (waiting is None and owner.retained is not None and owner.retained.status_of(itt)):
            return owner
    return None


def _answer_again(connection: TargetConnection, retained: Retained, request: TmfRequest) -> None:
    """Send the data that is not acknowledged, and the status, which is always a SCSI Response here."""
    itt, window, params = request.referenced_task_tag, connection.window, connection.params
    status, read = retained.status_of(itt), retained.read(itt)
    assert status is not None, "the owner was found by it"
    count = 0 if isinstance(status, DataIn) else status.exp_data_sn
    if read is not None:
        first = request.exp_data_sn if read.acknowledged <= request.exp_data_sn <= read.next_sn else read.acknowledged
        pdus = [pdu for pdu in read.pdus if pdu.data_sn >= first]
        if len(pdus) < read.next_sn - first:
            _fail(connection, itt)
            return
        data = b"".join(bytes(pdu.data) for pdu in pdus)
        start = pdus[0].buffer_offset if pdus else 0
        parts = list(segments(start, len(data), params.peer_max_recv_data_segment_length, params.max_burst_length))
        for number, part in enumerate(parts):
            connection.send(
                DataIn(
                    final=part.final,
                    itt=itt,
                    exp_cmd_sn=window.exp_cmd_sn,
                    max_cmd_sn=window.max_cmd_sn,
                    data_sn=first + number,
                    buffer_offset=part.offset,
                    data=data[part.offset - start : part.offset - start + part.length],
                )
            )
        count = first + len(parts)
    bidirectional = status if isinstance(status, ScsiResponse) else ScsiResponse()
    connection.send(
        ScsiResponse(
            response=bidirectional.response,
            status=status.status,
            itt=itt,
            exp_data_sn=count,
            overflow=status.overflow,
            underflow=status.underflow,
            residual=status.residual,
            bidi_overflow=bidirectional.bidi_overflow,
            bidi_underflow=bidirectional.bidi_underflow,
            bidi_residual=bidirectional.bidi_residual,
            data=bidirectional.data,
            **connection.numbers(connection.take_stat_sn()),
        )
    )


def _fail(connection: TargetConnection, itt: int) -> None:
    sense = SNACK_REJECTED.fixed()
    connection.send(
        ScsiResponse(
            status=ScsiStatus.CHECK_CONDITION,
            itt=itt,
            data=len(sense).to_bytes(2, "big") + sense,
            **connection.numbers(connection.take_stat_sn()),
        )
    )
