"""Delta debugging leaves nothing that could go, and asks no more than it must."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.minimize.ddmin import ddmin


def test_one_culprit_among_many() -> None:
    asked: list[int] = []

    def fails(kept: list[int]) -> bool:
        asked.append(len(kept))
        return 637 in kept

    assert ddmin(range(1000), fails) == [637]
    assert len(asked) < 60


def test_nothing_may_be_left() -> None:
    assert ddmin([1, 2, 3], lambda kept: True) == []
    assert ddmin([], lambda kept: True) == []


@given(size=st.integers(1, 40), data=st.data())
def test_of_any_culprits_exactly_these_are_left_in_their_order(size: int, data: st.DataObject) -> None:
    culprits = data.draw(st.sets(st.integers(0, size - 1)))
    assert ddmin(range(size), lambda kept: culprits <= set(kept)) == sorted(culprits)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_nothing_single_can_be_taken_out_of_what_is_left(items: list[int]) -> None:
    """Also where leaving out more can fail again: here the sum has to stay above a half of what it was."""

    def fails(kept: list[int]) -> bool:
        return 2 * sum(kept) >= sum(items)

    left = ddmin(items, fails)
    assert fails(left)
    assert not any(fails(left[:at] + left[at + 1 :]) for at in range(len(left)) if left[at])
