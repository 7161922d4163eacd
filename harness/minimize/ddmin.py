"""Delta debugging: a list from which nothing can be left out any more (Zeller and Hildebrandt, IEEE TSE 28(2), 2002).

The variant that only tries complements: chunks are left out, from the end to the beginning, first large ones, then
smaller ones down to single items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["ddmin"]

T = TypeVar("T")


def ddmin(items: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """The items, in order, that are left when none can be taken out without ``fails`` saying False.

    ``fails`` is believed to say True for all of them; with no item left out it is not asked.
    """
    kept = list(items)
    chunk = max(1, len(kept) // 2)
    while kept:
        at = len(kept)
        shrunk = False
        while at > 0:
            start = max(0, at - chunk)
            candidate = kept[:start] + kept[at:]
            if fails(candidate):
                kept = candidate
                shrunk = True
            at = start
        if chunk == 1 and not shrunk:
            return kept
        chunk = max(1, min(chunk // 2, len(kept) // 2)) if chunk > 1 else 1
    return kept
