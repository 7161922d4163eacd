"""Weighted Paths: every path could work, and the one with the lowest weight does.

    choose    the path chosen at the last change of states; only then is it looked for: the lowest weight, and of
              equal ones the first in list order
    loss      nothing to activate; the lightest of those that are left is chosen
    arrival   the newcomer becomes active; it is chosen if it is the lightest

So a path that returns gets its work back, if its weight says so: there is no fail-back to switch on, unlike with Fail
Over Only. All paths must be active: a request that leaves one Standby is refused.

Source: the Microsoft DSM's sample, its comment on path selection (FACTS D.2, Weighted).
"""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy, Move, PathWish, Promise, Selector
from initiator_model.requests import IoRequest

__all__ = ["WeightedPaths"]

ACTIVE = PathState.ACTIVE_OPTIMIZED


class WeightedPaths(Selector):
    """See the module."""

    policy = LoadBalancePolicy.WEIGHTED_PATHS
    promises = frozenset({Promise.EVERY_PATH_ACTIVE, Promise.LIGHTEST})

    def __init__(self) -> None:
        self._chosen: Path | None = None  # None: to be looked for

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        negative = [path.label for path, wish in wishes if wish.weight < 0]
        return f"path {negative[0]} has a weight below 0" if negative else super().refuses(wishes)

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        if self._chosen is None:
            active = [path for path in paths if path.state is ACTIVE]
            self._chosen = min(active, key=_weight, default=None)
        return self._chosen

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        self._chosen = None
        return []

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        self._chosen = None
        return [Move(arrived, ACTIVE, "arrived: Weighted Paths keeps every path ready")]

    def forget(self, index: int) -> None:
        self._chosen = None


def _weight(path: Path) -> int:
    return path.weight
