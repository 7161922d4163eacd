"""Events as steps of a scenario: what each is at the bench, with logins, cables and workloads.

Each path is a NIC of one host, and each has a portal of its own. The portals hang (a fault of the array: iSCSI is
silent, TCP goes on), so a request stays in flight until the portal of its path answers again or the cable is pulled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

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
from harness.policy_check.trial import Happened
from harness.policy_step import PATH_SETTINGS, SETTINGS
from initiator_model.requests import Operation

__all__ = ["HOST", "VOLUME", "Steps", "nic", "paths_of", "portal", "source"]

Row = dict[str, Any]

HOST: Final = "host"
VOLUME: Final = "disk"

_MOMENT: Final = {"do": "wait", "duration": "20ms"}


def nic(path: int) -> str:
    """The name of a path's NIC."""
    return f"nic{path}"


def source(path: int) -> str:
    """Its address."""
    return f"10.1.0.{path}"


def portal(path: int) -> str:
    """The address of the path's own portal."""
    return f"10.1.1.{path}"


class Steps:
    """Turns one story into steps. `left_out` says what has no counterpart in a run."""

    def __init__(self, option: str, story: Sequence[Happened]) -> None:
        self.left_out: list[str] = []
        self._option = option
        self._story = story
        self._there: dict[int, bool] = {}  # paths in the order they came; True: usable
        self._weights: dict[int, int] = {}
        self._silent: set[int] = set()
        self._requests = 0
        self._ever = False
        self._holds = any(isinstance(one.event, RequestStarts) for one in story)

    def all(self) -> list[Row]:
        """The steps; the first of each event carries it as its note."""
        steps: list[Row] = [{"do": "discover"}]
        for happened, count in _grouped(self._story):
            made = list(self._steps(happened, count))
            if made:
                times = f", {count} times" if count > 1 else ""
                steps.append({"do": made[0]["do"], "note": f"{happened.event}{times}", **made[0]})
                steps += made[1:]
        return [*steps, dict(_MOMENT)]

    def _steps(self, happened: Happened, count: int) -> Iterator[Row]:
        event = happened.event
        match event:
            case PathAdded():
                yield from self._added(event)
            case PathRemoved(path):
                del self._there[path]
                yield {"do": "logout", "volume": VOLUME, "source": source(path)}
            case PathFails(path):
                self._there[path] = False
                yield {"do": "fault", "kind": "link_down", "name": f"cable {path}", "nic": f"{HOST}/{nic(path)}"}
                yield self._wait("path_lost", list(self._there.values()).count(False))
            case PathReturns(path):
                self._there[path] = True
                yield from self._answer(path)
                yield {"do": "heal", "name": f"cable {path}"}
                yield self._wait("paths_usable", list(self._there.values()).count(True))
                yield from self._hang(path)
            case PolicySet():
                if not happened.refused and self._there:
                    weights = dict(enumerate(event.weights, start=1))
                    self._weights = {path: weights.get(path, 0) for path in self._there}
                    yield self._set_policy(event)
            case RequestStarts():
                yield from self._start(event, count)
            case RequestEnds():
                if happened.still_there:
                    self._leave_out("that one of several requests on a path ends before the others")
                if happened.ended_on in self._silent:
                    yield from self._answer(happened.ended_on)
                    yield dict(_MOMENT)
                    yield from self._hang(happened.ended_on)
            case TimePasses(ms):
                yield {"do": "wait", "duration": f"{ms}ms"}
            case AccessSaid():
                self._leave_out("what the array says of a path")
            case NeighbourLoad():
                self._leave_out("the load of another LUN: here each session has one")

    def _added(self, event: PathAdded) -> Iterator[Row]:
        path = event.path
        if not event.can_be_active:
            self._leave_out("that a path cannot be active beside another")
        self._there[path] = True
        yield from self._answer(path)
        yield {
            "do": "login",
            "volume": VOLUME,
            "source": source(path),
            "portal": portal(path),
            "multipath": True,
        }
        self._weights[path] = event.weight
        if not self._ever or event.weight:
            self._ever = True
            yield self._set_policy(PolicySet())
        yield from self._hang(path)

    def _set_policy(self, event: PolicySet) -> Row:
        there = list(self._there)
        throughputs = dict(enumerate(event.throughputs, start=1))
        settings: Row = {
            "preferred": source(event.preferred) if event.preferred in there else None,
            "standby": [source(path) for path in event.standby if path in there and path != event.preferred],
            "weights": {source(path): weight for path, weight in self._weights.items() if weight and path in there},
            "throughputs": {source(path): throughputs[path] for path in there if path in throughputs},
        }
        kept = {key: value for key, value in settings.items() if value and _has_setting(self._option, key)}
        return {"do": "set_policy", "volume": VOLUME, "policy": self._option, **kept}

    def _start(self, event: RequestStarts, count: int) -> Iterator[Row]:
        if event.operation is Operation.FLUSH:
            self._leave_out("that a request is a flush: it is a read")
        if event.lba:
            self._leave_out("where on the disk a request is: all begin at 0")
        self._requests += count
        numbers = f"{self._requests - count + 1} to {self._requests}" if count > 1 else f"{self._requests}"
        yield {
            "do": "workload",
            "name": f"request {numbers}",
            "volume": VOLUME,
            "op": "write" if event.operation is Operation.WRITE else "read",
            "block": f"{event.size_bytes}B" if event.size_bytes % 1024 else f"{event.size_bytes // 1024}KiB",
            "depth": count,
            "ios": count,
            "background": True,
        }
        yield dict(_MOMENT)

    def _hang(self, path: int) -> Iterator[Row]:
        if self._holds and path not in self._silent:
            self._silent.add(path)
            yield {"do": "fault", "kind": "silent", "name": f"portal {path}", "portal": portal(path)}

    def _answer(self, path: int) -> Iterator[Row]:
        if path in self._silent:
            self._silent.discard(path)
            yield {"do": "heal", "name": f"portal {path}"}

    def _wait(self, until: str, count: int) -> Row:
        return {"do": "wait", "until": until, "volume": VOLUME, "count": count}

    def _leave_out(self, what: str) -> None:
        if what not in self.left_out:
            self.left_out.append(what)


def _grouped(story: Sequence[Happened]) -> Iterator[tuple[Happened, int]]:
    """Each event, equal requests one after the other as one."""
    at = 0
    while at < len(story):
        count = 1
        if isinstance(story[at].event, RequestStarts):
            while at + count < len(story) and story[at + count].event == story[at].event:
                count += 1
        yield story[at], count
        at += count


def _has_setting(option: str, setting: str) -> bool:
    return option in SETTINGS.get(setting, (option,)) or (":" in option and setting in PATH_SETTINGS)


def paths_of(events: Sequence[Event]) -> list[int]:
    """The numbers of the paths that are ever added."""
    return sorted({event.path for event in events if isinstance(event, PathAdded)})
