"""What the array decides, and why: every answer to a login, every move of a connection, every change of its own.

One type for all of them, so that a log, a trace and an operator's answer read the same whoever decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

BY_OPERATOR: Final = "by the operator"
"""The reason of what was done because somebody said so."""


class Kind(Enum):
    """What a decision is about."""

    LOGIN = "login"
    """The answer to a login request."""
    MOVE = "move"
    """A connection is asked to log out, because its next login shall lead elsewhere."""
    KEEP = "keep"
    """The balancer has looked and leaves everything where it is."""
    PORTAL = "portal"
    """An interface went away, came back, or takes no logins for a while."""
    FAILOVER = "failover"
    """The other controller takes over, or serves."""
    FAULT = "fault"
    """Something was broken on purpose, or mended."""
    ACCESS = "access"
    """A target port group gives another access to a volume."""
    VOLUME = "volume"
    """A volume has another size."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. ``initiator``, ``target`` and ``source`` are empty where it is about no connection, and
    ``connection``, the server's number for it, is 0.

    ``arrived_at`` is the array's address it is about (of a move: where the connection is now), ``portal`` the one that
    serves it from now on, None where there is none or the next login will tell.
    """

    initiator: str
    target: str
    source: str
    arrived_at: str
    answer: str
    portal: str | None
    reason: str
    kind: Kind = Kind.LOGIN
    connection: int = 0

    @property
    def words(self) -> str:
        """One line for a log."""
        if self.kind is Kind.LOGIN:
            where = "" if self.portal in (None, self.arrived_at) else f" to {self.portal}"
            what = f"{self.initiator} asks for {self.target or 'discovery'}: {self.answer}{where}"
        elif self.kind is Kind.MOVE:
            what = f"{self.initiator} at {self.target}: {self.answer}, to go {self.destination}"
        else:
            return f"{self.event} ({self.reason})"
        return f"{self.source} -> {self.arrived_at}: {what} ({self.reason})"

    @property
    def event(self) -> str:
        """What happened to the array itself, without the reason."""
        return f"portal {self.arrived_at} {self.answer}" if self.kind is Kind.PORTAL else self.answer

    @property
    def destination(self) -> str:
        """Where a move leads, in words."""
        return "elsewhere" if self.portal is None else f"to {self.portal}"


def about_array(kind: Kind, address: str, answer: str, reason: str) -> Decision:
    """A decision about an address of the array (or, with none, about all of it), not about a connection."""
    return Decision("", "", "", address, answer, None, reason, kind)
