"""Writes that wait until what a lost path left behind can do no harm, and the writes that wait behind them.

A write that may still be at the target must not be sent again on another path while it is: its ghost could be executed
after the retry was acknowledged and newer data were written. It waits here for a *fence* (`fencing` makes them), one
for each lost connection: all writes that failed over from it share it.

A new write to blocks that a waiting write covers waits behind it, until that has been sent again: otherwise the ghost,
which is not dead yet, could land on top of it. Other requests go on; reads are never held up, since a read that is
executed late changes nothing, and its answer is dropped.

A fence that fails counts as an attempt of each write that waited for it, which the error table judges by what the
fence's own command came back with. So a fence is tried again as often as a command would be, and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from initiator_model.logical_io import LogicalIo
from initiator_model.losses import Loss
from initiator_model.paths import Path
from initiator_model.requests import Completion, Operation

__all__ = ["Fence", "FenceLine"]

FenceDone = Callable[[Completion | None], None]
"""Hears how a fence ended: None when it holds, else what its command came back with."""


class Fence(Protocol):
    """What makes fences for one disk. ``lun`` is the disk's."""

    lun: int

    def begin(self, loss: Loss, through: Path, done: FenceDone) -> None:
        """End, through a working path, what ``loss`` has left at the unit; ``done`` is called once, later."""


@dataclass(slots=True)
class _Fencing:
    """A fence that is being made through ``path``, and the writes that wait for it."""

    path: Path
    generation: int
    writes: list[LogicalIo] = field(default_factory=list)


class FenceLine:
    """The fences of one disk. ``again`` sends a request on its way; ``failed`` hears of one whose fence failed."""

    def __init__(
        self,
        fence: Fence,
        again: Callable[[LogicalIo], None],
        failed: Callable[[LogicalIo, Path, int, Completion], None],
    ) -> None:
        self._fence = fence
        self._again = again
        self._failed = failed
        self._under_way: dict[Loss, _Fencing] = {}
        self._behind: list[LogicalIo] = []

    @property
    def waiting(self) -> int:
        """Requests that wait for a fence, or behind one that does."""
        return len(self._behind) + sum(len(fencing.writes) for fencing in self._under_way.values())

    def stops(self, io: LogicalIo, path: Path) -> bool:
        """True when the request has to wait before it may be sent down ``path``; it is taken, and comes back."""
        threat = next((loss for loss in io.losses if loss.threatens(self._fence.lun)), None)
        if threat is None:
            io.losses = ()
            return False
        fencing = self._under_way.get(threat)
        if fencing is not None:
            fencing.writes.append(io)
            return True
        self._under_way[threat] = _Fencing(path, path.generation, [io])
        self._fence.begin(threat, path, partial(self._ended, threat))
        return True

    def stops_behind(self, io: LogicalIo) -> bool:
        """True when a new request has to wait behind one that does; it is taken, and comes back."""
        if not self._under_way or io.operation is not Operation.WRITE or not self._covered(io):
            return False
        self._behind.append(io)
        return True

    def forget(self) -> None:
        """The disk is gone, and with it whoever waits."""
        self._under_way.clear()
        self._behind.clear()

    def _ended(self, loss: Loss, completion: Completion | None) -> None:
        fencing = self._under_way.pop(loss, None)
        if fencing is None:
            return
        if completion is None:
            loss.fenced(self._fence.lun)
        for io in fencing.writes:
            if completion is None:
                self._again(io)
            else:
                self._failed(io, fencing.path, fencing.generation, completion)
        waited, self._behind = self._behind, []
        for io in waited:
            if not self.stops_behind(io):
                self._again(io)

    def _covered(self, io: LogicalIo) -> bool:
        end = io.lba + io.blocks
        return any(
            write.lba < end and io.lba < write.lba + write.blocks
            for fencing in self._under_way.values()
            for write in fencing.writes
        )
