"""The tasks of one session that wait: writes for their data, commands for their turn, those that have run for a flush.

A write that waits holds memory for its data, so it may ask for it by R2T only when there is room; those that may not
yet wait in line. Which data is overdue, and which write has lost its connection, is kept here as well. What the data
means to a task, and how a task ends, is `target.tasks`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from iscsi.constants import RESERVED_TAG, RejectReason
from iscsi.lun import decode_lun
from iscsi.pdu import R2T, Pdu, ScsiCommand
from iscsi.window import CommandWindow
from iscsi.write_buffer import Burst, WriteBuffer
from target.answers import Recipient
from target.command import ScsiResult
from target.nexus import Nexus


class Allegiance(Recipient, Protocol):
    """What tasks need of the connection they are allegiant to: it numbers and sends, in order.

    ``reads`` and ``writes`` count the commands that were done, by which way their data goes.
    """

    nexus: Nexus
    reads: int
    writes: int

    def reject(self, reason: RejectReason, bad: Pdu) -> None:
        """Answer a PDU with a Reject that carries its header."""

    def wake(self) -> None:
        """Let out what was sent though nothing had arrived."""

    def data_deadline(self) -> int:
        """When data is given up if the wait for it begins now; the connection calls `TaskSet.end_stalled` then."""


@dataclass(slots=True)
class WaitingWrite:
    """A write whose data is not all here yet. ``cdb`` is whole; ``read_length`` is a bidirectional command's."""

    command: ScsiCommand
    cdb: bytes
    read_length: int
    buffer: WriteBuffer
    connection: Allegiance
    doomed: bool = False
    """It has been ended by task management; only the data on its way is waited for."""


@dataclass(slots=True)
class WaitingAnswer:
    """A command that has run; its answer waits for a flush, and is then given by ``answer`` as it ended.

    It leaves through the connection the task is allegiant to by then.
    """

    command: ScsiCommand
    connection: Allegiance
    answer: Callable[[ScsiResult, Allegiance], None]


@dataclass(slots=True)
class WaitingTurn:
    """A command whose data (``size_bytes``) is here, and which the disk has not taken up yet; see `target.holds`.

    ``leave`` is called when it waits no longer, so that what it waited for does not keep it.
    """

    command: ScsiCommand
    connection: Allegiance
    size_bytes: int
    leave: Callable[[], None]


WaitingTask = WaitingWrite | WaitingTurn | WaitingAnswer


