"""A disk that outlives its sessions: what was under way when one was lost is sent again over the next."""

import asyncio

from toy_initiator.session import Session

TIMEOUT_S = 2.0
"""How long a login or a command may take before its session is given up."""
RETRIES = 20
PAUSE_S = 0.5


class Disk:
    """One volume of one target. `source` is the local IP to come from."""

    def __init__(self, address, target, name, source=None):
        self._log_in_to = (address, target, name, source)
        self._session = None

    async def read_block(self, lba):
        """The 512 bytes of a block."""
        return await self._repeat(lambda session: session.read_block(lba))

    async def write_block(self, lba, data):
        """Write a block; it is written when this returns."""
        await self._repeat(lambda session: session.write_block(lba, data))

    async def close(self):
        """Log out."""
        if self._session is not None:
            await self._session.log_out()
            self._session = None

    async def _repeat(self, command):
        for _ in range(RETRIES):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    if self._session is None:
                        self._session = await Session.log_in(*self._log_in_to)
                    return await command(self._session)
            except (OSError, EOFError):  # refused, reset, timed out; ended in the middle of a PDU
                if self._session is not None:
                    self._session.give_up()
                    self._session = None
                await asyncio.sleep(PAUSE_S)
        raise ConnectionError(f"{RETRIES} attempts failed")
