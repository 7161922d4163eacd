"""A session with one connection, kept alive: login, redirects, loss, hold, reconnect, logout.

What a host does when a session's connection is gone, as the Microsoft initiator does it:

    loss                the session is FAILED; its requests, sent or new, are held
    reconnect           every DelayBetweenReconnect through the *original* portal, wherever the last redirect led; the
                        same ISID with TSIH 0, so that the target ends the old session (reinstatement, RFC 7143 6.3.5)
    in time             the units are asked who they are (Linux: nobody is), and the held requests are sent again
    LinkDownTime over   they fail up, the path is lost (MaxRequestHoldTime for a disk without MPIO)
    later reconnect     a TEST UNIT READY; then the path is back

The first reconnect comes one DelayBetweenReconnect after the loss (unverified; RFC 7143 7.5 asks for Time2Wait, which
is waited for if it is longer), or at once when the target had asked for a logout.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from initiator_model.connector import Connector
from initiator_model.live_connection import Ending, LiveConnection, ResetDone
from initiator_model.login_chain import HOP_LIMIT, Hop, LoggedIn, LoginError, LoginTerms, log_in
from initiator_model.losses import Loss
from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from initiator_model.scsi_calls import Submit, test_unit_ready
from initiator_model.session_events import SessionObserver, SessionState
from initiator_model.tasks import Done, Task
from initiator_model.timers import SECOND_NS
from iscsi.discovery import TargetAddress
from iscsi.negotiation import SessionParameters

__all__ = ["IscsiSession", "PathCheck"]

PathCheck = Callable[[Submit], Awaitable[str | None]]

RESENDS_MAX = 8
"""Connections that may be lost under one request; then it fails, and with it the path (unverified: no source says)."""

_LOGGED_IN = SessionState.LOGGED_IN  # an enum's attribute is slow to look up
_AT_WORK = (SessionState.LOGGED_IN, SessionState.RECOVERING)
_NOT_AT_WORK = (SessionState.RECOVERING, SessionState.LOST)
_GONE = (SessionState.FREE, SessionState.CLOSED)
_NOT_HERE = (SessionState.FREE, SessionState.LOGGING_OUT, SessionState.CLOSED)


class IscsiSession:
    """One I_T nexus from ``terms.source`` to whatever portal ``portal`` (the original one) leads to.

    ``multipath`` chooses between LinkDownTime and MaxRequestHoldTime. ``path_check`` is awaited before a lost path is
    called back: it sends commands and returns what is wrong, or None. ``identity_check`` is the same for a session that
    comes back in time: it asks only who is there (None: nothing is known yet that could be compared).
    ``local``, ``remote`` (``"ip:port"``), ``via`` (the address it was last redirected from) and ``params`` describe
    the present connection, or the last one. ``usable`` is True while requests are sent or held.
    """

    def __init__(
        self,
        terms: LoginTerms,
        portal: TargetAddress,
        *,
        connector: Connector,
        random_bytes: Callable[[int], bytes],
        multipath: bool,
        observer: SessionObserver | None = None,
        hop_limit: int = HOP_LIMIT,
    ) -> None:
        timers = terms.timers
        self.terms = terms
        self.portal = portal
        self.multipath = multipath
        self.observer = observer or SessionObserver()
        self.state = SessionState.FREE
        self.usable = False
        self.path_check: PathCheck = _unit_0_is_ready
        self.identity_check: PathCheck | None = None
        self.local = self.remote = ""
        self.via: TargetAddress | None = None
        self.params: SessionParameters | None = None
        self.tsih = 0
        self._connector = connector
        self._random_bytes = random_bytes
        self._hop_limit = hop_limit
        self._hold_s = timers.hold_ns(multipath=multipath) / SECOND_NS
        self._first_delay_s = timers.first_reconnect_ns / SECOND_NS
        self._delay_s = timers.reconnect_after_refusal_ns / SECOND_NS
        self._delay_after_silence_s = timers.reconnect_after_silence_ns / SECOND_NS
        self._loop: asyncio.AbstractEventLoop
        self._live: LiveConnection | None = None
        self._held: deque[Task] = deque()
        self._loss: Loss | None = None  # the last connection lost, until the target has let go of it
        self._hold_until_s = 0.0
        self._adopted_at_s = 0.0
        self._hold_timer: asyncio.TimerHandle | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._logged_out: asyncio.Future[None] | None = None

    async def log_in(self) -> None:
        """Log in and be ready. When a redirect leads nowhere, the original portal is asked once more.

        Raises:
            LoginError: with the whole chain; the session is CLOSED then.
        """
        self._loop = asyncio.get_running_loop()
        self._enter(SessionState.LOGGING_IN, f"logging in through {self.portal.redirect_value}")
        try:
            logged_in = await self._first_login()
        except BaseException as error:
            if self.state is SessionState.LOGGING_IN:
                self._enter(SessionState.CLOSED, str(error) or type(error).__name__)
            raise
        if self.state is not SessionState.LOGGING_IN:
            logged_in.link.abort("the session was ended during its login")
            raise LoginError("the session was ended during its login", logged_in.hops, None, False)
        self._resume(logged_in, "logged in")

    def submit(self, request: ScsiRequest, done: Done, /) -> Task:
        """Send a request, or hold it while the session recovers. ``done`` is called once, whatever happens.

        A session that is lost or closed answers DEVICE_NOT_CONNECTED as soon as the loop comes round.
        """
        task = Task(request, done)
        if self.state is _LOGGED_IN and self._live is not None:
            self._live.start(task)
        elif self.state is SessionState.RECOVERING:
            self._held.append(task)
        else:
            not_here = Completion(CompletionKind.DEVICE_NOT_CONNECTED)
            asyncio.get_running_loop().call_soon(task.done, not_here)
        return task

    def reset_lun(self, lun: int, done: ResetDone, /) -> None:
        """LOGICAL UNIT RESET. ``done`` gets the answer; None when the session is not logged in, or lost before it."""
        if self.state is _LOGGED_IN and self._live is not None:
            self._live.reset_lun(lun, done)
        else:
            asyncio.get_running_loop().call_soon(done, None)

    async def log_out(self) -> None:
        """Close the session: Logout, a bounded wait for the answer, then TCP. Open requests end DELETE_PENDING."""
        if self.state in _NOT_HERE:
            return
        self._stop_recovery()
        self._enter(SessionState.LOGGING_OUT, "logging out")
        if self._live is not None:
            self._logged_out = self._loop.create_future()
            self._live.log_out()
            patience_s = self.terms.timers.logout_ns / SECOND_NS
            try:
                async with asyncio.timeout(patience_s):
                    await self._logged_out
            except TimeoutError:
                self._note(f"the target did not answer the logout within {patience_s:g} s")
        if self.state is SessionState.LOGGING_OUT:  # the host may have gone down meanwhile
            self._close("logged out", CompletionKind.DELETE_PENDING)

    def vanish(self, why: str) -> None:
        """The host went down: not a word to anybody, and no timer or task is left. Open requests end at once."""
        if self.state in _GONE:
            return
        self._stop_recovery()
        self._close(why, CompletionKind.DEVICE_DOES_NOT_EXIST)
        if self._logged_out is not None and not self._logged_out.done():
            self._logged_out.set_result(None)  # whoever logs out need not wait any more

    async def _first_login(self) -> LoggedIn:
        try:
            return await self._log_in()
        except LoginError as error:
            if not error.start_over:
                raise
            self._note(f"{error}; {self.portal.redirect_value} is asked once more")
        await asyncio.sleep(self._delay_s)
        return await self._log_in()

    async def _log_in(self) -> LoggedIn:
        def on_hop(hop: Hop) -> None:
            self.observer.on_hop(self, hop.local, hop.remote, hop.status)

        return await log_in(
            self.terms,
            self.portal,
            connector=self._connector,
            random_bytes=self._random_bytes,
            on_hop=on_hop,
            hop_limit=self._hop_limit,
        )

    def _adopt(self, logged_in: LoggedIn) -> LiveConnection:
        """Make a fresh login this session's connection."""
        self.portal, self.via = logged_in.home, logged_in.via
        self.local, self.remote = logged_in.link.local, logged_in.link.remote
        self.tsih, self.params = logged_in.done.tsih, logged_in.done.params
        self._adopted_at_s = self._loop.time()
        self._let_go()  # the login has reinstated the session
        self._live = LiveConnection(logged_in, self.terms.timers, on_ended=self._lost_connection, on_note=self._note)
        return self._live

    def _resume(self, logged_in: LoggedIn, why: str) -> None:
        """Work again, beginning with what was held."""
        live = self._adopt(logged_in)
        self._send_held(live, why)
        live.open()

    def _send_held(self, live: LiveConnection, why: str) -> None:
        self._cancel_hold()
        self._enter(SessionState.LOGGED_IN, f"{why}: {self.local} -> {self.remote}")
        held, self._held = self._held, deque()
        for task in held:
            live.start(task)

    def _lost_connection(self, ending: Ending) -> None:
        """The connection is over. Hold what it carried and try to get another one."""
        live = self._live
        assert live is not None
        self._live = None
        left = live.close(ending.why)
        self._loss = self._new_loss(live, seen=ending.seen)
        if ending.cleared:
            self._let_go(left)
        if self.state is SessionState.LOGGING_OUT:
            self._held.extend(left)
            if self._logged_out is not None and not self._logged_out.done():
                self._logged_out.set_result(None)
            return
        if self.state in _NOT_AT_WORK:  # during a check of its units, which sees its command fail and goes on
            self._complete(left, CompletionKind.DEVICE_NOT_CONNECTED)
            return
        for task in left:
            if task.losses > RESENDS_MAX:  # it may be what the target dies of: another path, or nobody, may have it
                self._complete((task,), CompletionKind.DEVICE_NOT_CONNECTED)
            else:
                self._held.append(task)
        now_s = self._loop.time()
        if live.heard or not self._hold_until_s or now_s - self._adopted_at_s >= self._hold_s:
            self._hold_until_s = now_s + self._hold_s  # a connection that dies unused does not start the clock anew
        self._enter(SessionState.RECOVERING, ending.why)
        self._hold_timer = self._loop.call_at(self._hold_until_s, self._hold_is_over)
        if ending.logged_out:  # as the target asked: Time2Wait is what it answered the logout with
            pause_s = float(ending.wait_s) if self.terms.timers.waits_after_logout else 0.0
        else:
            pause_s = max(self._first_delay_s, live.params.default_time2wait, ending.wait_s)
        self._recovery = self._loop.create_task(self._recover(pause_s))

    async def _recover(self, pause_s: float) -> None:
        """Reconnect through the original portal until it works, MaxConnectionRetries times."""
        for _ in range(self.terms.timers.reconnects_max):
            await asyncio.sleep(pause_s)
            pause_s = self._delay_s
            try:
                logged_in = await self._log_in()
            except LoginError as error:
                self._note(f"reconnect: {error}")
                pause_s = self._delay_after_silence_s if error.silent else self._delay_s
                continue
            in_time = self.state is SessionState.RECOVERING
            if not self.terms.timers.session_restores_path or (in_time and self.identity_check is None):
                self._recovery = None
                self._resume(logged_in, "reconnected in time" if in_time else "reconnected")
                if not in_time:
                    self.observer.on_back(self)
                return
            live = self._adopt(logged_in)
            live.open()
            if await self._path_is_good(live):
                self._recovery = None
                if self.state is SessionState.RECOVERING:
                    self._send_held(live, "reconnected in time")
                    return
                self._enter(SessionState.LOGGED_IN, f"reconnected: {self.local} -> {self.remote}")
                self.observer.on_back(self)
                return
        self._note("no reconnect is left: MaxConnectionRetries")

    async def _path_is_good(self, live: LiveConnection) -> bool:
        """Repeat the check until it passes; False when the connection is lost over it.

        As long as the session is in time, its units only have to be who they were: a command of its own will find out
        whether they are ready.
        """

        def submit(request: ScsiRequest, done: Done) -> None:
            if self._live is live:
                live.start(Task(request, done))
            else:
                done(Completion(CompletionKind.DEVICE_NOT_CONNECTED))

        while self._live is live:
            in_time = self.state is SessionState.RECOVERING
            check = self.identity_check if in_time and self.identity_check is not None else self.path_check
            complaint = await check(submit)
            if self._live is not live:
                break
            if complaint is None and in_time and self.state is not SessionState.RECOVERING:
                continue  # the hold has ended over it
            if complaint is None:
                return True
            self._note(f"path check: {complaint}")
            await asyncio.sleep(self._delay_s)
        return False

    def _hold_is_over(self) -> None:
        self._hold_timer = None
        why = f"no connection for {self._hold_s:g} s"
        self._enter(SessionState.LOST, why)
        held, self._held = self._held, deque()
        self.observer.on_lost(self, why)
        self._complete(held, CompletionKind.DEVICE_NOT_CONNECTED)

    def _close(self, why: str, kind: CompletionKind) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            self._held.extend(live.close(why))
            self._loss = self._new_loss(live, seen=False)
        held, self._held = self._held, deque()
        self._enter(SessionState.CLOSED, why)
        self._complete(held, kind)

    def _new_loss(self, live: LiveConnection, *, seen: bool) -> Loss:
        """What the target may keep of a connection that is over, and for how long it does (RFC 7143 7.5)."""
        kept_s = live.params.default_time2wait + live.params.default_time2retain
        return Loss(self.terms.isid, f"{self.local} -> {self.remote}", self._loop.time(), seen, kept_s)

    def _let_go(self, left: Iterable[Task] = ()) -> None:
        """The target has ended what it had of the last connection."""
        for task in (*self._held, *left):
            task.astray = False
        if self._loss is not None:
            self._loss.end()
            self._loss = None

    def _complete(self, tasks: Iterable[Task], kind: CompletionKind) -> None:
        for task in tasks:
            task.done(Completion(kind, loss=self._loss if task.astray else None))

    def _stop_recovery(self) -> None:
        self._cancel_hold()
        if self._recovery is not None:
            self._recovery.cancel()
            self._recovery = None

    def _cancel_hold(self) -> None:
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None

    def _enter(self, state: SessionState, why: str) -> None:
        old, self.state = self.state, state
        self.usable = state in _AT_WORK
        self.observer.on_state(self, old, state, why)

    def _note(self, text: str) -> None:
        self.observer.on_note(self, text)


async def _unit_0_is_ready(submit: Submit) -> str | None:
    return await test_unit_ready(submit, 0)
