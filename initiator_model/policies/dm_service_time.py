"""dm-multipath's service-time, multipathd's default: the path of the group that would finish this request first.

    select       the time is (bytes in flight + this request's) / relative throughput, compared by cross-multiplying:
                 equal throughputs: the fewer bytes win; equal bytes: the higher throughput does. A path of throughput
                 0 is used only beside others of 0. Ties go to the path that stands first
                 The path chosen goes to the tail, so that equal paths take turns
    fail         the path leaves the list
    reinstate    it comes back at the tail

The relative throughput, 0 to 100 and 1 unless it is set, is the administrator's word; nothing is measured.

Source: drivers/md/dm-service-time.c, version 0.3.0 (FACTS E.1).
"""

from __future__ import annotations

from initiator_model.paths import Path
from initiator_model.policies import LoadBalancePolicy
from initiator_model.policies.path_groups import PathGroups
from initiator_model.requests import IoRequest

__all__ = ["DmServiceTime"]


class DmServiceTime(PathGroups):
    """See the module."""

    policy = LoadBalancePolicy("dm-service-time", "service-time", "st")

    def select(self, valid: list[Path], io: IoRequest) -> Path:
        incoming = io.size_bytes
        best = valid[0]
        at = 0
        for index in range(1, len(valid)):
            path = valid[index]
            if _is_faster(path, best, incoming):
                best, at = path, index
        del valid[at]
        valid.append(best)
        return best


def _is_faster(one: Path, other: Path, incoming: int) -> bool:
    """Whether `one` would finish `incoming` bytes before `other`."""
    if one.throughput == other.throughput:
        return one.bytes_in_flight < other.bytes_in_flight
    if one.bytes_in_flight == other.bytes_in_flight or not one.throughput or not other.throughput:
        return one.throughput > other.throughput
    mine = (one.bytes_in_flight + incoming) * other.throughput
    theirs = (other.bytes_in_flight + incoming) * one.throughput
    return mine < theirs if mine != theirs else one.throughput > other.throughput
