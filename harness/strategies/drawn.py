"""Hypothesis as the chance of the swarm's drawing code, and times that shrink to round ones.

Hypothesis shortens lists by leaving out up to five draws in a row. So that any fault and any I/O can be left out, each
is drawn in four.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.swarm.chance import Chance

__all__ = ["BEGIN_MS", "END_MS", "Drawn", "Steps", "expect_within", "moments_ms", "outcomes", "spans_ms"]

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


class Drawn:
    """A `harness.swarm.chance.Chance` whose picks Hypothesis draws: it shrinks to the first, to 0 and to False."""

    def __init__(self, draw: Callable[[SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def below(self, limit: int) -> int:
        """See `Chance.below`."""
        return self.between(0, limit - 1)

    def between(self, low: int, high: int) -> int:
        """See `Chance.between`."""
        value: int = self._draw(st.integers(low, high))
        return value

    def chance(self, probability: float) -> bool:
        """See `Chance.chance`. Hypothesis has its own idea of what is likely."""
        value: bool = probability > 0 and (probability >= 1 or self._draw(st.booleans()))
        return value

    def pick(self, items: Sequence[T]) -> T:
        """See `Chance.pick`. An item that stands there several times, to be likely, is one item here."""
        value: T = self._draw(st.sampled_from(_once(items)))
        return value


class _Told:
    """A chance that picks what it is told, then always the first, and notes how many there were to pick from."""

    def __init__(self, told: list[int]) -> None:
        self.picked: list[tuple[int, int]] = []
        self._told = told

    def below(self, limit: int) -> int:
        """See `Chance.below`."""
        at = len(self.picked)
        self.picked.append((self._told[at] if at < len(self._told) else 0, limit))
        return self.picked[-1][0]

    def between(self, low: int, high: int) -> int:
        """See `Chance.between`."""
        return low + self.below(high - low + 1)

    def chance(self, probability: float) -> bool:
        """See `Chance.chance`."""
        return self.below(2) == 1

    def pick(self, items: Sequence[T]) -> T:
        """See `Chance.pick`."""
        return items[self.below(len(items))]


def outcomes(drawing: Callable[[Chance], T]) -> list[T]:
    """Everything that ``drawing`` can make of its chance, the plainest first; it must have few picks of few items."""
    found: list[T] = []
    told: list[int] = []
    while True:
        chance = _Told(told)
        found.append(drawing(chance))
        picked = chance.picked
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


def _once(items: Sequence[T]) -> list[T]:
    return [item for at, item in enumerate(items) if item not in items[:at]]
