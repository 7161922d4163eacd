"""Unit attentions: what a logical unit owes each nexus to know before it does anything else for it.

Each nexus has a short FIFO. The first command of a nexus the unit has not met finds POWER ON, RESET in it; events
(resets, preempted reservations, tasks lost with a session) add to it; every report takes one off. INQUIRY, REPORT LUNS
and REQUEST SENSE are never refused for it; REQUEST SENSE returns the oldest as its data.

Source: SAM-5 5.14; RFC 7143 11.14.5 for 47h/7Fh.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from iscsi.sense import NEXUS_LOSS, POWER_ON_OR_RESET, Sense
from target.nexus import Nexus

MAX_PENDING: Final = 16
"""Conditions kept per nexus. One more, and the nexus is told to look at everything again (29h/00h) instead."""

MAX_NEXUSES: Final = 4096
"""Nexuses remembered per logical unit, living and lost each; the one met first is forgotten first."""

_RESET_ASC: Final = 0x29
_PRECEDENCE: Final = (0x01, 0x00, 0x02, 0x03, 0x07)
"""ASCQ of the conditions of ASC 29h, the one that says most first."""


class UnitAttentions:
    """The queues of one logical unit."""

    __slots__ = ("_lost", "_queues", "pending")

    def __init__(self) -> None:
        self._queues: dict[Nexus, deque[Sense]] = {}
        self.pending = self._queues.get
        """(nexus) to its queue, None for a nexus not met yet: what every command asks, at the price of a lookup."""
        self._lost: dict[Nexus, None] = {}

    def queue(self, nexus: Nexus) -> deque[Sense]:
        """The pending conditions of ``nexus``, oldest first; a new nexus starts with the one that greets it."""
        queue = self._queues.get(nexus)
        if queue is None:
            if len(self._queues) >= MAX_NEXUSES:
                del self._queues[next(iter(self._queues))]
            greeting = POWER_ON_OR_RESET
            if nexus in self._lost:
                del self._lost[nexus]
                greeting = NEXUS_LOSS
            queue = self._queues[nexus] = deque((greeting,))
        return queue

    def take(self, nexus: Nexus) -> Sense | None:
        """The oldest condition of ``nexus``, which is hereby reported; None when there is none."""
        queue = self.queue(nexus)
        return queue.popleft() if queue else None

    def establish(self, nexus: Nexus, condition: Sense) -> None:
        """Owe ``condition`` to ``nexus``. Pending once is enough.

        A reset makes older conditions pointless, except that of a reset which says more (SAM-5 5.14.4).
        """
        queue = self.queue(nexus)
        if condition in queue:
            return
        if condition.asc == _RESET_ASC:
            if any(_outranks(pending, condition) for pending in queue):
                return
            queue.clear()
        elif len(queue) >= MAX_PENDING:
            queue.clear()
            condition = POWER_ON_OR_RESET
        queue.append(condition)

    def establish_for_all(self, condition: Sense, *, but: Nexus | None = None) -> None:
        """Owe ``condition`` to every nexus the unit knows, except ``but``."""
        for nexus in list(self._queues):
            if nexus != but:
                self.establish(nexus, condition)

    def establish_each(self, nexuses: Iterable[Nexus], condition: Sense) -> None:
        """Owe ``condition`` to those of ``nexuses`` that the unit knows; the others will be greeted anyway."""
        for nexus in nexuses:
            if nexus in self._queues:
                self.establish(nexus, condition)

    def withdraw(self, nexus: Nexus, condition: Sense) -> None:
        """``nexus`` has found out about ``condition`` in another way."""
        queue = self._queues.get(nexus)
        if queue is not None and condition in queue:
            queue.remove(condition)

    def forget(self, nexus: Nexus) -> None:
        """The nexus is lost. What it was owed dies with it; when it returns it is told I_T NEXUS LOSS OCCURRED."""
        if self._queues.pop(nexus, None) is None:
            return
        if len(self._lost) >= MAX_NEXUSES:
            del self._lost[next(iter(self._lost))]
        self._lost[nexus] = None

    def greet_anew(self) -> None:
        """Forget every nexus, living or lost: the next command of each finds POWER ON, RESET."""
        self._queues.clear()
        self._lost.clear()

    def known(self) -> tuple[Nexus, ...]:
        """The living nexuses in the order they were met."""
        return tuple(self._queues)


def _outranks(pending: Sense, condition: Sense) -> bool:
    if pending.asc != _RESET_ASC:
        return False
    ranks = [_PRECEDENCE.index(each.ascq) if each.ascq in _PRECEDENCE else 0 for each in (pending, condition)]
    return ranks[0] < ranks[1]
