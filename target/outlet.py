"""The way out of one connection: every wake-up's answers leave in one vectored write, and no payload is copied.

asyncio's own transports fall short of that on a stock loop before Python 3.12: ``writelines`` joins its buffers, and
what the socket does not take at once is copied again with every further piece that goes out. So on a selector loop
this writes to the socket itself, and gives the transport only what it needs in order to tell when there is room again.
On any other loop (uvloop, a simulated one) the transport's ``writelines`` is as good as it gets.

The transport's high-water mark is zero: it calls ``pause_writing`` as soon as it holds anything, and ``resume_writing``
when it holds nothing.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Protocol

IOV_MAX: Final = 1024
"""Buffers that one writev takes (Linux, POSIX leaves it to the system)."""

NUDGE_BYTES: Final = 4096
"""What the transport is given to wait with, once the socket is full; small, because this is copied."""


class Outlet(Protocol):
    """Takes buffers in order. While it holds any back, what is written waits behind them."""

    @property
    def holds(self) -> bool:
        """Buffers are held here that the transport knows nothing of: it must not be closed yet."""

    def write(self, buffers: list[bytes]) -> None:
        """Write these behind everything written before."""

    def resume(self) -> None:
        """The transport has room again: write what is held."""


class TransportOutlet:
    """Through the transport, on whatever loop."""

    __slots__ = ("_transport",)
    holds: Final = False

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def write(self, buffers: list[bytes]) -> None:
        self._transport.writelines(buffers)

    def resume(self) -> None:
        """Nothing is ever held."""


class SocketOutlet:
    """Straight to the socket of a selector loop's transport."""

    __slots__ = ("_fd", "_held", "_transport")

    def __init__(self, transport: asyncio.WriteTransport, fd: int) -> None:
        self._transport = transport
        self._fd = fd
        self._held: list[bytes | memoryview] = []

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def write(self, buffers: list[bytes]) -> None:
        if self._held or self._transport.get_write_buffer_size():
            self._held += buffers
        else:
            self._write(buffers)

    def resume(self) -> None:
        held, self._held = self._held, []
        if held:
            self._write(held)

    def _write(self, buffers: Sequence[bytes | memoryview]) -> None:
        """Write what the socket takes; hold the rest, and have the transport wait with the first bytes of it."""
        while buffers:
            try:
                written = os.writev(self._fd, buffers[:IOV_MAX])
            except (BlockingIOError, InterruptedError):
                written = 0
            except OSError:
                self._transport.write(buffers[0])  # it fails there as well, and asyncio ends the connection
                return
            if written == sum(map(len, buffers)):
                return
            ends = list(accumulate(map(len, buffers)))
            sent = bisect_right(ends, written)
            written -= ends[sent - 1] if sent else 0
            if not written and sent == IOV_MAX:
                buffers = buffers[sent:]
                continue
            cut = memoryview(buffers[sent])[written:]
            self._transport.write(cut[:NUDGE_BYTES])
            buffers = [cut[NUDGE_BYTES:], *buffers[sent + 1 :]]
            if self._transport.get_write_buffer_size():
                self._held = buffers
                return


def outlet(transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> Outlet:
    """The best way out there is on this loop."""
    if isinstance(loop, asyncio.SelectorEventLoop):
        transport.set_write_buffer_limits(high=0)
        return SocketOutlet(transport, transport.get_extra_info("socket").fileno())
    return TransportOutlet(transport)
