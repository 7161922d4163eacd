"""The loop's doors to the simulated network: `create_connection` and `create_server`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from sim.fence import FencedLoop, SimFence

ProtocolFactory = Callable[[], asyncio.BaseProtocol]

# Options of the stock loop that change nothing here: every listener may be restarted, every address is IPv4.
_HARMLESS_OPTIONS = frozenset({"reuse_address", "family", "proto", "flags", "happy_eyeballs_delay", "all_errors"})


def _refuse_options(operation: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None and name not in _HARMLESS_OPTIONS:
            raise SimFence(f"{operation}({name}=...)", "this option")


class NetworkDriver(Protocol):
    """What the loop asks of the simulated network; `sim.net.network.Network` is one."""

    async def create_connection(
        self, factory: ProtocolFactory, remote: tuple[str, int], local: tuple[str, int] | None
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]: ...

    async def create_server(
        self, factory: ProtocolFactory, addresses: list[tuple[str, int]], backlog: int, start_serving: bool
    ) -> asyncio.AbstractServer: ...


class NetworkedLoop(FencedLoop):
    """An event loop whose connections and servers are those of `network`, which the `Network` built on it sets."""

    network: NetworkDriver | None = None

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: int | None = None,
        *,
        local_addr: tuple[str, int] | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect over the simulated network, from the host that owns `local_addr`'s address.

        Raises OSError as a real socket would: refused, timed out, unreachable, address not available.
        """
        _refuse_options("create_connection", options)
        if host is None or port is None:
            raise ValueError("create_connection: host and port are wanted; there is no socket to hand in")
        return await self._network("create_connection").create_connection(protocol_factory, (host, port), local_addr)

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: ProtocolFactory,
        host: str | list[str] | tuple[str, ...] | None = None,
        port: int | None = None,
        *,
        backlog: int = 100,
        start_serving: bool = True,
        **options: Any,
    ) -> asyncio.AbstractServer:
        """Listen at `host` (one address or several), each owned by some simulated host, on `port`."""
        _refuse_options("create_server", options)
        if host is None or port is None:
            raise ValueError("create_server: an address and a port are wanted; there is no any-address")
        hosts = [host] if isinstance(host, str) else list(host)
        addresses = [(each, port) for each in hosts]
        network = self._network("create_server")
        return await network.create_server(protocol_factory, addresses, backlog, start_serving)

    def _network(self, operation: str) -> NetworkDriver:
        if self.network is None:
            raise SimFence(operation, "a network outside (no Network was built on this loop)")
        return self.network
