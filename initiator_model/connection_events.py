"""What a connection has to tell its owner, besides completions (RFC 7143 7.1.4, 8.1, 11.9).

The connection decides what a PDU means; its owner, which has a clock and a network, decides what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from iscsi.constants import LogoutResult

__all__ = [
    "ConnectionEnded",
    "ConnectionEvent",
    "ConnectionState",
    "LoggedOut",
    "LogoutRequested",
    "Noticed",
    "OnEvent",
]


class ConnectionState(Enum):
    """The initiator's connection states from full feature phase on (RFC 7143 8.1.3); values are the RFC's names."""

    LOGGED_IN = "S5"
    IN_LOGOUT = "S6"
    LOGOUT_REQUESTED = "S7"
    CLEANUP_WAIT = "S8"
    FREE = "S1"


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """The connection is of no more use and TCP must be closed. ``wait_s``: the target asks for this pause first."""

    reason: str
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class LogoutRequested:
    """The target wants this connection logged out within ``within_s`` seconds (async event 1)."""

    within_s: int


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The target answered the logout; TCP must be closed. ``wait_s`` is its Time2Wait (RFC 7143 11.15.3)."""

    result: LogoutResult
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class Noticed:
    """Worth a line in a log; nothing has to be done."""

    text: str


ConnectionEvent: TypeAlias = ConnectionEnded | LogoutRequested | LoggedOut | Noticed
OnEvent: TypeAlias = Callable[[ConnectionEvent], None]
