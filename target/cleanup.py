"""What remains of a connection that has left its session, and for how long (RFC 7143 7.5, 8.2, 11.14.5, 11.15.4).

A connection whose TCP is lost leaves its tasks behind. They stay for Time2Wait and Time2Retain, in CLEANUP_WAIT, until
a logout of the connection is heard: explicit, on another connection, or implicit, by a login with the same CID. At
ErrorRecoveryLevel 2 a logout for recovery keeps them for as long again, without allegiance, to be reassigned. What
nobody asks for in time is terminated, and the nexus is told by a unit attention. A session whose last connection is
lost fails; it ends when nothing of it remains. With Time2Retain=0 all of this happens at once, and an array may be told
to end tasks sooner than it promised (`target.config.LostTasks`): RFC 7143 7.5 lets either side give up early.

Such a task is a danger where a host has another path. The host sends its command again there, and what is kept here may
still be executed, after newer writes. Killing it needs a loss that the array sees: a FIN, a reset, an unanswered ping.
"""

from __future__ import annotations

from dataclasses import dataclass

from target.session import Carrier, Session
from target.states import CLEANUP, SESSION, CleanupState, M, N, SessionState, after

RECOVERY_LEVEL = 2
"""The ErrorRecoveryLevel that has connection recovery."""


@dataclass(slots=True)
class Remains:
    """Tasks of ``carrier``, which is gone; they are terminated at ``until_ns``."""

    carrier: Carrier
    until_ns: int
    state: CleanupState = CleanupState.CLEANUP_WAIT


def lose(session: Session, carrier: Carrier, now_ns: int, *, kill: bool = False) -> None:
    """TCP of a connection in full-feature phase is gone, and no logout was heard; with ``kill`` nothing is kept."""
    _leave(session, carrier)
    hold_ns = 0 if kill else _hold_ns(session)
    remains = Remains(carrier, now_ns + hold_ns)
    session.lost[carrier.cid] = remains
    if not hold_ns:
        _time_out(session, remains)
    settle(session, N.N5)


def give_up(session: Session) -> None:
    """End at once what lost connections have left behind."""
    for remains in list(session.lost.values()):
        _time_out(session, remains)
    settle(session, N.N5)


def log_out(session: Session, cid: int, now_ns: int, *, recover: bool) -> None:
    """A connection of the session, living or lost, is logged out; with ``recover`` its tasks may be reassigned.

    `settle` has to follow, unless another connection takes its place at once.
    """
    carrier = session.connections.get(cid)
    if carrier is not None:
        _leave(session, carrier)
    else:
        remains = session.lost.pop(cid)
        remains.state = after(CLEANUP, remains.state, M.M2)
        carrier = remains.carrier
        remains.state = after(CLEANUP, remains.state, M.M4)
    if recover and _hold_ns(session):
        session.orphans.append(Remains(carrier, now_ns + _hold_ns(session), CleanupState.FREE))
    else:
        session.terminate(carrier)


def expire(session: Session, now_ns: int) -> None:
    """Time has passed: terminate what nobody has asked for."""
    for remains in [each for each in session.lost.values() if each.until_ns <= now_ns]:
        _time_out(session, remains)
    for remains in [each for each in session.orphans if each.until_ns <= now_ns]:
        session.orphans.remove(remains)
        if session.terminate(remains.carrier):
            session.tell_window()
    settle(session, N.N5)


def recovers(session: Session) -> bool:
    """True when tasks may be reassigned to another connection."""
    return session.params.error_recovery_level >= RECOVERY_LEVEL


def _hold_ns(session: Session) -> int:
    """How long remains are kept. Time2Retain=0 has the state of a lost connection discarded at once (13.16)."""
    params = session.params
    retain_s = 0 if session.discovery else params.default_time2retain
    return (params.default_time2wait + retain_s) * 1_000_000_000 if retain_s else 0


def _leave(session: Session, carrier: Carrier) -> None:
    """The connection serves no more. Commands that came in on it and wait for a predecessor are discarded (11.14.1)."""
    del session.connections[carrier.cid]
    if session.tasks is not None:
        session.tasks.suspend(carrier)
    session.window.forget(lambda item: item[0] is carrier)
    if session.window.held:
        session.deliver_held()
        session.wake()


def _time_out(session: Session, remains: Remains) -> None:
    remains.state = after(CLEANUP, remains.state, M.M1)
    del session.lost[remains.carrier.cid]
    if session.terminate(remains.carrier):
        session.tell_window()


def settle(session: Session, departure: N) -> None:
    """What the departure of a connection means to the session: it goes on, has failed, or is over."""
    if session.connections:
        return
    remains = bool(session.lost or session.orphans)
    if session.state is SessionState.LOGGED_IN:
        session.state = after(SESSION, session.state, N.N5 if remains else departure)
    if session.state is SessionState.FAILED and not remains:
        session.state = after(SESSION, session.state, N.N6)
