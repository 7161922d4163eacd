"""What decides where a scenario leaves something open: a seed's streams, or Hypothesis.

The drawing code asks for picks and does not know who makes them, so that a sweep and a property test draw the same
machines and the same faults. The first of what is picked from is the plainest: Hypothesis shrinks towards it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

__all__ = ["Chance", "Source"]

T = TypeVar("T")


class Chance(Protocol):
    """Makes picks. `sim.rng.Stream` is one."""

    def below(self, limit: int) -> int:
        """An integer in [0, limit)."""

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]."""

    def chance(self, probability: float) -> bool:
        """True with this probability; False is the plainest."""

    def pick(self, items: Sequence[T]) -> T:
        """One of them; the first is the plainest."""


Source = Callable[[str], Chance]
"""The chance of each consumer, by its name."""
