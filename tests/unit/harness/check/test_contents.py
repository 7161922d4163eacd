"""What became of the blocks: each way in which a volume can be wrong, and the one check that says so."""

from __future__ import annotations

from harness.check.contents import MEDIUM, Contents
from harness.check.history import History, Operation, Ticks
from harness.check.landings import Landing, Landings
from harness.check.marks import Mark, Marks
from tests.support.histories import read, write


class Story:
    """A history of one volume and what landed, at the ticks that the test says."""

    def __init__(self, *operations: Operation) -> None:
        self.marks = Marks()
        ticks = Ticks(lambda: 0)
        self.contents = Contents(ticks, self.marks)
        self.history = History(ticks, 512)
        self.history.operations.extend(operations)
        self.landings = Landings(ticks, 512, {})

    def landed(self, *at: tuple[int, int]) -> Story:
        """(tick, writer), each on block 0."""
        for tick, writer in at:
            landing = Landing(tick, tick * 1000, 0, 1, writer)
            self.landings.all.append(landing)
            self.landings.of.setdefault(writer, []).append(landing)
        return self

    @property
    def wrong(self) -> dict[str, str]:
        """Why, by the checks that failed."""
        self.contents.judge("logs", self.history, self.landings, {})
        return {one.check: one.why for one in self.contents.judgements() if not one.ok}


def medium(begun: int, value: int | None) -> Operation:
    """The last read, straight from the store."""
    last = read(0, begun, begun + 1, value)
    last.via = MEDIUM
    return last


W1, W2 = write(1, 10, 19), write(2, 20, 29)


def test_all_is_well() -> None:
    assert Story(W1, W2, read(3, 30, 31, 2), medium(40, 2)).landed((15, 1), (25, 2)).wrong == {}


def test_a_sector_that_no_write_wrote() -> None:
    why = Story(W1, read(3, 30, 31, None)).landed((15, 1)).wrong
    assert list(why) == ["sectors"]
    assert "block 0 held what no write ever put there (read 3 of host)" in why["sectors"]


def test_an_acknowledged_write_that_never_landed() -> None:
    why = Story(W1, medium(40, 0)).wrong
    assert why == {
        "lost writes": "lost: logs: write 1 in block 0 was acknowledged and never reached the medium "
        "(the medium: zeros), at 0.000 s"
    }


def test_an_acknowledged_write_that_is_not_there_any_more() -> None:
    why = Story(W1, medium(40, 0)).landed((15, 1)).wrong
    assert "write 1 in block 0 was acknowledged and is not there any more" in why["lost writes"]


def test_a_read_that_returned_old_data_while_the_medium_was_right() -> None:
    why = Story(W1, W2, read(3, 30, 31, 1), medium(40, 2)).landed((15, 1), (25, 2)).wrong
    assert list(why) == ["linearizability"]
    assert "read 3 of host returned write 1 in block 0, which write 2 had overwritten" in why["linearizability"]


def test_a_read_that_returned_what_was_not_written_yet() -> None:
    why = Story(read(3, 0, 5, 1), W1).landed((15, 1)).wrong
    assert "returned write 1 in block 0 before it was written" in why["linearizability"]


GHOST = ((15, 1), (25, 2), (35, 1))


def test_a_ghost_write_that_is_read() -> None:
    story = Story(W1, W2, read(3, 40, 41, 1)).landed(*GHOST)
    assert "write 1 landed again, over write 2, acknowledged before" in story.wrong["ghost writes"]
    [ghosts] = [one for one in story.contents.judgements() if one.check == "ghost writes"]
    assert ghosts.evidence["story"][-1].endswith("read 3 of host returns W1, which W2 had overwritten")
    assert story.marks.names() == (Mark.GHOST_LANDED.value,)


def test_a_ghost_write_that_nobody_reads() -> None:
    assert list(Story(W1, W2).landed(*GHOST).wrong) == ["ghost writes"]


def test_a_ghost_of_a_write_that_overlapped_in_time() -> None:
    """Both orders would do, but not one after the other: the newer value was seen before."""
    one, other = write(1, 10, 22), write(2, 20, 29)
    story = Story(one, other, read(3, 30, 31, 2), read(4, 40, 41, 1)).landed((15, 1), (25, 2), (35, 1))
    assert list(story.wrong) == ["ghost writes"]


def test_a_second_landing_before_anything_newer_is_harmless() -> None:
    story = Story(W1, W2, medium(40, 2)).landed((12, 1), (15, 1), (25, 2))
    assert story.wrong == {}
    assert story.marks.names() == (Mark.GHOST_LANDED.value,)


def test_a_late_landing_of_a_write_that_nobody_acknowledged_is_allowed() -> None:
    assert Story(write(1, 10, None), W2, medium(40, 1)).landed((15, 1), (25, 2), (35, 1)).wrong == {}


def test_another_block_is_another_matter() -> None:
    assert Story(W1, write(2, 20, 29, lba=1)).landed(*GHOST).wrong == {}


def test_many_ghosts_cost_no_look_at_all_writes_each() -> None:
    """Ten thousand writes, one in ten of which lands twice at once: seconds, if each looked at each."""
    writes = [write(number, 10 * number, 10 * number + 9) for number in range(1, 10_001)]
    story = Story(*writes)
    for number in range(1, 10_001):
        story.landed((10 * number + 5, number), *(((10 * number + 6, number),) if not number % 10 else ()))
    looked = []
    slow = Operation.acknowledged.fget
    assert slow is not None

    def counted(one: Operation) -> int | None:
        looked.append(one)
        return slow(one)

    try:
        Operation.acknowledged = property(counted)  # type: ignore[method-assign,assignment]
        assert story.wrong == {}
    finally:
        Operation.acknowledged = property(slow)  # type: ignore[method-assign,assignment]
    assert len(looked) < 10 * len(writes)
