"""The control socket: takes requests one after the other, and bounds what a client may cost.

Only the array's own user can connect (see `socket_place`); the bounds are against mistakes, not against strangers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, cast

from harness.serving.control_wire import (
    MAX_REQUEST_BYTES,
    Answer,
    Refusal,
    Request,
    WireError,
    decode_request,
)
from harness.serving.socket_place import Claimed

MAX_CLIENTS: Final = 16
IDLE_S: Final = 60.0
"""How long a client may say nothing, or leave an answer unread."""

Handler = Callable[[Request], Awaitable[Answer | Refusal]]


class ControlServer:
    """Serves a claimed socket until `close`. ``handle`` must not raise."""

    def __init__(self, claimed: Claimed, handle: Handler) -> None:
        self._claimed = claimed
        self._server: asyncio.AbstractServer | None = None
        self.handle = handle
        self.clients: list[_Client] = []

    async def start(self) -> None:
        """Answer from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Client(self), sock=self._claimed.listener)

    def interrupt(self, why: str) -> None:
        """Give up what is being worked on, and tell those who wait for it."""
        for client in list(self.clients):
            client.interrupt(why)

    def close(self) -> None:
        """Hang up, and take the socket away."""
        if self._server is not None:
            self._server.close()
        for client in list(self.clients):
            client.hang_up()
        self._claimed.release()


class _Client(asyncio.Protocol):
    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._arrived = bytearray()
        self._working: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._server.clients) >= MAX_CLIENTS:
            self._say_last(Refusal(f"more than {MAX_CLIENTS} clients at once"))
            return
        self._server.clients.append(self)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        if len(self._arrived) > MAX_REQUEST_BYTES:
            self._say_last(Refusal(f"a request has at most {MAX_REQUEST_BYTES} bytes"))
            return
        self._next()

    def pause_writing(self) -> None:
        self._read(False)

    def resume_writing(self) -> None:
        self._read(True)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._server.clients:
            self._server.clients.remove(self)
        if self._patience is not None:
            self._patience.cancel()

    def interrupt(self, why: str) -> None:
        """Give up what is being worked on here."""
        if self._working is not None:
            self._working.cancel()
            self._working = None
            self._say_last(Refusal(why))

    def hang_up(self) -> None:
        """Write what is still to be written, then close."""
        if self._transport is not None:
            self._transport.close()

    def _next(self) -> None:
        """Take up the next request that is here, unless one is being worked on or its answer not read yet."""
        transport = self._transport
        assert transport is not None
        end = self._arrived.find(b"\n")
        if end < 0 or self._working is not None or transport.is_closing() or transport.get_write_buffer_size():
            return
        line = bytes(self._arrived[:end])
        del self._arrived[: end + 1]
        if self._patience is not None:
            self._patience.cancel()
        self._working = self._loop.create_task(self._work(line))

    async def _work(self, line: bytes) -> None:
        answer: Answer | Refusal
        try:
            answer = await self._server.handle(decode_request(line))
        except WireError as error:
            answer = Refusal(str(error))
        self._working = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer.encode())
            self._wait()
            self._next()

    def _wait(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self._transport is not None:
            self._patience = self._loop.call_later(IDLE_S, self._transport.abort)

    def _say_last(self, refusal: Refusal) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(refusal.encode())
            self._transport.close()

    def _read(self, wanted: bool) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
