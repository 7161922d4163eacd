"""Which clusters of a snapshot are its own: a bit each, in pages, of which only those with a bit set take memory.

Bits are only ever set. That makes the map safe on a medium that loses power: whichever of its sectors reach the medium,
in whatever order, each bit found set there was meant to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from target.store import bit_range, trailing_zeros

PAGE_BYTES: Final = 512
"""What is written at once: a sector, so that a page reaches the medium whole or not at all."""

CLUSTERS_PER_PAGE: Final = PAGE_BYTES * 8
_ALL: Final = bit_range(0, CLUSTERS_PER_PAGE)


class ClusterMap:
    """The map, and which of its pages have changed since they were last taken. Cluster 0 is bit 0 of byte 0."""

    __slots__ = ("_dirty", "_pages")

    def __init__(self) -> None:
        self._pages: dict[int, int] = {}
        self._dirty: dict[int, None] = {}

    def load(self, page: int, content: bytes) -> None:
        """A page as the medium has it."""
        bits = int.from_bytes(content, "little")
        if bits:
            self._pages[page] = bits

    def run(self, first: int, end: int) -> tuple[bool, int]:
        """Whether cluster ``first`` is in the map, and up to where, at most ``end``, the others are like it."""
        page, bit = divmod(first, CLUSTERS_PER_PAGE)
        ahead = self._pages.get(page, 0) >> bit
        own = bool(ahead & 1)
        while True:
            same = trailing_zeros((_ALL >> bit) & ~ahead if own else ahead)
            if same is not None:
                return own, min(end, page * CLUSTERS_PER_PAGE + bit + same)
            page += 1
            if page * CLUSTERS_PER_PAGE >= end:
                return own, end
            bit, ahead = 0, self._pages.get(page, 0)

    def add(self, first: int, end: int) -> None:
        """Set the bits of clusters ``first`` to ``end``."""
        while first < end:
            page, bit = divmod(first, CLUSTERS_PER_PAGE)
            stop = min(end - page * CLUSTERS_PER_PAGE, CLUSTERS_PER_PAGE)
            before = self._pages.get(page, 0)
            after = before | bit_range(bit, stop)
            if after != before:
                self._pages[page] = after
                self._dirty[page] = None
            first = page * CLUSTERS_PER_PAGE + stop

    def take_changed(self) -> list[tuple[int, bytes]]:
        """The pages that have changed since the last call, as they are now."""
        changed, self._dirty = list(self._dirty), {}
        return [(page, self._pages[page].to_bytes(PAGE_BYTES, "little")) for page in changed]


def pages_of(offset: int, content: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut what lies at ``offset`` of a map on the medium, in whole pages, into page numbers and pages."""
    for at in range(0, len(content), PAGE_BYTES):
        yield (offset + at) // PAGE_BYTES, content[at : at + PAGE_BYTES]
