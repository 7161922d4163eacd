"""Is each block a linearizable register? Gibbons and Korach's zones, in O(n log n).

SCSI promises no atomicity beyond a block, so each block is a register of its own. Every write puts down a value of its
own (`sectors`), which makes the question easy (Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 26(4),
1997). The *cluster* of a value is its write and the reads that returned it. Its *zone* lies between the first end and
the last beginning in it. If the first end comes first the zone is forward: the value must have stood there all through
it. Else it is backward: some instant in it is enough. The history is linearizable exactly when

    no read returns a value that was never written, or before its write began;
    no two forward zones overlap;
    no backward zone lies inside a forward one.

A write that failed, or of which nobody knows, may have happened at any time after it began, or never: it ends at
infinity, and does not count while no read has seen it. Blocks that all I/Os treat alike are judged as one.

A write that is tried again over another path may happen twice before it is acknowledged, and another one, which was
issued meanwhile, in between: no host can help that. So where the medium saw it happen again in that time (``again``),
the later happening is taken for a write of its own, with the same beginning and end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from math import inf
from types import MappingProxyType

from harness.check.history import Ending, Operation
from harness.sectors import NEVER_WRITTEN

__all__ = ["Rule", "Violation", "violations"]


class Rule(Enum):
    """What a register may not do; values are words of findings."""

    NEVER_WRITTEN = "a value that no write ever put there"
    BEFORE_ITS_WRITE = "a value from before its write began"
    STALE = "a value that had been overwritten"


@dataclass(frozen=True, slots=True)
class Violation:
    """Blocks that held what they could not hold. ``reader`` saw it.

    ``writer`` is the write whose value it was (None: zeros, or no write at all), ``newer`` the one that had overwritten
    it.
    """

    rule: Rule
    lba: int
    blocks: int
    reader: Operation
    writer: Operation | None = None
    newer: Operation | None = None


class _Cluster:
    """The write of a value and the reads that returned it."""

    __slots__ = ("begun", "first_end", "last_begin", "last_reader", "seen", "write")

    def __init__(self, write: Operation | None) -> None:
        self.write = write
        self.begun: float = write.begun if write is not None else -2
        acknowledged = write.acknowledged if write is not None else -1
        self.first_end: float = inf if acknowledged is None else acknowledged
        self.last_begin: float = self.begun
        self.last_reader: Operation | None = None
        self.seen = False

    def read_by(self, reader: Operation) -> None:
        assert reader.ended is not None
        self.seen = True
        self.first_end = min(self.first_end, reader.ended)
        if reader.begun > self.last_begin or self.last_reader is None:
            self.last_begin = max(self.last_begin, reader.begun)
            self.last_reader = reader

    @property
    def happened(self) -> bool:
        """False for a write of unknown outcome that nobody saw."""
        return self.seen or self.first_end != inf


class _Register:
    """Some blocks that every I/O of the history treats alike."""

    __slots__ = ("blocks", "lba", "reads", "writes")

    def __init__(self, lba: int, blocks: int) -> None:
        self.lba = lba
        self.blocks = blocks
        self.writes: list[Operation] = []
        self.reads: list[tuple[int | None, Operation]] = []

    def judge(self, again: Mapping[int, Sequence[int]]) -> list[Violation]:
        clusters: dict[tuple[int, int], _Cluster] = {(NEVER_WRITTEN, 0): _Cluster(None)}
        for write in self.writes:
            for time in range(len(again.get(write.number, ())) + 1):
                clusters[write.number, time] = _Cluster(write)
        found: list[Violation] = []
        for value, reader in self.reads:
            cluster = None
            if value is not None:
                assert reader.ended is not None
                ended = reader.ended
                cluster = clusters.get((value, sum(tick < ended for tick in again.get(value, ()))))
            if cluster is None:
                found.append(Violation(Rule.NEVER_WRITTEN, self.lba, self.blocks, reader))
            elif reader.ended is not None and reader.ended < cluster.begun:
                found.append(Violation(Rule.BEFORE_ITS_WRITE, self.lba, self.blocks, reader, cluster.write))
            else:
                cluster.read_by(reader)
        counted = [one for (_, time), one in clusters.items() if one.seen or (one.happened and not time)]
        return found or self._zones(counted)

    def _zones(self, clusters: list[_Cluster]) -> list[Violation]:
        forward = sorted((one for one in clusters if one.first_end < one.last_begin), key=lambda one: one.first_end)
        for one, other in pairwise(forward):
            if other.first_end < one.last_begin:
                return [self._stale(one, other)]
        starts = [one.first_end for one in forward]
        for cluster in clusters:
            if cluster.first_end < cluster.last_begin:
                continue
            at = bisect_left(starts, cluster.last_begin) - 1
            if at >= 0 and cluster.first_end < forward[at].last_begin:
                return [self._stale(forward[at], cluster)]
        return []

    def _stale(self, one: _Cluster, other: _Cluster) -> Violation:
        """Two values that cannot be put in an order: the older write's was seen once too often."""
        old, new = sorted((one, other), key=lambda cluster: cluster.begun)
        if old.last_reader is None or (new.last_reader is not None and old.last_begin < new.first_end):
            old, new = new, old
        reader = old.last_reader or new.last_reader
        assert reader is not None, "a value nobody saw contradicts nothing"
        return Violation(Rule.STALE, self.lba, self.blocks, reader, old.write, new.write)


def violations(
    operations: Sequence[Operation], again: Mapping[int, Sequence[int]] = MappingProxyType({})
) -> list[Violation]:
    """What is wrong with the history of one volume, by ascending block; empty when it is linearizable.

    ``again`` has, by write number, the ticks at which a write happened once more before it was acknowledged.
    """
    cuts: dict[int, None] = {}
    for one in operations:
        if one.is_write:
            cuts[one.lba] = cuts[one.lba + one.blocks] = None
        elif one.ending is Ending.OK:
            for run in one.seen:
                cuts[run.lba] = cuts[run.lba + run.blocks] = None
    edges = sorted(cuts)
    registers = [_Register(first, end - first) for first, end in pairwise(edges)]
    starts = edges[:-1]
    for one in operations:
        if one.is_write:
            for register in registers[bisect_left(starts, one.lba) : bisect_left(starts, one.lba + one.blocks)]:
                register.writes.append(one)
        elif one.ending is Ending.OK:
            for run in one.seen:
                for register in registers[
                    bisect_right(starts, run.lba) - 1 : bisect_left(starts, run.lba + run.blocks)
                ]:
                    register.reads.append((run.writer, one))
    return [violation for register in registers for violation in register.judge(again)]
