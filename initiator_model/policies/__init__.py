"""Load-balance policies: which path carries the next request, and what happens when paths come and go.

A policy is pure. It reads path states and *says* which ones should change; the DSM changes them. So a policy can be
read aloud, tried on a list of paths in a test, and cannot break the rule that one place alone writes states.

The rules are those of the Microsoft DSM for disks without ALUA, from its published sample; each policy has a file that
states them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol

from initiator_model.paths import Path, PathState

__all__ = [
    "FailBack",
    "LoadBalancePolicy",
    "Move",
    "PathSelector",
    "PathWish",
    "first_active",
    "first_usable",
    "why_not_all_active",
]


class LoadBalancePolicy(IntEnum):
    """Policies this DSM has, with the numbers of WMI, VDS and `mpclaim -l -d`."""

    FAIL_OVER_ONLY = 1
    ROUND_ROBIN = 2
    ROUND_ROBIN_SUBSET = 3
    WEIGHTED_PATHS = 5

    @property
    def display(self) -> str:
        """The words of the 2.07 applet's drop-down list."""
        return _NAMES[self][0]

    @property
    def short(self) -> str:
        """The abbreviation mpclaim prints."""
        return _NAMES[self][1]

    @property
    def option(self) -> str:
        """The name used in scenarios and on the command line."""
        return _NAMES[self][2]

    @classmethod
    def from_option(cls, name: str) -> LoadBalancePolicy:
        """The policy of an `option` name; ValueError lists the names there are."""
        for policy in cls:
            if policy.option == name:
                return policy
        known = ", ".join(policy.option for policy in cls)
        raise ValueError(f"load-balance policy {name!r} is not one of: {known}")


_NAMES = {
    LoadBalancePolicy.FAIL_OVER_ONLY: ("Fail Over Only", "FOO", "failover-only"),
    LoadBalancePolicy.ROUND_ROBIN: ("Round Robin", "RR", "round-robin"),
    LoadBalancePolicy.ROUND_ROBIN_SUBSET: ("Round Robin With Subset", "RRWS", "round-robin-subset"),
    LoadBalancePolicy.WEIGHTED_PATHS: ("Weighted Paths", "WP", "weighted-paths"),
}


class FailBack(IntEnum):
    """When Fail Over Only gives the work back to a path that has returned. No other policy fails back."""

    NONE = 0  # never: the path that took over keeps the work
    PREFERRED = 1  # only to the path marked preferred
    DESIRED = 2  # also to the path the administrator last asked to be Active


class PathWish(NamedTuple):
    """What a policy request asks of one path."""

    path_id: int
    state: PathState
    preferred: bool = False
    weight: int = 0


class Move(NamedTuple):
    """A state change a policy wants, and why, in words for the log."""

    path: Path
    state: PathState
    why: str


class PathSelector(Protocol):
    """One load-balance policy at work on one disk. `paths` is always the disk's paths in the order they arrived."""

    policy: LoadBalancePolicy

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        """Why a request with these wishes is invalid under this policy, or None."""

    def choose(self, paths: Sequence[Path]) -> Path | None:
        """The path for the next request; None when no path is active. Counts as a use: some policies rotate."""

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        """What must change now that some path has failed or gone."""

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        """What must change now that `arrived` (one of `paths`, not yet in a usable state) is there."""

    def forget(self, index: int) -> None:
        """The path at `index` is about to leave the list."""


_ACTIVE = PathState.ACTIVE_OPTIMIZED  # looked up once: this runs for every request


def first_active(paths: Sequence[Path], start: int = 0) -> int:
    """Index of the first active path at or after `start`, wrapping round once; -1 when there is none."""
    count = len(paths)
    for step in range(start, start + count):
        at = step % count
        if paths[at].state is _ACTIVE:
            return at
    return -1


def first_usable(paths: Sequence[Path]) -> Path | None:
    """The first path in list order that could carry I/O."""
    for path in paths:
        if path.usable:
            return path
    return None


def why_not_all_active(wishes: Sequence[tuple[Path, PathWish]], policy: LoadBalancePolicy) -> str | None:
    """Why a request cannot have every path active, as some policies need it; None when it can."""
    for path, wish in wishes:
        if not path.can_be_active:
            return (
                f"path {path.label} cannot be active beside another path (the array is active/passive), "
                f"and {policy.display} needs every path active"
            )
        if wish.state is not _ACTIVE:
            return (
                f"path {path.label} was asked to be {wish.state.display}, and {policy.display} needs every path Active"
            )
    return None
