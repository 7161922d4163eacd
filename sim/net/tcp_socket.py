"""A socket: the kernel's side of one connection. It gives a TCP endpoint the clock, the wire and a timer.

The application's side is a `SocketUser`, normally the asyncio transport. When that is gone the socket lives on until
TCP is done with it: the FIN still travels, TIME_WAIT still holds the port.

There is one timer per socket, and it is lazy: an event is set only when the endpoint's deadline is earlier than the
event that is set already. On a busy connection the deadline moves later with every segment, and that costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from sim.env import Call
from sim.net.tcp import NEVER_NS, TcpEndpoint, TcpState
from sim.net.tcp_send import LONGEST_BURST_BYTES

if TYPE_CHECKING:
    from sim.net.host import Host
    from sim.net.segment import Flow, Segment


_CLOSED = TcpState.CLOSED
_NOT_ESTABLISHED = (TcpState.CLOSED, TcpState.SYN_SENT, TcpState.SYN_RECEIVED)


class SocketUser(Protocol):
    """What a socket tells the application."""

    def socket_data(self, data: bytes) -> None:
        """Bytes arrived."""

    def socket_eof(self) -> None:
        """The peer has finished, and all its bytes were handed over."""

    def socket_ended(self, error: OSError | None) -> None:
        """The connection is over. Called once at most."""

    def socket_room(self) -> None:
        """The peer acknowledged something; called only while `watch_room` is set."""


class SocketObserver(Protocol):
    """Watches one socket. Observers look; they change nothing."""

    def written(self, buffers: Sequence[bytes]) -> None:
        """Its user wrote these buffers."""

    def delivered(self, data: bytes) -> None:
        """It is about to hand its user these bytes."""

    def finished(self) -> None:
        """It is about to tell its user that the peer has finished."""

    def ended(self) -> None:
        """It is no more."""


class StreamObserver(Protocol):
    """Watches what sockets are given and what they give (`Network.streams`)."""

    def opened(self, flow: Flow) -> SocketObserver:
        """A socket with these ends, its own first, begins to exist; returns who watches it."""


class TcpSocket:
    """One connection of a host.

    `reading` says whether the user wants data now; what arrives otherwise waits and closes the window. `watch_room`
    asks for `socket_room` calls.
    """

    __slots__ = (
        "_env",
        "_established",
        "_timer",
        "_timer_at_ns",
        "_watch",
        "endpoint",
        "eof_told",
        "flow",
        "host",
        "reading",
        "user",
        "watch_room",
    )

    def __init__(self, host: Host, endpoint: TcpEndpoint, established: Callable[[TcpSocket], None]) -> None:
        self.host = host
        self.endpoint = endpoint
        self.flow: Flow = (endpoint.local, endpoint.remote)
        self.user: SocketUser | None = None
        self.reading = False
        self.watch_room = False
        self.eof_told = False
        self._established: Callable[[TcpSocket], None] | None = established
        self._env = host.network.loop.env
        streams = host.network.streams
        self._watch: SocketObserver | None = None if streams is None else streams.opened(self.flow)
        self._timer: Call | None = None
        self._timer_at_ns = NEVER_NS

    # -- the application's calls ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start connecting."""
        self.endpoint.connect(self._env._now)
        self._after()

    def answer(self, syn: Segment) -> None:
        """Answer a SYN that a listener accepts."""
        self.endpoint.accept(self._env._now, syn)
        self._after()

    def write(self, data: bytes) -> None:
        """Send `data`."""
        if self._watch is not None:
            self._watch.written((data,))
        self.endpoint.write(self._env._now, data)
        self._after()

    def write_all(self, buffers: list[bytes]) -> None:
        """Send the buffers in a row, sharing frames."""
        if len(buffers) > 1 and sum(map(len, buffers)) <= LONGEST_BURST_BYTES:
            buffers = [b"".join(buffers)]  # where it is one burst, everyone has it as this object
        if self._watch is not None:
            self._watch.written(buffers)
        self.endpoint.write_all(self._env._now, buffers)
        self._after()

    def finish(self) -> None:
        """Send no more: a FIN follows what is queued."""
        self.endpoint.finish(self._env._now)
        self._after()

    def close(self) -> None:
        """The application is gone; TCP finishes by itself."""
        self.user = None
        self.endpoint.close(self._env._now)
        self._after()

    def abort(self) -> None:
        """The application is gone and wants a reset."""
        self.user = None
        self.endpoint.abort(self._env._now)
        self._after()

    def vanish(self) -> None:
        """The machine is gone: neither peer nor application hears anything."""
        self.user = None
        if self._watch is not None:
            self._watch.ended()
        self._established = None
        self.endpoint.vanish(None)

    def disconnect(self, error: OSError) -> None:
        """The address is gone: the application hears `error`, the peer nothing."""
        self.endpoint.vanish(error)
        self._after()

    def unsent_bytes(self) -> int:
        """Bytes beyond the socket's send buffer: what is still the transport's."""
        endpoint = self.endpoint
        send = endpoint.send
        # `unacknowledged_bytes` written out: a property costs more than all of this, and every write asks.
        beyond = send.next - send.una + send.queued_bytes - endpoint.profile.send_buffer_bytes
        return beyond if beyond > 0 else 0

    def resume(self) -> None:
        """Hand over what has arrived, then go on as it comes."""
        self.reading = True
        self._deliver()
        self._after()

    # -- the network's calls -------------------------------------------------------------------------------------------

    def receive(self, segment: Segment) -> None:
        """A segment for this connection arrived at the host."""
        endpoint = self.endpoint
        now = self._env._now
        endpoint.receive(now, segment)
        if self._established is not None:
            self._check_established()
        if self.reading and (endpoint.received.ready or endpoint.peer_finished):
            self._deliver()
        if endpoint.owes:
            endpoint.acknowledge(now)
        if self.watch_room and self.user is not None:
            self.user.socket_room()
        if endpoint.outgoing or endpoint.deadline_ns < self._timer_at_ns or endpoint.state is _CLOSED:
            self._after()

    def _check_established(self) -> None:
        tell = self._established
        if tell is not None and self.endpoint.state not in _NOT_ESTABLISHED:
            self._established = None
            tell(self)

    def _deliver(self) -> None:
        endpoint = self.endpoint
        received = endpoint.received
        ready = received.ready
        if len(ready) == 1:
            data = ready.pop()
            received.ready_bytes = 0
            if self.user is not None:
                if self._watch is not None:
                    self._watch.delivered(data)
                self.user.socket_data(data)
        elif ready:
            waiting = received.hand_over()
            for index, data in enumerate(waiting):
                if self.user is None:
                    break
                if not self.reading:
                    received.put_back(waiting[index:])
                    break
                if self._watch is not None:
                    self._watch.delivered(data)
                self.user.socket_data(data)
        if endpoint.peer_finished and self.reading and not self.eof_told and not received.ready:
            self.eof_told = True
            if self.user is not None:
                if self._watch is not None:
                    self._watch.finished()
                self.user.socket_eof()

    # -- clock and wire ------------------------------------------------------------------------------------------------

    def _after(self) -> None:
        """Put on the wire what the endpoint has for it, keep its deadline, and see whether it ended."""
        endpoint = self.endpoint
        outgoing = endpoint.outgoing
        if outgoing:
            endpoint.outgoing = []
            self.host.transmit(endpoint.local[0], outgoing)
        if endpoint.deadline_ns < self._timer_at_ns:
            if self._timer is not None:
                self._env.cancel(self._timer)
            self._timer_at_ns = endpoint.deadline_ns
            self._timer = self._env.at(endpoint.deadline_ns, self._time_is_up)
        elif endpoint.state is _CLOSED:
            self._ended()

    def _time_is_up(self, _: Call) -> None:
        self._timer = None
        self._timer_at_ns = NEVER_NS
        self.endpoint.on_deadline(self._env._now)
        self._after()

    def _ended(self) -> None:
        if self._timer is not None:
            self._env.cancel(self._timer)
            self._timer = None
            self._timer_at_ns = NEVER_NS
        self.host.forget(self)
        if self._watch is not None:
            self._watch.ended()
        tell, self._established = self._established, None
        user, self.user = self.user, None
        if tell is not None:
            tell(self)  # never established: the connector reads the endpoint's error
        elif user is not None:
            user.socket_ended(self.endpoint.error)


def established_future(loop: asyncio.AbstractEventLoop) -> tuple[asyncio.Future[None], Callable[[TcpSocket], None]]:
    """A future for an active open, and the callback that settles it."""
    future: asyncio.Future[None] = loop.create_future()

    def settle(socket: TcpSocket) -> None:
        if future.done():
            return
        error = socket.endpoint.error
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(None)

    return future, settle
