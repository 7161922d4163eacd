"""What VMware's path selection plug-ins have in common: which paths are Active at all.

    arrival   the newcomer becomes active, unless the array can serve it only alone (active/passive) and another path is
              active: then it stands by, as ESXi lists such a path
    loss      no active path left: the first usable one that stood by becomes active, and the array follows

Source: Broadcom's vSphere documentation of path states and of active/passive arrays (FACTS E.4).
"""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path, PathState
from initiator_model.policies import Move, PathWish, Promise, Selector, first_active, first_usable

__all__ = ["ACTIVE", "VmwSelector"]

ACTIVE = PathState.ACTIVE_OPTIMIZED
STANDBY = PathState.STANDBY


class VmwSelector(Selector):
    """See the module."""

    promises: frozenset[Promise] = frozenset()
    needs_every_path = False

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        """Which paths stand by is the array's word, not the administrator's."""
        for path, wish in wishes:
            if wish.state is not ACTIVE:
                return (
                    f"path {path.label} was asked to be {wish.state.display}: {self.policy.display} has no such setting"
                )
        return None

    def installed(self, paths: Sequence[Path]) -> list[Move]:
        """Of paths that cannot be active beside another, all but the first stand by."""
        alone = [path for path in paths if path.state is ACTIVE and not path.can_be_active]
        others = [path for path in paths if path.state is ACTIVE and path.can_be_active]
        surplus = alone if others else alone[1:]
        return [Move(path, STANDBY, "the array serves it only alone") for path in surplus] or self.after_loss(paths)

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        heir = first_usable(paths) if first_active(paths) < 0 else None
        return [] if heir is None else [Move(heir, ACTIVE, "took over: first usable path in the list")]

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        if not arrived.can_be_active and first_active(paths) >= 0:
            return [Move(arrived, STANDBY, "arrived: the array serves it only alone")]
        return [Move(arrived, ACTIVE, f"arrived: {self.policy.display} keeps every path ready")]
