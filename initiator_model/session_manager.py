"""The session manager of EqualLogic's host kit (EHCM): one Log On, and the disk has as many paths as it should.

The user logs on to a volume once. The manager then opens sessions until there are as many as the limits allow: so many
per *slice* of the volume (the part that one member of the group holds) and so many per volume. Each comes from the
address that has the fewest sessions to this volume, then the fewest in all, then the first. What cannot be opened now
is tried again every `ehcm_interval`. A disk under Fail Over Only is left alone.

The group that is emulated has one member, so a volume has one slice. The kit also weighs the bandwidth of the host's
and of the member's interfaces against each other (HIT-UG p. 38); a host here does not know the member's, and does not.

Source: the HIT User's Guide (FACTS C.5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from initiator_model.host_records import ClaimedDisk, HostSession, InitiatorError, LoginRequestRecord
from initiator_model.policies import LoadBalancePolicy
from initiator_model.timers import SECOND_NS
from initiator_model.timers.equallogic import EqualLogicTimers

__all__ = ["SessionManager"]

SLICES: Final = 1
"""Members that hold a part of a volume."""


class SessionManager:
    """Opens the sessions of one host.

    ``sources`` are its addresses; ``sessions`` and ``disks`` tell what there is; ``log_on`` opens one session; ``note``
    hears what cannot be opened.
    """

    def __init__(
        self,
        timers: EqualLogicTimers,
        sources: Sequence[str],
        *,
        sessions: Callable[[], Sequence[HostSession]],
        disks: Callable[[], Sequence[ClaimedDisk]],
        log_on: Callable[[LoginRequestRecord], Awaitable[HostSession]],
        note: Callable[[str], None],
    ) -> None:
        self.wanted = min(timers.max_sessions_per_volume_slice * SLICES, timers.max_sessions_per_volume)
        self._interval_s = timers.ehcm_interval_ns / SECOND_NS
        self._sources = tuple(sources)
        self._sessions = sessions
        self._disks = disks
        self._log_on = log_on
        self._note = note
        self._retries: dict[str, asyncio.TimerHandle] = {}  # by target
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._left_alone: list[str] = []  # targets that are being logged off
        self._stopped = False

    async def top_up(self, request: LoginRequestRecord) -> None:
        """Open what is missing of the sessions to a target, after the model of ``request``."""
        target = request.target
        while request.multipath and self._may_add(target) and len(self._of(target)) < self.wanted:
            source = self._next_source(target)
            try:
                await self._log_on(
                    LoginRequestRecord(target, request.portal, source, True, request.chap, request.mutual_chap)
                )
            except InitiatorError as error:
                self._note(f"EHCM: no session to {target} from {source} yet: {error}")
                self._try_again(request)
                return

    def forget(self, target: str) -> None:
        """The user logs off from a target: nothing more is opened there until the next Log On."""
        if target not in self._left_alone:
            self._left_alone.append(target)
        if target in self._retries:
            self._retries.pop(target).cancel()
        if target in self._tasks:
            self._tasks[target].cancel()

    def logged_on(self, target: str) -> None:
        """The user has logged on: there is something to manage again."""
        self._stopped = False
        if target in self._left_alone:
            self._left_alone.remove(target)

    def stop(self) -> None:
        """The host goes down."""
        self._stopped = True
        for handle in self._retries.values():
            handle.cancel()
        for task in self._tasks.values():
            task.cancel()
        self._retries.clear()
        self._tasks.clear()

    def _of(self, target: str) -> list[HostSession]:
        return [owner for owner in self._sessions() if owner.request.target == target]

    def _may_add(self, target: str) -> bool:
        """Not for a target that is logged off, not under Fail Over Only, and not when the host has gone down."""
        if self._stopped or target in self._left_alone:
            return False
        policies = [claimed.disk.dsm.policy for claimed in self._disks() if claimed.target == target]
        return bool(self._of(target)) and LoadBalancePolicy.FAIL_OVER_ONLY not in policies

    def _next_source(self, target: str) -> str:
        def load(source: str) -> tuple[int, int]:
            here = [owner for owner in self._of(target) if self._source_of(owner) == source]
            everywhere = [owner for owner in self._sessions() if self._source_of(owner) == source]
            return len(here), len(everywhere)

        return min(self._sources, key=load)

    @staticmethod
    def _source_of(owner: HostSession) -> str:
        return owner.request.source or owner.session.local.rpartition(":")[0]

    def _try_again(self, request: LoginRequestRecord) -> None:
        if request.target not in self._retries and self._may_add(request.target):
            loop = asyncio.get_running_loop()
            self._retries[request.target] = loop.call_later(self._interval_s, self._due, request)

    def _due(self, request: LoginRequestRecord) -> None:
        del self._retries[request.target]
        task = asyncio.get_running_loop().create_task(self.top_up(request))
        self._tasks[request.target] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.target, None))
