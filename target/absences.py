"""Paths that have ended and not come back: whose hosts the balancer leaves alone.

A path is known by initiator, target and ISID. An initiator that takes a new ISID for every login (libiscsi does) is
told by its source address: a connection that is new from there stands for one that was lost there before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from target.balancer import Pair

AWAY_S: Final = 300.0
"""For so long a path that has ended counts as away; then its host is taken to have given it up."""

MAX_AWAY: Final = 4096
"""Paths remembered; the one that ended first is forgotten first."""

PathName = tuple[str, str, bytes]
"""Initiator, target, ISID."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A path that has a connection since ``since_ns``. ``fresh``: nobody has looked at it before."""

    name: PathName
    source: str
    since_ns: int
    fresh: bool


class Absences:
    """The paths of one array that are away, in the order in which they ended."""

    __slots__ = ("_away",)

    def __init__(self) -> None:
        self._away: dict[PathName, tuple[str, int]] = {}

    def __len__(self) -> int:
        return len(self._away)

    def left(self, name: PathName, source: str, now_ns: int) -> None:
        """A path has ended, however."""
        self._away.pop(name, None)
        if len(self._away) >= MAX_AWAY:
            del self._away[next(iter(self._away))]
        self._away[name] = (source, now_ns)

    def missing(self, present: Sequence[Presence], now_ns: int) -> list[Pair]:
        """The host-and-volume pairs that miss a path. What has come back, or is given up, is forgotten."""
        newcomers = []
        for path in present:
            if self._away.pop(path.name, None) is None and path.fresh:
                newcomers.append(path)
        for path in newcomers:
            for name, (source, lost_ns) in list(self._away.items()):
                if name[:2] == path.name[:2] and source == path.source and lost_ns <= path.since_ns:
                    del self._away[name]
                    break
        for name, (_, lost_ns) in list(self._away.items()):
            if now_ns - lost_ns > round(AWAY_S * 1e9):
                del self._away[name]
        return list(dict.fromkeys(name[:2] for name in self._away))

    def clear(self) -> None:
        """Forget all."""
        self._away.clear()
