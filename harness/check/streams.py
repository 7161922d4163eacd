"""TCP keeps its word: what is delivered is a prefix of what was written, and all of it once the FIN is delivered.

Watched where the sockets are, below asyncio, for every connection of every machine. Buffers travel as the objects they
were written as, so most comparisons are of a thing with itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from harness.check.findings import Findings
from harness.expectations import Judgement
from sim.net.segment import Flow

__all__ = ["StreamWatch"]


class StreamWatch:
    """A `sim.net.network.StreamObserver`."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._findings = Findings("tcp", now_ns)
        self._on_the_way: dict[Flow, deque[bytes]] = {}
        self._taken: dict[Flow, int] = {}  # of the oldest buffer on the way, how much has been delivered
        self._ended: dict[Flow, None] = {}
        self._bytes = 0
        self._connections = 0

    def opened(self, flow: Flow) -> None:
        """A socket with these ends, its own first, begins to exist."""
        self._connections += 1
        self._on_the_way[flow] = deque()
        self._taken[flow] = 0
        self._ended.pop(flow, None)

    def written(self, flow: Flow, buffers: Sequence[bytes]) -> None:
        """The socket's user wrote these buffers."""
        self._on_the_way[flow].extend(buffers)

    def delivered(self, flow: Flow, data: bytes) -> None:
        """The socket handed ``data`` to its user."""
        if flow in self._ended:
            self._wrong("after the end", flow, f"{len(data)} bytes were delivered after the connection had ended")
        self._bytes += len(data)
        source = (flow[1], flow[0])
        waiting = self._on_the_way.get(source)
        if waiting and waiting[0] is data and not self._taken[source]:
            waiting.popleft()
            return
        at, taken = 0, self._taken.get(source, 0)
        while at < len(data):
            if not waiting:
                self._wrong("prefix", flow, f"{len(data) - at} bytes were delivered that nobody had written")
                return
            buffer = waiting[0]
            length = min(len(buffer) - taken, len(data) - at)
            if buffer[taken : taken + length] != data[at : at + length]:
                self._wrong("prefix", flow, "bytes were delivered that differ from those that were written")
            at += length
            taken += length
            if taken == len(buffer):
                waiting.popleft()
                taken = 0
        self._taken[source] = taken

    def finished(self, flow: Flow) -> None:
        """The socket told its user that the peer has finished."""
        waiting = self._on_the_way.get((flow[1], flow[0]))
        left = sum(map(len, waiting)) if waiting else 0
        if left:
            self._wrong("whole", flow, f"the FIN was delivered, and {left} bytes before it were not")

    def ended(self, flow: Flow) -> None:
        """The socket is no more."""
        self._ended[flow] = None

    def judgement(self) -> Judgement:
        """What became of it."""
        return self._findings.judgement(
            f"{self._connections:,} sockets, {self._bytes:,} bytes: each delivered what its peer had written, in order"
        )

    def _wrong(self, rule: str, flow: Flow, what: str) -> None:
        (local, remote) = flow
        self._findings.add(rule, f"{local[0]}:{local[1]} from {remote[0]}:{remote[1]}: {what}")
