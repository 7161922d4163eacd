"""Two watches over a session's connection: the NOP-Out ping, and the time one request may take.

Neither sets a timer per command. Every request has the same time to live, so the oldest one's deadline is always the
first to come: one timer stands for all of them, set late and looked at again when it fires. The ping is sent only into
silence: data that arrives is proof enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from initiator_model.tasks import Task
from initiator_model.timers import SECOND_NS, Timers

__all__ = ["Clock", "PingWatch", "RequestWatch"]

_TICK_S: Final = 1e-6
"""A timer that fires this much early still counts: loop times are floats."""


class _Handle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """What a watch needs of an asyncio loop."""

    def time(self) -> float:
        """Seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> _Handle:
        """Call back at a time in seconds."""
        ...


class PingWatch:
    """Pings after ``ping_interval_ns`` of silence; ``dead`` is called when ``ping_timeout_ns`` more bring nothing.

    The owner calls `heard` whenever bytes arrive. Does nothing when the interval is 0.
    """

    def __init__(self, clock: Clock, timers: Timers, ping: Callable[[], None], dead: Callable[[str], None]) -> None:
        self._clock = clock
        self._interval_s = timers.ping_interval_ns / SECOND_NS
        self._timeout_s = timers.ping_timeout_ns / SECOND_NS
        self._enabled = bool(timers.ping_interval_ns)
        self._ping = ping
        self._dead = dead
        self._timer: _Handle | None = None
        self.heard_at_s = clock.time()

    def start(self) -> None:
        """A connection has come up."""
        self.heard_at_s = self._clock.time()
        if self._enabled:
            self._timer = self._clock.call_at(self.heard_at_s + self._interval_s, self._silent)

    def stop(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _silent(self) -> None:
        due_s = self.heard_at_s + self._interval_s
        if due_s > self._clock.time() + _TICK_S:
            self._timer = self._clock.call_at(due_s, self._silent)
            return
        pinged_at_s = self._clock.time()
        self._timer = self._clock.call_at(pinged_at_s + self._timeout_s, lambda: self._unanswered(pinged_at_s))
        self._ping()

    def _unanswered(self, pinged_at_s: float) -> None:
        self._timer = None
        if self.heard_at_s > pinged_at_s:
            self._silent()
        else:
            self._dead(f"no answer to NOP-Out within {self._timeout_s:g} s")


class RequestWatch:
    """Calls ``expired`` with each task that has been under way for ``request_ns``.

    ``oldest`` names the next task to look at. ``expired`` must complete it, have it aborted, or stop this watch.
    """

    def __init__(
        self, clock: Clock, timers: Timers, oldest: Callable[[], Task | None], expired: Callable[[Task], None]
    ) -> None:
        self._clock = clock
        self._timeout_s = timers.request_ns / SECOND_NS
        self._oldest = oldest
        self._expired = expired
        self._timer: _Handle | None = None
        self._looking = False

    def task_started(self, now_s: float) -> None:
        """A task began at ``now_s``. Only the first one after a pause sets the timer.

        One that takes the place of a task that has just expired does not: older ones may be due.
        """
        if self._timer is None and not self._looking:
            self._timer = self._clock.call_at(now_s + self._timeout_s, self._look)

    def stop(self) -> None:
        """Nothing is under way any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self._looking = True
        try:
            while (task := self._oldest()) is not None:
                deadline_s = task.since_s + self._timeout_s
                if deadline_s > self._clock.time() + _TICK_S:
                    self._timer = self._clock.call_at(deadline_s, self._look)
                    return
                self._expired(task)
        finally:
            self._looking = False
