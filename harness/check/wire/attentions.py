"""Which unit attentions the array still owes a nexus, one answer for each of its logical units (SAM-5 5.14).

A new nexus is owed one by every unit, and so is every nexus when a unit is reset. It comes with the next command, but
for the few that are served whatever is due. Any unit attention settles the debt: a unit may say several at once in one.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Attentions", "sense_key"]

_REQUEST_SENSE: Final = 0x03
_EXEMPT: Final = (0x12, 0xA0, _REQUEST_SENSE)
"""INQUIRY, REPORT LUNS and REQUEST SENSE are served whatever attention is due."""


class Attentions:
    """Those that one nexus is owed."""

    def __init__(self) -> None:
        self._since: dict[bytes, int | None] = {}  # by LUN: the tick from which one is owed; None: none is
        self._given: dict[bytes, int] = {}  # by LUN: the tick of the last one
        self.settled: bytes | None = None
        """A LUN that owes nothing: a look at it spares most commands the rest. None: it may be any."""

    def established(self, lun: bytes | None, asked: int, now: int) -> None:
        """A reset of a unit, or of all (None), that was asked for at tick ``asked`` is known to be through at ``now``.

        An attention since it was asked for may have been this one already.
        """
        for one in list(self._since) if lun is None else (lun,):
            if self._since.get(one, 0) is None and self._given.get(one, 0) < asked:
                self._since[one] = now
                self.settled = None

    def given(self, lun: bytes, now: int) -> None:
        """A command ended with one."""
        self._given[lun] = now
        self._since[lun] = None
        self.settled = lun

    def forgotten(self, lun: bytes, opcode: int, sent: int) -> str | None:
        """A command that was sent at tick ``sent`` ended GOOD: which attention it should have met, if any."""
        since = self._since.get(lun, 0)
        if since is None:
            self.settled = lun
            return None
        if opcode == _REQUEST_SENSE:  # what it asked for may have been the attention
            self._since[lun] = None
            return None
        if sent <= since or opcode in _EXEMPT:
            return None
        self._since[lun] = None
        return "the first command after a reset" if since else "a new nexus' first command"


def sense_key(data: bytes) -> int | None:
    """The sense key in the data segment of a response: two bytes of length, then fixed or descriptor format."""
    length = int.from_bytes(data[:2])
    if length < 4 or len(data) < 5:
        return None
    descriptor = data[2] & 0x7F in (0x72, 0x73)
    return (data[3] if descriptor else data[4]) & 0x0F
