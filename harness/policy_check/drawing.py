"""Events drawn by Hypothesis.

`first_failure` draws lists until one fails, and has Hypothesis make it simpler. Hypothesis is an extra: it is imported
here, when something is to be drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from harness.policy_check.events import (
    NEWEST,
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
from harness.policy_check.rules import Broken
from initiator_model.requests import Operation
from iscsi.port_groups import AccessState

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["MissingHypothesis", "first_failure"]

Events = tuple[Event, ...]

PATHS: Final = (1, 2, 3, 4)
"""Paths that come and go in a drawn story; more are seldom needed to show a mistake, and `exercises` has them."""


class MissingHypothesis(Exception):
    """The extra is not installed."""


def first_failure(
    check: Callable[[Sequence[Event]], None], *, examples: int, seed: int, plain: bool
) -> Sequence[Event] | None:
    """The simplest list of events found for which `check` raises Broken; None when ``examples`` lists pass.

    ``plain``: only events that `replay` has exact counterparts for. The same seed draws the same lists. Raises
    MissingHypothesis.
    """
    try:
        import hypothesis
        import hypothesis.errors
    except ImportError:
        raise MissingHypothesis(
            'mpiolab check draws its examples with Hypothesis: pip install "mpiolab[check]"'
        ) from None
    failing: list[Sequence[Event]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
        report_multiple_bugs=False,
        verbosity=hypothesis.Verbosity.quiet,
        print_blob=False,
    )
    @hypothesis.given(_stories(plain))
    def draw(events: list[Event]) -> None:
        try:
            check(events)
        except Broken:
            failing[:] = [events]
            raise

    try:
        draw()
    except (Broken, hypothesis.errors.Flaky):  # flaky: it failed, and not when the same was drawn again
        return failing[0]
    return None


def _stories(plain: bool) -> SearchStrategy[list[Event]]:
    """Some paths to begin with, then events; in short chapters, because long lists shrink slowly."""
    from hypothesis import strategies as st

    chapters = st.lists(st.lists(_plain_events() if plain else _events(), max_size=10), max_size=10)

    def story(paths: int, parts: list[list[Events]]) -> list[Event]:
        return [*map(PathAdded, range(1, paths + 1)), *(event for part in parts for events in part for event in events)]

    return st.builds(story, st.sampled_from([2, 3, 1, 0, 4]), chapters)


def _plain_events() -> SearchStrategy[Events]:
    """What can be done at the bench, one or a few at a time."""
    from hypothesis import strategies as st

    weights = st.lists(st.integers(0, 3), max_size=len(PATHS)).map(tuple)
    reads = st.integers(1, 6).map(lambda count: (RequestStarts(),) * count)
    return st.one_of(
        reads,
        st.sampled_from([(PathFails(path),) for path in PATHS]),
        st.sampled_from([(PathReturns(path),) for path in PATHS]),
        reads,
        st.sampled_from([(PathAdded(path),) for path in PATHS]),
        st.sampled_from([(PathRemoved(path),) for path in PATHS]),
        st.builds(lambda preferred, weights: (PolicySet(preferred, (), weights),), st.integers(0, 4), weights),
        reads,
        st.just(_ALL_END),
        _there_and_back(reads),
    )


def _events() -> SearchStrategy[Events]:
    """Everything, one or a few at a time."""
    from hypothesis import strategies as st

    weights = st.lists(st.sampled_from([0, 0, 1, 2, 3]), max_size=len(PATHS)).map(tuple)
    asked = st.builds(
        lambda *wishes: (PolicySet(*wishes),),
        st.integers(0, len(PATHS)),
        st.lists(st.sampled_from(PATHS), max_size=2).map(tuple),
        weights,
        weights,
    )
    requests = st.builds(lambda request, count: (request,) * count, st.sampled_from(_REQUESTS), st.integers(1, 4))
    return st.one_of(
        requests,
        st.sampled_from(_ENDS),
        st.sampled_from([(PathFails(path),) for path in PATHS]),
        st.sampled_from([(PathReturns(path),) for path in PATHS]),
        requests,
        st.sampled_from(_ARRIVALS),
        st.sampled_from([(PathRemoved(path),) for path in PATHS]),
        st.sampled_from([(TimePasses(1),), (TimePasses(1_000),), (TimePasses(200_000),)]),
        asked,
        requests,
        st.sampled_from(_ENDS),
        _there_and_back(requests),
        st.sampled_from([(AccessSaid(path, access),) for access in _ACCESS for path in PATHS]),
        st.sampled_from([(NeighbourLoad(path, load),) for load in (0, 1, 2, 3) for path in PATHS]),
    )


def _there_and_back(requests: SearchStrategy[Events]) -> SearchStrategy[Events]:
    """A path fails and returns, or goes and comes again, with requests in between and after it."""
    from hypothesis import strategies as st

    def story(path: int, goes: bool, between: Events, after: Events) -> Events:
        leaves, comes = (PathRemoved(path), PathAdded(path)) if goes else (PathFails(path), PathReturns(path))
        return (leaves, *between, comes, *after)

    return st.builds(story, st.sampled_from(PATHS), st.booleans(), requests, requests)


# What a single draw picks from; the first of each is what it shrinks to.
_REQUESTS: Final = [
    RequestStarts(operation, lba, blocks)
    for operation in (Operation.READ, Operation.WRITE, Operation.READ, Operation.FLUSH)
    for lba in (0, 8, 1024)
    for blocks in (8, 128, 1, 4096)
]
_ALL_END: Final[Events] = (RequestEnds(),) * 12
_ENDS: Final[list[Events]] = [
    _ALL_END,
    *((RequestEnds(which),) * count for count in (1, 2, 4) for which in (0, NEWEST, 1, 2)),
    *((RequestEnds(which, well=False),) for which in (0, NEWEST, 1)),
]
_ACCESS: Final = (
    AccessState.ACTIVE_OPTIMIZED,
    AccessState.ACTIVE_NON_OPTIMIZED,
    AccessState.STANDBY,
    AccessState.UNAVAILABLE,
)
_ARRIVALS: Final[list[Events]] = [
    (PathAdded(path, weight, throughput, priority, can_be_active),)
    for can_be_active in (True, True, True, True, True, False)
    for weight, throughput, priority in ((0, 1, 1), (1, 1, 2), (2, 0, 1), (3, 2, 1))
    for path in PATHS
]
