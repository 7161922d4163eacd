"""Sessions of the array: ISID and TSIH rules, reinstatement (RFC 7143 6.3.1, 6.3.5).

A session is found by its four-part name (initiator, ISID, target, portal group). A login with TSIH 0 for a name that
is in use is a session reinstatement: the old session ends without notice to its tasks. One with the session's own TSIH
and CID reinstates its connection, and the session goes on. At ErrorRecoveryLevel 0 a session has one connection and
ends with it.

A discovery session has no target, whatever it names, and the address it came in on stands in for it (RFC 7143 4.4.3.3).
It is admitted without CHAP, so it must never bear the name of a session that was not.
"""

from __future__ import annotations

from dataclasses import replace

from iscsi.constants import LoginStatus
from iscsi.login_gate import LoginIdentity
from iscsi.negotiation import SessionParameters
from target.session import Session

SessionName = tuple[str, bytes, str, int]

_OF_THE_CONNECTION = (
    "header_digest",
    "data_digest",
    "max_recv_data_segment_length",
    "peer_max_recv_data_segment_length",
)


def continued(session: SessionParameters, connection: SessionParameters) -> SessionParameters:
    """What holds after a connection was reinstated: its login decides about the connection, not about the session."""
    return replace(session, **{name: getattr(connection, name) for name in _OF_THE_CONNECTION})


class SessionRegistry:
    """Every live session, by name and by TSIH."""

    def __init__(self, max_sessions: int) -> None:
        self.max_sessions = max_sessions
        self._by_name: dict[SessionName, Session] = {}
        self._by_tsih: dict[int, Session] = {}
        self._last_tsih = 0

    def __len__(self) -> int:
        return len(self._by_tsih)

    def all(self) -> list[Session]:
        """The live sessions in the order of their logins."""
        return list(self._by_tsih.values())

    def find(self, identity: LoginIdentity, tpgt: int, portal: str = "") -> Session | None:
        """The session with this name, if it lives; ``portal`` is the address a discovery session came in on."""
        return self._by_name.get(_name(identity, tpgt, portal))

    def check(self, identity: LoginIdentity, tpgt: int, portal: str = "") -> LoginStatus:
        """What the table of 6.3.1 says to this ISID and TSIH; SUCCESS for a new session or a reinstatement."""
        existing = self.find(identity, tpgt, portal)
        if identity.tsih == 0:
            full = existing is None and len(self) >= self.max_sessions
            return LoginStatus.OUT_OF_RESOURCES if full else LoginStatus.SUCCESS
        if existing is None or existing.tsih != identity.tsih:
            return LoginStatus.SESSION_DOES_NOT_EXIST
        # MaxConnections=1: the session's one connection is either reinstated, or there is no room beside it.
        return LoginStatus.TOO_MANY_CONNECTIONS if identity.cid not in existing.connections else LoginStatus.SUCCESS

    def open(self, session: Session, tpgt: int) -> Session | None:
        """Enter a session under a free TSIH; return the one it reinstates, already removed from the registry."""
        name = _name(session.identity, tpgt, session.portal)
        old = self._by_name.get(name)
        if old is not None:
            self.close(old, tpgt)
        session.tsih = self._free_tsih()
        self._by_name[name] = session
        self._by_tsih[session.tsih] = session
        return old

    def close(self, session: Session, tpgt: int) -> bool:
        """Remove a session; False when it was gone (reinstated) before."""
        if self._by_tsih.get(session.tsih) is not session:
            return False
        del self._by_tsih[session.tsih]
        del self._by_name[_name(session.identity, tpgt, session.portal)]
        return True

    def _free_tsih(self) -> int:
        for _ in range(0xFFFF):
            self._last_tsih = self._last_tsih % 0xFFFF + 1
            if self._last_tsih not in self._by_tsih:
                return self._last_tsih
        raise AssertionError("max_sessions keeps the registry below 65535 sessions")


def _name(identity: LoginIdentity, tpgt: int, portal: str) -> SessionName:
    where = f"discovery at {portal}" if identity.discovery else identity.target_name or ""
    return (identity.initiator_name, identity.isid, where, tpgt)
