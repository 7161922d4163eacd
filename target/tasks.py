"""SCSI tasks of one session: from a command to its status, by way of the data it moves.

A read is answered on the spot. A write waits here while its data comes in, asked for by R2T or not; what is wrong with
its data ends it with a CHECK CONDITION once all of the data that is on its way has come (RFC 7143 7.8, 11.4.7.2), so
that none of it can be taken for another task's. Commands whose data is here are run by `target.execution`.

A task is allegiant to the connection its command came in on: its data comes and its response leaves there (4.2.3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iscsi.ahs import parse_ahs
from iscsi.constants import RejectReason
from iscsi.errors import RemoteProtocolError
from iscsi.lun import decode_lun
from iscsi.pdu import DataOut, ScsiCommand
from iscsi.sense import (
    COMMANDS_CLEARED_BY_PROTOCOL_EVENT,
    UNEXPECTED_UNSOLICITED_DATA,
)
from iscsi.serial import lt
from iscsi.window import CommandWindow
from iscsi.write_buffer import WriteBuffer
from target.answers import respond
from target.command import ScsiResult
from target.disk import MAX_TRANSFER_BYTES
from target.execution import Execution
from target.faults import Luns
from target.nexus import Nexus
from target.task_barrier import Barrier
from target.waiting_tasks import Allegiance, WaitingTask, WaitingTasks, WaitingWrite

MAX_IMMEDIATE_TASKS = 8
"""Immediate commands a session may have waiting at once; RFC 7143 4.2.2.1 asks for at least two."""


class TaskSet(Execution):
    """The tasks of one session in full-feature phase; see `Execution` and `WaitingTasks` for the arguments."""

    __slots__ = ("_barriers",)

    def __init__(
        self,
        luns: Luns,
        window: CommandWindow[Any],
        buffer_bytes: int,
        on_preempt: Callable[[tuple[Nexus, ...], int], None],
        *,
        r2t_without_numbers: bool = False,
    ) -> None:
        waiting = WaitingTasks(window, buffer_bytes, r2t_without_numbers=r2t_without_numbers)
        super().__init__(luns, window, waiting, on_preempt)
        self._barriers: list[Barrier] = []

    @property
    def waiting(self) -> int:
        """How many commands wait: for data, for their turn, for a flush."""
        return len(self._waiting)

    @property
    def held(self) -> int:
        """How many of them have all they need but for their turn; see `target.holds`."""
        return self._waiting.turns

    def start(self, command: ScsiCommand, connection: Allegiance) -> None:
        """A command is due (in CmdSN order, or immediate), and came in on ``connection``."""
        if self._waiting and self._reject(command, connection):
            return
        if self._barriers and self._ended_before_it_began(command):
            return
        if not command.write:
            if not command.final:
                raise RemoteProtocolError(
                    "a command with neither the W nor the F bit", reject_reason=RejectReason.INVALID_PDU_FIELD
                )
            if command.data:
                self._refuse(command, UNEXPECTED_UNSOLICITED_DATA, connection)
                return
            if not command.ahs:
                self._finish(command, command.cdb, b"", connection)
                return
        cdb, read_length = command.cdb, 0
        if command.ahs:
            try:
                headers = parse_ahs(command.ahs)
            except RemoteProtocolError:
                connection.reject(RejectReason.INVALID_PDU_FIELD, command)
                self._release(command)
                return
            cdb, read_length = cdb + headers.cdb_rest, headers.read_length or 0
        wanted = self._data_out_length(command, cdb) if command.write else 0
        if (
            wanted == command.edtl == len(command.data) <= connection.params.first_burst_length
            and command.final
            and connection.params.immediate_data
            and not command.read
        ):  # as most small writes come: whole
            self._finish(command, cdb, command.data, connection, wanted)
            return
        if wanted > MAX_TRANSFER_BYTES or (
            wanted != command.edtl and self.luns.wants_exactly(decode_lun(command.lun), cdb)
        ):
            wanted = 0  # the device server will refuse it: ask for nothing
        buffer = WriteBuffer(command.edtl, command.data, not command.final, connection.params, wanted)
        write = WaitingWrite(command, cdb, read_length, buffer, connection)
        if buffer.complete:
            self._end(write)
            return
        self._waiting.put_write(write)
        if buffer.fault is not None:
            self._waiting.set_overdue(write)
        self._waiting.admit()

    def _reject(self, command: ScsiCommand, connection: Allegiance) -> bool:
        """Reject a command whose tag is in use, and an immediate one too many: those have no window to bound them."""
        if command.itt in self._waiting:
            connection.reject(RejectReason.TASK_IN_PROGRESS, command)
            self._release(command)
            return True
        if command.immediate and len(self._waiting) >= MAX_IMMEDIATE_TASKS + self._window.depth:
            connection.reject(RejectReason.TOO_MANY_IMMEDIATE_COMMANDS, command)
            return True
        return False

    def data_out(self, pdu: DataOut, connection: Allegiance) -> None:
        """Data for a waiting write. Data of a task that has been aborted meanwhile is dropped in silence."""
        write = self._waiting.get(pdu.itt)
        if not isinstance(write, WaitingWrite):
            return
        if write.connection is not connection:
            raise RemoteProtocolError(
                "Data-Out on another connection than its command", reject_reason=RejectReason.PROTOCOL_ERROR
            )
        buffer = write.buffer
        if not buffer.take(pdu):
            if connection.params.error_recovery_level == 0:  # else what a recovery R2T asked for again may still come
                connection.reject(RejectReason.INVALID_PDU_FIELD, pdu)
        elif pdu.final or buffer.fault is not None:
            self._go_on(write)

    def damaged(self, pdu: DataOut, connection: Allegiance) -> None:
        """A Data-Out PDU whose data failed its digest; the Reject is the connection's."""
        write = self._waiting.write(pdu.itt, connection)
        if write is not None and write.buffer.take_damaged(pdu):
            self._go_on(write)

    def lost(self, connection: Allegiance) -> None:
        """A PDU was passed over and nothing is known of it: it may have been the last of a sequence (7.9)."""
        for task in self._waiting:
            if isinstance(task, WaitingWrite) and task.connection is connection and task.buffer.data_due:
                self._waiting.set_overdue(task)

    def repeat_r2ts(self, itt: int, first: int, count: int, connection: Allegiance) -> bool:
        """Send the open R2Ts of a write with these R2TSNs again (``count`` 0: from ``first`` on); False for none."""
        write = self._waiting.write(itt, connection)
        return write is not None and self._waiting.repeat_r2ts(write, first, count)

    def end_stalled(self, now_ns: int) -> int | None:
        """Give up data that was to come by now; when to look again, None when nothing more is waited for."""
        for write in self._waiting.stalled(now_ns):
            write.buffer.end_stalled()
            self._go_on(write)
        for barrier in [barrier for barrier in self._barriers if barrier.deadline_ns <= now_ns]:
            if barrier in self._barriers:
                self._barriers.remove(barrier)
                barrier.on_end(not lt(self._window.exp_cmd_sn, barrier.cmd_sn))
        deadlines = [*self._waiting.deadlines_ns, *(barrier.deadline_ns for barrier in self._barriers)]
        return min(deadlines, default=None)

    def abort(self, itt: int, connection: Allegiance) -> bool:
        """Forget one waiting task of this connection; no response will be sent for it. False when there is none."""
        task = self._waiting.get(itt)
        if task is None or task.connection is not connection:
            return False
        self._forget(itt)
        self._release(task.command)
        self._waiting.admit()
        self.settle()
        return True

    def find(self, itt: int) -> bool:
        """True while a task with this tag waits here."""
        return itt in self._waiting

    def at(self, lun: int | None) -> list[tuple[int, Allegiance]]:
        """What waits at a LUN, or at any: its LUN and connection, task by task."""
        return [(decode_lun(task.command.lun), task.connection) for task in self._waiting.at(lun)]

    def end_tasks(
        self,
        lun: int | None,
        cmd_sn: int,
        connection: Allegiance,
        on_end: Callable[[bool], None],
        *,
        wait_for_data: bool,
    ) -> None:
        """End the tasks at one LUN, or all, that were sent ahead of the task management function with ``cmd_sn``.

        ``on_end`` is called when they are over: at once, or when the data they asked for has come (unless
        ``wait_for_data`` is False, as FastAbort has it) and every command ahead of the function has arrived. It is told
        False when one of those did not come in time.
        """
        barrier = Barrier(lun, cmd_sn, 0, on_end)
        for task in self._waiting.at(lun):
            coming = not self._waiting.is_suspended(task.command.itt)  # else its connection is gone
            if wait_for_data and coming and isinstance(task, WaitingWrite) and task.buffer.data_due:
                task.doomed = True
                task.buffer.abandon()
                barrier.waits[task.command.itt] = None
                self._waiting.give_up_asking(task.command.itt)
                self._waiting.set_overdue(task)
            else:
                self._forget(task.command.itt)
                self._release(task.command)
        self._waiting.admit()
        if barrier.waits or lt(self._window.exp_cmd_sn, cmd_sn):
            barrier.deadline_ns = connection.data_deadline()
            self._barriers.append(barrier)
        else:
            on_end(True)

    @property
    def managing(self) -> int:
        """How many task management functions wait for what they cover."""
        return len(self._barriers)

    def settle(self) -> None:
        """Something has come or ended: task management that waited for it goes on."""
        for barrier in list(self._barriers):
            if not barrier.waits and not lt(self._window.exp_cmd_sn, barrier.cmd_sn) and barrier in self._barriers:
                self._barriers.remove(barrier)
                barrier.on_end(True)

    def _ended_before_it_began(self, command: ScsiCommand) -> bool:
        """A command that comes after the function that ends it: it takes its number, and nothing else happens."""
        covered = any(barrier.covers(command) for barrier in self._barriers)
        if covered:
            self._release(command)
        self.settle()
        return covered

    def abort_all(self, lun: int | None = None, answer: ScsiResult | None = None) -> int:
        """Forget the waiting tasks of one LUN, or of all; return how many there were.

        Without ``answer`` no response will be sent for them. None is sent either for a task whose connection is gone,
        or that another function has ended already.
        """
        covered = self._waiting.at(lun)
        answered = [] if answer is None else [task for task in covered if self._may_be_answered(task)]
        self._drop(covered)
        for task in answered:
            assert answer is not None
            respond(task.connection, task.command, answer, 0, 0)
        return len(covered)

    def _may_be_answered(self, task: WaitingTask) -> bool:
        doomed = isinstance(task, WaitingWrite) and task.doomed
        return not doomed and not self._waiting.is_suspended(task.command.itt)

    def suspend(self, connection: Allegiance) -> None:
        """A connection is gone: its writes wait, and take no room from others, until `reassign` or `terminate`.

        Immediate commands are discarded (RFC 7143 7.14). The oldest writes are terminated where all that wait so would
        hold more than ``buffer_bytes``.
        """
        self._drop(
            [
                task
                for task in self._waiting
                if task.connection is connection
                and (task.command.immediate or (isinstance(task, WaitingWrite) and task.doomed))
            ]
        )
        self._terminate(self._waiting.suspend(connection))
        self._waiting.admit()

    def allegiance(self, itt: int) -> Allegiance | None:
        """The connection of the waiting task with this tag, None when there is no such task."""
        task = self._waiting.get(itt)
        return None if task is None else task.connection

    def reassign(self, itt: int, connection: Allegiance, r2t_sn: int) -> None:
        """A waiting task goes on at another connection; its R2Ts are numbered from ``r2t_sn`` on, if that may be."""
        task = self._waiting.get(itt)
        assert task is not None, "only what waits is reassigned"
        task.connection = connection
        self._waiting.resume(task)
        if isinstance(task, WaitingWrite):
            task.buffer.restart(r2t_sn)
            self._go_on(task)
            self._waiting.admit()

    def terminate(self, connection: Allegiance) -> int:
        """Forget the waiting tasks that are allegiant to a connection; return how many there were.

        Each unit that lost some owes the nexus a unit attention (RFC 7143 11.14.5).
        """
        return self._terminate([task for task in self._waiting if task.connection is connection])

    def _terminate(self, tasks: list[WaitingTask]) -> int:
        self._drop(tasks)
        for lun in dict.fromkeys(decode_lun(task.command.lun) for task in tasks):
            unit = self.luns.get(lun)
            if unit is not None:
                unit.disk.attentions.establish(tasks[0].connection.nexus, COMMANDS_CLEARED_BY_PROTOCOL_EVENT)
        return len(tasks)

    def _drop(self, tasks: list[WaitingTask]) -> None:
        for task in tasks:
            self._forget(task.command.itt)
            self._release(task.command)
        self._waiting.admit()
        self.settle()

    def _go_on(self, write: WaitingWrite) -> None:
        """A sequence of the write has ended, or something was wrong with it."""
        buffer, itt = write.buffer, write.command.itt
        if buffer.complete:
            self._forget(itt)
            if write.doomed:
                self._release(write.command)
                self.settle()
            else:
                self._end(write)
            self._waiting.admit()
        elif buffer.fault is not None:
            self._waiting.set_overdue(write)
        else:
            self._waiting.ask(write)

    def _end(self, write: WaitingWrite) -> None:
        """All data that is to come has come."""
        buffer, command = write.buffer, write.command
        if buffer.fault is not None:
            self._refuse(command, buffer.fault, write.connection)
        elif command.read and command.write:
            self._finish_bidirectional(write)
        else:
            moved = self._data_out_length(command, write.cdb)
            self._finish(command, write.cdb, buffer.content(), write.connection, moved)

    def _forget(self, itt: int) -> None:
        self._waiting.forget(itt)
        for barrier in self._barriers:
            barrier.waits.pop(itt, None)
