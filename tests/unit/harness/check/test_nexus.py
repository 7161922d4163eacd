"""Every landing needs a copy that was alive: matched greedily, and held against every matching there is."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.check.findings import Findings
from harness.check.landings import Landing
from harness.check.nexus import judge_landings
from harness.check.wire.copies import Copy

ON: Any = SimpleNamespace(where="A → B")


def copy(sent: int, answered: int | None = None, ended: int | None = None) -> Copy:
    made = Copy(1, ON, sent, sent)
    made.answered, made.ended, made.ended_by = answered, ended, "its session was reinstated" if ended else ""
    return made


def found(landed: list[int], copies: list[Copy]) -> list[str]:
    findings = Findings("dead tasks", lambda: 0)
    judge_landings({1: [Landing(tick, tick, 0, 1, 1) for tick in landed]}, {1: copies}, findings)
    return [text.partition(", at ")[0].partition("reached ")[2] for text in findings.shown]


@pytest.mark.parametrize(
    ("landed", "copies"),
    [
        ([5], [copy(1, answered=9)]),
        ([5], [copy(1)]),
        ([5, 6], [copy(1), copy(2, answered=9)]),
        ([5, 20], [copy(1), copy(2, answered=9)]),  # its connection was lost: that ends nothing
        ([], [copy(1, answered=9)]),
    ],
)
def test_a_copy_that_was_alive(landed: list[int], copies: list[Copy]) -> None:
    assert found(landed, copies) == []


@pytest.mark.parametrize(
    ("landed", "copies", "why"),
    [
        ([10], [copy(1, answered=9)], "blocks 0 to 0, and every copy of it had been answered"),
        ([10], [copy(1, ended=9)], "blocks 0 to 0: A → B, its session was reinstated"),
        ([5, 6], [copy(1, answered=9)], "blocks 0 to 0, and every copy of it had been answered"),
        ([1], [copy(5, answered=9)], "blocks 0 to 0, and every copy of it had been answered"),
        ([1], [], "blocks 0 to 0, and every copy of it had been answered"),
    ],
)
def test_one_that_was_not(landed: list[int], copies: list[Copy], why: str) -> None:
    assert found(landed, copies) == [why]


def explained(landed: list[int], copies: list[Copy]) -> bool:
    """Is there any way to give each landing a copy of its own?"""

    def alive(one: Copy, tick: int) -> bool:
        ends = [end for end in (one.answered, one.ended) if end is not None]
        return one.sent < tick and all(tick < end for end in ends)

    return any(
        all(alive(one, tick) for one, tick in zip(some, landed, strict=True))
        for some in permutations(copies, len(landed))
    )


END = st.none() | st.integers(1, 20)


@given(
    landed=st.lists(st.integers(0, 20), max_size=4, unique=True).map(sorted),
    copies=st.lists(st.builds(copy, st.integers(0, 20), END, END), max_size=4),
)
def test_the_matching_finds_one_when_there_is_one(landed: list[int], copies: list[Copy]) -> None:
    assert (found(landed, copies) == []) == explained(landed, copies)
