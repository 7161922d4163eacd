"""Load-balance policies, each with one mistake that is easily made."""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path, PathState
from initiator_model.policies import Move, Promise, Selector, first_active
from initiator_model.requests import IoRequest

ACTIVE, STANDBY = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY
TAKES_TURNS = frozenset({Promise.EVERY_PATH_ACTIVE, Promise.TURNS})


class PicksAFailedPath(Selector):
    """Takes turns over the list as it is, whatever state a path is in."""

    def __init__(self) -> None:
        self._uses = 0

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        self._uses += 1
        return paths[self._uses % len(paths)] if first_active(paths) >= 0 else None


class SkipsTheSecondOfThree(Selector):
    """Steps by two where the number of paths is odd."""

    promises = TAKES_TURNS

    def __init__(self) -> None:
        self._at = 0

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        active = [path for path in paths if path.state is ACTIVE]
        if not active:
            return None
        self._at += 2 if len(active) == 3 and self._at % 3 == 0 else 1
        return active[self._at % len(active)]


class TakesStandbyForActive(Selector):
    """Keeps a spare, and then uses every path that has not failed."""

    promises = frozenset({Promise.ONE_ACTIVE})
    needs_every_path = False

    def __init__(self) -> None:
        self._uses = 0

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        usable = [path for path in paths if path.usable]
        self._uses += 1
        return usable[self._uses % len(usable)] if usable else None

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        heir = next((path for path in paths if path.usable), None)
        return [] if heir is None or first_active(paths) >= 0 else [Move(heir, ACTIVE, "took over")]

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        return [Move(arrived, STANDBY if first_active(paths) >= 0 else ACTIVE, "arrived")]


class KeepsStaleCounts(Selector):
    """Counts its requests itself, and not those that a lost path gives back."""

    promises = frozenset({Promise.EVERY_PATH_ACTIVE, Promise.FEWEST_REQUESTS_HERE})
    measures = True

    def __init__(self) -> None:
        self._in_flight: dict[int, int] = {}

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        active = [path for path in paths if path.state is ACTIVE]
        return min(active, key=lambda path: self._in_flight.get(path.path_id, 0), default=None)

    def installed(self, paths: Sequence[Path]) -> list[Move]:
        self._in_flight = {path.path_id: path.in_flight for path in paths}
        return []

    def started(self, path: Path, io: IoRequest) -> None:
        self._in_flight[path.path_id] = self._in_flight.get(path.path_id, 0) + 1

    def ended(self, path: Path, io: IoRequest, began_ns: int) -> None:
        if path.usable and self._in_flight.get(path.path_id):
            self._in_flight[path.path_id] -= 1


class RefusesWhileOneIsUsable(Selector):
    """Wants two paths before it works."""

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        active = [path for path in paths if path.state is ACTIVE]
        return active[0] if len(active) > 1 else None


class NeverActivates(Selector):
    """Has a spare path, and does not call it to work."""

    needs_every_path = False
    promises = frozenset()

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        return next((path for path in paths if path.state is ACTIVE), None)

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        return [Move(arrived, STANDBY if len(paths) > 1 else ACTIVE, "arrived")]


class NeverFailsBack(Selector):
    """Promises the preferred path, and stays where it is."""

    promises = frozenset({Promise.EVERY_PATH_ACTIVE, Promise.PREFERRED})

    def __init__(self) -> None:
        self._current: Path | None = None

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        if self._current is None or self._current not in paths or self._current.state is not ACTIVE:
            active = [path for path in paths if path.state is ACTIVE]
            self._current = min(active, key=lambda path: not path.preferred, default=None)
        return self._current


class DependsOnSetOrder(Selector):
    """Takes the first of a set of paths."""

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        return next(iter({path for path in paths if path.state is ACTIVE}), None)


class DependsOnHashesOfStrings(Selector):
    """Takes the first of a set of names."""

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        active = {path.portal: path for path in paths if path.state is ACTIVE}
        return next((active[portal] for portal in set(active)), None)


class KeepsEveryRequest(Selector):
    """Never forgets."""

    def __init__(self) -> None:
        self._log: list[tuple[int, int]] = []

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        self._log.append((io.lba, len(self._log)))
        at = first_active(paths)
        return paths[at] if at >= 0 else None


class RaisesOnAnEmptyList(Selector):
    """Has never seen a disk that lost all its paths."""

    def __init__(self) -> None:
        self._uses = 0

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        active = [path for path in paths if path.state is ACTIVE]
        self._uses += 1
        return active[self._uses % len(active)]


class UsesARemovedPath(Selector):
    """Remembers a path, and looks only whether it has failed."""

    def __init__(self) -> None:
        self._current: Path | None = None

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        if self._current is None or self._current.state is PathState.FAILED:
            at = first_active(paths)
            self._current = paths[at] if at >= 0 else None
        return self._current


class RevivesAFailedPath(Selector):
    """Calls every path to work when one is lost, the lost one too."""

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        at = first_active(paths)
        return paths[at] if at >= 0 else None

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        return [Move(path, ACTIVE, "all hands") for path in paths if path.state is not ACTIVE]


class CountsOnlyItself(Selector):
    """Promises the fewest requests of the session, and looks at those of its own disk."""

    promises = frozenset({Promise.EVERY_PATH_ACTIVE, Promise.FEWEST_REQUESTS})

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        active = [path for path in paths if path.state is ACTIVE]
        return min(active, key=lambda path: path.in_flight, default=None)


class StopsAtEightPaths(Selector):
    """Has a table of eight."""

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        return next((path for path in paths[:8] if path.state is ACTIVE), None)


class ThrowsDice(Selector):
    """Is never the same twice."""

    uses = 0

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        active = [path for path in paths if path.state is ACTIVE]
        ThrowsDice.uses += 7
        return active[(ThrowsDice.uses // 3) % len(active)] if active else None
