"""Windows MPIO's own look at its paths, beside what sessions and failing requests tell it.

A path can be failed while its session is fine: the DSM took an error for the path's. Nothing of the session's would
ever bring it back, so MPIO tries such paths every recovery interval (PathRecoveryInterval, or twice PDORemovePeriod).
A path whose disk was removed meanwhile, for want of any path, makes it anew (unverified).
With PathVerifyEnabled the working paths are asked too, every PathVerificationPeriod, so that a dead one is found
before a request finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from initiator_model.host_records import ClaimedDisk, HostSession
from initiator_model.paths import Path, PathState
from initiator_model.session_events import SessionState
from initiator_model.timers import SECOND_NS, Timers

__all__ = ["PathVerifier"]

_COMES_BACK_UNTOLD = (SessionState.LOGGED_IN, SessionState.RECOVERING)
"""A session that is given up brings its path back when it returns; one that returns in time says nothing."""


class PathVerifier:
    """Verifies the paths of one host.

    ``sessions`` are asked for whenever the working paths are due; ``refresh`` has the states of an asymmetric disk's
    port groups looked at; ``recovered`` hears that a failed path works, and says whether
    it is in use again.
    """

    def __init__(
        self,
        timers: Timers,
        sessions: Callable[[], Sequence[HostSession]],
        refresh: Callable[[ClaimedDisk], None],
        recovered: Callable[[HostSession, ClaimedDisk, Path], bool],
    ) -> None:
        self._refresh = refresh
        self._recovered = recovered
        self._recovering: list[Path] = []
        self._period_s = timers.check_ns / SECOND_NS if timers.check_ns else None
        self._recovery_s = timers.recovery_ns / SECOND_NS
        self._sessions = sessions
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by number, in the order they were started
        self._started = 0
        self._periodic = False

    def session_logged_on(self, owner: HostSession) -> None:
        """There is something to verify."""
        if self._period_s is not None and not self._periodic:
            self._periodic = True
            self._start(self._verify_all(self._period_s))

    def path_failed(self, owner: HostSession, disk: ClaimedDisk, path: Path) -> None:
        """A path was failed. If its session is not to blame, or may come back in time, try the path again later."""
        if owner.session.state in _COMES_BACK_UNTOLD and path not in self._recovering:
            self._recovering.append(path)
            self._start(self._recover_once(owner, disk, path))

    def stop(self) -> None:
        """The host goes down."""
        for task in list(self._tasks.values()):
            task.cancel()
        self._tasks.clear()
        self._periodic = False

    async def _recover_once(self, owner: HostSession, disk: ClaimedDisk, path: Path) -> None:
        try:
            await self._recover(owner, disk, path)
        finally:
            self._recovering.remove(path)

    async def _recover(self, owner: HostSession, disk: ClaimedDisk, path: Path) -> None:
        session = owner.session
        while True:
            await asyncio.sleep(self._recovery_s)
            if not self._is_due(owner, disk, path):
                return
            if session.state is SessionState.LOGGED_IN and await session.path_check(session.submit) is None:
                well = session.state is SessionState.LOGGED_IN and self._is_due(owner, disk, path)
                if well and self._recovered(owner, disk, path):
                    return

    def _is_due(self, owner: HostSession, disk: ClaimedDisk, path: Path) -> bool:
        """Whether it is for the verifier to bring the path back: it is failed, and the session's, and that one is well
        or may return in time; one that was given up brings its paths back itself.
        """
        failed = path.state is PathState.FAILED and (disk, path) in owner.paths
        return failed and owner.session.state in _COMES_BACK_UNTOLD

    async def _verify_all(self, period_s: float) -> None:
        while True:
            await asyncio.sleep(period_s)
            for owner in list(self._sessions()):
                session = owner.session
                if session.state is not SessionState.LOGGED_IN:
                    continue
                complaint = await session.path_check(session.submit)
                for disk, path in list(owner.paths):
                    if complaint is not None:
                        disk.disk.path_failed(path, f"path verification: {complaint}")
                    else:
                        self._ask(disk)

    def _ask(self, disk: ClaimedDisk) -> None:
        """On an asymmetric disk verification is REPORT TARGET PORT GROUPS, too: the check took the unit attentions."""
        if disk.facts.inquiry.tpgs:
            self._refresh(disk)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._started = number = self._started + 1
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))
