"""Round Robin: every path works, each request takes the next one.

    choose    use the next path, then move the pointer to the active path after it in list order, wrapping round.
              Should the pointed-at path have stopped being active, the first active one at or after it is used
    loss      nothing to activate: all the others are active already
    arrival   the newcomer becomes active

The pointer is kept per disk and moves per *request*, whatever its size. Hence two things people meet in practice:
requests of unequal size load the paths unequally, and one request at a time gets the bandwidth of one path.

All paths must be active: a request that leaves one Standby is refused, and so is the policy itself on an array that
cannot serve a path while another one works.

Source: the Microsoft DSM's sample, its comment on path selection (FACTS D.2, RR).
"""

from __future__ import annotations

from collections.abc import Sequence

from initiator_model.paths import Path
from initiator_model.policies import LoadBalancePolicy, Promise, Selector, first_active
from initiator_model.requests import IoRequest

__all__ = ["RoundRobin"]


class RoundRobin(Selector):
    """See the module."""

    policy = LoadBalancePolicy.ROUND_ROBIN
    promises = frozenset({Promise.EVERY_PATH_ACTIVE, Promise.TURNS})

    def __init__(self) -> None:
        self._next = 0  # index of the path to be used next

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        at = first_active(paths, self._next)
        if at < 0:
            return None
        self._next = first_active(paths, at + 1)
        return paths[at]

    def forget(self, index: int) -> None:
        if index < self._next:
            self._next -= 1
