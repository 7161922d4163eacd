"""What a lost connection may have left behind at the target, and how long that threatens the disk.

A command that was sent, and whose connection is lost before its answer comes, may have been executed, may never have
arrived, or may be waiting at the target. RFC 7143 does not have the target end it with the connection: it is kept for
Time2Wait + Time2Retain, in which the session could come back for it (7.5, 7.14), and whatever is kept can be executed.
A multipath host sends the command again on another path meanwhile; what is left behind is then a *ghost* of it.

A `Loss` is one such connection. It is over, and nothing threatens any more, when the session has logged in anew (that
reinstates it, and its old tasks are terminated, 6.3.5) or has been logged out with the target's consent (11.14, 11.15).
Until then somebody may have made it harmless for one logical unit from elsewhere: see `fencing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Loss"]


@dataclass(slots=True, eq=False)
class Loss:
    """One connection that was lost with commands under way.

    ``isid`` and ``label`` tell whose it was. ``at_s`` is the loop time from which nothing was sent on it any more;
    ``seen`` is True when the target ended it itself (a FIN or a reset of its), and so knows. ``kept_s`` is the
    negotiated DefaultTime2Wait + DefaultTime2Retain; what an Async Message announces instead is not looked at.
    """

    isid: bytes
    label: str
    at_s: float
    seen: bool
    kept_s: int
    over: bool = False
    _harmless_at: list[int] = field(default_factory=list)
    _on_over: list[Callable[[], None]] = field(default_factory=list)

    def threatens(self, lun: int) -> bool:
        """Whether something may still be executed at this logical unit that was sent before the loss."""
        return not self.over and lun not in self._harmless_at

    def fenced(self, lun: int) -> None:
        """Nothing that was sent before the loss can be executed at this unit any more."""
        if lun not in self._harmless_at:
            self._harmless_at.append(lun)

    def end(self) -> None:
        """The target has let go of all of it."""
        self.over = True
        told, self._on_over = self._on_over, []
        for hear in told:
            hear()

    def when_over(self, hear: Callable[[], None]) -> None:
        """Call ``hear`` once it is over; at once if it is."""
        if self.over:
            hear()
        else:
            self._on_over.append(hear)
