"""A session's states, and who hears of them (RFC 7143 8.3).

The RFC gives an initiator's session three states: Q1 FREE, Q3 LOGGED_IN, Q4 FAILED. A Windows host divides the third:
first it holds the requests in the hope of a new connection, later it fails them and goes on trying.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initiator_model.session import IscsiSession

__all__ = ["SessionObserver", "SessionState"]


class SessionState(Enum):
    """Where a session stands; values are the words of logs."""

    FREE = "free"  # Q1: not logged in yet
    LOGGING_IN = "logging in"  # Q1
    LOGGED_IN = "logged in"  # Q3
    RECOVERING = "recovering"  # Q4: requests are held, reconnects are tried
    LOST = "lost"  # Q4: the hold time is over, requests fail at once, reconnects are tried
    LOGGING_OUT = "logging out"
    CLOSED = "closed"  # Q1 for good


class SessionObserver:
    """Called at once, in order, by the session; this one takes no interest. Hooks must not submit or log in."""

    def on_state(self, session: IscsiSession, old: SessionState, new: SessionState, why: str) -> None:
        """The state changed."""

    def on_hop(self, session: IscsiSession, local: str, remote: str, status: str) -> None:
        """One login on one TCP connection ended with ``status``; addresses are ``"ip:port"``."""

    def on_lost(self, session: IscsiSession, why: str) -> None:
        """The hold time is over: the path is lost. The requests held fail right after this."""

    def on_back(self, session: IscsiSession) -> None:
        """A lost path has a session again and its units answer."""

    def on_note(self, session: IscsiSession, text: str) -> None:
        """Worth a line in a log."""
