"""A listening server, as `loop.create_server` returns it, without sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sim.loop import SimLoop
from sim.loop_network import ProtocolFactory
from sim.net.segment import Address
from sim.net.transport import SimTransport

if TYPE_CHECKING:
    from sim.net.host import Host
    from sim.net.tcp_socket import TcpSocket


class SimServer(asyncio.AbstractServer):
    """Listens at one or several addresses and makes a protocol and a transport for every connection.

    `addresses` lists the (IPv4, port) pairs bound; where a stock server has sockets, this one has none. Closing it
    leaves connections alone. It stops serving by itself when its host dies, and does not come back with it.
    """

    sockets: tuple[Any, ...] = ()

    def __init__(
        self, loop: SimLoop, places: list[tuple[Host, Address]], factory: ProtocolFactory, backlog: int
    ) -> None:
        self.backlog = backlog
        self._loop = loop
        self._factory = factory
        self._places = places
        self._listening = False
        self._closed = asyncio.Event()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses bound, ports filled in."""
        return tuple(address for _, address in self._places)

    def established(self, socket: TcpSocket) -> None:
        """A client's connection stands: give it a protocol."""
        try:
            protocol = self._factory()
        except Exception as error:
            self._loop.call_exception_handler(
                {
                    "message": "the protocol factory of a server failed",
                    "exception": error,
                    "protocol_factory": self._factory,
                }
            )
            socket.abort()
            return
        SimTransport(self._loop, socket, protocol, None)

    def listen(self) -> None:
        """Bind every address. Raises OSError and binds none when one cannot be bound."""
        if self._listening:
            return
        bound: list[tuple[Host, Address]] = []
        try:
            for host, address in self._places:
                bound.append((host, host.listen(address, self)))
        except OSError:
            for host, address in bound:
                host.unlisten(address, self)
            raise
        self._places = bound
        self._listening = True

    def get_loop(self) -> SimLoop:
        """The loop the server belongs to."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether all addresses still take connections."""
        return self._listening and all(host.is_listening(address, self) for host, address in self._places)

    async def start_serving(self) -> None:
        """Begin to listen, if it has not begun yet."""
        self.listen()

    async def serve_forever(self) -> None:
        """Serve until cancelled or closed."""
        self.listen()
        try:
            await self._closed.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening. Connections stay."""
        if self._listening:
            self._listening = False
            for host, address in self._places:
                host.unlisten(address, self)
        self._closed.set()

    def close_clients(self) -> None:
        """Not offered: the server keeps no list of connections."""
        raise NotImplementedError("a simulated server does not track its connections; close their transports")

    abort_clients = close_clients

    async def wait_closed(self) -> None:
        """Wait until `close` was called."""
        await self._closed.wait()
