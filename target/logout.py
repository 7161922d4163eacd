"""Logout: what is closed, and what is answered (RFC 7143 11.14, 11.15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iscsi.constants import LogoutReason, LogoutResult, RejectReason
from iscsi.pdu import LogoutRequest, LogoutResponse
from target.states import CONNECTION, ConnectionState, T, after

if TYPE_CHECKING:
    from target.connection import TargetConnection


def log_out(connection: TargetConnection, pdu: LogoutRequest) -> None:
    """Carry out a Logout Request that came in on ``connection``, and answer it."""
    session = connection.session
    result = LogoutResult.CLOSED
    if pdu.reason == LogoutReason.REMOVE_FOR_RECOVERY:
        result = LogoutResult.RECOVERY_NOT_SUPPORTED
    elif pdu.reason == LogoutReason.CLOSE_CONNECTION and pdu.cid not in session.connections:
        result = LogoutResult.CID_NOT_FOUND
    elif pdu.reason not in (LogoutReason.CLOSE_SESSION, LogoutReason.CLOSE_CONNECTION):
        connection.reject(RejectReason.INVALID_PDU_FIELD, pdu)
        return
    connection.send(
        LogoutResponse(
            response=result,
            itt=pdu.itt,
            time2wait=session.params.default_time2wait,
            time2retain=0,
            **connection.numbers(connection.take_stat_sn()),
        )
    )
    if result is LogoutResult.CLOSED:
        requested = connection.state is ConnectionState.LOGOUT_REQUESTED
        connection.state = after(CONNECTION, connection.state, T.T10 if requested else T.T9)
        connection.group.end(session)
        connection.close("logout")
