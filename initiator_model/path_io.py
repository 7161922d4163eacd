"""What the disk needs of a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from initiator_model.requests import Completion, ScsiRequest

__all__ = ["PathIo"]


class PathIo(Protocol):
    """A session as the disk sees it.

    `usable` stays True while a lost session is holding requests in the hope of a new connection; it turns False when
    the session has given up. `submit` calls `done` once, later or at once, also when the session is lost.
    """

    @property
    def usable(self) -> bool:
        """True while requests may be submitted."""

    def submit(self, request: ScsiRequest, done: Callable[[Completion], None], /) -> object:
        """Send the request; the return value is the session's own affair."""
