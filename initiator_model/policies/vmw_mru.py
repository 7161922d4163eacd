"""VMware's VMW_PSP_MRU: the most recently used path goes on as long as it lasts.

    choose    the path in use
    loss      was it the path in use: the first active one in list order is used
    arrival   the newcomer becomes active, and is not used: this policy never fails back

It is for active/passive arrays, where a host that fails back and one that does not would throw the volume to and fro
between the controllers. Every path that has not failed is Active here, as ESXi lists it; the one in use has "(I/O)"
beside it there.

Source: Broadcom's vSphere documentation of path selection plug-ins (FACTS E.4).
"""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path
from initiator_model.policies import LoadBalancePolicy, Move, first_active
from initiator_model.policies.vmw_base import VmwSelector
from initiator_model.requests import IoRequest

__all__ = ["VmwMru"]


class VmwMru(VmwSelector):
    """See the module."""

    policy = LoadBalancePolicy("vmw-mru", "VMW_PSP_MRU", "MRU")

    def __init__(self) -> None:
        self._current: Path | None = None

    @property
    def working(self) -> Path | None:
        """The path in use."""
        return self._current

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        if self._current is None:
            at = first_active(paths)
            self._current = paths[at] if at >= 0 else None
        return self._current

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        if self._current is not None and (self._current not in paths or not self._current.usable):
            self._current = None
        return super().after_loss(paths)
