"""A volume under fire: one initiator writes stamped blocks, knows what the array owes it, and reads it back.

Every block holds the stamp of one write (`tests.support.promises.stamp`), so a mixture of two is a torn block. No two
commands under way touch the same block, so that there is an order of the writes to each.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from initiator_model.scsi_calls import Submit, call
from iscsi import scsi
from iscsi.capacity import build_unmap_list
from iscsi.constants import ScsiStatus
from tests.support.promises import BASE_GENERATION, BlockHistory, Broken, stamp, words

DEPTH = 8
READ_BYTES = 1 << 18


@dataclass(slots=True)
class _Block(BlockHistory):
    """``acknowledged``: the number of the newest value that has been acknowledged."""

    acknowledged: int = 0
    busy: bool = False


@dataclass
class Tally:
    """What was done, to see that there was something to lose."""

    acknowledged: int = 0
    held: int = 0
    unanswered: int = 0
    lost: int = 0
    """Acknowledged values that a crash took, which nothing had promised to keep."""


@dataclass
class StampedVolume:
    """``snapshot``: its blocks begin as those of its stamped base, else as zeros."""

    name: str
    block_bytes: int
    blocks: int
    snapshot: bool
    rng: random.Random
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._generation = 0
        self._blocks = [_Block([value]) for value in self.first_values()]

    def first_values(self) -> list[bytes]:
        """The blocks before anything is written; for a snapshot the content of its base."""
        if not self.snapshot:
            return [bytes(self.block_bytes)] * self.blocks
        return [stamp(number, BASE_GENERATION, self.block_bytes) for number in range(self.blocks)]

    async def verify(self, submit: Submit, when: str) -> None:
        """Read every block; Broken when one holds what it cannot. What is found is all it can hold from now on."""
        at_once = READ_BYTES // self.block_bytes
        for first in range(0, self.blocks, at_once):
            count = min(at_once, self.blocks - first)
            data = await call(submit, "READ", 0, scsi.read(first, count), count * self.block_bytes)
            for number in range(first, first + count):
                block = self._blocks[number]
                value = data[(number - first) * self.block_bytes :][: self.block_bytes]
                if value not in block.values:
                    allowed = ", ".join(map(words, block.values))
                    raise Broken(f"{when} {self.name} block {number} holds {words(value)}; allowed: {allowed}")
                found = block.newest - block.values[::-1].index(value)
                self.tally.lost += max(block.acknowledged - found, 0)
                self._blocks[number] = _Block([value])

    async def write(self, submit: Submit, completions: int) -> None:
        """Keep `DEPTH` commands under way until so many have been answered, or the array answers no more."""
        over = asyncio.get_running_loop().create_future()
        answered, under_way, going = 0, 0, True

        def done(completion: Completion, then: Callable[[], None], touched: range) -> None:
            nonlocal answered, under_way, going
            under_way -= 1
            for number in touched:
                self._blocks[number].busy = False
            if completion.kind is not CompletionKind.COMPLETED:
                self.tally.unanswered += 1
                going = False
            else:
                assert completion.status == ScsiStatus.GOOD, completion
                self.tally.acknowledged += 1
                answered += 1
                then()
            going = going and answered < completions
            if going:
                fill()
            elif not under_way and not over.done():
                over.set_result(None)

        def fill() -> None:
            nonlocal under_way
            while under_way < DEPTH:
                request, then, touched = self._next()
                under_way += 1
                submit(request, lambda completion, then=then, touched=touched: done(completion, then, touched))

        fill()
        await over

    def _next(self) -> tuple[ScsiRequest, Callable[[], None], range]:
        """A command, what to do when it has been acknowledged, and the blocks it touches."""
        dice = self.rng.random()
        touched = self._free_blocks()
        if dice < 0.04 or not touched:
            return ScsiRequest(scsi.synchronize_cache(), 0, 0, b""), self._hold_all(), range(0)
        for number in touched:
            self._blocks[number].busy = True
        if dice < 0.16:
            values = [bytes(self.block_bytes)] * len(touched)
            listed = build_unmap_list([(touched.start, len(touched))])
            request = ScsiRequest(scsi.unmap(len(listed)), 0, 0, listed)
            return request, self._acknowledge(touched, values), touched
        self._generation += 1
        values = [stamp(number, self._generation, self.block_bytes) for number in touched]
        fua = dice < 0.24
        request = ScsiRequest(scsi.write(touched.start, len(touched), fua=fua), 0, 0, b"".join(values))
        return request, self._acknowledge(touched, values, hold=fua), touched

    def _free_blocks(self) -> range:
        """Some blocks in a row that no command is under way to; none when there is no luck."""
        first = self.rng.randrange(self.blocks)
        count = min(self.rng.choice((1, 1, 2, 8, 15, 64)), self.blocks - first)
        touched = range(first, first + count)
        return range(0) if any(self._blocks[number].busy for number in touched) else touched

    def _acknowledge(self, touched: range, values: list[bytes], *, hold: bool = False) -> Callable[[], None]:
        blocks = [self._blocks[number] for number in touched]
        for block, value in zip(blocks, values, strict=True):
            block.values.append(value)

        def then() -> None:
            for block in blocks:
                block.acknowledged = block.newest
                if hold:
                    block.keep_from(block.newest)
                    self.tally.held += 1

        return then

    def _hold_all(self) -> Callable[[], None]:
        """For a SYNCHRONIZE CACHE: it covers what had been acknowledged when it was sent."""
        owed = [(block, block.acknowledged) for block in self._blocks]

        def then() -> None:
            for block, acknowledged in owed:
                block.keep_from(acknowledged)
            self.tally.held += 1

        return then
