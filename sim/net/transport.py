"""The asyncio transport over a simulated socket: the contract of `asyncio.Transport`, callback by callback.

It follows the stock selector transport: `connection_made` comes through `call_soon` and before any data; data waits
while reading is paused; `pause_writing` is called from `write` when the buffer passes the high-water mark; a false
`eof_received` closes; `connection_lost` comes exactly once, through `call_soon`, with None after `close` and `abort`
and with the socket's error otherwise. As with a stock transport the buffer counts only what the socket has not taken.

One thing differs: `abort` resets the connection. A stock transport closes its socket, which Linux turns into a reset
only when received data lies unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sim.loop import SimLoop

if TYPE_CHECKING:
    from sim.net.tcp_socket import TcpSocket

Data = bytes | bytearray | memoryview

HIGH_WATER_BYTES = 64 * 1024


class SimTransport(asyncio.Transport):
    """A connected simulated socket. `waiter`, if given, is completed after `connection_made`."""

    def __init__(
        self, loop: SimLoop, socket: TcpSocket, protocol: asyncio.BaseProtocol, waiter: asyncio.Future[None] | None
    ) -> None:
        local, remote = socket.flow
        super().__init__({"sockname": local, "peername": remote})
        self._loop = loop
        self._socket = socket
        self._protocol = protocol
        self._check(protocol)
        self._closing = False
        self._finished = False  # write_eof was called
        self._lost = False  # connection_lost is under way
        self._read_paused = False
        self._write_paused = False
        self._high, self._low = HIGH_WATER_BYTES, HIGH_WATER_BYTES // 4
        socket.user = self
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(self._start)
        if waiter is not None:
            loop.call_soon(_complete, waiter)

    def _start(self) -> None:
        endpoint = self._socket.endpoint
        if endpoint.error is not None and not self._lost:  # ended before anyone was there to hear it
            self.socket_ended(endpoint.error)
        elif not self._read_paused and not self._closing:
            self._socket.resume()

    # -- protocol and facts --------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol have the callbacks."""
        self._check(protocol)
        self._protocol = protocol

    @staticmethod
    def _check(protocol: asyncio.BaseProtocol) -> None:
        if isinstance(protocol, asyncio.BufferedProtocol):
            raise TypeError("simulated transports serve asyncio.Protocol; BufferedProtocol is not supported")

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol that has the callbacks."""
        return self._protocol

    def is_closing(self) -> bool:
        """Whether the transport is closing or closed."""
        return self._closing

    # -- reading -------------------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Whether data is wanted."""
        return not self._closing and not self._read_paused

    def pause_reading(self) -> None:
        """Take no more data; the receive window closes as the socket fills."""
        if self._closing or self._read_paused:
            return
        self._read_paused = True
        self._socket.reading = False

    def resume_reading(self) -> None:
        """Take data again. What has arrived comes in the next batch of callbacks."""
        if self._closing or not self._read_paused:
            return
        self._read_paused = False
        self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if not self._read_paused and not self._closing:
            self._socket.resume()

    def socket_data(self, data: bytes) -> None:
        """The socket has data."""
        try:
            self._protocol.data_received(data)  # type: ignore[attr-defined]  # a cast costs a call
        except Exception as error:
            self._fail(error, "protocol.data_received() failed")

    def socket_eof(self) -> None:
        """The peer has finished."""
        if self._closing:
            return
        try:
            keep_open = self._protocol.eof_received()  # type: ignore[attr-defined]
        except Exception as error:
            self._fail(error, "protocol.eof_received() failed")
            return
        if not keep_open:
            self.close()

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, data: Data) -> None:
        """Send `data`. Ignored after `close`; RuntimeError after `write_eof`."""
        if not isinstance(data, bytes):
            if not isinstance(data, (bytearray, memoryview)):
                raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
            data = bytes(data)
        if self._finished:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._closing:
            return
        self._socket.write(data)
        if not self._write_paused and self._socket.unsent_bytes() > self._high:
            self._pause_protocol()

    def writelines(self, list_of_data: Iterable[Data]) -> None:
        """Send the buffers in a row; they share frames."""
        buffers = list(map(bytes, list_of_data))  # of a `bytes`, bytes() is itself
        if self._finished:
            raise RuntimeError("Cannot call writelines() after write_eof()")
        if self._closing:
            return
        socket = self._socket
        socket.write_all(buffers)
        if not self._write_paused and socket.unsent_bytes() > self._high:
            self._pause_protocol()

    def _pause_protocol(self) -> None:
        self._write_paused = True
        self._socket.watch_room = True
        self._protocol_call("pause_writing")

    def socket_room(self) -> None:
        """The peer acknowledged something."""
        unsent = self._socket.unsent_bytes()
        if self._write_paused and unsent <= self._low:
            self._write_paused = False
            self._protocol_call("resume_writing")
        if self._closing and not unsent:
            self._close_socket()
        elif not self._write_paused and not self._closing:
            self._socket.watch_room = False

    def _protocol_call(self, name: str) -> None:
        try:
            getattr(self._protocol, name)()
        except Exception as error:
            self._loop.call_exception_handler(
                {
                    "message": f"protocol.{name}() failed",
                    "exception": error,
                    "transport": self,
                    "protocol": self._protocol,
                }
            )

    def get_write_buffer_size(self) -> int:
        """Bytes written that the socket's send buffer has no room for."""
        return 0 if self._lost else self._socket.unsent_bytes()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """(low, high) in bytes."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which `pause_writing` and `resume_writing` are called, with asyncio's defaults."""
        if high is None:
            high = HIGH_WATER_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        if not self._closing and not self._write_paused and self._socket.unsent_bytes() > high:
            self._pause_protocol()

    def can_write_eof(self) -> bool:
        """TCP can close one direction."""
        return True

    def write_eof(self) -> None:
        """Close the sending direction after what was written."""
        if self._closing or self._finished:
            return
        self._finished = True
        self._socket.finish()

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Send what was written, then close."""
        if self._closing:
            return
        self._closing = True
        self._socket.reading = False
        if self._socket.unsent_bytes():
            self._socket.watch_room = True
        else:
            self._close_socket()

    def _close_socket(self) -> None:
        if self._lost:
            return
        self._lost = True
        self._socket.close()
        self._loop.call_soon(self._call_connection_lost, None)

    def abort(self) -> None:
        """Reset the connection now; what was not sent is lost."""
        if self._lost:
            return
        self._closing = self._lost = True
        self._socket.reading = False
        self._socket.abort()
        self._loop.call_soon(self._call_connection_lost, None)

    def socket_ended(self, error: OSError | None) -> None:
        """TCP ended the connection."""
        if self._lost:
            return
        self._closing = self._lost = True
        self._loop.call_soon(self._call_connection_lost, error)

    def _fail(self, error: Exception, message: str) -> None:
        self._loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
        )
        if not self._lost:
            self._closing = self._lost = True
            self._socket.abort()
            self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)


def _complete(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)
