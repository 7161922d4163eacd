"""What stands in the blocks, and what became of each write that was acknowledged.

One search (`registers`) finds where a volume was no linearizable register; what had landed on the medium says which
promise was broken, and so which check fails:

    sectors            a sector is torn, foreign or misplaced
    lost writes        an acknowledged write never reached the medium, or is not there any more
    ghost writes       an old write landed once more on top of a newer, acknowledged one
    linearizability    the medium was right, and a read returned something else all the same

A ghost write is also found when nobody has read it: a landing that comes after a write was acknowledged that had begun
when the landing one had been acknowledged itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from harness.check.findings import Findings
from harness.check.ghost_story import ghost_story
from harness.check.history import History, Operation, Ticks
from harness.check.landings import Landing, Landings
from harness.check.marks import Mark, Marks
from harness.check.registers import Rule, Violation, violations
from harness.check.wire.copies import Copy
from harness.expectations import Judgement

__all__ = ["MEDIUM", "Contents"]

MEDIUM: Final = "the medium"
"""The path of a read that goes straight to the store."""


class Contents:
    """The judge of all volumes of a run."""

    def __init__(self, ticks: Ticks, marks: Marks) -> None:
        self._marks = marks
        now_ns = ticks.now_ns
        self.linear = Findings("linearizability", now_ns)
        self.sectors = Findings("sectors", now_ns)
        self.lost = Findings("lost writes", now_ns)
        self.ghosts = Findings("ghost writes", now_ns)
        self._operations = 0
        self._writes = 0

    def judge(self, volume: str, history: History, landings: Landings, copies: Mapping[int, Sequence[Copy]]) -> None:
        """Judge one volume, at the end of the run."""
        operations = history.operations
        self._operations += len(operations)
        self._writes += sum(one.is_write for one in operations)
        haunted = self._ghosts(volume, history, landings, copies)
        for violation in violations(operations, _again(operations, landings)):
            reader, old, new = violation.reader, violation.writer, violation.newer
            blocks = _blocks(violation)
            if violation.rule is Rule.NEVER_WRITTEN:
                what = f"{volume}: {blocks} held what no write ever put there ({_seen_by(reader)})"
                self.sectors.add("torn or foreign", what, reader.ended_ns)
            elif violation.rule is Rule.BEFORE_ITS_WRITE:
                what = f"{volume}: {_seen_by(reader)} returned {_value(old)} in {blocks} before it was written"
                self.linear.add("too early", what, reader.ended_ns)
            elif old is not None and new is not None and (old.number, new.number) in haunted:
                pass  # told already, with its landing
            else:
                self._stale(volume, violation, history, landings, copies)

    def judgements(self) -> list[Judgement]:
        """What became of the four checks."""
        ios = f"{self._operations:,} I/Os"
        return [
            self.linear.judgement(f"{ios}: each block was a linearizable register"),
            self.sectors.judgement(f"{ios}: no sector was torn, foreign or misplaced"),
            self.lost.judgement(f"{self._writes:,} writes: each acknowledged one is there, over every path and below"),
            self.ghosts.judgement(f"{self._writes:,} writes: none took effect again after a newer one"),
        ]

    def _stale(
        self,
        volume: str,
        violation: Violation,
        history: History,
        landings: Landings,
        copies: Mapping[int, Sequence[Copy]],
    ) -> None:
        reader, old, new = violation.reader, violation.writer, violation.newer
        blocks = _blocks(violation)
        ghost = _ghost(violation, landings)
        if ghost is not None and old is not None and new is not None:  # of two writes that overlapped in time
            what = f"{volume}: {_value(old)} landed again, over {_value(new)}, which {_seen_by(reader)} shows"
            self._ghost(what, old, new, copies, landings.of[old.number], ghost, history)
            return
        landed = None if new is None else _landing(landings.of.get(new.number, ()), violation.lba)
        if new is not None and new.acknowledged is not None and (landed is None or reader.via == MEDIUM):
            how = "never reached the medium" if landed is None else "is not there any more"
            what = f"{volume}: {_value(new)} in {blocks} was acknowledged and {how} ({_seen_by(reader)}: {_value(old)})"
            self.lost.add("lost", what, new.ended_ns, writer=new.number)
            return
        what = f"{volume}: {_seen_by(reader)} returned {_value(old)} in {blocks}, which {_value(new)} had overwritten"
        self.linear.add("stale read", what, reader.ended_ns)

    def _ghost(
        self,
        what: str,
        old: Operation,
        newer: Operation,
        copies: Mapping[int, Sequence[Copy]],
        landed: Sequence[Landing],
        ghost: Landing,
        history: History,
    ) -> None:
        """The first one is told with its story, which takes a look at the whole history."""
        evidence = {} if self.ghosts.count else {"story": ghost_story(old, newer, copies, landed, ghost, history)}
        self.ghosts.add("landed again", what, ghost.at_ns, **evidence)

    def _ghosts(
        self, volume: str, history: History, landings: Landings, copies: Mapping[int, Sequence[Copy]]
    ) -> dict[tuple[int, int], None]:
        """Find late landings; the pairs of (old, newer) writes that were told."""
        told: dict[tuple[int, int], None] = {}
        again = {writer: landed for writer, landed in landings.of.items() if len(landed) > 1}
        if not again:
            return told
        self._marks.hit(Mark.GHOST_LANDED)
        writes = [one for one in history.operations if one.is_write]
        begun = [one.begun for one in writes]  # ascending: that is how they were noted
        by_number = {one.number: one for one in writes}
        for writer, landed in again.items():
            old = by_number.get(writer)
            if old is None or old.acknowledged is None:
                continue
            for landing in landed[1:]:
                between = slice(bisect_right(begun, old.acknowledged), bisect_left(begun, landing.tick))
                for newer in writes[between]:
                    if _overwritten(old, newer, landing) and (writer, newer.number) not in told:
                        told[writer, newer.number] = None
                        what = f"{volume}: {_value(old)} landed again, over {_value(newer)}, acknowledged before"
                        self._ghost(what, old, newer, copies, landed, landing, history)
        return told


def _again(operations: Sequence[Operation], landings: Landings) -> dict[int, list[int]]:
    """When writes that were not acknowledged yet landed for a second time or more, by their number."""
    several = {writer: landed for writer, landed in landings.of.items() if len(landed) > 1}
    if not several:
        return {}
    ends = {one.number: one.acknowledged for one in operations if one.is_write and one.number in several}
    again: dict[int, list[int]] = {}
    for writer, landed in several.items():
        end = ends.get(writer)
        ticks = [one.tick for one in landed[1:] if end is None or one.tick < end]
        if ticks:
            again[writer] = ticks
    return again


def _overwritten(old: Operation, newer: Operation, landing: Landing) -> bool:
    """Whether ``landing`` puts the old value on top of a newer one that had been acknowledged by then."""
    assert old.acknowledged is not None
    return (
        newer.begun > old.acknowledged
        and newer.acknowledged is not None
        and newer.acknowledged < landing.tick
        and newer.lba < landing.lba + landing.blocks
        and landing.lba < newer.lba + newer.blocks
    )


def _ghost(violation: Violation, landings: Landings) -> Landing | None:
    """A second landing of the old value on top of the new one."""
    old, new = violation.writer, violation.newer
    if old is None or new is None or violation.reader.ended is None:
        return None
    over = _landing(landings.of.get(new.number, ()), violation.lba)
    again = [one for one in landings.of.get(old.number, ())[1:] if over is not None and one.tick > over.tick]
    return next((one for one in again if one.tick < violation.reader.ended), None)


def _landing(landed: Sequence[Landing], lba: int) -> Landing | None:
    return next((one for one in landed if one.lba <= lba < one.lba + one.blocks), None)


def _blocks(violation: Violation) -> str:
    first, last = violation.lba, violation.lba + violation.blocks - 1
    return f"block {first}" if first == last else f"blocks {first} to {last}"


def _seen_by(reader: Operation) -> str:
    if reader.via == MEDIUM:
        return MEDIUM
    return f"read {reader.number} of {reader.host}"


def _value(write: Operation | None) -> str:
    return "zeros" if write is None else f"write {write.number}"
