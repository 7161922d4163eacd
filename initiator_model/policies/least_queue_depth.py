"""Least Queue Depth: the path with the fewest requests in flight.

    choose    the active path with the fewest requests in flight; of equal ones the first in list order, every time
    loss      nothing to activate: all the others are active already
    arrival   the newcomer becomes active

What is counted are the requests of the *fail-over group*, which is the session with all its LUNs: a path that another
disk keeps busy is a busy path here, too. Ties are not rotated, so that an idle disk uses its first path alone: this is
no defect, one request at a time cannot be shared out.

Source: the Microsoft DSM's sample, its comment on path selection (FACTS D.2, LQD).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy, Promise, Selector
from initiator_model.requests import IoRequest

__all__ = ["LeastQueueDepth"]

_ACTIVE: Final = PathState.ACTIVE_OPTIMIZED


class LeastQueueDepth(Selector):
    """See the module."""

    policy = LoadBalancePolicy.LEAST_QUEUE_DEPTH
    promises = frozenset({Promise.EVERY_PATH_ACTIVE, Promise.FEWEST_REQUESTS})

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        best: Path | None = None
        fewest = 0
        for path in paths:
            if path.state is _ACTIVE and (best is None or path.group.in_flight < fewest):
                best, fewest = path, path.group.in_flight
        return best
