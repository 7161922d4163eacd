"""The least of HTTP/1.1 that Prometheus needs: GET /metrics, one request a connection, everything bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

MAX_REQUEST_BYTES: Final = 8192
MAX_CLIENTS: Final = 16
REQUEST_S: Final = 10.0
"""From the connection to the last byte of the answer."""


class MetricsServer:
    """Serves ``text`` (as ``content_type``) at ``address``:``port``."""

    def __init__(self, address: str, port: int, text: Callable[[], bytes], content_type: str) -> None:
        self.address = address
        self.port = port
        self.text = text
        self.content_type = content_type
        self.clients: list[_Client] = []
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), self.address, self.port)

    def close(self) -> None:
        """Listen no more, and hang up."""
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            client.drop()


class _Client(asyncio.Protocol):
    def __init__(self, server: MetricsServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._arrived = b""
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._server.clients) >= MAX_CLIENTS:
            self._transport.abort()
            return
        self._server.clients.append(self)
        self._patience = asyncio.get_running_loop().call_later(REQUEST_S, self.drop)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._arrived += data
        if b"\r\n\r\n" in self._arrived:
            transport.write(self._answer(self._arrived))
            transport.close()
        elif len(self._arrived) > MAX_REQUEST_BYTES:
            transport.write(_response("431 Request Header Fields Too Large"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._server.clients:
            self._server.clients.remove(self)
        if self._patience is not None:
            self._patience.cancel()

    def drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, request: bytes) -> bytes:
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request")
        method, path = words[0], words[1].partition(b"?")[0]
        if path != b"/metrics":
            return _response("404 Not Found")
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "Allow: GET, HEAD\r\n")
        body = self._server.text()
        headers = f"Content-Type: {self._server.content_type}\r\n"
        return _response("200 OK", headers, body, send_body=method == b"GET")


def _response(status: str, headers: str = "", body: bytes = b"", *, send_body: bool = True) -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (body if send_body else b"")
