"""CmdSN and StatSN numbering, both sides (RFC 7143 4.2.2).

`CommandWindow` is the target's: what it will take, what comes next, and what has to wait because a predecessor is
missing. `CommandNumbering` is the initiator's: what it may send now. `StatusNumbering` is one connection's StatSN as
the initiator acknowledges it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.serial import HALF, MASK, add, distance

T = TypeVar("T")


class _Skipped:
    """Stands in the window for a CmdSN that counts as received but delivers nothing."""


_SKIPPED: Final = _Skipped()


class CommandWindow(Generic[T]):
    """The target's side of the command window, for items of type T (one per session).

    ``depth`` is the number of commands the target is ready to hold. Non-immediate commands are delivered strictly in
    CmdSN order; those outside [ExpCmdSN, MaxCmdSN] and duplicates are silently ignored, as 4.2.2.1 demands.
    ``max_cmd_sn`` is the highest CmdSN the target takes; never below ExpCmdSN - 1, and it never moves back.
    """

    __slots__ = ("_held", "depth", "exp_cmd_sn", "in_use", "max_cmd_sn")

    def __init__(self, first_cmd_sn: int, depth: int) -> None:
        if not 1 <= depth < HALF:
            raise LocalProtocolError(f"a command window has a depth of 1 to 2^31 - 1, not {depth}")
        self.depth = depth
        self.exp_cmd_sn = first_cmd_sn
        self.in_use = 0
        self._held: dict[int, T | _Skipped] = {}
        self.max_cmd_sn = add(first_cmd_sn, depth - 1)

    def accept(self, cmd_sn: int, item: T) -> list[T]:
        """Take a non-immediate command; return what has become deliverable, in CmdSN order."""
        window_open = self.max_cmd_sn != (cmd_sn - 1) & 0xFFFFFFFF
        if cmd_sn == self.exp_cmd_sn and window_open and not self._held:
            self.exp_cmd_sn = (cmd_sn + 1) & 0xFFFFFFFF
            self.in_use += 1
            return [item]
        return self._hold(cmd_sn, item)

    def skip(self, cmd_sn: int) -> list[T]:
        """Count a CmdSN as received without delivering it; return what has become deliverable behind it.

        For ABORT TASK of a command in the window that was never seen (RFC 7143 11.6.1), or that still waits for a
        predecessor: a hole left there would hold up the session for ever.
        """
        if self._held.get(cmd_sn, _SKIPPED) is not _SKIPPED:
            self._held[cmd_sn] = _SKIPPED
        return self._hold(cmd_sn, _SKIPPED)

    def release(self, count: int = 1) -> None:
        """``count`` delivered commands have ended: their places in the window open again."""
        left = self.in_use - count
        if left < 0 or count < 0:
            raise LocalProtocolError(f"{count} commands cannot be released: {self.in_use} are in use")
        self.in_use = left
        self.max_cmd_sn = (self.exp_cmd_sn + self.depth - 1 - left) & 0xFFFFFFFF

    def contains(self, cmd_sn: int) -> bool:
        """True when ``cmd_sn`` lies in [ExpCmdSN, MaxCmdSN]."""
        return distance(self.exp_cmd_sn, cmd_sn) < distance(self.exp_cmd_sn, add(self.max_cmd_sn, 1))

    def _hold(self, cmd_sn: int, item: T | _Skipped) -> list[T]:
        if not self.contains(cmd_sn) or cmd_sn in self._held:
            return []
        self._held[cmd_sn] = item
        return list(self._drain())

    def _drain(self) -> Iterator[T]:
        while self.exp_cmd_sn in self._held:
            item = self._held.pop(self.exp_cmd_sn)
            self.exp_cmd_sn = add(self.exp_cmd_sn, 1)
            if isinstance(item, _Skipped):
                self.max_cmd_sn = add(self.max_cmd_sn, 1)
            else:
                self.in_use += 1
                yield item


class CommandNumbering:
    """The initiator's side: numbers its commands and knows how many more the target will take."""

    __slots__ = ("cmd_sn", "exp_cmd_sn", "max_cmd_sn")

    def __init__(self, cmd_sn: int, exp_cmd_sn: int, max_cmd_sn: int) -> None:
        self.cmd_sn = cmd_sn
        self.exp_cmd_sn = exp_cmd_sn
        self.max_cmd_sn = max_cmd_sn

    @property
    def may_send(self) -> bool:
        """True when CmdSN has not passed MaxCmdSN."""
        return ((self.max_cmd_sn - self.cmd_sn) & 0xFFFFFFFF) < 0x80000000

    def take(self) -> int:
        """The CmdSN for the next non-immediate command; the number is used up."""
        cmd_sn = self.cmd_sn
        if ((self.max_cmd_sn - cmd_sn) & 0xFFFFFFFF) >= 0x80000000:
            raise LocalProtocolError(f"the command window is closed: CmdSN {cmd_sn}, MaxCmdSN {self.max_cmd_sn}")
        self.cmd_sn = (cmd_sn + 1) & 0xFFFFFFFF
        return cmd_sn

    def update(self, exp_cmd_sn: int, max_cmd_sn: int) -> None:
        """Learn the target's window from a PDU: values only ever rise, an impossible pair is ignored (4.2.2.1)."""
        # Written out, for every PDU that arrives comes by: `lt(max_cmd_sn, exp_cmd_sn - 1)`, and then twice `le`, since
        # to take over an equal number changes nothing.
        if (max_cmd_sn - exp_cmd_sn + 1) & MASK > HALF:
            return
        if (max_cmd_sn - self.max_cmd_sn) & MASK < HALF:
            self.max_cmd_sn = max_cmd_sn
        if (exp_cmd_sn - self.exp_cmd_sn) & MASK < HALF:
            self.exp_cmd_sn = exp_cmd_sn


class StatusNumbering:
    """One connection's ExpStatSN at the initiator, for ErrorRecoveryLevel 0: a gap is an error, not a SNACK."""

    __slots__ = ("exp_stat_sn",)

    def __init__(self, exp_stat_sn: int) -> None:
        self.exp_stat_sn = exp_stat_sn

    def advance(self, stat_sn: int) -> None:
        """A PDU that consumes a StatSN arrived. Raises RemoteProtocolError on a gap or a repeat."""
        if stat_sn != self.exp_stat_sn:
            raise RemoteProtocolError(f"StatSN {stat_sn} arrived where {self.exp_stat_sn} was expected")
        self.exp_stat_sn = (stat_sn + 1) & 0xFFFFFFFF
