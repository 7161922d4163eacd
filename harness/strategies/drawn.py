"""Hypothesis as the chance of the swarm's drawing code, and times that shrink to round ones.

Hypothesis shortens lists by leaving out up to five draws in a row. So that any fault and any I/O can be left out, each
is drawn in four.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.swarm.chance import Chance

__all__ = ["BEGIN_MS", "END_MS", "Drawn", "Steps", "Told", "expect_within", "moments_ms", "outcomes", "spans_ms"]

T = TypeVar("T")
Steps = tuple[dict[str, Any], ...]
"""Steps as a scenario file has them, each with its time, in the order of their times."""

BEGIN_MS: Final = 1_000
"""By then every login has been made."""
END_MS: Final = 5_000
"""Nothing begins later."""
LONGEST_MS: Final = 4_000
"""How long a fault lasts at most: longer than any of the short timers."""
_ROUND_MS: Final = 100


class _Picks(ABC):
    """A `harness.swarm.chance.Chance` made of one kind of draw."""

    @abstractmethod
    def below(self, limit: int) -> int:
        """See `Chance.below`."""

    def between(self, low: int, high: int) -> int:
        """See `Chance.between`."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """See `Chance.chance`. Hypothesis has its own idea of what is likely."""
        return probability > 0 and (probability >= 1 or self.below(2) == 1)

    def pick(self, items: Sequence[T]) -> T:
        """See `Chance.pick`. An item that stands there several times, to be likely, is one item here."""
        once = [item for at, item in enumerate(items) if item not in items[:at]]
        return once[self.below(len(once))]


class Drawn(_Picks):
    """Hypothesis draws; it shrinks to the first, to 0 and to False. ``noted`` is what it has drawn."""

    def __init__(self, draw: Callable[[SearchStrategy[Any]], Any]) -> None:
        self.noted: list[int] = []
        self._draw = draw

    def below(self, limit: int) -> int:
        """See `Chance.below`."""
        value: int = self._draw(st.integers(0, limit - 1))
        self.noted.append(value)
        return value


class Told(_Picks):
    """It is told what to draw, as near as can be, then draws 0; it notes that with how many there were."""

    def __init__(self, told: Sequence[int]) -> None:
        self.drawn: list[tuple[int, int]] = []
        self._told = told

    def below(self, limit: int) -> int:
        """See `Chance.below`."""
        at = len(self.drawn)
        value = min(self._told[at], limit - 1) if at < len(self._told) else 0
        self.drawn.append((value, limit))
        return value


def outcomes(drawing: Callable[[Chance], T]) -> list[T]:
    """Everything that ``drawing`` can make of its chance, the plainest first; it must have few picks of few items."""
    found: list[T] = []
    told: list[int] = []
    while True:
        chance = Told(told)
        found.append(drawing(chance))
        picked = chance.drawn
        while picked and picked[-1][0] == picked[-1][1] - 1:
            picked.pop()
        if not picked:
            return found
        told = [*(index for index, _ in picked[:-1]), picked[-1][0] + 1]


def moments_ms() -> SearchStrategy[int]:
    """When something begins, in milliseconds of scenario time."""
    return _round_first(BEGIN_MS, END_MS)


def spans_ms(longest_ms: int | None) -> SearchStrategy[int]:
    """How long something lasts, in milliseconds; ``longest_ms`` bounds it."""
    longest_ms = LONGEST_MS if longest_ms is None else min(longest_ms, LONGEST_MS)
    return _round_first(1, longest_ms)


def expect_within(what: str, value: int | None, low: int, high: int) -> None:
    """Raises ValueError for a number out of bounds; ``what`` is what the caller calls it."""
    if value is not None and not low <= value <= high:
        raise ValueError(f"{what}={value}: expected {low} to {high}")


def _round_first(low_ms: int, high_ms: int) -> SearchStrategy[int]:
    """Half of them are round; they shrink to the first round one. A single draw, which shrinks better than two."""
    rounded = range(-(-low_ms // _ROUND_MS) * _ROUND_MS, high_ms + 1, _ROUND_MS)
    others = range(low_ms, high_ms + 1)
    count = len(others) // len(rounded) * len(rounded)

    def moment(index: int) -> int:
        return rounded[index % len(rounded)] if index < count else others[index - count]

    return st.integers(0, count + len(others) - 1).map(moment)
