"""One TCP connection of the initiator: an asyncio protocol between a transport and whoever uses the connection.

A login and a discovery read it PDU by PDU with `next_pdu`. Once the full feature phase begins, the session takes it
over with `hand_over` and gets the bytes as they come. Writing keeps the transport's own backlog small: a transport may
copy what it could not send again and again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from initiator_model.connector import words
from iscsi.constants import DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH
from iscsi.errors import RemoteProtocolError
from iscsi.framer import Framer
from iscsi.pdu import Pdu, encode

__all__ = ["Link", "endpoint"]

_UNREAD_MAX: Final = 1 << 20
"""Bytes a peer may send before anyone reads them; a login's PDUs are answered one by one."""
_WRITE_BATCH: Final = 1 << 17
"""Bytes handed to the transport in one go."""


class Link(asyncio.Protocol):
    """The initiator's end of one TCP connection. ``local`` and ``remote`` are ``"ip:port"``."""

    def __init__(self) -> None:
        self.framer = Framer(DEFAULT_MAX_RECV_DATA_SEGMENT_LENGTH)
        self.local = self.remote = ""
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._waiter: asyncio.Future[None] | None = None
        self.ended_by_target = False  # by its FIN or its reset
        self._lost: str | None = None
        self._on_data: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[str], None] | None = None
        self._backlog: deque[bytes] = deque()
        self._paused = False

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.local = endpoint(transport.get_extra_info("sockname"))
        self.remote = endpoint(transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        if self._on_data is not None:
            self._on_data(data)
            return
        self._unread += data
        if len(self._unread) > _UNREAD_MAX:
            self.abort(f"{self.remote} sends without waiting for answers")
        self._wake()

    def eof_received(self) -> None:
        self._end("the target closed the connection", by_target=True)

    def connection_lost(self, exc: Exception | None) -> None:
        why = words(exc) if exc is not None else "the connection was closed"
        self._end(why, by_target=isinstance(exc, ConnectionResetError))

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write_backlog()

    # The user's side

    async def next_pdu(self) -> Pdu:
        """The next PDU of the target.

        Raises:
            ConnectionError: the connection ended first.
            RemoteProtocolError: what arrives is no PDU.
        """
        while True:
            unread, self._unread = self._unread, b""
            pdus = self.framer.receive(unread, 1)
            if pdus:
                if not isinstance(pdus[0], Pdu):
                    raise RemoteProtocolError("data digest error")
                return pdus[0]
            if self._lost is not None:
                raise ConnectionError(self._lost)
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def send(self, pdu: Pdu) -> None:
        """Write one PDU, without digests: for the login phase."""
        self.write([encode(pdu)])

    def hand_over(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """From now on bytes go to ``on_data`` and the end of the connection, once, to ``on_lost``.

        What arrived before and is in no PDU yet goes there first; what the framer holds stays in the framer. If the
        connection has ended already, ``on_lost`` hears of it from the loop, soon.
        """
        self._on_data = on_data
        self._on_lost = on_lost
        unread, self._unread = self._unread, b""
        on_data(unread)
        if self._lost is not None:
            asyncio.get_running_loop().call_soon(on_lost, self._lost)

    def write(self, buffers: list[bytes]) -> None:
        """Write buffers in order, as fast as the transport takes them; small runs in one go."""
        transport = self._transport
        room = not self._backlog and not self._paused and sum(map(len, buffers)) <= _WRITE_BATCH
        if room and transport is not None and self._lost is None:
            transport.writelines(buffers)
        else:
            self._backlog.extend(buffers)
            self._write_backlog()

    def close(self) -> None:
        """Send what is written and end with a FIN. Nobody hears of it."""
        self._forget()
        if self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End with a reset. A reader of `next_pdu` gets ``reason``; a user who took over does not hear of it."""
        if self._lost is None:
            self._lost = reason
            self._wake()
        self._forget()
        if self._transport is not None:
            self._transport.abort()

    def _forget(self) -> None:
        self._on_lost = None
        self._on_data = _discard
        self._backlog.clear()

    def _write_backlog(self) -> None:
        backlog = self._backlog
        transport = self._transport
        if transport is None or self._lost is not None:
            backlog.clear()
            return
        while backlog and not self._paused:
            batch: list[bytes] = []
            room = _WRITE_BATCH
            while backlog and room > 0:
                batch.append(backlog.popleft())
                room -= len(batch[-1])
            transport.writelines(batch)

    def _end(self, reason: str, *, by_target: bool) -> None:
        if self._lost is not None:
            return
        self._lost = reason
        self.ended_by_target = by_target
        self._backlog.clear()
        self._wake()
        if self._on_lost is not None:
            self._on_lost(reason)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def endpoint(address: Any) -> str:
    """A socket address tuple as ``"ip:port"``, an IPv6 address in brackets."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _discard(data: bytes) -> None:
    """What comes for a connection nobody uses any more."""
