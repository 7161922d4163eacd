"""A data segment that lies in several places, as a store holds it: measured, cut and sent without being joined.

What goes out by a vectored write need not be contiguous, so a read of many blocks needs no copy here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate


class Pieces:
    """Immutable bytes in order. ``len`` counts bytes; a slice (step 1) is `Pieces` again; ``bytes`` joins them."""

    __slots__ = ("_length", "_pieces")

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._length = sum(map(len, pieces))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """The buffers, for a vectored write."""
        return iter(self._pieces)

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)

    def __eq__(self, other: object) -> bool:
        return bytes(self) == bytes(other) if isinstance(other, (Pieces, bytes, bytearray)) else NotImplemented

    def __hash__(self) -> int:
        return hash(bytes(self))

    def __repr__(self) -> str:
        return f"<{self._length} bytes in {len(self._pieces)} pieces>"

    def __getitem__(self, wanted: slice) -> Pieces:
        start, stop, step = wanted.indices(self._length)
        if step != 1:
            raise ValueError(f"pieces are cut with a step of 1, not {step}")
        if start == 0 and stop == self._length:
            return self
        cut = []
        for piece, end in zip(self._pieces, accumulate(map(len, self._pieces)), strict=True):
            begin = end - len(piece)
            if end <= start:
                continue
            if begin >= stop:
                break
            inside = start <= begin and end <= stop
            cut.append(piece if inside else memoryview(piece)[max(start - begin, 0) : stop - begin])
        return Pieces(cut)
