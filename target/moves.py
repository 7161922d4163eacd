"""Connections that were asked to log out so that their next login leads elsewhere.

Whoever asks leaves a *note*: where the connection was, where it should go (or only: not back), and why. The login that
follows, by the same initiator to the same target with the same ISID, finds it. Some initiators (libiscsi) take a new
ISID for every login; theirs is told by its source address, once the session with the old ISID is gone. The note is good
until that login is complete or its time is over; while it stands, the connection counts where it is going.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iscsi.login_gate import LoginIdentity

MAX_NOTES = 4096
"""One more, and the oldest is forgotten."""


@dataclass(frozen=True, slots=True)
class Note:
    """A connection from ``source`` is to leave ``origin``; ``destination`` None means that the next login finds another
    place.
    """

    source: str
    origin: str
    destination: str | None
    reason: str
    expires_ns: int


class Moves:
    """The notes of one array, by initiator, target and ISID."""

    __slots__ = ("_notes",)

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str, bytes], Note] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def write(self, identity: LoginIdentity, note: Note) -> None:
        """Leave a note for the next login of this identity; it replaces an older one."""
        name = _name(identity)
        self._notes.pop(name, None)
        if len(self._notes) >= MAX_NOTES:
            del self._notes[next(iter(self._notes))]
        self._notes[name] = note

    def of(self, identity: LoginIdentity, now_ns: int) -> Note | None:
        """The note for this identity, None when there is none or its time is over."""
        note = self._notes.get(_name(identity))
        if note is None or note.expires_ns > now_ns:
            return note
        del self._notes[_name(identity)]
        return None

    def claim(self, identity: LoginIdentity, source: str, now_ns: int, lives: Callable[[bytes], bool]) -> Note | None:
        """The note for a login that has come: its own, or else the oldest one left for a session from its source that
        does not live any more, which hereby becomes its own. ``lives`` tells of an ISID of this host and volume.
        """
        own = self.of(identity, now_ns)
        if own is not None:
            return own
        for name, note in list(self._notes.items()):
            if note.expires_ns <= now_ns:
                del self._notes[name]
            elif name[:2] == _name(identity)[:2] and note.source == source and not lives(name[2]):
                del self._notes[name]
                self.write(identity, note)
                return note
        return None

    def done(self, identity: LoginIdentity) -> None:
        """The login has ended well, wherever it led."""
        self._notes.pop(_name(identity), None)

    def clear(self) -> None:
        """Forget all."""
        self._notes.clear()


def _name(identity: LoginIdentity) -> tuple[str, str, bytes]:
    return (identity.initiator_name, identity.target_name or "", identity.isid)
