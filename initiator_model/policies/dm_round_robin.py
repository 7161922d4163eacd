"""dm-multipath's round-robin: the paths of the group take turns.

    select       the head of the list, which goes to its tail
    fail         the path leaves the list
    reinstate    it comes back at the *head*: a path that returns is used for the very next request

One request a turn: `repeat_count` (multipath.conf's `rr_min_io_rq`) is 1, and the kernel has deprecated other values.

Source: drivers/md/dm-round-robin.c, version 1.2.0 (FACTS E.1).
"""

from __future__ import annotations

from initiator_model.paths import Path
from initiator_model.policies import LoadBalancePolicy, Promise
from initiator_model.policies.path_groups import PathGroups
from initiator_model.requests import IoRequest

__all__ = ["DmRoundRobin"]


class DmRoundRobin(PathGroups):
    """See the module."""

    policy = LoadBalancePolicy("dm-round-robin", "round-robin", "rr")
    promises = frozenset({Promise.TURNS})

    def select(self, valid: list[Path], io: IoRequest) -> Path:
        path = valid.pop(0)
        valid.append(path)
        return path

    def reinstate(self, valid: list[Path], path: Path) -> None:
        valid.insert(0, path)
