"""Hypothesis strategies for the lives of disks; see `tests.support.promises`."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.promises import Do, Ending, Event, Life, Plan

_COMMON = [Do.WRITE, Do.WRITE, Do.WRITE_FUA, Do.DISCARD, Do.SYNCHRONIZE, Do.GO_ON, Do.GO_ON, Do.GO_ON]

events = st.builds(
    Event, st.sampled_from([*_COMMON, Do.FAIL]), st.integers(0, 39), st.sampled_from([0, 0, 0, 1, 2, 7, 8, 9, 39])
)
lives = st.builds(
    Life,
    events=st.lists(events, max_size=14),
    ending=st.sampled_from([Ending.POWER, Ending.POWER, Ending.KILL, Ending.CLOSE]),
    operations=st.none() | st.integers(0, 25),
    choices=st.lists(st.integers(0, 7), max_size=48),
)


def plans(*, snapshot: bool | None = None) -> st.SearchStrategy[Plan]:
    """Disks of every kind and their lives; ``snapshot`` chooses the store."""
    return st.builds(
        Plan,
        snapshot=st.booleans() if snapshot is None else st.just(snapshot),
        block_bytes=st.just(512),
        sector_bytes=st.sampled_from([512, 4096]),
        offload=st.booleans(),
        write_cache=st.sampled_from([True, True, True, False]),
        lives=st.lists(lives, min_size=1, max_size=3),
    ) | st.builds(
        Plan,
        snapshot=st.booleans() if snapshot is None else st.just(snapshot),
        block_bytes=st.just(4096),
        sector_bytes=st.just(4096),
        offload=st.booleans(),
        write_cache=st.sampled_from([True, True, True, False]),
        lives=st.lists(lives, min_size=1, max_size=3),
    )
