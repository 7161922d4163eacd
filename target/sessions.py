"""Sessions of the array: ISID and TSIH rules, reinstatement (RFC 7143 6.3.1, 6.3.5).

A session is found by its four-part name (initiator, ISID, target, portal group). A login with TSIH 0 for a name that
is in use is a session reinstatement: the old session ends without notice to its tasks. One with the session's own TSIH
adds a connection to it, or reinstates the one that has its CID, and the session goes on.

A discovery session has no target, whatever it names, and the address it came in on stands in for it (RFC 7143 4.4.3.3).
It is admitted without CHAP, so it must never bear the name of a session that was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from iscsi.constants import LoginStatus
from iscsi.login_gate import LoginIdentity
from iscsi.negotiation import SessionParameters
from target.session import Session
from target.states import SessionState

SessionName = tuple[str, bytes, str, int]


class Disposition(Enum):
    """What becomes of a login (RFC 7143 6.3.1, the table)."""

    NEW_SESSION = auto()
    REINSTATE_SESSION = auto()
    ADD_CONNECTION = auto()
    REINSTATE_CONNECTION = auto()
    NO_SUCH_SESSION = auto()


class Tsih(Enum):
    """What the TSIH of a login is, seen from the session with its ISID."""

    ZERO = auto()
    OF_THE_SESSION = auto()
    UNKNOWN = auto()


DISPOSITIONS: Final[Mapping[tuple[bool, Tsih, bool], Disposition]] = MappingProxyType(
    {
        (False, Tsih.ZERO, False): Disposition.NEW_SESSION,
        (False, Tsih.UNKNOWN, False): Disposition.NO_SUCH_SESSION,
        (True, Tsih.ZERO, False): Disposition.REINSTATE_SESSION,
        (True, Tsih.OF_THE_SESSION, False): Disposition.ADD_CONNECTION,
        (True, Tsih.OF_THE_SESSION, True): Disposition.REINSTATE_CONNECTION,
        (True, Tsih.UNKNOWN, False): Disposition.NO_SUCH_SESSION,
    }
)
"""By: a session with this ISID exists; its TSIH; the session has (or has lost) a connection with this CID."""

_OF_THE_CONNECTION = (
    "header_digest",
    "data_digest",
    "max_recv_data_segment_length",
    "peer_max_recv_data_segment_length",
)


def continued(session: SessionParameters, connection: SessionParameters) -> SessionParameters:
    """What holds on a further connection: its login decides about the connection, not about the session."""
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

    def disposition(self, identity: LoginIdentity, tpgt: int, portal: str = "") -> Disposition:
        """What the table of 6.3.1 makes of this ISID, TSIH and CID."""
        existing = self.find(identity, tpgt, portal)
        if identity.tsih == 0:
            tsih = Tsih.ZERO
        else:
            tsih = Tsih.OF_THE_SESSION if existing is not None and existing.tsih == identity.tsih else Tsih.UNKNOWN
        known = existing is not None and (identity.cid in existing.connections or identity.cid in existing.lost)
        return DISPOSITIONS[existing is not None, tsih, known and tsih is Tsih.OF_THE_SESSION]

    def check(self, identity: LoginIdentity, tpgt: int, portal: str = "") -> LoginStatus:
        """Whether the rules of 6.3.1 and the bounds let this login in: SUCCESS, or the status that says why not."""
        existing = self.find(identity, tpgt, portal)
        match self.disposition(identity, tpgt, portal):
            case Disposition.NEW_SESSION:
                full = len(self) >= self.max_sessions and self.oldest_failed() is None
                return LoginStatus.OUT_OF_RESOURCES if full else LoginStatus.SUCCESS
            case Disposition.NO_SUCH_SESSION:
                return LoginStatus.SESSION_DOES_NOT_EXIST
            case Disposition.ADD_CONNECTION if existing is not None:
                if existing.discovery:
                    return LoginStatus.CANNOT_INCLUDE_IN_SESSION
                if len(existing.connections) >= existing.params.max_connections:
                    return LoginStatus.TOO_MANY_CONNECTIONS
        return LoginStatus.SUCCESS

    def oldest_failed(self) -> Session | None:
        """Of the sessions that nothing but a deadline keeps, the one whose time is over first."""
        failed = [session for session in self.all() if session.state is SessionState.FAILED]
        return min(failed, key=lambda session: session.deadline_ns or 0, default=None)

    def open(self, session: Session, tpgt: int) -> None:
        """Enter a session, whose name must be free, under a free TSIH."""
        session.tsih = self._free_tsih()
        self._by_name[_name(session.identity, tpgt, session.portal)] = session
        self._by_tsih[session.tsih] = session

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
