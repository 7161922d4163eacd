"""I/O rates of connections and of the array's addresses, from what is counted anyway.

Once a second the counters of every connection are looked at; a rate is what was counted over the last few looks.
Nothing is done per command. An address keeps what its ended connections had done, so its totals only grow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from target.server import ArrayServer, Ended, Traffic

LOOK_S: Final = 1.0
LOOKS: Final = 3
"""Rates are over this many looks, less one."""

_NOTHING: Final = Traffic()


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second."""

    reads: float = 0.0
    writes: float = 0.0
    received_bytes: float = 0.0
    sent_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters at one time, by connection number and by the array's address."""

    at_s: float
    connections: dict[int, Traffic]
    addresses: dict[str, Traffic]


class Meter:
    """Looks at one server every second from `start` to `stop`; ``also`` is called at each look.

    `ended` has to be told of every connection's end.
    """

    def __init__(self, server: ArrayServer, also: Callable[[], None] = lambda: None) -> None:
        self._server = server
        self._also = also
        self._looks: deque[Counters] = deque(maxlen=LOOKS)
        self._gone: dict[str, Traffic] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look now, and every second from now on."""
        loop = asyncio.get_running_loop()
        self.look(loop.time())
        self._also()
        self._timer = loop.call_later(LOOK_S, self.start)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def ended(self, ended: Ended) -> None:
        """A connection is gone: its address keeps what it did."""
        self._gone[ended.local] = self._gone.get(ended.local, _NOTHING) + ended.traffic

    def look(self, at_s: float) -> None:
        """Remember the counters of this moment for the rates."""
        self._looks.append(self.count(at_s))

    def count(self, at_s: float) -> Counters:
        """The counters as they are."""
        connections: dict[int, Traffic] = {}
        addresses = dict(self._gone)
        for protocol in self._server.connections():
            traffic = connections[protocol.number] = protocol.traffic
            addresses[protocol.local] = addresses.get(protocol.local, _NOTHING) + traffic
        return Counters(at_s, connections, addresses)

    def of_connection(self, number: int) -> Rates:
        """What a connection does."""
        return self._rates(lambda counters: counters.connections.get(number, _NOTHING))

    def of_address(self, address: str) -> Rates:
        """What all connections at an address do."""
        return self._rates(lambda counters: counters.addresses.get(address, _NOTHING))

    def _rates(self, of: Callable[[Counters], Traffic]) -> Rates:
        if len(self._looks) < 2:
            return Rates()
        first, last = self._looks[0], self._looks[-1]
        before, after, seconds = of(first), of(last), last.at_s - first.at_s
        if seconds <= 0:
            return Rates()
        return Rates(
            max(0, after.reads - before.reads) / seconds,
            max(0, after.writes - before.writes) / seconds,
            max(0, after.received_bytes - before.received_bytes) / seconds,
            max(0, after.sent_bytes - before.sent_bytes) / seconds,
        )
