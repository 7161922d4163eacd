"""Serial number arithmetic around the wrap (RFC 1982)."""

from __future__ import annotations

import pytest

from iscsi.serial import add, distance, le, lt

TOP = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("a", "b", "before"),
    [
        (0, 1, True),
        (1, 0, False),
        (5, 5, False),
        (TOP, 0, True),
        (0, TOP, False),
        (0xFFFFFFF0, 0x10, True),
        (0, 0x7FFFFFFF, True),
        (0, 0x80000000, False),  # exactly half way: in no order
        (0x80000000, 0, False),
        (0, 0x80000001, False),
        (0x80000001, 0, True),
    ],
)
def test_order(a: int, b: int, before: bool) -> None:
    assert lt(a, b) is before
    assert le(a, b) is (before or a == b)


def test_addition_and_distance_go_round() -> None:
    assert add(TOP, 1) == 0
    assert add(0, -1) == TOP
    assert distance(TOP, 2) == 3
    assert distance(2, TOP) == TOP - 2
