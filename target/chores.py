"""Work a disk goes on with after the command that began it: done in steps, each short, so that nothing else waits long.

A disk has no clock. It hands its chore to whoever drives the array, who calls ``step`` when it is due; a disk on its
own does all of it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Chore(Protocol):
    """``due_ns``: when the next step is wanted, None once it is done."""

    due_ns: int | None

    def step(self, now_ns: int) -> None:
        """Do the step that is due."""


TakeUp = Callable[[Chore], None]
"""Whoever has time for chores."""


def at_once(chore: Chore) -> None:
    """`TakeUp` of a disk that nobody drives."""
    while chore.due_ns is not None:
        chore.step(chore.due_ns)


class Chores:
    """The chores of an array, in the order they were begun."""

    __slots__ = ("_under_way",)

    def __init__(self) -> None:
        self._under_way: list[Chore] = []

    def add(self, chore: Chore) -> None:
        """Take one up."""
        self._under_way.append(chore)

    @property
    def deadline_ns(self) -> int | None:
        """When the next step is due."""
        return min((chore.due_ns for chore in self._under_way if chore.due_ns is not None), default=None)

    def tick(self, now_ns: int) -> None:
        """Do one step of each chore that is due."""
        for chore in self._under_way:
            if chore.due_ns is not None and chore.due_ns <= now_ns:
                chore.step(now_ns)
        self._under_way = [chore for chore in self._under_way if chore.due_ns is not None]
