"""The login phase of a connection: what arrives before the full-feature phase (RFC 7143 6.3, 11.12).

Until the login has ended well, nothing but Login Requests is looked at: no other PDU of an initiator that has not
authenticated is ever acted on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from iscsi.framer import RefusedPdu
from iscsi.login_target import TargetLogin, TargetLoginDone, TargetLoginEnded
from iscsi.pdu import LoginRequest
from iscsi.pieces import Bytes
from target.arrival import Arrival
from target.states import CONNECTION, ConnectionState, T, after
from target.wishes import array_wishes

if TYPE_CHECKING:
    from target.connection import TargetConnection


class LoginEntry:
    """The login of ``connection``, which came from ``source``; it takes itself off when the login has ended well."""

    __slots__ = ("_arrival", "_connection", "_login")

    def __init__(
        self, connection: TargetConnection, source: str, now_ns: int, random_bytes: Callable[[int], bytes]
    ) -> None:
        limits = connection.group.config.limits
        self._connection = connection
        self._arrival = Arrival(connection.group, connection.portal, source, now_ns, connection.number)
        self._login = TargetLogin(
            gate=self._arrival,
            wishes=array_wishes(limits),
            stat_sn=0,
            random_bytes=random_bytes,
            command_window=limits.command_window,
        )

    def receive(self, data: Bytes, now_ns: int) -> None:
        """One PDU at a time: what follows the login's last PDU is framed by what the login negotiated."""
        connection, login = self._connection, self._login
        self._arrival.now_ns = now_ns
        while login.outcome is None:
            pdus = connection.framer.receive(data, limit=1)
            data = b""
            if not pdus:
                return
            request = pdus[0]
            if isinstance(request, RefusedPdu):
                raise request.error
            if not isinstance(request, LoginRequest):
                for refusal in login.receive_other():
                    connection.send(refusal)
                connection.close("a PDU that is no Login Request during login")
                return
            if connection.state is ConnectionState.XPT_UP:
                connection.state = after(CONNECTION, connection.state, T.T4)
            for response in login.receive(request):
                connection.send(response)
        if isinstance(login.outcome, TargetLoginEnded):
            connection.close(f"login ended with {login.outcome.status.words}")
        else:
            self._enter(login.outcome)

    def _enter(self, done: TargetLoginDone) -> None:
        session, params, nexus = self._arrival.session, self._arrival.params, self._arrival.nexus
        assert session is not None, "a login ends well only through Arrival.complete"
        assert params is not None
        assert nexus is not None
        self._connection.enter(session, params, nexus, done.identity.cid, done.stat_sn)
