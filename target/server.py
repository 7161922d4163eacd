"""The array on an asyncio loop: listeners on every address, one Protocol per connection.

It runs unchanged on a stock loop over real TCP and on a simulated one. The data path is: bytes in, one call of the
connection, one vectored write out. Each connection has one timer, which is only looked at when it fires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from iscsi.pieces import Bytes
from target.connection import TargetConnection
from target.group import Group
from target.inlet import SharedBufferInlet
from target.outlet import Outlet, outlet
from target.session import Session


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a connection has done: SCSI commands by the way of their data, and bytes by the way they went."""

    reads: int = 0
    writes: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.reads + other.reads,
            self.writes + other.writes,
            self.received_bytes + other.received_bytes,
            self.sent_bytes + other.sent_bytes,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection has ended, and why. ``session`` is None when its login was never complete.

    ``number`` is 0 for one that was never let in.
    """

    number: int
    source: str
    local: str
    session: Session | None
    traffic: Traffic
    why: str

    @property
    def words(self) -> str:
        """One line for a log."""
        return f"{self.source} -> {self.local}: {self.why}"


class ArrayServer:
    """Serves a `Group`. ``on_end`` hears of each connection that ends."""

    def __init__(
        self, group: Group, random_bytes: Callable[[int], bytes], on_end: Callable[[Ended], None] | None = None
    ) -> None:
        self.group = group
        self.random_bytes = random_bytes
        self.on_end = on_end
        self._servers: dict[str, asyncio.AbstractServer] = {}
        self._connections: dict[int, ArrayProtocol] = {}
        self._numbered = 0
        self._timer: asyncio.TimerHandle | None = None
        self._fires_ns = 0
        self.on_leave: Callable[[ArrayProtocol], None] | None = None
        group.on_wait = self._wait_until

    async def start(self) -> None:
        """Listen on every address of the group. Raises OSError when one cannot be had; nothing is left open then."""
        try:
            for address in self.group.config.addresses:
                await self.listen(address)
        except OSError:
            self.close()
            raise

    async def listen(self, address: str) -> None:
        """Listen on one of the group's addresses."""
        loop = asyncio.get_running_loop()
        # A selector loop asks a buffered protocol for its buffer; elsewhere bytes come as they are.
        kind = SelectorArrayProtocol if isinstance(loop, asyncio.SelectorEventLoop) else ArrayProtocol
        self._servers[address] = await loop.create_server(lambda: kind(self), address, self.group.config.port)

    async def portal_down(self, address: str) -> None:
        """An interface is gone: the redirect avoids it, its listener closes, its connections break."""
        self.group.set_portal(address, False)
        server = self._servers.pop(address, None)
        if server is not None:
            server.close()
        for protocol in self.connections():
            if protocol.local == address:
                protocol.drop()

    async def portal_up(self, address: str) -> None:
        """The interface is back."""
        if address not in self._servers:
            await self.listen(address)
        self.group.set_portal(address, True)

    def connections(self) -> list[ArrayProtocol]:
        """The open connections in the order they came."""
        return list(self._connections.values())

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self.stop_listening()
        self._forget_timer()
        for protocol in self.connections():
            protocol.drop()

    def stop_listening(self) -> None:
        """Take no more connections; those that are open stay."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def vanish(self) -> None:
        """Die without a word, as a killed process does: no timer fires any more, nothing is written or closed."""
        self._forget_timer()
        for protocol in self.connections():
            protocol.forget()
        self._connections.clear()
        self._servers.clear()

    def _forget_timer(self) -> None:
        self.group.on_wait = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_until(self, deadline_ns: int) -> None:
        """The one timer for what lost connections left behind; it is only looked at when it fires."""
        if self._timer is not None:
            if self._fires_ns <= deadline_ns:
                return
            self._timer.cancel()
        self._fires_ns = deadline_ns
        self._timer = asyncio.get_running_loop().call_at(deadline_ns / 1e9, self._clean_up)

    def _clean_up(self) -> None:
        self._timer = None
        self.group.tick(round(asyncio.get_running_loop().time() * 1e9))
        deadline_ns = self.group.deadline_ns
        if deadline_ns is not None:
            self._wait_until(deadline_ns)

    def enter(self, protocol: ArrayProtocol) -> bool:
        """Count a new connection; False when the array takes no more, which is said like an end."""
        if len(self._connections) >= self.group.config.limits.max_connections:
            if self.on_end is not None:
                why = f"the array has {len(self._connections)} connections, its limit"
                self.on_end(Ended(0, protocol.source, protocol.local, None, Traffic(), why))
            return False
        self._numbered += 1
        protocol.number = self._numbered
        self._connections[protocol.number] = protocol
        return True

    def leave(self, protocol: ArrayProtocol, why: str) -> None:
        """A connection has ended."""
        if self._connections.pop(protocol.number, None) is None:
            return
        if self.on_leave is not None:
            self.on_leave(protocol)
        if self.on_end is not None:
            ended = Ended(protocol.number, protocol.source, protocol.local, protocol.session, protocol.traffic, why)
            self.on_end(ended)


class ArrayProtocol(asyncio.Protocol):
    """The asyncio side of one connection."""

    def __init__(self, server: ArrayServer) -> None:
        self.number = 0
        self.local = ""
        self.source = ""
        self.source_port = 0
        self.since_ns = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._outlet: Outlet | None = None
        self._connection: TargetConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fires_ns = 0
        self._paused = False
        self._reading = True
        self._hung = False
        self._lingering = False

    # -- asyncio calls these ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A TCP connection was accepted."""
        self._transport = cast(asyncio.Transport, transport)
        self._outlet = outlet(self._transport, self._loop)
        self.local = transport.get_extra_info("sockname")[0]
        self.source, self.source_port = transport.get_extra_info("peername")[:2]
        self.since_ns = self._now()
        if not self._server.enter(self):
            self._transport.abort()
            return
        self._connection = TargetConnection(
            self._server.group,
            self.local,
            self.source,
            number=self.number,
            now_ns=self._now(),
            random_bytes=self._server.random_bytes,
        )
        if self._server.group.faults.silences(self.local):
            self.hang()
        self._connection.on_abandon = self.drop
        self._connection.on_output = self._wake
        self._rearm()

    def data_received(self, data: Bytes) -> None:
        """Bytes arrived."""
        connection = self._connection
        if connection is not None and not connection.closing:
            self.received_bytes += len(data)
            connection.receive(data, self._now())
            self._flush(connection)

    def eof_received(self) -> bool:
        """The peer has sent FIN; asyncio closes the transport when this returns False."""
        if self._connection is not None:
            self._connection.eof()
            self._flush(self._connection)
        return self._outlet is not None and self._outlet.holds  # then it is closed when those are out

    def pause_writing(self) -> None:
        """The peer reads more slowly than it asks: take no more commands from it."""
        self._paused = True
        self._read(False)

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._paused = False
        assert self._outlet is not None
        self._outlet.resume()
        if self._connection is not None and not self._paused:
            self._flush(self._connection)

    def connection_lost(self, exc: Exception | None) -> None:
        """TCP is gone."""
        if self._timer is not None:
            self._timer.cancel()
        connection = self._connection
        if connection is not None:
            why = connection.why_closed or (str(exc) if exc else "closed")
            connection.lost(self._now())
            self._server.leave(self, why)

    # -- what the server and its operator ask ----------------------------------------------------------------------

    @property
    def connection(self) -> TargetConnection | None:
        """What speaks iSCSI here; None when it is forgotten."""
        return self._connection

    @property
    def session(self) -> Session | None:
        """The session this connection belongs to, None before its login is complete."""
        connection = self._connection
        return None if connection is None or connection.login is not None else connection.session

    @property
    def answered(self) -> int:
        """Answers sent so far, as StatSN counts them: modulo 2**32, from wherever the login began."""
        return 0 if self._connection is None else self._connection.stat_sn

    @property
    def traffic(self) -> Traffic:
        """What it has done so far."""
        connection = self._connection
        reads, writes = (0, 0) if connection is None else (connection.reads, connection.writes)
        return Traffic(reads, writes, self.received_bytes, self.sent_bytes)

    def request_logout(self, within_s: int) -> None:
        """Ask the initiator to log out (async event 1)."""
        if self._connection is not None:
            self._connection.request_logout(within_s, self._now())
            self._flush(self._connection)

    def forget(self) -> None:
        """Stop acting on this connection, and leave TCP as it is."""
        self._connection = None
        if self._timer is not None:
            self._timer.cancel()

    def hang(self) -> None:
        """Read and say nothing from now on, and let no timer run; the peer's TCP is answered by the kernel alone."""
        self._hung = True
        self._read(False)

    def unhang(self) -> None:
        """Go on where it stopped."""
        if self._hung:
            self._hung = False
            self._flush_unless_closed()  # also if it has to be closed, for what arrived before it stopped reading

    def finish(self) -> None:
        """Close TCP in order, behind what has been written."""
        if self._transport is not None:
            self._close(self._transport)

    def drop(self) -> None:
        """Break the TCP connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """There is output that no call from here has asked for."""
        self._loop.call_soon(self._flush_unless_closed)

    def _flush_unless_closed(self) -> None:
        if self._connection is not None and self._transport is not None and not self._transport.is_closing():
            self._flush(self._connection)

    def _flush(self, connection: TargetConnection) -> None:
        """Write what the connection has to say, then let it go on with what had to wait for that."""
        transport, out = self._transport, self._outlet
        assert transport is not None
        assert out is not None
        if self._hung:
            return
        while True:
            self.sent_bytes += connection.output_bytes
            output = connection.take_output()
            if output:
                out.write(output)
            if connection.closing:
                self._close(transport)
                return
            choked = connection.choked
            if self._paused or not choked:
                break
            connection.resume()
        if self._reading is not (wanted := not (self._paused or choked)):
            self._read(wanted)
        self._rearm()

    def _close(self, transport: asyncio.Transport) -> None:
        """Close TCP once the last answers are out; a peer that does not read them has so long, then it is broken."""
        assert self._outlet is not None
        if not transport.is_closing():
            if not self._outlet.holds:
                transport.close()
            if not self._lingering:
                self._lingering = True
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._loop.call_later(self._server.group.config.limits.linger_s, self.drop)

    def _read(self, wanted: bool) -> None:
        transport = self._transport
        wanted = wanted and not self._hung
        if transport is not None and wanted is not self._reading and not transport.is_closing():
            self._reading = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()

    def _now(self) -> int:
        return round(self._loop.time() * 1e9)

    def _rearm(self) -> None:
        """Set the one timer. A deadline that has moved on is looked at when it fires, not before."""
        connection = self._connection
        if connection is None or connection.deadline_ns is None or connection.closing:
            return
        if self._timer is not None:
            if self._fires_ns <= connection.deadline_ns:
                return
            self._timer.cancel()
        self._fires_ns = connection.deadline_ns
        self._timer = self._loop.call_at(connection.deadline_ns / 1e9, self._tick)

    def _tick(self) -> None:
        self._timer = None
        connection = self._connection
        if connection is None or connection.closing or self._hung:
            return
        connection.tick(self._now())
        self._flush(connection)


class SelectorArrayProtocol(ArrayProtocol, SharedBufferInlet):
    """The same on a selector loop."""
