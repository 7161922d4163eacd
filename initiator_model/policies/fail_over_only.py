"""Fail Over Only: one path works, the rest stand by.

    choose    the one active path
    loss      no active path left: the first usable standby path in list order becomes active
    arrival   no active path: the newcomer becomes active. Otherwise it stands by, unless it fails back

It is the only policy that fails back, and only on request: to the path marked *preferred*; or to a path whose desired
state is Active, as long as the path now active is not the preferred one. `FailBack` says which of the two are on.

Source: the Microsoft DSM's sample, its comment on path selection (FACTS D.2, FOO).
"""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path, PathState
from initiator_model.policies import (
    FailBack,
    LoadBalancePolicy,
    Move,
    PathWish,
    Promise,
    Selector,
    first_active,
    first_usable,
)
from initiator_model.requests import IoRequest

__all__ = ["FailOverOnly"]

ACTIVE = PathState.ACTIVE_OPTIMIZED
STANDBY = PathState.STANDBY


class FailOverOnly(Selector):
    """See the module."""

    policy = LoadBalancePolicy.FAIL_OVER_ONLY
    promises = frozenset({Promise.ONE_ACTIVE})
    needs_every_path = False

    def __init__(self, fail_back: FailBack = FailBack.DESIRED) -> None:
        self.fail_back = fail_back

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        active = [path.label for path, wish in wishes if wish.state is ACTIVE]
        if len(active) > 1:
            return f"Fail Over Only has one active path, and {len(active)} were asked for: {', '.join(active)}"
        preferred = [path.label for path, wish in wishes if wish.preferred]
        if len(preferred) > 1:
            return f"only one path can be preferred, and {len(preferred)} were: {', '.join(preferred)}"
        return None

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        for path in paths:
            if path.state is ACTIVE:
                return path
        return None

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        if first_active(paths) >= 0:
            return []
        heir = first_usable(paths)
        return [Move(heir, ACTIVE, "took over: first usable path in the list")] if heir is not None else []

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        at = first_active(paths)
        if at < 0:
            return [Move(arrived, ACTIVE, "arrived: no other path is active")]
        working = paths[at]
        why = self._fails_back(arrived, working)
        if why is None:
            return [Move(arrived, STANDBY, f"arrived: {working.label} is active")]
        return [Move(working, STANDBY, f"gave way to {arrived.label}"), Move(arrived, ACTIVE, f"failed back: {why}")]

    def _fails_back(self, arrived: Path, working: Path) -> str | None:
        if self.fail_back >= FailBack.PREFERRED and arrived.preferred:
            return "the preferred path"
        if self.fail_back is FailBack.DESIRED and arrived.desired_state is ACTIVE and not working.preferred:
            return "asked to be Active"
        return None
