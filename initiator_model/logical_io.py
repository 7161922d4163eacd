"""A logical I/O: what the application asked for, as opposed to the attempts that carry it down one path or another.

The difference is the point of multipathing. One logical I/O may need several attempts; it ends once. Each attempt is
an object of its own, so a completion that arrives after its attempt was given up is recognised by the attempt it
arrives at, and not by comparing numbers that could be reused.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from initiator_model.losses import Loss
from initiator_model.paths import Path
from initiator_model.requests import Completion, Operation, ScsiRequest

if TYPE_CHECKING:
    from initiator_model.dispatch import Dispatcher

__all__ = [
    "Attempt",
    "DiskError",
    "DiskRemoved",
    "Done",
    "IoResult",
    "LogicalIo",
    "Operation",
    "Outcome",
    "QueueFull",
    "Timer",
    "block_cdb",
]


class Outcome(Enum):
    """How a logical I/O ended, in the words of histories."""

    OK = "ok"
    FAILED = "failed"  # it had no effect
    UNKNOWN = "unknown"  # a write that may or may not have reached the disk


class Timer(Protocol):
    """What a scheduled call gives back; asyncio's TimerHandle is one."""

    def cancel(self) -> None:
        """The call will not happen."""


class IoResult:
    """The end of a logical I/O. `data` holds what was read; `why` is empty when `ok`."""

    __slots__ = ("attempts", "completion", "data", "outcome", "path", "why")

    def __init__(
        self,
        outcome: Outcome,
        data: bytes,
        path: Path | None,
        attempts: int,
        completion: Completion | None,
        why: str = "",
    ) -> None:
        self.outcome = outcome
        self.data = data
        self.path = path  # the path of the last attempt
        self.attempts = attempts
        self.completion = completion  # of the last attempt that had one
        self.why = why

    @property
    def ok(self) -> bool:
        """True when the I/O succeeded."""
        return self.outcome is Outcome.OK

    def __repr__(self) -> str:
        return f"IoResult({self.outcome.value}, {len(self.data)} bytes, attempts={self.attempts}, why={self.why!r})"


class DiskError(OSError):
    """A logical I/O did not succeed; `result` says how it ended."""

    def __init__(self, result: IoResult) -> None:
        super().__init__(f"{result.outcome.value}: {result.why}")
        self.result = result


class DiskRemoved(OSError):
    """The disk is gone (all its paths were lost for too long, or it was logged out); no I/O is taken any more."""


class QueueFull(OSError):
    """The disk has as many I/Os under way as it takes."""


Done = Callable[[IoResult], None]


class LogicalIo:
    """One I/O of the application while it is under way. `number` counts the disk's I/Os from 1."""

    __slots__ = (
        "attempt",
        "attempts",
        "blocks",
        "changes",
        "class_retries",
        "done",
        "lba",
        "losses",
        "may_have_run",
        "number",
        "operation",
        "request",
        "requeues",
        "retries",
        "size_bytes",
        "timer",
        "uncounted",
    )

    def __init__(
        self,
        number: int,
        operation: Operation,
        lba: int,
        blocks: int,
        request: ScsiRequest,
        done: Done,
    ) -> None:
        self.number = number
        self.operation = operation
        self.lba = lba
        self.blocks = blocks
        self.request = request
        self.size_bytes = request.read_length or len(request.data_out)
        self.done = done
        self.attempt: Attempt | None = None  # the attempt under way
        self.timer: Timer | None = None  # of a retry that is waiting
        self.attempts = 0
        self.retries = 0  # counted against the stack's limit
        self.class_retries = 0
        self.requeues = 0  # sent again down the present path to a device that was busy
        self.changes = 0  # attempts that met an array changing over
        self.uncounted = 0  # these and the requeues, which do not count as attempts
        self.losses: tuple[Loss, ...] = ()  # connections lost under it; kept only by a host that fences
        self.may_have_run = False  # some attempt ended without saying that it changed nothing


class Attempt:
    """One try at a logical I/O down one path. Its `completed` is the callback the session is given."""

    __slots__ = ("_dispatcher", "began_ns", "generation", "io", "live", "path")

    def __init__(self, dispatcher: Dispatcher, io: LogicalIo, path: Path) -> None:
        self._dispatcher = dispatcher
        self.io = io
        self.path = path
        self.generation = path.generation
        self.began_ns = 0  # kept only where the policy measures
        self.live = True
        path.take(io.size_bytes)

    def completed(self, completion: Completion) -> None:
        """The session is done with the request. Only the first call on a live attempt counts."""
        if self.live:
            self.end()
            self._dispatcher.attempt_completed(self, completion)
        else:
            self._dispatcher.late_completions += 1

    def end(self) -> None:
        """The path no longer carries it: the session is done with it, or it was given up."""
        self.live = False
        self.path.release(self.io.size_bytes)
        meter = self._dispatcher.dsm.meter
        if meter is not None:
            meter.ended(self.path, self.io, self.began_ns)


_CDB10: Final = Struct(">BxIxHx6x").pack  # the 16-byte field of the PDU, zero padded
_CDB16: Final = Struct(">BxQIxx").pack


def block_cdb(opcode10: int, opcode16: int, lba: int, blocks: int) -> bytes:
    """The 10-byte command where the numbers fit, else the 16-byte one (SBC-3 5), padded to 16 bytes."""
    if lba <= 0xFFFF_FFFF and blocks <= 0xFFFF:
        return _CDB10(opcode10, lba, blocks)
    return _CDB16(opcode16, lba, blocks)
