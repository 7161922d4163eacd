"""How the host reaches the network: one seam, which is a real TCP stack or a simulated one.

The session and the host say where they want to go and from which of their addresses; ports, routes and time are the
network's. `LoopConnector` is the implementation for any asyncio loop that has a network of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Connector", "LoopConnector", "words"]

P = TypeVar("P", bound=asyncio.Protocol)


class Connector(Protocol):
    """Makes TCP connections for one host."""

    async def connect(
        self, factory: Callable[[], P], remote: tuple[str, int], source: str | None
    ) -> tuple[asyncio.Transport, P]:
        """Connect to ``remote`` (host, port) from the address ``source``, or from whichever the host chooses.

        One call makes one connection and so takes one ephemeral port. Its transport knows "sockname" and "peername".

        Raises:
            OSError: refused, unreachable, timed out, or ``source`` is no address of this host.
        """
        ...


def words(error: BaseException) -> str:
    """What went wrong, without the number an OSError puts before it; the class's name when it says nothing."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class LoopConnector:
    """Connections through the running asyncio loop."""

    async def connect(
        self, factory: Callable[[], P], remote: tuple[str, int], source: str | None
    ) -> tuple[asyncio.Transport, P]:
        """See `Connector.connect`."""
        host, port = remote
        local = (source, 0) if source is not None else None
        return await asyncio.get_running_loop().create_connection(factory, host, port, local_addr=local)
