"""Events, applied to a DSM with the policy: a disk without sessions, and every rule asked after each event.

The books are kept as `dispatch` and `logical_io` keep them: a request is counted on its path from the moment it is
sent until it comes back or is given up; a path that fails gives back what it carried, request by request, and each is
sent anew; so does a path that is logged out under its requests, which fails by the first of them and then goes;
without an active path requests are held until there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from harness.check.promises import OF_CHOICES, OF_STATES, Turns
from harness.policy_check.events import (
    AccessSaid,
    Event,
    NeighbourLoad,
    PathAdded,
    PathFails,
    PathRemoved,
    PathReturns,
    PolicySet,
    RequestEnds,
    RequestStarts,
    TimePasses,
)
from harness.policy_check.rules import (
    BY_MISSTEP,
    BY_PROMISE,
    LEGAL_MOVES,
    NO_EXCEPTION,
    NO_REFUSAL,
    TURNS,
    USABLE_PATH,
    Broken,
)
from initiator_model.dsm import MAX_PATHS, Dsm, PolicyRefused, PolicyRequest
from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import LoadBalancePolicy, PathSelector, PathWish, Promise
from initiator_model.policies.catalog import policy_named
from initiator_model.policies.guard import Guarded, Misstep
from initiator_model.requests import Operation
from iscsi.port_groups import AccessState

__all__ = ["Happened", "Trial", "try_events"]

MS: Final = 1_000_000

_ACTIVE: Final = PathState.ACTIVE_OPTIMIZED


class NumberedPath(Path):
    """A path that is called by its number, and whose hash is given: sets of paths have the order they are told."""

    __slots__ = ("hash_value", "number")

    def __init__(self, added: PathAdded, hash_value: int) -> None:
        super().__init__(
            source=f"10.0.0.{added.path}:2800",
            portal=f"10.0.1.{added.path}:3260",
            scsi_address=ScsiAddress(3, 0, added.path, 0),
            weight=added.weight,
            throughput=added.throughput,
            priority=added.priority,
            can_be_active=added.can_be_active,
        )
        self.number = added.path
        self.hash_value = hash_value

    @property
    def label(self) -> str:
        return str(self.number)

    def __hash__(self) -> int:
        return self.hash_value


class GuardedDsm(Dsm):
    """A DSM that trusts no policy, the built-in ones neither."""

    def _install(self, selector: PathSelector) -> None:
        super()._install(selector if isinstance(selector, Guarded) else Guarded(selector, selector.policy))


class Request:
    """An `IoRequest` on its way; None as its path: held."""

    __slots__ = ("began_ns", "blocks", "lba", "number", "operation", "path", "size_bytes")

    def __init__(self, number: int, started: RequestStarts) -> None:
        self.number = number
        self.operation = started.operation
        flush = started.operation is Operation.FLUSH
        self.lba = 0 if flush else started.lba
        self.blocks = 0 if flush else started.blocks
        self.size_bytes = 0 if flush else started.size_bytes
        self.path: Path | None = None
        self.began_ns = 0


@dataclass(slots=True)
class Happened:
    """An event that meant something, and what came of it, in words."""

    event: Event
    outcome: list[str] = field(default_factory=list)
    ended_on: int = 0
    """The path a request came back on."""
    still_there: bool = False
    """Others are still in flight on it."""
    refused: bool = False
    """The policy request was."""


class Trial:
    """One disk, its policy and a list of events. ``descending`` turns the hash order of paths round."""

    def __init__(self, option: str, *, descending: bool = False, keep: bool = True) -> None:
        self.story: list[Happened] = []
        self.choices: list[int] = []
        self.asked: Counter[str] = Counter()
        """How often each rule was asked, by its name."""
        self.now_ns = 0
        self._keep = keep
        self._descending = descending
        self._policy = policy_named(option)
        self._turns = Turns()
        self._requests: list[Request] = []  # in flight, the oldest first
        self._held: list[Request] = []
        self._started = 0
        self._neighbours: Counter[int] = Counter()
        self._now = Happened(TimePasses(0))
        self._outcome = self._now.outcome
        self.dsm = GuardedDsm(LoadBalancePolicy.FAIL_OVER_ONLY, on_change=self._changed, clock=lambda: self.now_ns)
        self.dsm.on_misstep = self._misstep
        self.dsm.set_policy(PolicyRequest(self._policy, ()))

    # ---- events ---------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> bool:
        """Let one event happen. False when it means nothing here; raises Broken, and the story ends with the event."""
        self._now = happened = Happened(event)
        self._outcome = happened.outcome
        if self._keep:
            self.story.append(happened)
        meant = self._happen(event)
        if not meant and self._keep:
            self.story.pop()
        for rule in (NO_EXCEPTION, LEGAL_MOVES):
            self.asked[rule.name] += meant
        self._ask_about_states()
        return meant

    def _happen(self, event: Event) -> bool:
        match event:
            case RequestStarts():
                if not self.dsm.paths:
                    return False  # a disk without a path is no disk
                self._started += 1
                self._send(Request(self._started, event))
                return True
            case RequestEnds():
                return self._end(event)
            case PathAdded():
                return self._add(event)
            case PolicySet():
                return self._set_policy(event)
            case TimePasses():
                self.now_ns += event.ms * MS
                return True
        path = self._path(event.path)
        if path is None:
            return False
        match event:
            case PathFails():
                return self._fail(path)
            case PathReturns():
                if not self.dsm.path_recovered(path, "its session is back"):
                    return False
                self._release_held()
            case PathRemoved():
                self._remove(path)
            case AccessSaid():
                return self._say_access(path, event)
            case NeighbourLoad():
                more = event.requests - self._neighbours[event.path]
                self._neighbours[event.path] = event.requests
                path.group.in_flight += more
                path.group.bytes_in_flight += more * 4096
                return more != 0
        return True

    def _add(self, event: PathAdded) -> bool:
        if self._path(event.path) is not None or len(self.dsm.paths) >= MAX_PATHS:
            return False
        hash_value = 1000 - event.path if self._descending else event.path
        self._neighbours[event.path] = 0
        self.dsm.add_path(NumberedPath(event, hash_value))
        self._release_held()
        return True

    def _fail(self, path: Path) -> bool:
        if not self.dsm.path_failed(path, "its session has given up"):
            return False
        for request in [one for one in self._requests if one.path is path]:
            self._take_off(request)
            self._send(request)
        return True

    def _remove(self, path: Path) -> None:
        for request in [one for one in self._requests if one.path is path]:
            self._take_off(request)
            self.dsm.path_failed(path, "logged out under its requests")
            self._send(request)
        self.dsm.remove_path(path, "logged out")
        self._release_held()
        if not self.dsm.paths:  # nor is there any more: what it held has failed
            self._held.clear()

    def _set_policy(self, event: PolicySet) -> bool:
        paths = self.dsm.paths
        weights = dict(enumerate(event.weights, start=1))
        throughputs = dict(enumerate(event.throughputs, start=1))
        standby = list(event.standby)
        if Promise.ONE_ACTIVE in self.dsm.selector.promises:
            standby = _all_but_one(event, paths)
        wishes = tuple(
            PathWish(
                path.path_id,
                PathState.STANDBY if _number(path) in standby else _ACTIVE,
                _number(path) == event.preferred,
                weights.get(_number(path), 0),
                throughputs.get(_number(path), 1),
            )
            for path in paths
        )
        try:
            self.dsm.set_policy(PolicyRequest(self._policy, wishes))
        except PolicyRefused as error:
            self._now.refused = True
            self._outcome.append(f"refused: {error}")
            return True
        self._turns.clear()
        self._release_held()
        return True

    def _say_access(self, path: Path, event: AccessSaid) -> bool:
        if path.access is event.access:
            return False
        said = {one.path_id: (one.access or AccessState.ACTIVE_OPTIMIZED, False) for one in self.dsm.paths}
        said[path.path_id] = (event.access, False)
        self.dsm.set_access(said)
        self._turns.clear()
        self._release_held()
        return True

    def _end(self, event: RequestEnds) -> bool:
        if not -1 <= event.which < len(self._requests) or not self._requests:
            return False
        request = self._requests[event.which]
        assert request.path is not None
        self._now.ended_on = _number(request.path)
        self._outcome.append(f"request {request.number} on {_name(request.path)}")
        self._take_off(request)
        self._now.still_there = any(_number(one.path) == self._now.ended_on for one in self._requests if one.path)
        if not event.well:
            self._send(request)
        return True

    # ---- requests -------------------------------------------------------------------------------------------------

    def _send(self, request: Request) -> None:
        path = self.dsm.choose(request)
        self.choices.append(0 if path is None else _number(path))
        self.asked[NO_REFUSAL.name] += 1
        if path is None:
            self._held.append(request)
            self._outcome.append(f"request {request.number} is held: no path")
            return
        self._outcome.append(f"request {request.number} → {_name(path)}")
        self.asked[USABLE_PATH.name] += 1
        request.path = path
        request.began_ns = 0
        path.take(request.size_bytes)
        self._requests.append(request)
        meter = self.dsm.meter
        if meter is not None:
            request.began_ns = meter.clock()
            meter.started(path, request)
        self._ask_about_choice(path)

    def _take_off(self, request: Request) -> None:
        path = request.path
        assert path is not None
        self._requests.remove(request)
        request.path = None
        path.release(request.size_bytes)
        meter = self.dsm.meter
        if meter is not None:
            meter.ended(path, request, request.began_ns)

    def _release_held(self) -> None:
        if self.dsm.has_active:
            held, self._held = self._held, []
            for request in held:
                self._send(request)

    def _path(self, number: int) -> Path | None:
        return next((path for path in self.dsm.paths if _number(path) == number), None)

    # ---- rules ----------------------------------------------------------------------------------------------------

    def _misstep(self, misstep: Misstep) -> None:
        what = str(misstep)
        self._outcome.append(what)
        raise Broken(BY_MISSTEP[misstep.kind], what)

    def _changed(self, path: Path, old: PathState, new: PathState, why: str) -> None:
        self._turns.clear()
        if new is _ACTIVE and Promise.ONE_ACTIVE in self.dsm.selector.promises:
            others = [one for one in self.dsm.paths if one.state is _ACTIVE and one is not path]
            if others:
                what = f"{_name(path)} became Active while {_name(others[0])} still was"
                self._break(Promise.ONE_ACTIVE, what)

    def _ask_about_choice(self, path: Path) -> None:
        for promise in _in_order(self.dsm.selector.promises):
            if promise is Promise.TURNS:
                self.asked[TURNS.name] += 1
                why = self._turns.broken_by(path, self.dsm.paths, _name)
            elif promise in OF_CHOICES:
                self.asked[BY_PROMISE[promise].name] += 1
                why = OF_CHOICES[promise](path, self.dsm.paths, _name)
            else:
                continue
            if why is not None:
                self._break(promise, why)

    def _ask_about_states(self) -> None:
        for promise in _in_order(self.dsm.selector.promises):
            if promise in OF_STATES:
                self.asked[BY_PROMISE[promise].name] += 1
                why = OF_STATES[promise](self.dsm.paths, _name)
                if why is not None:
                    self._break(promise, why)

    def _break(self, promise: Promise, why: str) -> None:
        self._outcome.append(why)
        raise Broken(BY_PROMISE[promise], why)


def try_events(option: str, events: Sequence[Event], *, descending: bool = False) -> tuple[Trial, Broken | None]:
    """A trial of all of them, or up to the one that breaks a rule."""
    trial = Trial(option, descending=descending)
    try:
        for event in events:
            trial.apply(event)
    except Broken as broken:
        return trial, broken
    return trial, None


@cache
def _in_order(promises: frozenset[Promise]) -> tuple[Promise, ...]:
    """Not in that of a set: which of two broken promises is named must not depend on hash values."""
    return tuple(promise for promise in Promise if promise in promises)


def _all_but_one(event: PolicySet, paths: Sequence[Path]) -> list[int]:
    """Who stands by where one path works: everybody but the preferred one, or the first that need not."""
    numbers = [_number(path) for path in paths]
    free = [number for number in numbers if number not in event.standby]
    works = event.preferred if event.preferred in numbers else next(iter(free), 0)
    return [number for number in numbers if number != works]


def _number(path: Path) -> int:
    assert isinstance(path, NumberedPath)
    return path.number


def _name(path: Path) -> str:
    return f"path {path.label}"
