"""dm-multipath's historical-service-time: the path that has been fast, and is not busy.

Each path keeps a moving average of how long its requests took, as a number with ten binary places:

    end of one   its service time counts from its start, or from the end of the one before if that is later (as if
                 the path served one request at a time). average = average * w + time * (1 - w), where w is 972/1024
                 raised to 1 + the time in units of 2^24 ns (17 ms), and 0 from 64 units on: the longer a request
                 took, the less the past counts. The average then holds for a while: until now + the number of valid
                 paths times the average. After that the path is *stale*
    select       compare each path with the best so far:
                   a stale path without a request is tried out, the stalest first; with both idle, likewise
                   else the shorter of (1 + requests in flight) * average wins
                   but a winner that is stale with requests in flight gets no more than an equal share of them
                 The path chosen goes to the tail
    fail         the path leaves the list
    reinstate    it comes back at the tail

`threshold_multiplier` makes averages that differ by less than such a factor count as equal (then the fewer requests in
flight win); it is 0, no threshold, unless it is set.

Source: drivers/md/dm-historical-service-time.c, version 0.1.1 (FACTS E.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from initiator_model.paths import Path
from initiator_model.policies import LoadBalancePolicy, Move
from initiator_model.policies.path_groups import FailBackMode, Grouping, PathGroups
from initiator_model.requests import IoRequest

__all__ = ["DmHistoricalServiceTime", "fixed_power"]

_SHIFT: Final = 10
_ONE: Final = 1 << _SHIFT
_BASE: Final = 972  # 0.95
_BUCKET_SHIFT: Final = 24
_BUCKETS: Final = 64
_MANY: Final = _ONE
"""From so many requests in flight on, averages are compared without their binary places."""


def fixed_power(base: int, exponent: int) -> int:
    """`base` to the power of `exponent`, both values and result with ten binary places, rounded at each step."""
    result = _ONE
    while exponent:
        if exponent & 1:
            result = (result * base + (_ONE >> 1)) >> _SHIFT
        exponent >>= 1
        base = (base * base + (_ONE >> 1)) >> _SHIFT
    return result


_WEIGHTS: Final = (*(fixed_power(_BASE, bucket + 1) for bucket in range(_BUCKETS - 1)), 0)


class _History:
    """One path's past."""

    __slots__ = ("average", "last_end_ns", "outstanding", "path", "stale_after_ns")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.average = _ONE  # ns, ten binary places
        self.outstanding = 0
        self.last_end_ns = 0
        self.stale_after_ns = 0


class DmHistoricalServiceTime(PathGroups):
    """See the module."""

    policy = LoadBalancePolicy("dm-historical-service-time", "historical-service-time", "hst")
    measures = True

    def __init__(
        self, grouping: Grouping = "multibus", failback: FailBackMode = "manual", threshold_multiplier: int = 0
    ) -> None:
        super().__init__(grouping, failback)
        self.threshold_multiplier = threshold_multiplier
        self._histories: dict[int, _History] = {}  # by path id

    def select(self, valid: list[Path], io: IoRequest) -> Path:
        now_ns = self.clock()
        best = self._history(valid[0])
        at = 0
        for index in range(1, len(valid)):
            history = self._history(valid[index])
            if self._compare(history, best, now_ns) < 0:
                best, at = history, index
        del valid[at]
        valid.append(best.path)
        return best.path

    def after_loss(self, paths: Sequence[Path]) -> list[Move]:
        self._histories = {key: one for key, one in self._histories.items() if one.path in paths}
        return super().after_loss(paths)

    def started(self, path: Path, io: IoRequest) -> None:
        self._history(path).outstanding += 1

    def ended(self, path: Path, io: IoRequest, began_ns: int) -> None:
        history = self._history(path)
        now_ns = self.clock()
        took_ns = max(0, now_ns - max(began_ns, history.last_end_ns))
        history.last_end_ns = now_ns
        history.outstanding = max(0, history.outstanding - 1)
        weight = _WEIGHTS[min(took_ns >> _BUCKET_SHIFT, _BUCKETS - 1)]
        history.average = (history.average * weight + took_ns * _ONE * (_ONE - weight) + (_ONE >> 1)) >> _SHIFT
        history.stale_after_ns = now_ns + len(self._valid) * (history.average >> _SHIFT)

    def _history(self, path: Path) -> _History:
        history = self._histories.get(path.path_id)
        if history is None or history.path is not path:
            history = self._histories[path.path_id] = _History(path)
        return history

    def _compare(self, one: _History, other: _History, now_ns: int) -> int:
        """Below 0: `one` is better. Above: `other` is. 0: no difference."""
        low, high = sorted((one.average, other.average))
        if high <= self.threshold_multiplier * low:
            return one.outstanding - other.outstanding
        idle, other_idle = not one.outstanding, not other.outstanding
        tried = (idle and one.stale_after_ns < now_ns) or (other_idle and other.stale_after_ns < now_ns)
        if tried or (idle and other_idle):
            return other_idle * one.stale_after_ns - idle * other.stale_after_ns
        shift = _SHIFT if one.outstanding >= _MANY or other.outstanding >= _MANY else 0
        mine = (1 + one.outstanding) * (one.average >> shift)
        theirs = (1 + other.outstanding) * (other.average >> shift)
        winner = other if mine > theirs else one
        if winner.stale_after_ns < now_ns:
            return one.outstanding - other.outstanding
        return 1 if winner is other else -1
