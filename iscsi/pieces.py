"""A data segment that lies in several places, as a store holds it: measured, cut and sent without being joined.

What goes out by a vectored write need not be contiguous, so a read of many blocks needs no copy here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

Bytes = bytes | memoryview
"""Bytes to be looked at now. Of a view nothing is kept beyond the call it is given to: its memory is used again."""


class Pieces:
    """Immutable bytes in order. ``len`` counts bytes; a slice (step 1) is `Pieces` again; ``bytes`` joins them."""

    __slots__ = ("_ends", "_length", "buffers")

    def __init__(self, buffers: Sequence[bytes], length: int) -> None:
        """``buffers``, bytes or views of them, go into a vectored write as they are; they have ``length`` bytes."""
        self.buffers = buffers
        self._length = length
        self._ends: Sequence[int] = ()  # where each piece ends, once that has been asked

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self.buffers)

    def __eq__(self, other: object) -> bool:
        return bytes(self) == bytes(other) if isinstance(other, (Pieces, bytes, bytearray)) else NotImplemented

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __repr__(self) -> str:
        return f"<{self._length} bytes in {len(self.buffers)} pieces>"

    def __getitem__(self, wanted: slice) -> Pieces:
        start, stop, step = wanted.indices(self._length)
        if step != 1:
            raise ValueError(f"pieces are cut with a step of 1, not {step}")
        if start == 0 and stop == self._length:
            return self
        ends = self._ends = self._ends or list(accumulate(map(len, self.buffers)))
        first, last = bisect_right(ends, start), bisect_left(ends, stop)
        cut = list(self.buffers[first : last + 1])
        if not cut or start >= stop:
            return Pieces((), 0)
        begin = ends[first] - len(cut[0])
        if stop < ends[last]:
            cut[-1] = view(cut[-1], 0, len(cut[-1]) - (ends[last] - stop))
        if start > begin:
            cut[0] = view(cut[0], start - begin, len(cut[0]))
        return Pieces(cut, stop - start)


def view(buffer: bytes, start: int, stop: int) -> bytes:
    """A part of a buffer, not copied. It can be measured, joined and sent, which is all that is done with a piece."""
    return cast(bytes, memoryview(buffer)[start:stop])
