"""Always the same stories: what is tried in other processes, where the draws of no library may be in the way."""

from __future__ import annotations

from collections.abc import Iterator

from harness.policy_check.events import (
    NEWEST,
    Event,
    PathAdded,
    PathFails,
    PathRemoved,
    PathReturns,
    PolicySet,
    RequestEnds,
    RequestStarts,
    TimePasses,
)
from initiator_model.requests import Operation
from sim.rng import Stream

__all__ = ["corpus"]


def corpus(lists: int, events: int) -> list[list[Event]]:
    """So many lists of so many events, after the paths they begin with."""
    return [list(_story(Stream(number, "policy check"), events)) for number in range(lists)]


def _story(stream: Stream, events: int) -> Iterator[Event]:
    paths = stream.between(2, 6)
    yield from (PathAdded(path, weight=stream.below(3)) for path in range(1, paths + 1))
    for _ in range(events):
        path = stream.between(1, paths)
        request = RequestStarts(stream.pick(list(Operation)), stream.below(64) * 8, 8 << stream.below(4))
        choices: list[Event] = [
            *[request] * 6,
            RequestEnds(stream.pick([0, 1, NEWEST]), stream.chance(0.75)),
            RequestEnds(),
            PathFails(path),
            PathReturns(path),
            PathReturns(stream.between(1, paths)),
            PathRemoved(path),
            PathAdded(path, weight=stream.below(3)),
            PolicySet(preferred=stream.below(paths + 1)),
            TimePasses(stream.between(1, 1000)),
        ]
        yield stream.pick(choices)
