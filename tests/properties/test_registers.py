"""The zones against a search that tries every order, on random histories of overlapping reads and writes."""

from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.check.history import Operation
from harness.check.registers import violations
from harness.sectors import NEVER_WRITTEN
from tests.support.histories import read, write


def some_order_explains(operations: list[Operation], block: int) -> bool:
    """Is there an order of the I/Os at one block, true to their times, in which each read returns the last write?"""
    here = [one for one in operations if one.lba <= block < one.lba + one.blocks]
    ends = [inf if one.is_write and one.acknowledged is None else one.ended or inf for one in here]
    visited: dict[tuple[int, int], None] = {}

    def explained(done: int, value: int | None) -> bool:
        left = [at for at in range(len(here)) if not done >> at & 1]
        if all(ends[at] == inf for at in left):
            return True
        if (done, value or 0) in visited:
            return False
        visited[done, value or 0] = None
        first_end = min(ends[at] for at in left)
        for at in left:
            one = here[at]
            if one.begun > first_end:
                continue
            if one.is_write:
                if explained(done | 1 << at, one.number):
                    return True
            elif _value(one, block) == value and explained(done | 1 << at, value):
                return True
        return False

    return explained(0, NEVER_WRITTEN)


def _value(one: Operation, block: int) -> int | None:
    return next(run.writer for run in one.seen if run.lba <= block < run.lba + run.blocks)


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Up to seven I/Os on two blocks; reads return the value of any write, even of one that comes later."""
    count = draw(st.integers(2, 7))
    ticks = draw(st.permutations(range(2 * count)))
    operations: list[Operation] = []
    writes = [NEVER_WRITTEN]
    kinds = draw(st.lists(st.sampled_from("wrr?"), min_size=count, max_size=count))
    writes += [number for number, kind in enumerate(kinds, 1) if kind != "r"]
    for number, kind in enumerate(kinds, 1):
        begun, ended = sorted(ticks[2 * number - 2 : 2 * number])
        lba = draw(st.integers(0, 1))
        blocks = draw(st.integers(1, 2 - lba))
        if kind == "r":
            values = [draw(st.sampled_from(writes)) for _ in range(blocks)]
            operations.append(read(number, begun, ended, *values, lba=lba))
        else:
            operations.append(write(number, begun, ended if kind == "w" else None, lba, blocks))
    return operations


@settings(deadline=None, max_examples=1500)
@given(operations=histories())
def test_the_zones_say_what_a_search_over_all_orders_says(operations: list[Operation]) -> None:
    wrong = {violation.lba + at for violation in violations(operations) for at in range(violation.blocks)}
    for block in (0, 1):
        assert (block not in wrong) == some_order_explains(operations, block)
