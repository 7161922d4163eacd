"""A connection in full feature phase joined to TCP and to the clock.

`connection` knows the protocol and no time, `link` knows bytes, `liveness` knows deadlines; this file ties the three
together and ends them together. Its owner starts tasks, and hears once, by ``on_ended``, that it is over: for whatever
reason of the target's, the network's or the clock's. The tasks that have not completed are then the owner's again.

Output is written once per wake-up: what arrives is answered when all of it has been understood, and what is submitted
in between leaves when the loop comes round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from initiator_model.connection import InitiatorConnection
from initiator_model.connection_events import ConnectionEnded, ConnectionEvent, LoggedOut, LogoutRequested
from initiator_model.liveness import PingWatch, RequestWatch
from initiator_model.login_chain import LoggedIn
from initiator_model.requests import CompletionKind
from initiator_model.tasks import Task
from initiator_model.timers import SECOND_NS, Timers
from iscsi.constants import LogoutResult, TmfResult

__all__ = ["LOGGED_OUT", "Ending", "LiveConnection", "ResetDone"]

ResetDone = Callable[[TmfResult | None], None]

LOGGED_OUT = "logged out"
"""Why a connection is over that ended by a logout."""

_ABORT_WORKED = (TmfResult.FUNCTION_COMPLETE, TmfResult.TASK_DOES_NOT_EXIST)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection is over. ``wait_s``: the pause the target asked for. ``logged_out``: it ended by a logout.

    ``seen``: the target ended it itself. ``cleared``: it has said that it closed the session, and with it every task.
    """

    why: str
    wait_s: int = 0
    logged_out: bool = False
    seen: bool = False
    cleared: bool = False


class LiveConnection:
    """Takes over the connection a login has made. Call `open` once the owner is ready to hear from it."""

    def __init__(
        self,
        logged_in: LoggedIn,
        timers: Timers,
        *,
        on_ended: Callable[[Ending], None],
        on_note: Callable[[str], None],
    ) -> None:
        self.params = logged_in.done.params
        self._loop = loop = asyncio.get_running_loop()
        self._timers = timers
        self._on_ended = on_ended
        self._on_note = on_note
        self._link = logged_in.link
        self._connection = InitiatorConnection(
            logged_in.done,
            cmd_sn=logged_in.cmd_sn,
            max_pending=timers.requests_max,
            on_event=self._on_event,
            framer=logged_in.link.framer,
        )
        self._pings = PingWatch(loop, timers, self._ping, self._ended)
        self._requests = RequestWatch(loop, timers, self._connection.oldest, self._request_expired)
        self._abort_timer: asyncio.TimerHandle | None = None
        self._logout_timer: asyncio.TimerHandle | None = None  # of a logout the target asked for
        self._aborts = 0
        self._resets: list[ResetDone] = []
        self._over = False
        self._flush_due = False
        self._receiving = False
        self.heard = False
        """Whether anything has arrived since the login."""

    def open(self) -> None:
        """Begin: take what has arrived since the login."""
        self._pings.start()
        self._link.hand_over(self._received, self._ended)

    def start(self, task: Task) -> None:
        """Send a command; it completes by its callback, or is among what `close` returns."""
        task.since_s = now_s = self._loop.time()
        self._connection.start(task)
        self._requests.task_started(now_s)
        self._wake()

    def reset_lun(self, lun: int, done: ResetDone) -> None:
        """LOGICAL UNIT RESET; ``done`` gets the target's answer, or None when the connection ends before it."""

        def answered(result: TmfResult) -> None:
            self._resets.remove(done)
            done(result)

        self._resets.append(done)
        self._connection.reset_lun(lun, answered)
        self._wake()

    def log_out(self) -> None:
        """Send a Logout now; `Ending` follows when the target has answered."""
        self._pings.stop()
        self._connection.log_out()
        self._flush()

    def close(self, why: str) -> list[Task]:
        """End it, by a FIN after a logout and by a reset otherwise, and hand over what has not completed.

        Nothing is heard from it any more.
        """
        self._over = True
        self._pings.stop()
        self._requests.stop()
        self._cancel_abort_timer()
        resets, self._resets = self._resets, []
        for done in resets:
            done(None)
        if self._logout_timer is not None:
            self._logout_timer.cancel()
        if self._connection.clean:
            self._link.close()
        else:
            self._link.abort(why)
        return self._connection.abandon()

    def _received(self, data: bytes) -> None:
        if self._over:
            return
        if data:
            self.heard = True
            self._pings.heard_at_s = self._loop.time()
        self._receiving = True
        try:
            self._connection.receive(data)
        finally:
            self._receiving = False
        self._flush()

    def _wake(self) -> None:
        """Have the output written once everything that happens now has happened."""
        if not self._receiving and not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if not self._over and (out := self._connection.take_output()):
            self._link.write(out)

    def _ended(self, why: str, wait_s: int = 0, *, logged_out: bool = False, cleared: bool = False) -> None:
        if not self._over:
            self._over = True
            self._on_ended(Ending(why, wait_s, logged_out, self._link.ended_by_target, cleared))

    def _on_event(self, event: ConnectionEvent) -> None:
        if isinstance(event, ConnectionEnded):
            self._ended(event.reason, event.wait_s)
        elif isinstance(event, LogoutRequested):
            self._log_out_as_asked(event.within_s)
        elif isinstance(event, LoggedOut):
            if event.result is not LogoutResult.CLOSED:
                self._on_note(f"the target answered the logout with {event.result.name}")
            cleared = event.result is LogoutResult.CLOSED
            self._ended(LOGGED_OUT, event.wait_s, logged_out=True, cleared=cleared)
        else:
            self._on_note(event.text)

    def _log_out_as_asked(self, within_s: int) -> None:
        """Async event 1 (RFC 7143 11.9.1): the owner will log in again once this logout is answered."""
        self._on_note(f"the target asks for a logout within {within_s} s")
        patience_s = self._timers.logout_ns / SECOND_NS
        if self._logout_timer is None:
            why = "the target did not answer the logout it asked for"
            self._logout_timer = self._loop.call_later(min(within_s or patience_s, patience_s), self._ended, why)
        self._pings.stop()
        self._connection.log_out()
        self._wake()

    def _ping(self) -> None:
        self._connection.ping()
        self._wake()

    def _request_expired(self, task: Task) -> None:
        """A request's time is over: abort the task, or the connection if all of it has been silent."""
        timeout_s = self._timers.request_ns / SECOND_NS
        if not self._timers.aborts_first and self._pings.heard_at_s <= task.since_s:
            self._requests.stop()
            self._ended(f"nothing came from the target for the {timeout_s:g} s a request may take")
            return
        self._on_note(f"a request has taken {timeout_s:g} s: ABORT TASK")
        self._aborts += 1
        if self._abort_timer is None:
            self._await_abort()
        self._connection.abort(task, CompletionKind.TIMED_OUT, self._abort_answered)
        self._wake()

    def _await_abort(self) -> None:
        self._cancel_abort_timer()
        patience_s = self._timers.abort_ns / SECOND_NS
        self._abort_timer = self._loop.call_later(patience_s, self._ended, "ABORT TASK was not answered")

    def _abort_answered(self, result: TmfResult) -> None:
        self._aborts -= 1
        self._cancel_abort_timer()
        if result not in _ABORT_WORKED:
            self._ended(f"ABORT TASK was answered with {result.name}")
        elif self._aborts:
            self._await_abort()

    def _cancel_abort_timer(self) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
            self._abort_timer = None
