"""Getting logical I/Os onto paths: send, understand what came back, try again, hold, give up.

A logical I/O goes down the path the DSM chooses. When the attempt comes back, the stack's error table (`errors`) says
what it means: done; the path is dead (fail it, take another); try again in a while; or hand the error up. With no path
left, requests are held until one arrives; when none does for as long as the stack waits, everything that was held
fails. Windows then removes the disk; dm-multipath and ESXi keep it, and fail requests at once until a path is back.

What a caller may rely on:

* `done` is called once for every I/O accepted, whatever sessions do: a second or late completion of an attempt is
  counted in `late_completions` and dropped;
* nothing is sent down a path the DSM has failed;
* the number of I/Os under way is bounded (`QueueFull`), and so is the number of attempts at one of them;
* a write that failed although it may have reached the disk ends as `Outcome.UNKNOWN`, never as failed;
* where the host fences, no write is sent again while a lost path's target may still execute it (`fence_line`).

Retries that MPIO hands up are repeated a few times by the disk class driver, which in Windows sits right on top; that
small layer is part of this one. The clock comes in as `call_later(delay_s, function)`: a loop's method fits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from initiator_model import budgets
from initiator_model.dsm import Dsm
from initiator_model.errors import Action, ErrorTable, doubts_access, may_have_run, words
from initiator_model.errors.msdsm import MSDSM
from initiator_model.fail_back_wait import FailBackWait
from initiator_model.fence_line import Fence, FenceLine
from initiator_model.logical_io import (
    Attempt,
    DiskRemoved,
    Done,
    IoResult,
    LogicalIo,
    Operation,
    Outcome,
    QueueFull,
    Timer,
)
from initiator_model.path_io import PathIo
from initiator_model.paths import Path, PathState
from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from initiator_model.timers import SECOND_NS, Timers
from iscsi.constants import ScsiStatus
from iscsi.port_groups import AccessState

__all__ = ["Dispatcher", "PathIo"]

_OK: Final = Outcome.OK  # an enum's attribute is slow to look up
_COMPLETED: Final = CompletionKind.COMPLETED
_GOOD: Final = int(ScsiStatus.GOOD)


class Dispatcher:
    """See the module.

    `queue_limit` bounds the I/Os under way. Observers add themselves to the lists among the `on_` hooks; they must not
    submit. `on_doubt` hears that a command met an access state the disk did not expect. `fence` makes fences; without
    it there are none.
    """

    def __init__(
        self,
        *,
        dsm: Dsm,
        timers: Timers,
        call_later: Callable[[float, Callable[[], None]], Timer],
        errors: ErrorTable = MSDSM,
        queue_limit: int = 4096,
        fence: Fence | None = None,
    ) -> None:
        self.dsm = dsm
        self.timers = timers
        self.errors = errors
        self.queue_limit = queue_limit
        self.gone = False
        self.late_completions = 0
        self.on_invoke: list[Callable[[LogicalIo], None]] = []
        self.on_attempt: list[Callable[[LogicalIo, Path], None]] = []
        self.on_hold: list[Callable[[LogicalIo], None]] = []
        self.on_complete: list[Callable[[LogicalIo, IoResult], None]] = []
        self.on_gone: Callable[[str], None] | None = None
        self.on_doubt: Callable[[], None] | None = None
        self._call_later = call_later
        self._sessions: dict[int, PathIo] = {}
        self._under_way: dict[int, LogicalIo] = {}
        self._held: deque[LogicalIo] = deque()
        self._removal: Timer | None = None
        self._refusing = False  # requests fail at once: there has been no path for too long
        self._fail_back = FailBackWait(dsm, call_later)
        self._fences = None if fence is None else FenceLine(fence, self._dispatch, self._fence_failed)
        self._number = 0

    @property
    def outstanding(self) -> int:
        """I/Os accepted and not ended, held ones included."""
        return len(self._under_way)

    @property
    def accepted(self) -> tuple[LogicalIo, ...]:
        """Those I/Os, in the order in which they came."""
        return tuple(self._under_way.values())

    @property
    def held(self) -> int:
        """I/Os waiting for a path."""
        return len(self._held)

    @property
    def fenced(self) -> int:
        """I/Os waiting for a fence."""
        return 0 if self._fences is None else self._fences.waiting

    # ---- what the host does --------------------------------------------------------------------------------------

    def add_path(self, path: Path, session: PathIo) -> None:
        """A session has logged in and its LUN was found to be this disk."""
        if self.gone:
            raise DiskRemoved("the disk was removed; a path that arrives now belongs to a new one")
        self.dsm.add_path(path)
        self._sessions[path.path_id] = session
        self._paths_changed()
        self._fail_back.begin()

    def path_failed(self, path: Path, why: str) -> None:
        """The path's session has given up. Its requests come back through their attempts."""
        if self.dsm.path_failed(path, why):
            self._paths_changed()

    def path_recovered(self, path: Path, why: str) -> None:
        """The path's session is back."""
        if not self.gone and self.dsm.path_recovered(path, why):
            self._paths_changed()
            self._fail_back.begin()

    def set_access(self, access: Mapping[int, tuple[AccessState, bool]]) -> None:
        """The array has said what it thinks of the paths; see `Dsm.set_access`."""
        before = [path.priority for path in self.dsm.paths]
        self.dsm.set_access(access)
        self._paths_changed()
        if [path.priority for path in self.dsm.paths] != before:
            self._fail_back.begin()

    def remove_path(self, path: Path, why: str) -> None:
        """The path's session was ended for good; what it was still carrying is sent down other paths."""
        self.dsm.remove_path(path, why)
        del self._sessions[path.path_id]
        orphans = [
            io
            for io in self._under_way.values()
            if io.attempt is not None and io.attempt.live and io.attempt.path is path
        ]
        for io in orphans:
            self._abandon(io)
        self._paths_changed()
        for io in orphans:
            if io.number in self._under_way:
                self._dispatch(io)

    def remove(self, why: str) -> None:
        """Take the disk away: every I/O under way ends now. A second call does nothing."""
        if self.gone:
            return
        self.gone = True
        self._cancel_removal()
        self._fail_back.stop()
        self._held.clear()
        if self._fences is not None:
            self._fences.forget()
        for io in list(self._under_way.values()):
            self._abandon(io)
            self._end_badly(io, None, why)
        if self.on_gone is not None:
            self.on_gone(why)

    # ---- one logical I/O -----------------------------------------------------------------------------------------

    def start(self, operation: Operation, lba: int, blocks: int, request: ScsiRequest, done: Done) -> LogicalIo:
        """Accept one I/O and send it on its way; raises DiskRemoved or QueueFull."""
        if self.gone:
            raise DiskRemoved("the disk was removed")
        if len(self._under_way) >= self.queue_limit:
            raise QueueFull(f"{self.queue_limit} I/Os are under way already")
        self._number = number = self._number + 1
        io = LogicalIo(number, operation, lba, blocks, request, done)
        self._under_way[number] = io
        for told in self.on_invoke:
            told(io)
        if self._fences is None or not self._fences.stops_behind(io):
            self._dispatch(io)
        return io

    def _dispatch(self, io: LogicalIo) -> None:
        """Send the I/O down the path the policy says, or hold it."""
        while (path := self.dsm.choose(io)) is not None:
            session = self._sessions[path.path_id]
            if session.usable:
                self._send(io, path, session)
                return
            self.path_failed(path, "its session takes no requests")
        if self._refusing:
            self._later(io, 0, self._refuse)  # not from within the call that submitted it
            return
        self._held.append(io)
        for told in self.on_hold:
            told(io)
        self._await_path_or_removal()

    def _send(self, io: LogicalIo, path: Path, session: PathIo) -> None:
        if io.losses and self._fences is not None and self._fences.stops(io, path):
            return
        io.attempts += 1
        io.attempt = attempt = Attempt(self, io, path)
        meter = self.dsm.meter
        if meter is not None:
            attempt.began_ns = meter.clock()
            meter.started(path, io)
        for told in self.on_attempt:
            told(io, path)
        session.submit(io.request, attempt.completed)

    def attempt_completed(self, attempt: Attempt, completion: Completion) -> None:
        """A live attempt has ended; called by the attempt."""
        io = attempt.io
        if completion.kind is _COMPLETED and completion.status == _GOOD:
            if len(completion.data) == io.request.read_length:
                self._end(io, IoResult(_OK, completion.data, attempt.path, io.attempts, completion))
                return
            # GOOD with other data than was asked for is a torn transfer, whatever the status says.
            completion = Completion(CompletionKind.DATA_OVERRUN, residual=io.request.read_length - len(completion.data))
        io.may_have_run |= may_have_run(completion)
        if completion.loss is not None and self._fences is not None and io.operation is Operation.WRITE:
            io.losses = (*io.losses, completion.loss)
        self._judge(io, attempt.path, attempt.generation, completion)

    def _fence_failed(self, io: LogicalIo, path: Path, generation: int, completion: Completion) -> None:
        """The write did not get past its fence: that was one attempt."""
        io.attempts += 1
        self._judge(io, path, generation, completion)

    def _judge(self, io: LogicalIo, path: Path, generation: int, completion: Completion) -> None:
        """What becomes of an I/O whose attempt down ``path`` was no success."""
        if self.on_doubt is not None and doubts_access(completion):
            self.on_doubt()
        action = self.errors.interpret(completion, active_left=self.dsm.has_active)
        if action is Action.FAILOVER and generation == path.generation:
            self.path_failed(path, words(completion))
        if action is Action.COMPLETE and len(completion.data) != io.request.read_length:
            action = self.errors.kinds[CompletionKind.DATA_OVERRUN]
        if action is Action.COMPLETE:  # CONDITION MET, or an error that the device has recovered from
            self._end(io, IoResult(_OK, completion.data, path, io.attempts, completion))
        elif not self._tried_again(io, path, generation, action, completion):
            self._end_badly(io, completion, words(completion))

    def _tried_again(self, io: LogicalIo, path: Path, generation: int, action: Action, completion: Completion) -> bool:
        """Start or schedule the next attempt; False when there is to be none."""
        timers = self.timers
        if not budgets.count(io, action):
            return False
        if budgets.used_up(io, action, timers):
            action = self.errors.exhausted
            if action is Action.FAILOVER and generation == path.generation:
                io.retries = io.requeues = 0  # the next path begins anew
                self.path_failed(path, words(completion))
        match action:
            case Action.RETRY_SAME_PATH | Action.RETRY_HERE:
                self._send_again(io, path)
            case Action.FAILOVER:
                self._dispatch(io)
            case Action.RETRY | Action.RETRY_UNCOUNTED:
                self._later(io, timers.retry_ns, self._dispatch)
            case Action.REQUEUE:
                self._later(io, timers.requeue_ns, partial(self._send_again, path=path))
            case _ if self.errors.class_driver_retries(completion) and io.class_retries < timers.class_retries:
                io.class_retries += 1
                io.retries = 0
                self._later(io, timers.class_retry_ns, self._dispatch)
            case _:
                return False
        return True

    def _refuse(self, io: LogicalIo) -> None:
        if self._refusing:
            self._end_badly(io, None, f"no path is left ({self.timers.no_path_name})")
        else:
            self._dispatch(io)

    def _send_again(self, io: LogicalIo, path: Path) -> None:
        """Down the same path, or another if that one is gone meanwhile."""
        session = self._sessions.get(path.path_id)
        if session is not None and path.state is PathState.ACTIVE_OPTIMIZED and session.usable:
            self._send(io, path, session)
        else:
            self._dispatch(io)

    def _later(self, io: LogicalIo, delay_ns: int, then: Callable[[LogicalIo], None]) -> None:
        io.attempt = None
        io.timer = self._call_later(delay_ns / SECOND_NS, partial(self._wait_is_over, io, then))

    def _wait_is_over(self, io: LogicalIo, then: Callable[[LogicalIo], None]) -> None:
        io.timer = None
        then(io)

    def _abandon(self, io: LogicalIo) -> None:
        """Stop whatever is under way for the I/O; what the attempt still brings is late."""
        if io.timer is not None:
            io.timer.cancel()
            io.timer = None
        attempt = io.attempt
        if attempt is not None and attempt.live:
            attempt.end()
            io.may_have_run = True

    def _end_badly(self, io: LogicalIo, completion: Completion | None, why: str) -> None:
        unknown = io.may_have_run and io.operation is Operation.WRITE
        path = io.attempt.path if io.attempt is not None else None
        outcome = Outcome.UNKNOWN if unknown else Outcome.FAILED
        self._end(io, IoResult(outcome, b"", path, io.attempts, completion, why))

    def _end(self, io: LogicalIo, result: IoResult) -> None:
        del self._under_way[io.number]
        for told in self.on_complete:
            told(io, result)
        io.attempt = None  # they know each other: this frees both at once, and the data with them
        io.done(result)

    # ---- paths come and go ---------------------------------------------------------------------------------------

    def _paths_changed(self) -> None:
        """Release what was held if there is a path now, else start the clock that removes the disk."""
        if not self.dsm.has_active:
            self._await_path_or_removal()
            return
        self._refusing = False
        self._cancel_removal()
        for _ in range(len(self._held)):
            if not self._held:  # a nested release was quicker
                break
            self._dispatch(self._held.popleft())

    def _await_path_or_removal(self) -> None:
        period_ns = self.timers.no_path_ns
        if any(path.works and path.access is not None for path in self.dsm.paths):
            self._cancel_removal()  # paths there are; the array has them all in transition, or in standby
            return
        if self._removal is None and period_ns is not None and not self.gone and not self._refusing:
            if period_ns:
                self._removal = self._call_later(period_ns / SECOND_NS, self._period_is_over)
            else:
                self._period_is_over()

    def _period_is_over(self) -> None:
        """There has been no path for too long: the disk goes, or stays and refuses."""
        self._removal = None
        why = f"no path for {self.timers.no_path_name} ({(self.timers.no_path_ns or 0) / SECOND_NS:g} s)"
        if not self.timers.disk_outlives_paths:
            self.remove(why)
            return
        self._refusing = True
        held, self._held = self._held, deque()
        for io in held:
            if io.number in self._under_way:
                self._end_badly(io, None, why)

    def _cancel_removal(self) -> None:
        if self._removal is not None:
            self._removal.cancel()
            self._removal = None
