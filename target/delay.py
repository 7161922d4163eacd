"""Time that passes: a chore that does nothing until it is over, for answers and changes that are not immediate."""

from __future__ import annotations

from target.flush import Flush


class Delay:
    """So many nanoseconds from the moment somebody drives it; ``over`` ends then, which a command may wait for."""

    __slots__ = ("_begun", "_delay_ns", "due_ns", "over")

    def __init__(self, delay_ns: int) -> None:
        self._delay_ns = delay_ns
        self._begun = False
        self.due_ns: int | None = 0
        self.over = Flush()

    def step(self, now_ns: int) -> None:
        """The first step starts the clock, the second is the end."""
        if self._begun:
            self.due_ns = None
            self.over.end(None)
        else:
            self._begun = True
            self.due_ns = now_ns + self._delay_ns
