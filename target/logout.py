"""Logout: what is closed, and what is answered (RFC 7143 11.14, 11.15).

Closing is immediate here, so the response "cleanup failed" (3) is never given. A connection that is removed for
recovery leaves its tasks to be reassigned for as long as the response says; that takes ErrorRecoveryLevel 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iscsi.constants import LogoutReason, LogoutResult, RejectReason
from iscsi.pdu import LogoutRequest, LogoutResponse
from target.cleanup import recovers
from target.session import Session
from target.states import CONNECTION, ConnectionState, T, after

if TYPE_CHECKING:
    from target.connection import TargetConnection

LOGOUT: Final = "logout"
"""Why a connection has ended that was logged out."""


def log_out(connection: TargetConnection, pdu: LogoutRequest) -> None:
    """Carry out a Logout Request that came in on ``connection``, and answer it."""
    session, group = connection.session, connection.group
    result = _result(session, pdu)
    if result is None:
        connection.reject(RejectReason.INVALID_PDU_FIELD, pdu)
        return
    recover = pdu.reason == LogoutReason.REMOVE_FOR_RECOVERY
    if result is LogoutResult.CLOSED:
        if pdu.reason == LogoutReason.CLOSE_SESSION:
            group.end(session)
        else:
            leaving = session.connections.get(pdu.cid)
            group.log_out(session, pdu.cid, session.now_ns, recover=recover)
            if leaving is not None and leaving is not connection:
                leaving.abandon("logged out on another connection")
    params = session.params
    connection.send(
        LogoutResponse(
            response=result,
            itt=pdu.itt,
            time2wait=params.default_time2wait,
            time2retain=params.default_time2retain if recover else 0,
            **connection.numbers(connection.take_stat_sn()),
        )
    )
    if session.over:
        session.abandon("the session was logged out", but=connection)
    if session.over or connection not in session.connections.values():
        requested = connection.state is ConnectionState.LOGOUT_REQUESTED
        connection.state = after(CONNECTION, connection.state, T.T10 if requested else T.T9)
        connection.close(LOGOUT)


def _result(session: Session, pdu: LogoutRequest) -> LogoutResult | None:
    """What the response says; None for a reason that does not exist."""
    match pdu.reason:
        case LogoutReason.CLOSE_SESSION:
            return LogoutResult.CLOSED
        case LogoutReason.REMOVE_FOR_RECOVERY if not recovers(session):
            return LogoutResult.RECOVERY_NOT_SUPPORTED
        case LogoutReason.CLOSE_CONNECTION | LogoutReason.REMOVE_FOR_RECOVERY:
            known = pdu.cid in session.connections or pdu.cid in session.lost
            return LogoutResult.CLOSED if known else LogoutResult.CID_NOT_FOUND
    return None
