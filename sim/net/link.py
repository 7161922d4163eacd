"""One direction of a cable: who may send when, how long it takes, and the event at its other end.

A link carries one frame at a time at its rate and delivers it after its latency; what comes while it is busy waits in
order. A healthy link has no queue limit: the network modelled has flow control, and what can wait is bounded by the
windows of the connections. Nor does it lose anything: that, and a queue that is short, is `sim.net.impairment`.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any

from simpy.events import NORMAL

from sim.env import Environment
from sim.net.segment import Segment

BITS_TIMES_NS_PER_S = 8 * 1_000_000_000


class Link:
    """A one-way link. `rate_bits_per_s` and `latency_ns` may change at any time and hold for what is sent then."""

    __slots__ = ("_event_ids", "_queue", "free_ns", "latency_ns", "rate_bits_per_s")

    def __init__(self, env: Environment, rate_bits_per_s: int, latency_ns: int) -> None:
        if rate_bits_per_s < 1 or latency_ns < 0:
            raise ValueError(f"a link wants a rate above 0 and a latency not below: {rate_bits_per_s}, {latency_ns}")
        self.rate_bits_per_s = rate_bits_per_s
        self.latency_ns = latency_ns
        self.free_ns = 0
        self._queue: list[Any] = env._queue
        self._event_ids = env._eid

    def duration_ns(self, wire_bytes: int) -> int:
        """How long `wire_bytes` byte times take."""
        return wire_bytes * BITS_TIMES_NS_PER_S // self.rate_bits_per_s

    def backlog_bytes(self, now_ns: int) -> int:
        """What waits for the link, with what is left of the frame on the wire; 0 when it is free."""
        busy_ns = self.free_ns - now_ns
        return -(-busy_ns * self.rate_bits_per_s // BITS_TIMES_NS_PER_S) if busy_ns > 0 else 0

    def reserve(self, now_ns: int, wire_bytes: int) -> int:
        """Send `wire_bytes` as soon as the link is free; returns when their last bit arrives."""
        start = self.free_ns
        if start < now_ns:
            start = now_ns
        self.free_ns = free = start + wire_bytes * BITS_TIMES_NS_PER_S // self.rate_bits_per_s
        return free + self.latency_ns

    def carry(self, now_ns: int, segment: Segment, callbacks: tuple[Callable[[Segment], None], ...]) -> None:
        """Send `segment` as soon as the link is free, and call `callbacks` with it when its last bit arrives.

        `reserve` and `Environment.carry` in one: three of the four events of a read come by here.
        """
        start = self.free_ns
        if start < now_ns:
            start = now_ns
        self.free_ns = free = start + segment.wire_bytes * BITS_TIMES_NS_PER_S // self.rate_bits_per_s
        segment.callbacks = callbacks
        heappush(self._queue, (free + self.latency_ns, NORMAL, next(self._event_ids), segment))
