"""Nothing that was acknowledged as stable is lost, and no block is torn, when the power goes at any moment.

The medium below the stores keeps an arbitrary subset of what was not synced, sector by sector (`tests.support.power`);
the lives of the disk, the moment and the subset are Hypothesis's choice. `tests.planted.test_planted_store_bugs` shows
that the check finds the mistakes one makes here.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.plans import plans
from tests.support.promises import Do, Ending, Event, Life, Plan, check

FILE = plans(snapshot=False)
SNAPSHOT = plans(snapshot=True)


@settings(deadline=None, max_examples=250)
@given(FILE)
def test_a_file_keeps_what_it_promises(plan: Plan) -> None:
    check(plan)


@settings(deadline=None, max_examples=400)
@given(SNAPSHOT)
def test_a_snapshot_keeps_what_it_promises(plan: Plan) -> None:
    check(plan)


@pytest.mark.parametrize("offload", [True, False])
@given(operations=st.integers(0, 12), choices=st.lists(st.integers(0, 1), max_size=40))
@settings(deadline=None, max_examples=100)
def test_power_lost_within_the_flush_of_a_snapshot(offload: bool, operations: int, choices: list[int]) -> None:
    """Each operation of the flush may be the last: the map never tells of data that is not there."""
    events = [Event(Do.WRITE, 0, 39), Event(Do.SYNCHRONIZE)] + [Event(Do.GO_ON)] * 4
    life = Life(events, Ending.POWER, operations, choices)
    check(Plan(snapshot=True, offload=offload, lives=[life]))
