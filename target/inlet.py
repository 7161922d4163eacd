"""The way into one connection: on a selector loop all of them receive into one buffer.

asyncio's transport allocates 256 KiB for every call of recv, however little comes; where a wake-up brings one command
of 48 bytes, that is most of its cost. A loop runs one callback at a time, and what arrived is looked at before the
callback returns, so one buffer serves every connection of the process, and nothing in it is copied but what is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

RECEIVE_BYTES: Final = 1024 * 1024
"""What one wake-up takes from a socket at most. A PDU that is cut by its end has to be put together."""

_BUFFER: Final = memoryview(bytearray(RECEIVE_BYTES))


class SharedBufferInlet(asyncio.BufferedProtocol):
    """Makes a `Protocol` of a class that has ``data_received`` one that is filled from the shared buffer."""

    data_received: Callable[[bytes | memoryview], None]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport puts what arrives."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have arrived."""
        self.data_received(_BUFFER[:nbytes])
