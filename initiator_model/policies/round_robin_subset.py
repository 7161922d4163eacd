"""Round Robin with Subset: the active paths take turns, the others stand by for all of them.

    choose    as Round Robin, over the active paths
    loss      no active path left: the first usable standby path in list order becomes active, and no more than that one
    arrival   asked to be Active: it is, and whoever only stood in (active, but asked to stand by) stands by again.
              Not asked for: it stands by, unless no path is active

Which paths are in the subset is the administrator's word, path by path; so the subset, not a single path, is what this
policy returns to after a failure. On an array that cannot serve a path beside another one, such a path may be in the
subset only alone.

On an asymmetric disk the array says who is in the subset, as long as nobody asked for anything else.

Source: the Microsoft DSM's sample, its comment on path selection (FACTS D.2, RRWS).
"""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy, Move, PathWish, Promise, first_active, first_usable
from initiator_model.policies.round_robin import RoundRobin

__all__ = ["RoundRobinSubset"]

ACTIVE = PathState.ACTIVE_OPTIMIZED
STANDBY = PathState.STANDBY


class RoundRobinSubset(RoundRobin):
    """See the module."""

    policy = LoadBalancePolicy.ROUND_ROBIN_SUBSET
    promises = frozenset({Promise.TURNS})
    needs_every_path = False

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        subset = [path for path, wish in wishes if wish.state is ACTIVE]
        alone = [path.label for path in subset if not path.can_be_active]
        if alone and len(subset) > 1:
            return f"path {alone[0]} cannot be active beside another path (the array is active/passive)"
        return None

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        heir = first_usable(paths) if first_active(paths) < 0 else None
        return [] if heir is None else [Move(heir, ACTIVE, "took over: first usable path in the list")]

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        working = [path for path in paths if path.state is ACTIVE]
        if not working:
            return [Move(arrived, ACTIVE, "arrived: no other path is active")]
        if not _is_in_subset(arrived) or not arrived.can_be_active:
            return [Move(arrived, STANDBY, "arrived: it is not in the subset")]
        stand_ins = [path for path in working if path.desired_state is STANDBY]
        return [
            *(Move(path, STANDBY, f"stood in for {arrived.label}") for path in stand_ins),
            Move(arrived, ACTIVE, "arrived: it is in the subset"),
        ]


def _is_in_subset(path: Path) -> bool:
    """Asked to be Active; or never asked, where the array tells paths apart and this one is as good as any."""
    return path.desired_state is ACTIVE or (path.desired_state is None and path.access is not None)
