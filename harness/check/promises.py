"""What a policy's promises mean for the paths of a disk, as functions that say how one was broken.

One place for both who hold a policy to its word: `mpiolab check`, and the oracle that watches every run. A choice is
looked at when the request is on its path already, so the chosen path's own count has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from initiator_model.paths import Path, PathState
from initiator_model.policies import Promise

__all__ = ["OF_CHOICES", "OF_STATES", "Turns"]

Named = Callable[[Path], str]

_ACTIVE: Final = PathState.ACTIVE_OPTIMIZED


class Turns:
    """`Promise.TURNS`, counted as it goes: one comparison per request, however many paths there are."""

    __slots__ = ("_active", "_at_fewest", "_fewest", "_used")

    def __init__(self) -> None:
        self._used: dict[int, int] = {}  # by path id
        self._fewest = 0
        self._at_fewest = 0  # active paths that were used that often and no more
        self._active = 0  # active paths; 0: to be counted

    def clear(self) -> None:
        """Something changed: count anew."""
        self._used = {}
        self._fewest = 0
        self._active = 0

    def broken_by(self, path: Path, paths: Sequence[Path], name: Named) -> str | None:
        """`path` was used; how that breaks the promise, if it does."""
        used = self._used
        times = used.get(path.path_id, 0)
        used[path.path_id] = times + 1
        if times > self._fewest:
            active = [one for one in paths if one.state is _ACTIVE]
            counts = ", ".join(f"{name(one)}: {used.get(one.path_id, 0)}" for one in active)
            return f"requests since the last change: {counts}"
        if not self._active:
            self._active = self._at_fewest = sum(one.state is _ACTIVE for one in paths)
        self._at_fewest -= 1
        if self._at_fewest <= 0:  # everybody has been used once more
            self._fewest += 1
            self._at_fewest = self._active
        return None


def _fewest_requests(chosen: Path, paths: Sequence[Path], name: Named) -> str | None:
    own = chosen.group.in_flight - 1
    for path in paths:
        if path.group.in_flight < own and path.state is _ACTIVE and path is not chosen:
            here = path.group.in_flight
            return f"{name(chosen)} had {_requests(own)} in flight over all LUNs, {name(path)} had {_requests(here)}"
    return None


def _fewest_requests_here(chosen: Path, paths: Sequence[Path], name: Named) -> str | None:
    own = chosen.in_flight - 1
    for path in paths:
        if path.in_flight < own and path.state is _ACTIVE and path is not chosen:
            return f"{name(chosen)} had {_requests(own)} of this disk in flight, {name(path)} had {path.in_flight}"
    return None


def _requests(count: int) -> str:
    return f"{count} request{'' if count == 1 else 's'}"


def _lightest(chosen: Path, paths: Sequence[Path], name: Named) -> str | None:
    for path in paths:
        if path.weight < chosen.weight and path.state is _ACTIVE:
            return f"{name(chosen)} weighs {chosen.weight}, {name(path)} {path.weight}"
    return None


def _preferred(chosen: Path, paths: Sequence[Path], name: Named) -> str | None:
    if not chosen.preferred:
        for path in paths:
            if path.preferred and path.state is _ACTIVE:
                return f"{name(chosen)} was chosen, and {name(path)} is preferred and Active"
    return None


def _one_active(paths: Sequence[Path], name: Named) -> str | None:
    usable = [path for path in paths if path.usable]
    active = [path for path in usable if path.state is _ACTIVE]
    if len(active) == min(1, len(usable)):
        return None
    return f"{len(active)} of {len(usable)} usable paths are Active: {', '.join(map(name, active)) or 'none'}"


def _every_path_active(paths: Sequence[Path], name: Named) -> str | None:
    idle = [path for path in paths if path.usable and path.state is not _ACTIVE]
    return f"{name(idle[0])} is {idle[0].state.display}" if idle else None


OF_CHOICES: Final[Mapping[Promise, Callable[[Path, Sequence[Path], Named], str | None]]] = MappingProxyType(
    {
        Promise.FEWEST_REQUESTS: _fewest_requests,
        Promise.FEWEST_REQUESTS_HERE: _fewest_requests_here,
        Promise.LIGHTEST: _lightest,
        Promise.PREFERRED: _preferred,
    }
)
"""How a choice broke a promise, asked after each; `TURNS` has its own class."""

OF_STATES: Final[Mapping[Promise, Callable[[Sequence[Path], Named], str | None]]] = MappingProxyType(
    {Promise.ONE_ACTIVE: _one_active, Promise.EVERY_PATH_ACTIVE: _every_path_active}
)
"""How the states of paths break a promise, asked after a change."""
