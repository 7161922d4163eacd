"""TCP keeps its word: what is delivered is a prefix of what was written, and all of it once the FIN is delivered.

Watched where the sockets are, below asyncio, for every connection of every machine. What was written and has not come
out yet is kept, and compared with what does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from harness.check.findings import Findings
from harness.expectations import Judgement
from sim.net.segment import Flow

__all__ = ["StreamWatch"]


class StreamWatch:
    """A `sim.net.tcp_socket.StreamObserver`. ``damage``: the network may change bytes unseen by TCP's checksum, so only
    their number is watched.
    """

    def __init__(self, now_ns: Callable[[], int], *, damage: bool = False) -> None:
        self._damage = damage
        self._findings = Findings("tcp", now_ns)
        self._on_the_way: dict[Flow, deque[bytes]] = {}  # by the flow of the writing socket
        self._ended: dict[Flow, None] = {}
        self._connections = 0
        self._bytes = 0

    def opened(self, flow: Flow) -> None:
        """A socket with these ends, its own first, begins to exist."""
        self._connections += 1
        self._on_the_way[flow] = deque()
        self._ended.pop(flow, None)

    def written(self, flow: Flow, buffers: Sequence[bytes]) -> None:
        """The socket's user wrote these buffers."""
        self._on_the_way[flow].extend(buffers)

    def delivered(self, flow: Flow, data: bytes) -> None:
        """The socket handed ``data`` to its user."""
        if flow in self._ended:
            self._wrong("after the end", flow, f"{len(data)} bytes were delivered after the connection had ended")
        self._bytes += len(data)
        waiting = self._on_the_way.get((flow[1], flow[0]))
        if not waiting:
            self._wrong("prefix", flow, f"{len(data)} bytes were delivered that nobody had written")
            return
        written = waiting.popleft()
        if written is data:  # it came as the object it was
            return
        wanted = len(data)
        if len(written) < wanted:
            parts, length = [written], len(written)
            while length < wanted and waiting:
                part = waiting.popleft()
                parts.append(part)
                length += len(part)
            written = b"".join(parts)
        if len(written) > wanted:
            waiting.appendleft(written[wanted:])
            written = written[:wanted]
        if written != data and not self._damage:
            self._wrong("prefix", flow, "bytes were delivered that differ from those that were written")

    def finished(self, flow: Flow) -> None:
        """The socket told its user that the peer has finished."""
        left = sum(map(len, self._on_the_way.get((flow[1], flow[0]), ())))
        if left:
            self._wrong("whole", flow, f"the FIN was delivered, and {left} bytes before it were not")

    def ended(self, flow: Flow) -> None:
        """The socket is no more: nothing is delivered to it any longer."""
        self._ended[flow] = None

    def judgement(self) -> Judgement:
        """What became of it."""
        amount = f"{self._connections:,} sockets, {self._bytes:,} bytes"
        if self._damage and not self._findings.count:
            what = f"{amount}: a cable damages data unseen by TCP, so only their number was watched"
            return Judgement(self._findings.check, True, what, unknown=True)
        return self._findings.judgement(f"{amount}: each delivered what its peer had written, in order")

    def _wrong(self, rule: str, flow: Flow, what: str) -> None:
        (local, remote) = flow
        self._findings.add(rule, f"{local[0]}:{local[1]} from {remote[0]}:{remote[1]}: {what}")
