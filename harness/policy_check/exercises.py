"""What is tried with events that are always the same: many paths, and a long life."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Final

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
from harness.policy_check.rules import BOUNDED_MEMORY, Broken
from harness.policy_check.trial import Trial
from initiator_model.dsm import MAX_PATHS
from initiator_model.policies.guard import Guarded

__all__ = ["CYCLES", "many_paths", "memory"]

CYCLES: Final = (200, 2_000)
"""After how many lives of a path the memory is looked at."""

SLACK_BYTES: Final = 4_096
"""What may lie between the two: tables that had yet to reach their size."""


def many_paths() -> list[Event]:
    """As many paths as a disk can have; they fail, return, go and come in an order that is not theirs."""
    return list(_many_paths())


def _many_paths() -> Iterator[Event]:
    every = range(1, MAX_PATHS + 1)
    for path in every:
        yield PathAdded(path, weight=path % 5)
        yield from (RequestStarts(lba=8 * path),) * 2
    yield from (RequestStarts(lba=8 * number) for number in range(2 * MAX_PATHS))
    for path in every[::2]:
        yield PathFails(path)
        yield from (RequestStarts(), RequestEnds(), RequestEnds(NEWEST))
    for path in every[::-3]:
        yield PathRemoved(path)
        yield from (RequestStarts(), RequestEnds(1))
    for half in (every[:16], every[16:]):
        yield from map(PathFails, half)
        yield from (RequestStarts(), RequestStarts(), RequestEnds())
        yield from map(PathReturns, half)
    yield PolicySet(preferred=2)
    for path in every[::5]:
        yield PathReturns(path)
        yield from (RequestStarts(), RequestEnds())
    for path in every[::-1]:
        yield PathAdded(path)
        yield PathReturns(path)
        yield from (RequestStarts(), RequestEnds())
    for path in (*every[7:], *every[:7]):
        yield PathRemoved(path)
        yield RequestStarts()
    yield from (PathAdded(path) for path in every[:3])


def memory(option: str) -> int:
    """Let a third path live again and again beside two that stay. Returns the number of lives.

    Raises Broken: a rule on the way, or at the end the one about memory.
    """
    trial = Trial(option, keep=False)
    for path in (1, 2):
        trial.apply(PathAdded(path))
    sizes: dict[int, int] = {}
    for cycle in range(1, max(CYCLES) + 1):
        for event in _ONE_LIFE:
            trial.apply(event)
        trial.choices.clear()
        if cycle in CYCLES:
            sizes[cycle] = _reachable_bytes(trial.dsm.selector)
    early, late = (sizes[cycle] for cycle in CYCLES)
    if late > early + SLACK_BYTES:
        what = f"{early:,} bytes after {CYCLES[0]:,} lives of a path, {late:,} after {CYCLES[1]:,}"
        raise Broken(BOUNDED_MEMORY, f"the policy and what it refers to take {what}")
    return max(CYCLES)


_ONE_LIFE: Final[tuple[Event, ...]] = (
    PathAdded(3),
    *(RequestStarts(), RequestStarts(lba=8), RequestStarts(lba=64)),
    PathFails(3),
    PathReturns(3),
    RequestStarts(lba=128),
    RequestEnds(NEWEST),
    TimePasses(10),
    *(RequestEnds(),) * 2,
    PathRemoved(3),
    RequestEnds(),
)


def _reachable_bytes(selector: object) -> int:
    """The size of everything the policy refers to, short of code."""
    start = selector.inner if isinstance(selector, Guarded) else selector
    seen: dict[int, object] = {}
    waiting = [start.__dict__ if hasattr(start, "__dict__") else start]
    total = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType | BuiltinFunctionType):
            continue
        seen[id(one)] = one
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total
