"""Least Blocks: the path with the fewest bytes outstanding, except that a sequential stream stays where it is.

    choose    neither read nor write: the path of the request before. With the sequential rule on, a request that
              begins at or after the last request's first block stays on that path as well, if it is a read, or a write
              that leaves at most 1 MiB outstanding there. Any other one takes the active path with the fewest bytes
              outstanding; of equal ones the first in list order
    loss      nothing to activate: all the others are active already
    arrival   the newcomer becomes active

So large requests weigh more than small ones, which Round Robin and Least Queue Depth do not see. The sequential rule
(`UseCacheForLeastBlocks`, off by default) is for arrays whose read-ahead belongs to a port: "at or after" means that
it takes random requests with rising addresses for a stream, too. Bytes are those of the fail-over group.

Source: the Microsoft DSM's sample, its comment on path selection (FACTS D.2, Least Blocks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from initiator_model.paths import Path, PathState
from initiator_model.policies import LoadBalancePolicy, Promise, Selector
from initiator_model.requests import IoRequest, Operation

__all__ = ["CACHE_BYTES", "LeastBlocks"]

CACHE_BYTES: Final = 0x10_0000
"""What writes may leave outstanding on a path and still count as cached there."""

_ACTIVE: Final = PathState.ACTIVE_OPTIMIZED


class LeastBlocks(Selector):
    """See the module. `use_cache` turns the sequential rule on."""

    policy = LoadBalancePolicy.LEAST_BLOCKS
    promises = frozenset({Promise.EVERY_PATH_ACTIVE})

    def __init__(self, use_cache: bool = False) -> None:
        self.use_cache = use_cache
        self._last: Path | None = None
        self._last_lba = 0

    def choose(self, paths: Sequence[Path], io: IoRequest) -> Path | None:
        last = self._last if self._last is not None and self._last.state is _ACTIVE else None
        if last is None or not self._stays(last, io):
            last = None
            fewest = 0
            for path in paths:
                if path.state is _ACTIVE and (last is None or path.group.bytes_in_flight < fewest):
                    last, fewest = path, path.group.bytes_in_flight
        self._last = last
        if io.operation is not Operation.FLUSH:
            self._last_lba = io.lba
        return last

    def forget(self, index: int) -> None:
        self._last = None

    def _stays(self, last: Path, io: IoRequest) -> bool:
        if io.operation is Operation.FLUSH:
            return True
        if not self.use_cache or io.lba < self._last_lba:
            return False
        return io.operation is Operation.READ or last.group.bytes_in_flight + io.size_bytes <= CACHE_BYTES
