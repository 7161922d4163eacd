"""Commands that the array has taken in and that its disk does not take up yet: the faults late, stalled and slow.

Everything up to the medium is as always: the window opens and closes, R2Ts ask for data, TCP is alive and pings are
answered. Then the command stands in the array's queue. It is a task like any other there (`target.waiting_tasks`): an
abort, a reset, a preemption, a logout or a reinstatement ends it, and so does the time that the tasks of a lost
connection are kept. What nothing has ended is executed when the fault is over, in the order in which it came, though
its connection be gone by then: that is how a write lands on the disk that its host believes dead.

    late      commands wait until the fault is over; ``count`` of them, or all, of one ``op`` or of either
    stalled   every command waits until then, whatever it does
    slow      each command waits ``extra_ns``
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from target.array_fault import ArrayFault, FaultName
from target.block_commands import READS, WRITES
from target.chores import TakeUp
from target.delay import Delay
from target.flush import Flush

HELD: Final = (FaultName.LATE, FaultName.STALLED, FaultName.SLOW)
"""The faults that hold commands."""

_OF_OP: Final = {"read": READS, "write": WRITES}


@dataclass(frozen=True, slots=True)
class Hold:
    """One fault that holds commands. ``gate`` ends when it is over; slow has none, its commands wait one by one."""

    fault: ArrayFault
    gate: Flush | None

    def strikes(self, cdb: bytes) -> bool:
        """Whether it holds commands of this kind."""
        return self.fault.op is None or cdb[0] in _OF_OP[self.fault.op]


class Holds:
    """What commands of a session have to wait for. ``meets`` counts those that a fault with a count has held."""

    __slots__ = ("_holds", "_meets", "_take_up")

    def __init__(self, holds: Sequence[Hold], meets: Callable[[ArrayFault], bool], take_up: TakeUp) -> None:
        self._holds = tuple(holds)
        self._meets = meets
        self._take_up = take_up

    def before(self, cdb: bytes) -> Flush | None:
        """What the command waits for before it is executed, by the first fault that holds it; None when none does."""
        for hold in self._holds:
            if hold.strikes(cdb) and self._meets(hold.fault):
                return hold.gate if hold.gate is not None else self._later(hold.fault)
        return None

    def _later(self, fault: ArrayFault) -> Flush:
        assert fault.extra_ns is not None, "slow says how much"
        delay = Delay(fault.extra_ns)
        self._take_up(delay)
        return delay.over
