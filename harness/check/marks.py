"""Marks: the rare situations a run should sometimes come through, and which of them this one did.

An oracle that never sees the situation it was made for proves nothing. Whoever notices such a situation sets its mark;
a sweep counts how many of its seeds hit each one, and fails when there is one that none of them hit. (FoundationDB
calls these probes, TigerBeetle marks.) Setting a mark costs a look-up and changes nothing in the run.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["MARKS", "Mark", "Marks"]


class Mark(Enum):
    """What may be marked; values are the names in results and tables."""

    WINDOW_CLOSED = "window closed"
    """A host has used the last place in the command window; whether it had more to send does not show."""
    CMD_SN_WRAPPED = "CmdSN wrapped"
    """A session's CmdSN passed 2^32."""
    LOST_WITH_R2T_OUTSTANDING = "connection lost with an R2T outstanding"
    REDIRECTED_WHILE_PORTAL_DOWN = "redirect while a portal was down"
    REDIRECT_LED_NOWHERE = "redirect led nowhere"
    REINSTATEMENT = "session reinstatement"
    GHOST_CANDIDATE = "write failed over while its first copy was at the target"
    """It was sent down a path that failed before it was answered, and again down another one."""
    GHOST_LANDED = "first copy landed after the second"
    """A write landed twice or more. Harmless as long as no newer one had been acknowledged by then."""
    TWO_PATHS_LOST = "two paths of one disk lost at once"
    ALL_PATHS_LOST = "all paths of a disk lost"
    DISK_REMOVED = "disk removed"
    UNIT_ATTENTION = "unit attention"
    TASK_ABORTED = "task aborted"
    UNKNOWN_WRITE = "write of unknown outcome"
    OVERLAPPING_IO = "I/O overlapped a write under way"
    ASYNC_LOGOUT = "logout asked for by the target"


MARKS: Final = tuple(mark.value for mark in Mark)
"""Every name there is."""


class Marks:
    """The marks of one run."""

    def __init__(self) -> None:
        self._hit: dict[Mark, None] = {}
        self.hit = self._hit.setdefault
        """(mark) notes that the situation was there."""

    def names(self) -> tuple[str, ...]:
        """What was hit, in the order of `Mark`."""
        return tuple(mark.value for mark in Mark if mark in self._hit)
