"""The one clock: a SimPy environment that counts whole nanoseconds and nothing else.

SimPy takes any number as a delay, and a single float makes the clock a float for ever after; from then on events that
should coincide no longer do. This environment refuses anything but `int`. It also offers the two things the data path
needs and SimPy has not: an event that is born triggered with exactly one callback, and a timer that can be cancelled
without leaving its corpse in the heap for good.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappush
from typing import Any, Protocol

import simpy
from simpy.core import EmptySchedule
from simpy.events import NORMAL, Event, EventPriority

__all__ = ["Call", "EmptySchedule", "Environment", "ms", "s", "us"]

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

# A heap this small is not worth cleaning.
COMPACT_AT_LEAST = 512


def us(n: int) -> int:
    """`n` microseconds in nanoseconds; `n` must be an int."""
    return _whole(n) * NS_PER_US


def ms(n: int) -> int:
    """`n` milliseconds in nanoseconds; `n` must be an int."""
    return _whole(n) * NS_PER_MS


def s(n: int) -> int:
    """`n` seconds in nanoseconds; `n` must be an int."""
    return _whole(n) * NS_PER_S


def _whole(n: int) -> int:
    if type(n) is not int:
        raise TypeError(f"simulated time is whole nanoseconds: expected an int, got {type(n).__name__} {n!r}")
    return n


class Call(Event):
    """An event that is already triggered and has one callback, which receives it and reads `payload`."""

    __slots__ = ("callbacks", "payload")

    _ok = True
    _value = None

    # SimPy's Event.__init__ would make the object pending and give it a list to append to; this one needs neither.
    def __init__(self, callback: Callable[[Call], None], payload: Any) -> None:
        self.callbacks = (callback,)  # type: ignore[assignment]
        self.payload = payload


class Carried(Protocol):
    """An object that serves as its own event: SimPy's `step` reads `callbacks` and `_ok`, and nothing else."""

    _ok: bool
    callbacks: Any


class Environment(simpy.Environment):
    """SimPy's environment over an integer clock, in nanoseconds, starting at 0."""

    _now: int

    def __init__(self) -> None:
        super().__init__(0)
        self._cancelled = 0

    @property
    def now_ns(self) -> int:
        """The present instant, in nanoseconds."""
        return self._now

    def schedule(self, event: Event, priority: EventPriority = NORMAL, delay: float = 0) -> None:
        """As SimPy's, for whole nanoseconds.

        Raises TypeError for any delay that is not an int, ValueError for a negative one.
        """
        if type(delay) is not int:
            raise TypeError(f"simulated time is whole nanoseconds: {delay!r} is a {type(delay).__name__}")
        if delay < 0:
            raise ValueError(f"an event cannot be scheduled {-delay} ns ago")
        heappush(self._queue, (self._now + delay, priority, next(self._eid), event))

    def at(self, when_ns: int, callback: Callable[[Call], None], payload: Any = None) -> Call:
        """Call `callback(call)` at the instant `when_ns`; calls set for one instant run in the order they were set.

        Raises TypeError when `when_ns` is not an int, ValueError when it is past.
        """
        if type(when_ns) is not int:
            raise TypeError(f"simulated time is whole nanoseconds: {when_ns!r} is a {type(when_ns).__name__}")
        if when_ns < self._now:
            raise ValueError(f"an event cannot be set for {when_ns} ns: it is {self._now} ns already")
        call = Call(callback, payload)
        heappush(self._queue, (when_ns, NORMAL, next(self._eid), call))
        return call

    def carry(self, when_ns: int, carried: Carried, callbacks: tuple[Callable[[Any], None], ...]) -> None:
        """Call `callbacks` with `carried` at the instant `when_ns`: the data path's `at`, which makes no object.

        `when_ns` is trusted to be an int and not past.
        """
        carried.callbacks = callbacks
        heappush(self._queue, (when_ns, NORMAL, next(self._eid), carried))  # type: ignore[misc]

    def cancel(self, call: Call) -> None:
        """Make `call` do nothing. Its heap entry goes when its time comes, or sooner when such entries prevail."""
        if not call.callbacks:
            return  # already ran, or cancelled before
        call.callbacks = ()  # type: ignore[assignment]
        call.payload = None
        self._cancelled += 1
        if self._cancelled > COMPACT_AT_LEAST and self._cancelled * 2 > len(self._queue):
            self._compact()

    def live_events(self) -> list[Any]:
        """What is still to happen, in no order: the events of the heap that were not cancelled."""
        return [entry[3] for entry in self._queue if entry[3].callbacks]

    def _compact(self) -> None:
        # Keys are unique, so rebuilding the heap cannot change the order in which the living entries come out. In
        # place, because step() may be running above us.
        self._queue[:] = [entry for entry in self._queue if entry[3].callbacks]
        heapify(self._queue)
        self._cancelled = 0

    def raise_unless_defused(self, event: Event) -> None:
        """The end of SimPy's step() for an event that failed: raise its error unless a process has caught it."""
        if not hasattr(event, "_defused"):
            error: BaseException = event._value
            raise type(error)(*error.args) from error

    def run_due(self) -> None:
        """Process every event of the present instant, without moving the clock."""
        queue = self._queue
        while queue and queue[0][0] <= self._now:
            self.step()
