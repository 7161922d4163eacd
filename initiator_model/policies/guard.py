"""A policy of one's own is not trusted: what it answers is looked at before the DSM acts on it.

A mistake in a policy must not bring down the host it is tried on, and must not send a request where none may go. So
the answers of every policy that is not built in pass through `Guarded`. What is wrong becomes a `Misstep`, told to
`on_misstep`, and is mended in the plainest way: the first active path is used instead, a move that no path can make is
left out, a path that was given no state stands by. Where nobody listens, the misstep is raised: a mended mistake that
nobody hears of would be a hidden one.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple, TypeVar

from initiator_model.paths import TRANSITIONS, Path, PathState
from initiator_model.policies import LoadBalancePolicy, Move, PathSelector, PathWish, Promise, first_active
from initiator_model.policies.path_groups import PathGroups
from initiator_model.requests import IoRequest

__all__ = ["Guarded", "Misstep", "MisstepKind", "PolicyMisstep", "behind"]

_ACTIVE: Final = PathState.ACTIVE_OPTIMIZED
_STANDBY: Final = PathState.STANDBY

T = TypeVar("T")


class MisstepKind(Enum):
    """What was wrong with an answer."""

    RAISED = "raised an exception"
    UNUSABLE = "chose a path that cannot be used"
    REFUSED = "gave no path although there was one"
    ILLEGAL = "asked for a change of states that cannot be made"


class Misstep(NamedTuple):
    """One wrong answer. `method` is the one that gave it, `what` a sentence without it."""

    kind: MisstepKind
    method: str
    what: str
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.what}"


class PolicyMisstep(Exception):
    """A misstep that nobody listened to."""

    def __init__(self, misstep: Misstep) -> None:
        super().__init__(str(misstep))
        self.misstep = misstep


class Guarded:
    """The `PathSelector` that asks `inner` and looks at its answers. `policy` is what the disk calls it."""

    def __init__(self, inner: PathSelector, policy: LoadBalancePolicy) -> None:
        self.inner = inner
        self.policy = policy
        self.promises: frozenset[Promise] = frozenset(inner.promises)
        self.needs_every_path = inner.needs_every_path
        self.measures = inner.measures
        self.on_misstep: Callable[[Misstep], None] | None = None

    @property
    def clock(self) -> Callable[[], int]:
        """The inner policy's."""
        return self.inner.clock

    @clock.setter
    def clock(self, clock: Callable[[], int]) -> None:
        self.inner.clock = clock

    def refuses(self, wishes: Sequence[tuple[Path, PathWish]]) -> str | None:
        """Its answer; a policy that cannot answer refuses."""
        failed: str | None = f"{self.policy.display} could not say whether it can do that"
        return self._asked("refuses", failed, lambda: self.inner.refuses(wishes))

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        """Its choice if that is an active path of the list, else the first of those."""
        try:
            path: object = self.inner.choose(tuple(paths), io)
        except Exception as error:
            self._report(MisstepKind.RAISED, "choose", _raised(error))
        else:
            if isinstance(path, Path):
                if path.state is _ACTIVE and path in paths:
                    return path
                self._report(MisstepKind.UNUSABLE, "choose", f"returned {{}}, {_flaw(path, paths)}", path)
            elif path is not None:
                self._report(MisstepKind.UNUSABLE, "choose", f"returned {path!r}, which is no path")
            elif any(path.usable for path in paths):
                usable = next(path for path in paths if path.usable)
                what = f"returned None, and {{}} is {usable.state.display}"
                self._report(MisstepKind.REFUSED, "choose", what, usable)
        at = first_active(paths)
        return paths[at] if at >= 0 else None

    def installed(self, paths: Sequence[Path]) -> list[Move]:
        """Its moves, as far as they can be made."""
        return self._moves("installed", paths, lambda: self.inner.installed(tuple(paths)))

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        """Its moves, as far as they can be made."""
        return self._moves("after_loss", paths, lambda: self.inner.after_loss(tuple(paths)))

    def after_arrival(self, paths: Sequence[Path], arrived: Path) -> list[Move]:
        """Its moves, as far as they can be made, and one for the newcomer in any case."""
        moves = self._moves("after_arrival", paths, lambda: self.inner.after_arrival(tuple(paths), arrived), arrived)
        if not arrived.works and not any(move.path is arrived for move in moves):
            self._report(MisstepKind.ILLEGAL, "after_arrival", "gave {} no state: Active or Standby", arrived)
            moves.append(Move(arrived, _STANDBY if first_active(paths) >= 0 else _ACTIVE, "arrived: nobody said what"))
        return moves

    def forget(self, index: int) -> None:
        """Told on."""
        self._asked("forget", None, lambda: self.inner.forget(index))

    def started(self, path: Path, io: IoRequest) -> None:
        """Told on."""
        self._asked("started", None, lambda: self.inner.started(path, io))

    def ended(self, path: Path, io: IoRequest, began_ns: int) -> None:
        """Told on."""
        self._asked("ended", None, lambda: self.inner.ended(path, io, began_ns))

    @property
    def fail_back_s(self) -> int | None:
        """As `PathGroups.fail_back_s`, for a policy that is derived from it."""
        return self.inner.fail_back_s if isinstance(self.inner, PathGroups) else None

    def fail_back(self, paths: Sequence[Path]) -> list[Move]:
        """Its moves, as far as they can be made."""
        inner = self.inner
        if not isinstance(inner, PathGroups):
            return []
        return self._moves("fail_back", paths, lambda: inner.fail_back(tuple(paths)))

    def _moves(
        self, method: str, paths: Sequence[Path], ask: Callable[[], list[Move]], arrived: Path | None = None
    ) -> list[Move]:
        asked: list[Any] = self._asked(method, [], lambda: list(ask()))
        states = {path.path_id: path.state for path in paths}
        moves = []
        for move in asked:
            path = getattr(move, "path", None)
            if not isinstance(move, Move) or not isinstance(path, Path):
                self._report(MisstepKind.ILLEGAL, method, f"returned {move!r}, which is no Move of a path")
                continue
            flaw = _flaw_of(move, paths, states, arrived)
            if flaw is not None:
                self._report(MisstepKind.ILLEGAL, method, f"moved {{}} to {_state(move.state)}, {flaw}", path)
                continue
            states[path.path_id] = move.state
            moves.append(move)
        return moves

    def _asked(self, method: str, otherwise: T, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except Exception as error:
            self._report(MisstepKind.RAISED, method, _raised(error))
        return otherwise

    def _report(self, kind: MisstepKind, method: str, what: str, path: Path | None = None) -> None:
        misstep = Misstep(kind, method, what.replace("{}", f"path {path.label}") if path is not None else what, path)
        if self.on_misstep is None:
            raise PolicyMisstep(misstep)
        self.on_misstep(misstep)


def behind(selector: PathSelector) -> PathSelector:
    """The policy itself, guarded or not."""
    return selector.inner if isinstance(selector, Guarded) else selector


def _raised(error: Exception) -> str:
    """The exception and the line of the policy it came from."""
    text = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (line {frames[-1].lineno} of {frames[-1].filename.rpartition('/')[2]})" if frames else ""
    return f"raised {text}{where}"


def _flaw(path: Path, paths: Sequence[Path]) -> str:
    if path not in paths:
        return "which is not one of the disk's paths any more"
    return f"which is {path.state.display}"


def _flaw_of(move: Move, paths: Sequence[Path], states: dict[int, PathState], arrived: Path | None) -> str | None:
    """Why the move cannot be made, or None."""
    if move.path not in paths:
        return "which is not one of the disk's paths any more"
    now = states[move.path.path_id]
    if now is move.state:
        return f"which it is already: {now.display}" if move.path.access is None else None
    if move.state not in (_ACTIVE, _STANDBY):
        return "and a policy may ask for Active and Standby only"
    if now not in (_ACTIVE, _STANDBY) and move.path is not arrived:
        return f"and it is {now.display}: no policy can revive it"
    if move.state is _ACTIVE and not move.path.serves:
        return f"and the array says {move.path.shown.display}"
    return None if move.state in TRANSITIONS.get(now, ()) else f"and it is {now.display}"


def _state(state: object) -> str:
    return state.display if isinstance(state, PathState) else repr(state)
