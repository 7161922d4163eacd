"""What a block may not do, by examples; `tests/properties/test_registers.py` holds it against every order there is."""

from __future__ import annotations

import pytest

from harness.check.history import Operation
from harness.check.registers import Rule, Violation, violations
from tests.support.histories import read, write


def only(*operations: Operation) -> Violation:
    (found,) = violations(operations)
    return found


FIRST, SECOND = write(1, 10, 19), write(2, 20, 29)


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [read(1, 0, 1, 0)],
        [FIRST, SECOND, read(3, 30, 31, 2)],
        [FIRST, SECOND, read(3, 25, 31, 1)],  # it was under way when the second write came
        [FIRST, write(2, 20, None), read(3, 30, 31, 1)],  # nobody knows whether the second write happened
        [FIRST, write(2, 20, None), read(3, 30, 31, 2)],
        [write(1, 10, None), SECOND, read(3, 30, 31, 1)],  # the unknown one happened late: that is allowed
        [write(1, 10, 19, 0, 2), write(2, 15, 25, 0, 2), read(3, 30, 31, 1, 2)],  # no atomicity beyond a block
    ],
)
def test_what_a_register_may_do(operations: list[Operation]) -> None:
    assert violations(operations) == []


def test_a_value_that_had_been_overwritten() -> None:
    reader = read(3, 30, 31, 1)
    assert only(FIRST, SECOND, reader) == Violation(Rule.STALE, 0, 1, reader, FIRST, SECOND)


def test_a_value_that_comes_back_after_the_newer_one_was_seen() -> None:
    later = read(4, 40, 41, 1)
    assert only(FIRST, SECOND, read(3, 30, 31, 2), later) == Violation(Rule.STALE, 0, 1, later, FIRST, SECOND)


def test_an_unknown_write_that_was_seen_has_happened_and_cannot_go_away_again() -> None:
    unknown = write(2, 20, None)
    later = read(4, 40, 41, 1)
    assert only(FIRST, unknown, read(3, 30, 31, 2), later).rule is Rule.STALE


def test_an_acknowledged_write_that_was_never_there() -> None:
    reader = read(2, 20, 21, 0)
    assert only(FIRST, reader) == Violation(Rule.STALE, 0, 1, reader, None, FIRST)


def test_a_torn_or_foreign_sector_is_a_value_nobody_wrote() -> None:
    reader = read(2, 20, 21, None)
    assert only(FIRST, reader) == Violation(Rule.NEVER_WRITTEN, 0, 1, reader)


def test_a_value_before_its_write_began() -> None:
    reader = read(2, 0, 1, 1)
    assert only(FIRST, reader) == Violation(Rule.BEFORE_ITS_WRITE, 0, 1, reader, FIRST)


def test_two_readers_cannot_disagree_on_the_order_of_two_writes() -> None:
    one, other = write(1, 10, 40), write(2, 11, 41)
    found = violations([one, other, read(3, 50, 51, 1), read(4, 60, 61, 2), read(5, 70, 71, 1)])
    assert [violation.rule for violation in found] == [Rule.STALE]


def test_each_block_is_judged_alone_and_alike_ones_together() -> None:
    wide, narrow = write(1, 10, 19, lba=0, blocks=8), write(2, 20, 29, lba=2, blocks=3)
    reader = read(3, 30, 31, *[1] * 8)
    assert only(wide, narrow, reader) == Violation(Rule.STALE, 2, 3, reader, wide, narrow)


def test_a_write_that_happened_twice_before_it_was_acknowledged_may_be_seen_again() -> None:
    """It was tried again over another path, and an overlapping write came between: 1, then 2, then 1 once more."""
    slow, quick = write(1, 10, 60), write(2, 20, 29)
    reads = [read(3, 15, 16, 1), read(4, 30, 31, 2), read(5, 50, 51, 1)]
    assert only(slow, quick, *reads).rule is Rule.STALE
    assert violations([slow, quick, *reads], again={1: [40]}) == []


def test_once_it_is_acknowledged_it_may_not_come_back_all_the_same() -> None:
    slow, quick = write(1, 10, 45), write(2, 50, 59)
    reads = [read(3, 60, 61, 2), read(4, 70, 71, 1)]
    assert [found.rule for found in violations([slow, quick, *reads], again={1: [40]})] == [Rule.STALE]
