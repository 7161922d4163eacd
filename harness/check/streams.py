"""TCP keeps its word: what is delivered is a prefix of what was written, and all of it once the FIN is delivered.

Watched where the sockets are, below asyncio, for every connection of every machine. What was written and has not come
out yet is kept, and compared with what does.

Where the scenario has a cable change bytes past TCP's checksum (the fault `corrupt`), other bytes of the same number
are no fault of TCP's: they are told to ``on_damage``, for what crosses such a connection is not what its ends have
said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from harness.check.findings import Findings
from harness.expectations import Judgement
from sim.net.segment import Flow

__all__ = ["Stream", "StreamWatch"]


class StreamWatch:
    """A `sim.net.tcp_socket.StreamObserver`. ``on_damage`` hears of the flow of a socket that is about to hand on bytes
    that a cable has changed; None where no cable may.
    """

    def __init__(self, now_ns: Callable[[], int], on_damage: Callable[[Flow], None] | None = None) -> None:
        self.on_damage = on_damage
        self.bytes = 0
        """Delivered so far."""
        self.damaged = 0
        """Times that changed bytes were delivered."""
        self._findings = Findings("tcp", now_ns)
        self._latest: dict[Flow, Stream] = {}  # sockets that have not ended; of two with the same ends the newer one
        self._sockets = 0

    def opened(self, flow: Flow) -> Stream:
        """A socket with these ends, its own first, begins to exist."""
        self._sockets += 1
        stream = Stream(self, flow)
        peer = self._latest.get((flow[1], flow[0]))
        if peer is not None and peer.alone:  # else that one has outlived its peer, and these ends are used again
            stream.pair(peer)
        self._latest[flow] = stream
        return stream

    def forget(self, flow: Flow, stream: Stream) -> None:
        """A socket is no more."""
        if self._latest.get(flow) is stream:
            del self._latest[flow]

    def judgement(self) -> Judgement | None:
        """What became of it; None when there was no socket to watch, as on real TCP."""
        if not self._sockets:
            return None
        amount = f"{self._sockets:,} sockets, {self.bytes:,} bytes"
        if self.damaged and not self._findings.count:
            what = f"{amount}: a cable changed data unseen by TCP {self.damaged:,} times, so their number alone tells"
            return Judgement(self._findings.check, True, what, unknown=True)
        return self._findings.judgement(f"{amount}: each delivered what its peer had written, in order")

    def wrong(self, rule: str, flow: Flow, what: str) -> None:
        """A socket did what it may not."""
        local, remote = flow
        self._findings.add(rule, f"{local[0]}:{local[1]} from {remote[0]}:{remote[1]}: {what}")


class Stream:
    """What one socket has been given and what it has given: a `sim.net.tcp_socket.SocketObserver`."""

    __slots__ = ("_begun", "_ended", "_flow", "_peer", "_unheard", "_waiting", "_watch")

    def __init__(self, watch: StreamWatch, flow: Flow) -> None:
        self._watch = watch
        self._flow = flow
        self._waiting: deque[bytes] = deque()  # written, and not delivered by the peer
        self._begun = 0  # bytes of the first of these that were
        self._peer: Stream | None = None
        self._ended = False
        self._unheard = False  # its peer is gone: nobody will read what it writes

    @property
    def alone(self) -> bool:
        """It has no peer, or none any more."""
        return self._peer is None or self._peer._ended

    def pair(self, peer: Stream) -> None:
        """They are the two ends of one connection."""
        self._peer, peer._peer = peer, self
        peer._unheard = False

    def written(self, buffers: Sequence[bytes]) -> None:
        """Its user wrote these buffers."""
        if not self._unheard:
            self._waiting.append(buffers[0] if len(buffers) == 1 else b"".join(buffers))

    def delivered(self, data: bytes) -> None:
        """The socket is about to hand ``data`` to its user."""
        watch = self._watch
        watch.bytes += len(data)
        peer = self._peer
        if self._ended:
            watch.wrong("after the end", self._flow, f"{len(data)} bytes were delivered after the connection had ended")
        elif peer is None or not peer._waiting:
            watch.wrong("prefix", self._flow, f"{len(data)} bytes were delivered that nobody had written")
        elif peer._waiting[0] is data and not peer._begun:
            peer._waiting.popleft()  # it came as the object it was
        else:
            self._compare(peer, data)

    def _compare(self, peer: Stream, data: bytes) -> None:
        """Take as much as came from what the peer's user wrote, without a copy of what is whole on both sides."""
        waiting, begun = peer._waiting, peer._begun
        position, end, same = 0, len(data), True
        while position < end and waiting:
            first = waiting[0]
            left = len(first) - begun
            if left <= end - position:
                same = same and data.startswith(first[begun:] if begun else first, position)
                waiting.popleft()
                position, begun = position + left, 0
            else:
                same = same and first.startswith(data[position:] if position else data, begun)
                position, begun = end, begun + end - position
        peer._begun = begun
        if same and position == end:
            return
        if self._watch.on_damage is not None and position == end:
            self._watch.damaged += 1
            self._watch.on_damage(self._flow)
        else:
            self._watch.wrong("prefix", self._flow, "bytes were delivered that differ from those that were written")

    def finished(self) -> None:
        """The socket is about to tell its user that the peer has finished."""
        left = 0 if self._peer is None else sum(map(len, self._peer._waiting)) - self._peer._begun
        if left:
            self._watch.wrong("whole", self._flow, f"the FIN was delivered, and {left} bytes before it were not")

    def ended(self) -> None:
        """The socket is no more: nothing is delivered to it any longer."""
        self._ended = True
        if self._peer is not None and self._peer._peer is self:
            self._peer._unheard = True
            self._peer._waiting.clear()
            self._peer._begun = 0
        self._watch.forget(self._flow, self)
