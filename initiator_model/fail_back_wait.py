"""The wait of a policy that defers its failback: every path that returns begins it anew."""

from __future__ import annotations

from collections.abc import Callable

from initiator_model.dsm import Dsm
from initiator_model.logical_io import Timer

__all__ = ["FailBackWait"]


class FailBackWait:
    """The one timer of a disk's policy that wants to hear of a return again, after `Dsm.fail_back_s`."""

    def __init__(self, dsm: Dsm, call_later: Callable[[float, Callable[[], None]], Timer]) -> None:
        self._dsm = dsm
        self._call_later = call_later
        self._timer: Timer | None = None

    def begin(self) -> None:
        """A path has come."""
        delay_s = self._dsm.fail_back_s
        if delay_s is not None:
            self.stop()
            self._timer = self._call_later(float(delay_s), self._due)

    def stop(self) -> None:
        """The disk is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._dsm.fail_back()
