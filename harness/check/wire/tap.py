"""A tap on a host's sockets: what it writes and reads, in order, and when connections come and go.

It stands between the initiator and the network as a connector, so it is the same in virtual time and on real TCP, and
it holds neither up. What the tap hears is what the host knows: a PDU that was lost on the way is not in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from initiator_model.connector import Connector

__all__ = ["Listener", "TappedConnector"]

P = TypeVar("P", bound=asyncio.Protocol)


class Listener(Protocol):
    """Who hears what crosses one socket."""

    def sent(self, data: bytes) -> None:
        """The host wrote these bytes."""

    def received(self, data: bytes) -> None:
        """The host is about to be given these bytes."""

    def closed(self) -> None:
        """The host has closed the connection, or heard of its end. Called once at least."""


class TappedConnector:
    """A connector whose connections are listened to. ``opened`` makes the listener of one (local, remote as "ip:port").

    ``failed`` hears of connections that did not come up: the remote address and the source, if one was asked for.
    """

    def __init__(
        self,
        inner: Connector,
        opened: Callable[[str, str], Listener],
        failed: Callable[[str, str | None], None],
    ) -> None:
        self._inner = inner
        self._opened = opened
        self._failed = failed

    async def connect(
        self, factory: Callable[[], P], remote: tuple[str, int], source: str | None
    ) -> tuple[asyncio.Transport, P]:
        """See `Connector.connect`."""
        protocol = factory()
        try:
            transport, _ = await self._inner.connect(lambda: _TapProtocol(protocol, self._opened), remote, source)
        except BaseException:
            self._failed(f"{remote[0]}:{remote[1]}", source)
            raise
        return transport, protocol


class _TapProtocol(asyncio.Protocol):
    """Stands in front of the initiator's own protocol."""

    def __init__(self, inner: asyncio.Protocol, opened: Callable[[str, str], Listener]) -> None:
        self._inner = inner
        self._opened = opened
        self._listener: Listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        local, remote = (transport.get_extra_info(name) for name in ("sockname", "peername"))
        self._listener = self._opened(f"{local[0]}:{local[1]}", f"{remote[0]}:{remote[1]}")
        self._inner.connection_made(_TapTransport(transport, self._listener))

    def data_received(self, data: bytes) -> None:
        self._listener.received(data)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.closed()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class _TapTransport(asyncio.Transport):
    """The initiator writes here."""

    def __init__(self, inner: asyncio.Transport, listener: Listener) -> None:
        super().__init__()
        self._inner = inner
        self._listener = listener

    def write(self, data: Any) -> None:
        if not self._inner.is_closing():
            self._listener.sent(data)
        self._inner.write(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        buffers = list(list_of_data)
        if not self._inner.is_closing():
            self._listener.sent(buffers[0] if len(buffers) == 1 else b"".join(buffers))
        self._inner.writelines(buffers)

    def close(self) -> None:
        self._listener.closed()
        self._inner.close()

    def abort(self) -> None:
        self._listener.closed()
        self._inner.abort()

    def is_closing(self) -> bool:
        return self._inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def is_reading(self) -> bool:
        return self._inner.is_reading()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._inner.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._inner.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._inner.get_write_buffer_limits()
