"""A key of its own for each path: what PREEMPT AND ABORT tells a dead path from a living one by (SPC-4 5.13).

Each path registers its key when it is claimed, and anew before a path that had failed is used again, for it may have
been preempted meanwhile. The reservation is *Write Exclusive - All Registrants*:

* a reservation there must be. A key alone lets PREEMPT AND ABORT end what waits at the target; what is still on its
  way there would be executed when it arrives. Under the reservation it meets RESERVATION CONFLICT, because the path it
  comes by is not registered any more.
* Write Exclusive, since reads do no harm; whoever may look at the disk today still may.
* All Registrants, not Registrants Only: there one path's nexus holds the reservation, and it would have to be moved
  whenever that path is the one that dies. Here every path holds it, each makes the same two requests, in any order, and
  the loss of any of them ends nothing.

A path may come back while it is still being preempted: it registers when that is over, or its new key would go, too.

Hosts that share the disk have to do the same, or they cannot write to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from initiator_model.scsi_calls import CommandFailed, Submit, call
from iscsi import scsi
from iscsi.constants import ScsiStatus
from iscsi.scsi import PersistentIn, PersistentOut, PersistentType

__all__ = ["RESERVATION", "Registrations"]

RESERVATION: Final = PersistentType.WRITE_EXCLUSIVE_ALL_REGISTRANTS

_OUT: Final = "PERSISTENT RESERVE OUT"
_KEYS_MAX: Final = 8192  # of an answer to READ KEYS: 1023 keys


class Registrations:
    """The keys of one host's paths, by ISID, drawn when they are first wanted."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._keys: dict[bytes, int] = {}
        self._turns: dict[bytes, asyncio.Lock] = {}

    def key(self, isid: bytes) -> int:
        """The key of the session with this ISID, which is not zero: zero is no key (SPC-4 6.16.3)."""
        key = self._keys.get(isid)
        if key is None:
            key = self._keys[isid] = int.from_bytes(self._random_bytes(8)) or 1
        return key

    def turn(self, isid: bytes) -> asyncio.Lock:
        """Held by whoever changes the registration of the session with this ISID."""
        return self._turns.setdefault(isid, asyncio.Lock())

    async def register(self, submit: Submit, isid: bytes, lun: int) -> None:
        """Register the session's key at a unit, and reserve it together with the others. Raises CommandFailed."""
        key = self.key(isid)
        async with self.turn(isid):
            await self._out(submit, lun, PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY, 0, key)
            await self._out(submit, lun, PersistentOut.RESERVE, key, 0)

    async def preempt(self, submit: Submit, isid: bytes, victim: bytes, lun: int) -> None:
        """Through the session with ``isid``: the session ``victim`` loses its key, and its tasks are aborted.

        A key that is not there any more is not missed: who removed it has aborted the tasks. Raises CommandFailed.
        """
        own, other = self.key(isid), self.key(victim)
        try:
            await self._out(submit, lun, PersistentOut.PREEMPT_AND_ABORT, own, other)
        except CommandFailed as failure:
            if failure.completion.status != ScsiStatus.RESERVATION_CONFLICT:
                raise
            registered = await self._registered(submit, lun)
            if own not in registered or other in registered:
                raise

    async def _out(self, submit: Submit, lun: int, action: PersistentOut, key: int, action_key: int) -> None:
        cdb = scsi.persistent_reserve_out(action, None if _registers(action) else RESERVATION)
        words = f"{_OUT} ({action.name.replace('_', ' ')})"
        await call(submit, words, lun, cdb, data_out=scsi.persistent_reserve_list(key, action_key))

    async def _registered(self, submit: Submit, lun: int) -> list[int]:
        cdb = scsi.persistent_reserve_in(PersistentIn.READ_KEYS, _KEYS_MAX)
        answer = await call(submit, "PERSISTENT RESERVE IN (READ KEYS)", lun, cdb, _KEYS_MAX)
        length = int.from_bytes(answer[4:8])
        return [int.from_bytes(answer[at : at + 8]) for at in range(8, min(8 + length, len(answer) - 7), 8)]


def _registers(action: PersistentOut) -> bool:
    return action is PersistentOut.REGISTER_AND_IGNORE_EXISTING_KEY