class WaitingTasks:
    """Tasks by tag. ``room_bytes`` is what the data of all writes that have asked for it may take; one always may.

    ``r2t_without_numbers`` is a defect: R2Ts say 0 for ExpCmdSN and MaxCmdSN.
    """

    __slots__ = (
        "_admitted",
        "_admitted_bytes",
        "_next_ttt",
        "_numbers_r2t",
        "_overdue",
        "_queued",
        "_room_bytes",
        "_suspended",
        "_tasks",
        "_window",
    )

    def __init__(self, window: CommandWindow[Any], room_bytes: int, *, r2t_without_numbers: bool = False) -> None:
        self._window = window
        self._numbers_r2t = not r2t_without_numbers
        self._room_bytes = room_bytes
        self._tasks: dict[int, WaitingTask] = {}
        self._queued: dict[int, None] = {}  # tags of writes that may not ask by R2T yet, oldest first
        self._admitted: dict[int, int] = {}  # those that may, and the bytes each will hold
        self._admitted_bytes = 0
        self._overdue: dict[int, int] = {}  # those whose data must end, and by when
        self._suspended: dict[int, int] = {}  # those whose connection is gone, and the bytes each may hold
        self._next_ttt = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[WaitingTask]:
        """The tasks as they are now, in the order they came; ending one does not disturb this."""
        return iter(list(self._tasks.values()))

    def __contains__(self, itt: int) -> bool:
        return itt in self._tasks

    def get(self, itt: int) -> WaitingTask | None:
        """The task with this tag."""
        return self._tasks.get(itt)

    def write(self, itt: int, connection: Allegiance) -> WaitingWrite | None:
        """The write with this tag, if that is what waits there and it is allegiant to this connection."""
        task = self._tasks.get(itt)
        return task if isinstance(task, WaitingWrite) and task.connection is connection else None

    def at(self, lun: int | None) -> list[WaitingTask]:
        """The tasks at one LUN, or at all."""
        return [task for task in self if lun is None or decode_lun(task.command.lun) == lun]

    # -- coming and going ------------------------------------------------------------------------------------------

    def put_answer(self, task: WaitingAnswer) -> None:
        """A task waits for a flush."""
        self._tasks[task.command.itt] = task

    @property
    def turns(self) -> int:
        """How many commands wait for their turn."""
        return sum(isinstance(task, WaitingTurn) for task in self._tasks.values())

    def put_turn(self, task: WaitingTurn) -> bool:
        """A command waits for its turn. False when those that do would hold more than the room; one always may."""
        held = [other.size_bytes for other in self._tasks.values() if isinstance(other, WaitingTurn)]
        if held and sum(held) + task.size_bytes > self._room_bytes:
            return False
        self._tasks[task.command.itt] = task
        return True

    def put_write(self, write: WaitingWrite) -> None:
        """A write waits for its data, and gets in line for its R2Ts."""
        self._tasks[write.command.itt] = write
        self._queued[write.command.itt] = None

    def forget(self, itt: int) -> None:
        """The task waits no longer."""
        task = self._tasks.pop(itt)
        if isinstance(task, WaitingTurn):
            task.leave()
        self._suspended.pop(itt, None)
        self._withdraw(itt)

    def give_up_asking(self, itt: int) -> None:
        """A write that has not asked yet never will."""
        self._queued.pop(itt, None)

    def suspend(self, connection: Allegiance) -> list[WaitingTask]:
        """What was taken in from a lost connection stays; its writes ask no more, and take no room from others.

        Returns the oldest of those suspended, which have to go because together they would hold more than the room.
        """
        for itt, task in self._tasks.items():
            if task.connection is connection and isinstance(task, WaitingWrite):
                self._withdraw(itt)
                self._suspended[itt] = task.buffer.wanted
            elif task.connection is connection and isinstance(task, WaitingTurn):
                self._suspended[itt] = task.size_bytes
        held, surplus = sum(self._suspended.values()), []
        for itt, wanted in list(self._suspended.items())[:-1]:
            if held <= self._room_bytes:
                break
            surplus.append(self._tasks[itt])
            held -= wanted
        return surplus

    def is_suspended(self, itt: int) -> bool:
        """True for a task whose connection is gone; commands that have run do not count."""
        return itt in self._suspended

    def resume(self, task: WaitingTask) -> None:
        """A suspended task has a connection again; a write is back in line."""
        self._suspended.pop(task.command.itt, None)
        if isinstance(task, WaitingWrite):
            self._queued[task.command.itt] = None

    # -- asking for data -------------------------------------------------------------------------------------------

    def admit(self) -> None:
        """Let writes ask for their data, oldest first, as long as they find room for all of it; one always may."""
        while self._queued:
            itt = next(iter(self._queued))
            write = self._tasks[itt]
            assert isinstance(write, WaitingWrite), "only writes are queued"
            needed = write.buffer.wanted
            if self._admitted and self._admitted_bytes + needed > self._room_bytes:
                return
            del self._queued[itt]
            self._admitted[itt] = needed
            self._admitted_bytes += needed
            self.ask(write)

    def ask(self, write: WaitingWrite) -> None:
        """Send the R2Ts that are due for a write, if it may ask."""
        connection = write.connection
        if write.command.itt not in self._admitted:
            return
        while (burst := write.buffer.next_burst(self._next_ttt, connection.params)) is not None:
            self._next_ttt = (self._next_ttt + 1) % RESERVED_TAG
            burst.stat_sn = connection.stat_sn
            self._send_r2t(write, burst)

    def repeat_r2ts(self, write: WaitingWrite, first: int, count: int) -> bool:
        """Send its open R2Ts with these R2TSNs again (``count`` 0: from ``first`` on); False when there is none."""
        bursts = [
            burst
            for burst in write.buffer.open_bursts
            if burst.ttt != RESERVED_TAG and first <= burst.r2t_sn and (not count or burst.r2t_sn < first + count)
        ]
        for burst in bursts:
            self._send_r2t(write, burst)
        return bool(bursts)

    # -- overdue data ----------------------------------------------------------------------------------------------

    def set_overdue(self, write: WaitingWrite) -> None:
        """The data of a write has to end within the time its connection gives it from now, if it had no such time."""
        if write.command.itt not in self._overdue:
            self._overdue[write.command.itt] = write.connection.data_deadline()

    def stalled(self, now_ns: int) -> Iterator[WaitingWrite]:
        """The writes whose time is over, each once. Ending one may end others: those do not come."""
        for itt in [itt for itt, deadline_ns in self._overdue.items() if deadline_ns <= now_ns]:
            write = self._tasks.get(itt)
            if isinstance(write, WaitingWrite) and self._overdue.pop(itt, None) is not None:
                yield write

    @property
    def deadlines_ns(self) -> list[int]:
        """When data is overdue."""
        return list(self._overdue.values())

    # -- inside ----------------------------------------------------------------------------------------------------

    def _withdraw(self, itt: int) -> None:
        """The task asks for no data now."""
        self._queued.pop(itt, None)
        self._overdue.pop(itt, None)
        self._admitted_bytes -= self._admitted.pop(itt, 0)

    def _send_r2t(self, write: WaitingWrite, burst: Burst) -> None:
        window = self._window
        write.connection.send(
            R2T(
                lun=write.command.lun,
                itt=write.command.itt,
                ttt=burst.ttt,
                stat_sn=burst.stat_sn,
                exp_cmd_sn=window.exp_cmd_sn if self._numbers_r2t else 0,
                max_cmd_sn=window.max_cmd_sn if self._numbers_r2t else 0,
                r2t_sn=burst.r2t_sn,
                buffer_offset=burst.offset,
                desired_length=burst.length,
            )
        )
