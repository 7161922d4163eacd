"""multipathd's checker: every path is asked now and then, and only its answer brings a failed path back.

Each path has an interval of its own. It starts at `check_ns`, doubles after each good answer up to `check_max_ns`, and
falls back to the start when the path is bad. A path that the kernel fails is looked at again after `check_ns` at most,
however long its interval had become. The checker is `tur`: TEST UNIT READY; a path whose session is not logged in is
down without being asked. An answer that takes longer than `PATIENCE_S` leaves the path *pending*, and counts at the
daemon's next tick, `TICK_S` later.

Source: multipathd/main.c of multipath-tools (`check_path`) and the multipath.conf manual (FACTS E.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from initiator_model.host_records import ClaimedDisk, HostSession
from initiator_model.lu_probe import LogicalUnitFacts
from initiator_model.paths import Path, PathState
from initiator_model.scsi_calls import test_unit_ready
from initiator_model.session_events import SessionState
from initiator_model.timers import SECOND_NS, Timers

__all__ = ["PathChecker"]

Readmit = Callable[[HostSession, list[LogicalUnitFacts]], Awaitable[str | None]]

PATIENCE_S: Final = 0.001
"""How long the daemon waits for the checker's thread (libmultipath/checkers/tur.c)."""
TICK_S: Final = 1.0
"""How often it looks at pending paths."""


class PathChecker:
    """Checks the paths of one host.

    ``refresh`` has the priorities of an asymmetric disk's paths looked at again. ``readmit`` prepares a failed path
    that answers again, or says what is wrong with it.
    """

    def __init__(self, timers: Timers, refresh: Callable[[ClaimedDisk], None], readmit: Readmit) -> None:
        self._refresh = refresh
        self._readmit = readmit
        self._least_s = timers.check_ns / SECOND_NS
        self._most_s = timers.check_max_ns / SECOND_NS
        self._watched: dict[int, _Watched] = {}  # by number, in the order they were found
        self._found = 0

    def session_logged_on(self, owner: HostSession) -> None:
        """A session has paths now."""
        self._watched = {number: watched for number, watched in self._watched.items() if not watched.gone}
        for disk, path in owner.paths:
            self._found = number = self._found + 1
            self._watched[number] = _Watched(
                owner, disk, path, self._least_s, self._most_s, self._refresh, self._readmit
            )

    def path_failed(self, owner: HostSession, disk: ClaimedDisk, path: Path) -> None:
        """The kernel failed a path."""
        for number, watched in list(self._watched.items()):
            if watched.gone:
                del self._watched[number]
            elif watched.path is path:
                watched.look_soon()

    def stop(self) -> None:
        """The host goes down."""
        for watched in self._watched.values():
            watched.stop()
        self._watched.clear()


class _Watched:
    """One path and when it is looked at next."""

    def __init__(
        self,
        owner: HostSession,
        disk: ClaimedDisk,
        path: Path,
        least_s: float,
        most_s: float,
        refresh: Callable[[ClaimedDisk], None],
        readmit: Readmit,
    ) -> None:
        self._refresh = refresh
        self._readmit = readmit
        self.owner = owner
        self.disk = disk
        self.path = path
        self._least_s = least_s
        self._most_s = most_s
        self._interval_s = least_s
        self._loop = asyncio.get_running_loop()
        self._check: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(least_s, self._due)

    @property
    def gone(self) -> bool:
        """The path was logged out."""
        return self.path.state is PathState.REMOVED or (self.disk, self.path) not in self.owner.paths

    def look_soon(self) -> None:
        """Within the shortest interval."""
        self._interval_s = self._least_s
        if self._timer is not None and self._timer.when() > self._loop.time() + self._least_s:
            self._timer.cancel()
            self._timer = self._loop.call_later(self._least_s, self._due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._check is not None:
            self._check.cancel()
            self._check = None

    def _due(self) -> None:
        self._timer = None
        if not self.gone:
            self._check = self._loop.create_task(self._look())

    async def _look(self) -> None:
        session = self.owner.session
        complaint: str | None = "its session is not logged in"
        if session.state is SessionState.LOGGED_IN:
            asked_at_s = self._loop.time()
            complaint = await test_unit_ready(session.submit, self.disk.facts.lun)
            took_s = self._loop.time() - asked_at_s
            if took_s > PATIENCE_S:
                await asyncio.sleep(max(0.0, TICK_S - took_s))
            if complaint is None and self.path.state is PathState.FAILED:
                complaint = await self._readmit(self.owner, [self.disk.facts])
        self._check = None
        if self.gone or self.disk.disk.gone:
            return
        if complaint is None:
            if self.path.access is not None:
                self._refresh(self.disk)
            if self.path.state is PathState.FAILED:
                self._interval_s = self._least_s
                self.disk.disk.path_recovered(self.path, "the checker found it well")
            else:
                self._interval_s = min(2 * self._interval_s, self._most_s)
        else:
            self._interval_s = self._least_s
            if session.state is SessionState.LOGGED_IN:
                self.disk.disk.path_failed(self.path, f"checker: {complaint}")
        self._timer = self._loop.call_later(self._interval_s, self._due)
