"""Who hears what happens on a host: logs, traces, checks. Observers look and must not touch.

`SessionNews` is the one observer with work to do: it carries a session's news to the disks it is a path of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from initiator_model.paths import Path, PathState
from initiator_model.session_events import SessionObserver, SessionState

if TYPE_CHECKING:
    from initiator_model.host import IscsiHost
    from initiator_model.host_records import ClaimedDisk, HostSession
    from initiator_model.path_claims import PathClaims
    from initiator_model.session import IscsiSession

__all__ = ["HostObserver", "SessionNews"]


class HostObserver:
    """Called at once and in order; this one takes no interest."""

    def on_session(self, host: IscsiHost, session: HostSession, old: SessionState, new: SessionState, why: str) -> None:
        """A session changed its state."""

    def on_hop(self, host: IscsiHost, local: str, remote: str, status: str) -> None:
        """One login (of a session or of a discovery) on one TCP connection ended; addresses are ``"ip:port"``."""

    def on_disk(self, host: IscsiHost, disk: ClaimedDisk, present: bool, why: str) -> None:
        """A disk appeared, or is gone."""

    def on_path(self, host: IscsiHost, disk: ClaimedDisk, path: Path, old: PathState, new: PathState, why: str) -> None:
        """A path changed its state."""

    def on_note(self, host: IscsiHost, text: str) -> None:
        """Worth a line in a log."""


class SessionNews(SessionObserver):
    """Carries one session's news to its disks and to the host's observer."""

    def __init__(self, host: IscsiHost, owner: HostSession, claims: PathClaims) -> None:
        self._host = host
        self._owner = owner
        self._claims = claims

    def on_state(self, session: IscsiSession, old: SessionState, new: SessionState, why: str) -> None:
        if new is SessionState.LOGGED_IN:
            self._claims.moved(self._owner)
        self._host.observer.on_session(self._host, self._owner, old, new, why)

    def on_hop(self, session: IscsiSession, local: str, remote: str, status: str) -> None:
        self._host.observer.on_hop(self._host, local, remote, status)

    def on_lost(self, session: IscsiSession, why: str) -> None:
        self._claims.lost(self._owner, why)

    def on_back(self, session: IscsiSession) -> None:
        self._claims.back(self._owner)

    def on_note(self, session: IscsiSession, text: str) -> None:
        self._host.observer.on_note(self._host, text)
