"""The two worlds of the parity suite: a stock loop over loopback sockets, a simulated loop over a simulated network.

A test is a coroutine function that takes a `World`. It may use the loop, `listen` and `connect`; what it asserts must
hold in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from sim.loop import SimLoop
from sim.net import Network

# A bound for waits that must end; never a measure.
SOON_S = 5.0


class Recorder(asyncio.Protocol):
    """Writes down what it is told, in order, and lets a test wait for it."""

    # Every transport made in the present test, so that none is left open.
    transports: ClassVar[list[Any]] = []

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received = bytearray()
        self.transport: Any = None
        self.error: Exception | None = None
        self.keep_open = False
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transports.append(transport)
        self._note("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.received += data
        if self.calls[-1] != "data":
            self._note("data")
        self._changed.set()

    def eof_received(self) -> bool:
        self._note("eof")
        return self.keep_open

    def connection_lost(self, error: Exception | None) -> None:
        self.error = error
        self._note("lost")

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def _note(self, what: str) -> None:
        self.calls.append(what)
        self._changed.set()

    async def until(self, condition: Callable[[Recorder], bool]) -> None:
        """Wait until `condition(self)` holds; TimeoutError when it does not come about."""
        async with asyncio.timeout(SOON_S):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def until_called(self, what: str) -> None:
        """Wait until `what` is among the calls."""
        await self.until(lambda self: what in self.calls)


class World:
    """A server's address, a client's, and the loop between them."""

    name: str
    client_ip: str
    server_ip: str

    def __init__(self) -> None:
        self.servers: list[asyncio.AbstractServer] = []
        self.accepted: list[Recorder] = []
        self.port = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def listen(self, factory: Callable[[], asyncio.Protocol] = Recorder) -> asyncio.AbstractServer:
        """Serve on the server's address; its protocols gather in `accepted`."""

        def accept() -> asyncio.Protocol:
            protocol = factory()
            self.accepted.append(protocol)  # type: ignore[arg-type]
            return protocol

        server = await self.loop.create_server(accept, self.server_ip, 0)
        self.port = self.bound_port(server)
        self.servers.append(server)
        return server

    def bound_port(self, server: Any) -> int:
        raise NotImplementedError

    async def connect(self, factory: Callable[[], asyncio.Protocol] = Recorder) -> Any:
        """Connect to the server; returns the client's protocol."""
        _, protocol = await self.loop.create_connection(
            factory, self.server_ip, self.port, local_addr=(self.client_ip, 0)
        )
        return protocol

    async def pair(self) -> tuple[Recorder, Recorder]:
        """A connected pair of recorders: (client, server)."""
        await self.listen()
        client = await self.connect()
        async with asyncio.timeout(SOON_S):
            while not self.accepted or not self.accepted[-1].calls:
                await asyncio.sleep(0.001)
        return client, self.accepted[-1]

    def run(self, test: Callable[[World], Awaitable[None]]) -> None:
        raise NotImplementedError

    async def _tidy(self, test: Callable[[World], Awaitable[None]]) -> None:
        try:
            await test(self)
        finally:
            for server in self.servers:
                server.close()
            for transport in Recorder.transports:
                transport.abort()
            Recorder.transports.clear()
            await asyncio.sleep(0.001)


class Stock(World):
    """asyncio's own selector loop, sockets on 127.0.0.0/8."""

    name = "stock"
    client_ip, server_ip = "127.0.50.105", "127.0.51.2"

    def bound_port(self, server: Any) -> int:
        port: int = server.sockets[0].getsockname()[1]
        return port

    def run(self, test: Callable[[World], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._tidy(test))


class Simulated(World):
    """SimLoop, two hosts and a switch."""

    name = "simulated"
    client_ip, server_ip = "192.168.50.105", "192.168.51.2"

    def bound_port(self, server: Any) -> int:
        port: int = server.addresses[0][1]
        return port

    def run(self, test: Callable[[World], Awaitable[None]]) -> None:
        loop = SimLoop()
        network = Network(loop, seed=1)
        network.add_host("client", "linux").add_nic("nic", self.client_ip, 22)
        network.add_host("server", "linux").add_nic("nic", self.server_ip, 22)
        loop.run_coroutine(self._tidy(test))
        loop.close()
