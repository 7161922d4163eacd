"""VMware's VMW_PSP_FIXED: the preferred path whenever it is there.

    choose    the preferred path if it is active; without one, the first path that was found
    loss      was it the path in use: the first active one in list order is used
    arrival   the newcomer becomes active; if it is the preferred path it is used at once (it fails back)

Source: Broadcom's vSphere documentation of path selection plug-ins (FACTS E.4).
"""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path
from initiator_model.policies import LoadBalancePolicy, Move, PathWish, Promise
from initiator_model.policies.vmw_base import ACTIVE
from initiator_model.policies.vmw_mru import VmwMru
from initiator_model.requests import IoRequest

__all__ = ["VmwFixed"]


class VmwFixed(VmwMru):
    """See the module."""

    policy = LoadBalancePolicy("vmw-fixed", "VMW_PSP_FIXED", "FIXED")
    promises = frozenset({Promise.PREFERRED})

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        preferred = [path.label for path, wish in wishes if wish.preferred]
        if len(preferred) > 1:
            return f"only one path can be preferred, and {len(preferred)} were: {', '.join(preferred)}"
        return super().refuses(wishes)

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        if self._current is None or not self._current.preferred:
            preferred = next((path for path in paths if path.preferred and path.state is ACTIVE), None)
            if preferred is not None:
                self._current = preferred
        return super().choose(paths, io)

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        if arrived.preferred:
            self._current = None  # looked for again, once the newcomer is active
        return super().after_arrival(paths, arrived)
