"""CmdSN and StatSN numbering, both sides (RFC 7143 4.2.2).

`CommandWindow` is the target's: what it will take, what comes next, and what has to wait because a predecessor is
missing. `CommandNumbering` is the initiator's: what it may send now. `StatusNumbering` is one connection's StatSN as
the initiator acknowledges it.
"""

from __future__ import annotations

from collections.abc import Callable
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

    A command that is due goes straight through `take_next`. One that came early is `hold`-ed; `first_held` shows the
    next that is deliverable and `deliver` takes it off, one at a time, because its connection may have to wait.
    ``held`` is what waits, by CmdSN; look, but do not touch.
    """

    __slots__ = ("depth", "exp_cmd_sn", "held", "in_use", "max_cmd_sn")

    def __init__(self, first_cmd_sn: int, depth: int) -> None:
        if not 1 <= depth < HALF:
            raise LocalProtocolError(f"a command window has a depth of 1 to 2^31 - 1, not {depth}")
        self.depth = depth
        self.exp_cmd_sn = first_cmd_sn
        self.in_use = 0
        self.held: dict[int, T | _Skipped] = {}
        self.max_cmd_sn = add(first_cmd_sn, depth - 1)

    def take_next(self, cmd_sn: int) -> bool:
        """True when a non-immediate command is the one due and nothing waits: it is delivered hereby."""
        if cmd_sn != self.exp_cmd_sn or self.held or self.max_cmd_sn == (cmd_sn - 1) & 0xFFFFFFFF:
            return False
        self.exp_cmd_sn = (cmd_sn + 1) & 0xFFFFFFFF
        self.in_use += 1
        return True

    def pass_through(self, count: int) -> None:
        """The next ``count`` commands were delivered and have ended, one after the other; nothing is held."""
        self.exp_cmd_sn = (self.exp_cmd_sn + count) & 0xFFFFFFFF
        self.max_cmd_sn = (self.exp_cmd_sn + self.depth - 1 - self.in_use) & 0xFFFFFFFF

    def hold(self, cmd_sn: int, item: T) -> None:
        """Keep a non-immediate command until it is due; one outside the window and a duplicate are ignored."""
        if self.contains(cmd_sn) and cmd_sn not in self.held:
            self.held[cmd_sn] = item

    def first_held(self) -> T | None:
        """The held command that is due now, None when its predecessor is missing or nothing is held."""
        item = self.held.get(self.exp_cmd_sn)
        return None if isinstance(item, _Skipped) else item

    def deliver(self) -> None:
        """The command `first_held` shows is delivered: it takes a place in the window until `release`."""
        if self.first_held() is None:
            raise LocalProtocolError(f"no command with CmdSN {self.exp_cmd_sn} is held")
        del self.held[self.exp_cmd_sn]
        self.exp_cmd_sn = add(self.exp_cmd_sn, 1)
        self.in_use += 1
        self._pass_skipped()

    def skip(self, cmd_sn: int) -> None:
        """Count a CmdSN as received without delivering it; what waited behind it becomes deliverable.

        For ABORT TASK of a command in the window that was never seen (RFC 7143 11.6.1), or that still waits for a
        predecessor: a hole left there would hold up the session for ever.
        """
        if self.contains(cmd_sn):
            self.held[cmd_sn] = _SKIPPED
            self._pass_skipped()

    def plug(self, cmd_sn: int) -> None:
        """Count every number below ``cmd_sn`` as received, and let go of what is held there.

        For a reset of the whole target, which ends all commands sent ahead of it, come or not (RFC 7143 4.2.3.3).
        """
        if not self.contains(add(cmd_sn, -1)):
            return
        while self.exp_cmd_sn != cmd_sn:
            self.held[self.exp_cmd_sn] = _SKIPPED
            self._pass_skipped()

    def forget(self, unwanted: Callable[[T], bool]) -> None:
        """Let go of held commands, as if they had never come: their connection is gone, and they may be sent again."""
        for cmd_sn, item in list(self.held.items()):
            if not isinstance(item, _Skipped) and unwanted(item):
                del self.held[cmd_sn]

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

    def _pass_skipped(self) -> None:
        while self.held.get(self.exp_cmd_sn) is _SKIPPED:
            del self.held[self.exp_cmd_sn]
            self.exp_cmd_sn = add(self.exp_cmd_sn, 1)
            self.max_cmd_sn = add(self.max_cmd_sn, 1)


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
        """Learn the target's window from a PDU: values only ever rise, an impossible pair is ignored (4.2.2.1).

        Impossible is a MaxCmdSN below ExpCmdSN - 1, and an ExpCmdSN that acknowledges what was never sent: a target
        that fills in neither number must not open the window by it.
        """
        # Written out, for every PDU that arrives comes by: `lt(max_cmd_sn, exp_cmd_sn - 1)`, `lt(cmd_sn, exp_cmd_sn)`,
        # and then twice `le`, since to take over an equal number changes nothing.
        if (max_cmd_sn - exp_cmd_sn + 1) & MASK > HALF or (self.cmd_sn - exp_cmd_sn) & MASK >= HALF:
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
