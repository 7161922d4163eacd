"""The state machines of a target's connections and sessions, as tables (RFC 7143 section 8; the target's side).

Every change of state in `target` goes through `after`, so what is not in a table cannot happen: it raises. The members
bear the RFC's numbers; a transition's text says what sets it off here.

`TRANSPORT_LOST` and `CLOSED_ELSEWHERE` name, for the two causes that may come in any state, the transition each takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeVar

from iscsi.errors import LocalProtocolError


class ConnectionState(Enum):
    """A connection's states (8.1.1). S2 XPT_WAIT is the initiator's alone."""

    FREE = "S1"
    XPT_UP = "S3"
    IN_LOGIN = "S4"
    LOGGED_IN = "S5"
    IN_LOGOUT = "S6"
    LOGOUT_REQUESTED = "S7"
    CLEANUP_WAIT = "S8"


class T(Enum):
    """A connection's transitions at the target (8.1.2). T1, T2 and T14 are the initiator's."""

    T3 = "TCP accepted the connection"
    T4 = "the first Login Request arrived"
    T5 = "the last Login Response granted the full-feature phase"
    T6 = "no login in time, or TCP lost before it"
    T7 = "the login failed, took too long, or TCP was lost in it"
    T8 = "closed from elsewhere: the session was closed or reinstated, or this connection was"
    T9 = "a Logout Request for it arrived on it"
    T10 = "the Logout Request that was asked for arrived"
    T11 = "an Async Message asked for a logout"
    T12 = "an Async Message asked for a logout once more"
    T13 = "the logout is done"
    T15 = "TCP lost, or dropped by the array"
    T16 = "TCP lost, or dropped by the array, before the logout that was asked for"
    T17 = "the logout failed, or TCP was lost before it was done"
    T18 = "closed from elsewhere while a logout was asked for"


CONNECTION: Final[Mapping[tuple[ConnectionState, T], ConnectionState]] = MappingProxyType(
    {
        (ConnectionState.FREE, T.T3): ConnectionState.XPT_UP,
        (ConnectionState.XPT_UP, T.T6): ConnectionState.FREE,
        (ConnectionState.XPT_UP, T.T4): ConnectionState.IN_LOGIN,
        (ConnectionState.IN_LOGIN, T.T7): ConnectionState.FREE,
        (ConnectionState.IN_LOGIN, T.T5): ConnectionState.LOGGED_IN,
        (ConnectionState.LOGGED_IN, T.T8): ConnectionState.FREE,
        (ConnectionState.LOGGED_IN, T.T9): ConnectionState.IN_LOGOUT,
        (ConnectionState.LOGGED_IN, T.T11): ConnectionState.LOGOUT_REQUESTED,
        (ConnectionState.LOGGED_IN, T.T15): ConnectionState.CLEANUP_WAIT,
        (ConnectionState.IN_LOGOUT, T.T13): ConnectionState.FREE,
        (ConnectionState.IN_LOGOUT, T.T17): ConnectionState.CLEANUP_WAIT,
        (ConnectionState.LOGOUT_REQUESTED, T.T18): ConnectionState.FREE,
        (ConnectionState.LOGOUT_REQUESTED, T.T10): ConnectionState.IN_LOGOUT,
        (ConnectionState.LOGOUT_REQUESTED, T.T12): ConnectionState.LOGOUT_REQUESTED,
        (ConnectionState.LOGOUT_REQUESTED, T.T16): ConnectionState.CLEANUP_WAIT,
    }
)

TRANSPORT_LOST: Final[Mapping[ConnectionState, T]] = MappingProxyType(
    {
        ConnectionState.XPT_UP: T.T6,
        ConnectionState.IN_LOGIN: T.T7,
        ConnectionState.LOGGED_IN: T.T15,
        ConnectionState.LOGOUT_REQUESTED: T.T16,
        ConnectionState.IN_LOGOUT: T.T17,
    }
)

CLOSED_ELSEWHERE: Final[Mapping[ConnectionState, T]] = MappingProxyType(
    {
        ConnectionState.IN_LOGIN: T.T7,
        ConnectionState.LOGGED_IN: T.T8,
        ConnectionState.LOGOUT_REQUESTED: T.T18,
        ConnectionState.IN_LOGOUT: T.T13,
    }
)


class CleanupState(Enum):
    """The states of a lost connection's cleanup, CSM-C (8.2.1); R3 is the connection's own FREE."""

    CLEANUP_WAIT = "R1"
    IN_CLEANUP = "R2"
    FREE = "R3"


class M(Enum):
    """Transitions of the cleanup (8.2.2)."""

    M1 = "Time2Wait and Time2Retain have passed, or the session was closed"
    M2 = "an implicit or explicit logout for the connection began"
    M3 = "that logout failed"
    M4 = "that logout is done"


CLEANUP: Final[Mapping[tuple[CleanupState, M], CleanupState]] = MappingProxyType(
    {
        (CleanupState.CLEANUP_WAIT, M.M1): CleanupState.FREE,
        (CleanupState.CLEANUP_WAIT, M.M2): CleanupState.IN_CLEANUP,
        (CleanupState.IN_CLEANUP, M.M3): CleanupState.CLEANUP_WAIT,
        (CleanupState.IN_CLEANUP, M.M4): CleanupState.FREE,
    }
)


class SessionState(Enum):
    """A session's states at the target (8.3.3)."""

    FREE = "Q1"
    ACTIVE = "Q2"
    LOGGED_IN = "Q3"
    FAILED = "Q4"
    IN_CONTINUE = "Q5"


class N(Enum):
    """A session's transitions at the target (8.3.4). N4 is the initiator's."""

    N1 = "the leading login began"
    N2 = "the leading login ended well"
    N3 = "closed in order by a logout, or reinstated"
    N5 = "the last connection was lost, and the session waits for another"
    N6 = "nothing came within Time2Wait and Time2Retain, or the session was reinstated"
    N7 = "a login to go on with the session began"
    N8 = "that login failed"
    N9 = "the leading login failed"
    N10 = "that login ended well"
    N11 = "the session was reinstated meanwhile"


SESSION: Final[Mapping[tuple[SessionState, N], SessionState]] = MappingProxyType(
    {
        (SessionState.FREE, N.N1): SessionState.ACTIVE,
        (SessionState.ACTIVE, N.N9): SessionState.FREE,
        (SessionState.ACTIVE, N.N2): SessionState.LOGGED_IN,
        (SessionState.LOGGED_IN, N.N3): SessionState.FREE,
        (SessionState.LOGGED_IN, N.N5): SessionState.FAILED,
        (SessionState.FAILED, N.N6): SessionState.FREE,
        (SessionState.FAILED, N.N7): SessionState.IN_CONTINUE,
        (SessionState.IN_CONTINUE, N.N8): SessionState.FAILED,
        (SessionState.IN_CONTINUE, N.N10): SessionState.LOGGED_IN,
        (SessionState.IN_CONTINUE, N.N11): SessionState.FREE,
    }
)

REINSTATED: Final[Mapping[SessionState, N]] = MappingProxyType(
    {SessionState.LOGGED_IN: N.N3, SessionState.FAILED: N.N6, SessionState.IN_CONTINUE: N.N11}
)
"""What ends a session from outside, in each state: its reinstatement, its closure, a reset of the target."""

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


def after(table: Mapping[tuple[S, E], S], state: S, event: E) -> S:
    """The state that ``event`` leads to. Raises LocalProtocolError where the RFC knows no such transition."""
    following = table.get((state, event))
    if following is None:
        raise LocalProtocolError(f"there is no transition {event.name} from {state.value} {state.name}")
    return following
