"""Jain's fairness index: its value in the cases the paper names, and its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fairness import jain


@pytest.mark.parametrize(
    ("amounts", "index"),
    [([7], 1.0), ([5, 5, 5], 1.0), ([9, 0, 0, 0], 0.25), ([4, 4, 0], 2 / 3), ([80, 20], 10_000 / (2 * 6_800))],
)
def test_even_is_one_and_k_of_n_is_k_by_n(amounts: list[int], index: float) -> None:
    assert jain(amounts) == pytest.approx(index)


@pytest.mark.parametrize("amounts", [[], [0], [0, 0]])
def test_nothing_carried_is_neither_fair_nor_unfair(amounts: list[int]) -> None:
    assert jain(amounts) is None


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=32).filter(any), st.integers(1, 1000))
def test_it_lies_between_one_nth_and_one_and_knows_no_scale(amounts: list[int], factor: int) -> None:
    index = jain(amounts)
    assert index is not None
    assert 1 / len(amounts) * 0.999999 <= index <= 1.000001
    assert jain([amount * factor for amount in amounts]) == pytest.approx(index)
