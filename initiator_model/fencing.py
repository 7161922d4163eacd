"""How a host makes sure, before it sends a write again on another path, that the first one is dead.

Neither Windows nor Linux does any of this: MPIO and dm-multipath send again as soon as the old path has given the
request back. It is what a strict host would do, and four rules are here to compare:

    none                 as Windows and Linux
    wait                 until the target has let go of the lost connection's tasks by itself
    lun-reset            LOGICAL UNIT RESET through the path the write is to take; answered, it has ended every task
                         of the unit, whoever's (SAM-5 7.7)
    preempt-and-abort    the dead path's registration is preempted and its tasks are aborted, from the path the write is
                         to take; nobody else's are touched (SPC-4 5.13.11.2.6; see `registrations`)

**When `wait` may go on.** The target keeps the tasks of a lost connection for Time2Wait + Time2Retain, as negotiated,
from the moment it knows of the loss (RFC 7143 7.5). When does it know? If its own FIN or reset ended the connection,
before the host did. Otherwise the host has given up first, and the target may have heard nothing: the cable is out, and
the host's reset is lost. Then the target learns of it by its own means, its NOP-In ping or its TCP giving up, and no
protocol tells the host how long they take. Both measure silence: they count from the last bytes that the target heard,
which it cannot have heard after the host stopped sending. So nothing is left when

    the host gave the connection up  +  ``notices_s``  +  Time2Wait + Time2Retain  +  `MARGIN_S`

has passed, where ``notices_s`` (0 if the target ended it) is *what the administrator knows of the target*: 30 s of this
project's array, which pings after 15 s and waits 15 s more. The margin is for the last bytes' way. The argument fails
where that number is wrong, where the network delivers later than the margin, and where the target does not end tasks
in time: it is a promise of the target's that the host cannot check. A reset or a preemption is answered.

Each fence is tried once, in `PATIENCE_S` (open-iscsi's lu_reset_timeout); the dispatcher decides whether there is
another one. A unit reset leaves a unit attention for every path: the fence takes that of its own path, the others' go
the way of the error table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from initiator_model.errors import Action, ErrorTable, words
from initiator_model.fence_line import FenceDone
from initiator_model.losses import Loss
from initiator_model.paths import Path
from initiator_model.registrations import Registrations
from initiator_model.requests import Completion, CompletionKind
from initiator_model.scsi_calls import CommandFailed, call
from initiator_model.session import IscsiSession
from initiator_model.timers import SECOND_NS
from iscsi import scsi
from iscsi.constants import TmfResult

__all__ = ["MARGIN_S", "NOTICES_NS", "PATIENCE_S", "DiskFence", "FenceRule", "Fencing"]

PATIENCE_S: Final = 30.0
MARGIN_S: Final = 1.0
NOTICES_NS: Final = 30 * SECOND_NS
"""What this project's array needs by default to see a silent loss: `target.config.Limits`' ping and its timeout."""


class FenceRule(Enum):
    """What a host does before a write is sent again on another path; values are the words of scenarios."""

    NONE = "none"
    WAIT = "wait"
    LUN_RESET = "lun-reset"
    PREEMPT_AND_ABORT = "preempt-and-abort"


@dataclass(frozen=True, slots=True)
class Fencing:
    """What a host does before it sends a write again on another path.

    ``notices_ns``: how long its targets need to see a silent loss, as far as its administrator knows; for `wait`.
    """

    rule: FenceRule = FenceRule.NONE
    notices_ns: int = NOTICES_NS

    def longest_ns(self, kept_s: int) -> int:
        """The longest that one fence takes, where the target keeps tasks for ``kept_s`` seconds."""
        match self.rule:
            case FenceRule.NONE:
                return 0
            case FenceRule.WAIT:
                return self.notices_ns + round((kept_s + MARGIN_S) * SECOND_NS)
            case _:
                return round(PATIENCE_S * SECOND_NS)

    @property
    def registers(self) -> bool:
        """Whether each path wants a key of its own."""
        return self.rule is FenceRule.PREEMPT_AND_ABORT


class DiskFence:
    """Makes the fences of one disk. ``session_of`` finds the session under a path, ``note`` hears of each fence."""

    def __init__(
        self,
        fencing: Fencing,
        lun: int,
        *,
        errors: ErrorTable,
        registrations: Registrations,
        session_of: Callable[[Path], IscsiSession | None],
        note: Callable[[str], None],
    ) -> None:
        self.lun = lun
        self._rule = fencing.rule
        self._notices_s = fencing.notices_ns / SECOND_NS
        self._errors = errors
        self._registrations = registrations
        self._session_of = session_of
        self._note = note
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by number, in the order they were started
        self._started = 0

    def begin(self, loss: Loss, through: Path, done: FenceDone) -> None:
        """See `fence_line.Fence`."""
        self._started = number = self._started + 1
        task = asyncio.get_running_loop().create_task(self._make(loss, through, done))
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    def stop(self) -> None:
        """The disk is gone."""
        for task in list(self._tasks.values()):
            task.cancel()

    async def _make(self, loss: Loss, through: Path, done: FenceDone) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        completion = None if loss.over else await self._tried(loss, through)
        what = f"fence ({self._rule.value}) against {loss.label} through {through.source} -> {through.portal}"
        if completion is None:
            self._note(f"{what}: it holds after {loop.time() - begun_s:.6f} s")
        else:
            self._note(f"{what} failed: {words(completion)}")
        done(completion)

    async def _tried(self, loss: Loss, through: Path) -> Completion | None:
        """None when the fence holds."""
        if self._rule is FenceRule.WAIT:
            await self._wait(loss)
            return None
        session = self._session_of(through)
        if session is None:
            return Completion(CompletionKind.DEVICE_NOT_CONNECTED)
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._rule is FenceRule.LUN_RESET:
                    return await self._reset(session)
                isid = session.terms.isid
                async with self._registrations.turn(loss.isid):
                    if not loss.over:  # else it has come back meanwhile, and registered anew
                        await self._registrations.preempt(session.submit, isid, loss.isid, self.lun)
                return None
        except TimeoutError:
            return Completion(CompletionKind.TIMED_OUT)
        except CommandFailed as failure:
            well = self._errors.interpret(failure.completion) is Action.COMPLETE  # done, with some effort
            return None if well else failure.completion

    async def _wait(self, loss: Loss) -> None:
        """Until nothing is left, or the session is back and has ended it."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hear() -> None:
            if not over.done():
                over.set_result(None)

        loss.when_over(hear)
        notices_s = 0.0 if loss.seen else self._notices_s
        try:
            async with asyncio.timeout_at(loss.at_s + notices_s + loss.kept_s + MARGIN_S):
                await over
        except TimeoutError:
            return  # which is what was waited for

    async def _reset(self, session: IscsiSession) -> Completion | None:
        answer: asyncio.Future[TmfResult | None] = asyncio.get_running_loop().create_future()

        def answered(result: TmfResult | None) -> None:
            if not answer.done():
                answer.set_result(result)

        session.reset_lun(self.lun, answered)
        result = await answer
        if result is None:
            return Completion(CompletionKind.DEVICE_NOT_CONNECTED)
        if result is not TmfResult.FUNCTION_COMPLETE:
            return Completion(CompletionKind.ABORTED)
        await call(session.submit, "TEST UNIT READY", self.lun, scsi.test_unit_ready())
        return None
