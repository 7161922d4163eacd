"""dm-multipath's path groups: what its path selectors have in common.

The paths of a map are put into groups. One group works; a selector of its own chooses within it. The others wait:

    choose    the selector of the group at work, over its paths that have not failed
    loss      the last path of the group at work: the group with the highest priority of those that have a path left
              takes over, all of it; of equal ones the first
    arrival   a new path is added by loading the map again: groups are made anew, and the best one works. A path of the
              group at work that returns joins it. One of a group of higher priority calls its group to work if
              `failback` is immediate; or, if it is "followover", when it is the first of its group to come; or after so
              many seconds; with "manual", the default, never. Otherwise it waits

Groups are made by `grouping`: "multibus" puts all paths into one; "failover", multipathd's default, gives each path a
group of its own; "group_by_prio" joins paths of equal priority. A group's priority is that of its best path; equal
groups stand in the order of their first paths.

Paths at work are Active here, paths that wait Standby. (`multipath -ll` prints the first group as *active*, the others
as *enabled*, and calls a path that has not failed *active* in either.) Each group keeps its paths that have not failed
in a list, and the order of that list decides ties; where a path that comes back is put, and where a path that was
chosen goes, is each selector's own rule.

Source: drivers/md/dm-mpath.c and the multipath.conf manual (FACTS E.1, E.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from initiator_model.paths import Path, PathState
from initiator_model.policies import Move, PathWish, Promise, Selector
from initiator_model.requests import IoRequest

__all__ = ["FailBackMode", "Grouping", "PathGroups"]

Grouping = Literal["multibus", "failover", "group_by_prio"]
FailBackMode = Literal["manual", "immediate", "followover"] | int

_ACTIVE: Final = PathState.ACTIVE_OPTIMIZED
_STANDBY: Final = PathState.STANDBY


class PathGroups(Selector):
    """See the module. `failback` is a mode's name, or after how many seconds."""

    promises: frozenset[Promise] = frozenset()
    needs_every_path = False

    def __init__(self, grouping: Grouping = "multibus", failback: FailBackMode = "manual") -> None:
        self.grouping = grouping
        self.failback = failback
        self._valid: list[Path] = []  # of the group at work: its paths that have not failed, in the selector's order
        self._seen: list[Path] = []  # every path of the map, so that one that comes back is known from one that is new
        self._keys: dict[int, object] = {}  # path id -> its group, as it was when the map was loaded

    @property
    def fail_back_s(self) -> int | None:
        """How long after the return of a path of a better group `fail_back` is due; None when it never is."""
        return self.failback if isinstance(self.failback, int) else None

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        for path, wish in wishes:
            if wish.state is not _ACTIVE:
                return f"path {path.label}: with {self.policy.display} the path groups say which paths stand by"
            if not 0 <= wish.throughput <= 100:
                return f"path {path.label} has a relative throughput of {wish.throughput}, wanted 0 to 100"
        return None

    def installed(self, paths: Sequence[Path]) -> list[Move]:
        """A map is loaded: groups are made anew, and the best one works."""
        return self._load(paths, [path for path in paths if path.usable])

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        return self.select(self._valid, io) if self._valid else None

    def select(self, valid: list[Path], io: IoRequest) -> Path:
        """The path of the group at work for this request; may reorder `valid`, which is not empty."""
        raise NotImplementedError

    def reinstate(self, valid: list[Path], path: Path) -> None:
        """A path of the group at work has come back: put it into its list."""
        valid.append(path)

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        self._seen = [path for path in self._seen if path in paths]
        self._keys = {path.path_id: self._keys[path.path_id] for path in self._seen}
        self._valid = [path for path in self._valid if path.usable and path in paths]
        return [] if self._valid else self._switch(paths, "took over: its group is the best that is left")

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        if arrived not in self._seen:  # a path is added to a map by loading it again
            return self._load(paths, [path for path in paths if _counts(path, arrived)])
        if not self._valid:
            self._valid = [arrived]
            return [Move(arrived, _ACTIVE, "arrived: no other path works")]
        if self._key(arrived) == self._key(self._valid[0]):
            self.reinstate(self._valid, arrived)
            return [Move(arrived, _ACTIVE, "arrived: its group works")]
        if not self._calls_its_group(paths, arrived):
            return [Move(arrived, _STANDBY, _WAITS)]
        moves = [Move(path, _STANDBY, f"gave way to the group of {arrived.label}") for path in self._valid]
        self._valid = [path for path in paths if self._key(path) == self._key(arrived) and _counts(path, arrived)]
        return moves + [Move(path, _ACTIVE, "failed back: its group has the higher priority") for path in self._valid]

    def priorities_changed(self, paths: Sequence[Path]) -> list[Move]:
        """multipathd has found other priorities. With "immediate" it makes groups of them, and loads them, at once."""
        return self.installed(paths) if self.failback == "immediate" else []

    def fail_back(self, paths: Sequence[Path]) -> list[Move]:
        """`fail_back_s` have passed since a path returned: the best group works, if it is not at work already."""
        best = self._best([path for path in paths if path.usable])
        if not self._valid or best == self._key(self._valid[0]):
            return []
        moves = [Move(path, _STANDBY, "gave way: failback") for path in self._valid]
        self._valid = []
        return moves + self._switch(paths, "failed back: its group has the higher priority")

    def groups(self, paths: Sequence[Path]) -> list[list[Path]]:
        """The groups, the best one first."""
        keyed: dict[object, list[Path]] = {}
        for path in paths:
            keyed.setdefault(self._key(path), []).append(path)
        return sorted(keyed.values(), key=lambda group: -max(map(_priority, group)))

    def _load(self, paths: Sequence[Path], usable: Sequence[Path]) -> list[Move]:
        """Make the groups of `paths`, in list order, and let the best one of `usable` work."""
        self._seen = list(paths)
        self._keys = {path.path_id: self._group_of(path) for path in paths}
        best = self._best(usable)
        self._valid = [path for path in usable if self._key(path) == best]
        waits = [path for path in usable if self._key(path) != best and path.state is not _STANDBY]
        works = [path for path in self._valid if path.state is not _ACTIVE]
        moves = [Move(path, _STANDBY, _WAITS) for path in waits]
        return moves + [Move(path, _ACTIVE, "its group works") for path in works]

    def _switch(self, paths: Sequence[Path], why: str) -> list[Move]:
        usable = [path for path in paths if path.usable]
        best = self._best(usable)
        self._valid = [path for path in usable if self._key(path) == best]
        return [Move(path, _ACTIVE, why) for path in self._valid]

    def _best(self, usable: Sequence[Path]) -> object:
        """The key of the group that should work: the highest priority, then the first."""
        return self._key(max(usable, key=_priority)) if usable else None

    def _key(self, path: Path) -> object:
        """Which group the path is in."""
        return self._keys[path.path_id]

    def _group_of(self, path: Path) -> object:
        """Which group it is to be in."""
        if self.grouping == "multibus":
            return "all"
        return path.priority if self.grouping == "group_by_prio" else path.path_id

    def _calls_its_group(self, paths: Sequence[Path], arrived: Path) -> bool:
        mates = [path for path in paths if self._key(path) == self._key(arrived) and _counts(path, arrived)]
        if max(map(_priority, mates)) <= max(map(_priority, self._valid)) and not self._stands_before(paths, arrived):
            return False
        return self.failback == "immediate" or (self.failback == "followover" and len(mates) == 1)

    def _stands_before(self, paths: Sequence[Path], arrived: Path) -> bool:
        """Among groups of equal priority the first is the better one."""
        working = self._valid[0]
        same = arrived.priority == max(map(_priority, self._valid))
        return same and _position(paths, arrived) < _position(paths, working)


_WAITS: Final = "waits: another group works"


def _counts(path: Path, arrived: Path) -> bool:
    return path.usable or path is arrived


def _priority(path: Path) -> int:
    return path.priority


def _position(paths: Sequence[Path], path: Path) -> int:
    return next(index for index, other in enumerate(paths) if other is path)
