"""A selector that looks again for a moment before it sleeps.

An initiator that works at depth one asks again some 20 µs after it was answered. A process that has gone to sleep by
then is woken late, on a processor that has lost what it knew. So while answers keep coming that soon, the selector asks
for them over and over instead of sleeping. It learns from each wait, as QEMU's event loop does (util/aio-posix.c,
poll-max-ns): a wait that looking longer would have spared doubles the time spent looking, a long one ends it. An idle
array therefore sleeps as ever.
"""

from __future__ import annotations

import os
import selectors
from time import perf_counter_ns
from typing import Final

MAX_POLL_NS: Final = 32_768
"""The longest look before a sleep; QEMU's default for its I/O threads."""

_FIRST_POLL_NS: Final = 4_096

Ready = list[tuple[selectors.SelectorKey, int]]


class PollingSelector(selectors.DefaultSelector):
    """`selectors.DefaultSelector`, asked without a timeout for a while before it is asked with one."""

    def __init__(self) -> None:
        super().__init__()
        self.poll_ns = 0
        """How long the next wait looks before it sleeps."""

    def select(self, timeout: float | None = None) -> Ready:
        """As the base class; ``timeout`` in seconds, None for ever."""
        look = super().select
        ready: Ready = look(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        began = perf_counter_ns()
        until = began + self.poll_ns
        while perf_counter_ns() < until:
            ready = look(0)
            if ready:
                return ready
        ready = look(timeout)
        self._learn(perf_counter_ns() - began)
        return ready

    def _learn(self, waited_ns: int) -> None:
        """The wait took so long, and the look before it was in vain."""
        if waited_ns > MAX_POLL_NS:
            self.poll_ns = 0
        else:
            self.poll_ns = min(max(2 * self.poll_ns, _FIRST_POLL_NS), MAX_POLL_NS)


def best_selector() -> selectors.BaseSelector:
    """A `PollingSelector` where another processor can do the initiator's part meanwhile."""
    alone = len(os.sched_getaffinity(0)) < 2 if hasattr(os, "sched_getaffinity") else True
    return selectors.DefaultSelector() if alone else PollingSelector()
