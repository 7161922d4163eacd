"""dm-multipath's queue-length: the path of the group with the fewest requests of this map in flight.

    select       scan the list for the fewest; only *fewer* than the best so far wins, and none at all ends the scan.
                 The path chosen goes to the tail, so that equal paths take turns
    fail         the path leaves the list
    reinstate    it comes back at the tail

Unlike Windows' Least Queue Depth it counts the requests of one disk, and rotates ties.

Source: drivers/md/dm-queue-length.c, version 0.2.0 (FACTS E.1).
"""

from __future__ import annotations

from initiator_model.paths import Path
from initiator_model.policies import LoadBalancePolicy, Promise
from initiator_model.policies.path_groups import PathGroups
from initiator_model.requests import IoRequest

__all__ = ["DmQueueLength"]


class DmQueueLength(PathGroups):
    """See the module."""

    policy = LoadBalancePolicy("dm-queue-length", "queue-length", "ql")
    promises = frozenset({Promise.FEWEST_REQUESTS_HERE})

    def select(self, valid: list[Path], io: IoRequest) -> Path:
        best = at = 0
        for index, path in enumerate(valid):
            if index == 0 or path.in_flight < best:
                best, at = path.in_flight, index
            if not best:
                break
        path = valid.pop(at)
        valid.append(path)
        return path
