"""Events drawn by Hypothesis.

`first_failure` draws lists until one fails, and has Hypothesis make it simpler. Hypothesis is an extra: it is imported
here, when something is to be drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from harness.policy_check.events import (
    NEWEST,
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

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["MissingHypothesis", "first_failure"]

PATHS: Final = 4
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

    def story(paths: int, parts: list[list[tuple[Event, ...]]]) -> list[Event]:
        return [*map(PathAdded, range(1, paths + 1)), *(event for part in parts for events in part for event in events)]

    return st.builds(story, st.sampled_from([2, 3, 1, 0, 4]), chapters)


def _plain_events() -> SearchStrategy[tuple[Event, ...]]:
    """What can be done at the bench, one or a few at a time."""
    from hypothesis import strategies as st

    path = st.integers(1, PATHS)
    weights = st.lists(st.integers(0, 3), max_size=PATHS).map(tuple)
    reads = st.integers(1, 6).map(lambda count: (RequestStarts(),) * count)
    return st.one_of(
        reads,
        reads,
        _single(st.builds(PathFails, path)),
        _single(st.builds(PathReturns, path)),
        reads,
        _single(st.builds(PathAdded, path)),
        _single(st.builds(PathRemoved, path)),
        _single(st.builds(PolicySet, preferred=st.integers(0, PATHS), weights=weights)),
        _there_and_back(path, reads),
    )


def _events() -> SearchStrategy[tuple[Event, ...]]:
    """Everything, one or a few at a time."""
    from hypothesis import strategies as st

    path = st.integers(1, PATHS)
    size = st.sampled_from([8, 128, 1, 4096])
    weight = st.sampled_from([0, 0, 1, 2, 3])
    added = st.builds(
        PathAdded,
        path,
        weight=weight,
        throughput=st.sampled_from([1, 1, 1, 0, 2]),
        priority=st.sampled_from([1, 1, 2]),
        can_be_active=st.sampled_from([True] * 7 + [False]),
    )
    starts = st.builds(
        RequestStarts,
        st.sampled_from([Operation.READ, Operation.READ, Operation.WRITE, Operation.FLUSH]),
        st.sampled_from([0, 0, 8, 1024, 4096]),
        size,
    )
    ends = st.builds(RequestEnds, st.sampled_from([0, 0, NEWEST, 1, 2]), st.sampled_from([True, True, True, False]))
    asked = st.builds(
        PolicySet,
        preferred=st.integers(0, PATHS),
        standby=st.lists(path, max_size=2).map(tuple),
        weights=st.lists(weight, max_size=PATHS).map(tuple),
        throughputs=st.lists(st.integers(0, 3), max_size=PATHS).map(tuple),
    )
    several = st.lists(starts, min_size=1, max_size=6).map(tuple)
    return st.one_of(
        several,
        _single(ends),
        _single(st.builds(PathFails, path)),
        _single(st.builds(PathReturns, path)),
        _single(added),
        several,
        _single(st.builds(PathRemoved, path)),
        _single(st.builds(TimePasses, st.sampled_from([1, 1000, 200_000]))),
        _single(asked),
        several,
        st.lists(ends, min_size=1, max_size=4).map(tuple),
        _there_and_back(path, several),
        _single(st.builds(NeighbourLoad, path, st.integers(0, 3))),
    )


def _there_and_back(
    path: SearchStrategy[int], requests: SearchStrategy[tuple[Event, ...]]
) -> SearchStrategy[tuple[Event, ...]]:
    """A path fails and returns, or goes and comes again, with requests in between and after it."""
    from hypothesis import strategies as st

    def story(path: int, goes: bool, between: tuple[Event, ...], after: tuple[Event, ...]) -> tuple[Event, ...]:
        leaves, comes = (PathRemoved(path), PathAdded(path)) if goes else (PathFails(path), PathReturns(path))
        return (leaves, *between, comes, *after)

    return st.builds(story, path, st.booleans(), requests, requests)


def _single(events: SearchStrategy[Event]) -> SearchStrategy[tuple[Event, ...]]:
    return events.map(lambda event: (event,))
