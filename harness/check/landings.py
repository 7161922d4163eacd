"""What reached the medium, when: the array's stores, watched from below.

A landing is one write of the store. Its tag says which logical write it belongs to; through which nexus it came the
store cannot know, and need not: `nexus` works that out from what was on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.check.history import Ticks
from harness.sectors import TAG_BYTES, tagged_by
from iscsi.pieces import Bytes
from target.store import MemoryStore

__all__ = ["Landing", "Landings", "WatchedStore"]


class Landing(NamedTuple):
    """``writer`` is the logical write; ``tick`` and ``at_ns`` say when. ``lba`` counts in blocks of the volume."""

    tick: int
    at_ns: int
    lba: int
    blocks: int
    writer: int


class WatchedStore(MemoryStore):
    """A store in memory that tells of each write once it is there: a write that only says so has not landed."""

    __slots__ = ("_told",)

    def __init__(self, size_bytes: int, told: Callable[[int, bytes, int], None]) -> None:
        super().__init__(size_bytes)
        self._told = told

    def write(self, offset: int, data: Bytes) -> None:
        super().write(offset, data)
        tag = bytes(data[:TAG_BYTES])
        if self.read(offset, len(tag)) == tag:
            self._told(offset, tag, len(data))


class Landings:
    """The landings on one volume with blocks of ``block_size`` bytes, in order. Writes without a tag are not noted.

    ``stored`` is given the logical writes that landed, on whatever volume.
    """

    def __init__(self, ticks: Ticks, block_size: int, stored: dict[int, None]) -> None:
        self.all: list[Landing] = []
        self.of: dict[int, list[Landing]] = {}
        """By the logical write."""
        self._stored = stored
        self._ticks = ticks
        self._block_size = block_size

    def store(self, size_bytes: int) -> WatchedStore:
        """A store that is watched here."""
        return WatchedStore(size_bytes, self._landed)

    def _landed(self, offset: int, tag: bytes, length: int) -> None:
        writer = tagged_by(tag)
        if writer is None:
            return
        ticks, size = self._ticks, self._block_size
        landing = Landing(ticks.next(), ticks.now_ns(), offset // size, length // size, writer)
        self.all.append(landing)
        self._stored[writer] = None
        known = self.of.get(writer)
        if known is None:
            self.of[writer] = [landing]
        else:
            known.append(landing)
