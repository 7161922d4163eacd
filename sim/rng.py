"""Random numbers by name: every consumer owns a stream, so a new draw in one place moves nothing elsewhere.

A stream is seeded by the string `f"{seed}:{name}"`. Only `random()` and `getrandbits()` of the standard generator are
used: they and the seeding by string are what the standard library keeps stable; `randrange`, `shuffle` and the others
have changed between versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Stream:
    """One consumer's random numbers. Ask for one through `stream()`."""

    __slots__ = ("_source", "name")

    def __init__(self, seed: int | str, name: str) -> None:
        self.name = name
        self._source = Random(f"{seed}:{name}")

    def random(self) -> float:
        """A float in [0, 1)."""
        return self._source.random()

    def bits(self, count: int) -> int:
        """An integer of `count` random bits."""
        return self._source.getrandbits(count)

    def bytes(self, length: int) -> bytes:
        """`length` random bytes (a ready `random_bytes` for login challenges)."""
        return self._source.getrandbits(length * 8).to_bytes(length, "big") if length else b""

    def below(self, limit: int) -> int:
        """An integer in [0, limit), every value equally likely. Raises ValueError when `limit` < 1."""
        if limit < 1:
            raise ValueError(f"stream {self.name}: no integer lies in [0, {limit})")
        width = (limit - 1).bit_length()
        value = self._source.getrandbits(width) if width else 0
        while value >= limit:
            value = self._source.getrandbits(width)
        return value

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both included."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._source.random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`. Raises ValueError when there is none."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A new list with the same items in random order (Fisher and Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result


def stream(seed: int | str, name: str) -> Stream:
    """The stream of the consumer called `name` in a run with this `seed`."""
    return Stream(seed, name)
