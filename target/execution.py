"""Running a command whose data is all here, and its answer (`target.answers`): the other half of `target.tasks`.

Most commands run and are answered on the spot. A command that wants stable data on a slow medium is answered when a
flush has ended, and one through a portal that is not optimized after a while; those behind it go on. It has run by
then. While a fault holds it (`target.holds`) it has not: it stands in the queue, with its tag, its place in the window
and its data, and runs when the fault lets it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from iscsi.constants import ScsiStatus
from iscsi.lun import decode_lun
from iscsi.pdu import ScsiCommand
from iscsi.sense import MEDIUM_WRITE_ERROR, SANITIZE_FAILED, Sense
from iscsi.window import CommandWindow
from target.answers import answer_bidirectional, answer_read, respond
from target.command import GOOD, DataDirection, ScsiResult
from target.faults import Luns
from target.flush import Flush
from target.holds import Holds
from target.nexus import Nexus
from target.sanitize import SanitizeFailed
from target.waiting_tasks import Allegiance, WaitingAnswer, WaitingTasks, WaitingTurn, WaitingWrite

Run = Callable[[Allegiance], None]
"""Execute a command and answer it through the connection it is allegiant to by then."""

_TAKES_DATA: Final = (DataDirection.OUT, DataDirection.BOTH)
_QUEUE_FULL: Final = ScsiResult(ScsiStatus.TASK_SET_FULL)


class Execution:
    """What runs the commands of one session.

    ``luns`` are what commands are executed by, ``holds`` is what they wait for before that; `target.faults` puts
    something there. ``on_preempt`` drops the tasks of some nexuses on a LUN, wherever they are (PREEMPT AND ABORT).
    """

    __slots__ = ("_on_preempt", "_waiting", "_window", "holds", "luns")

    def __init__(
        self,
        luns: Luns,
        window: CommandWindow[Any],
        waiting: WaitingTasks,
        on_preempt: Callable[[tuple[Nexus, ...], int], None],
    ) -> None:
        self.luns = luns
        self.holds: Holds | None = None
        self._window = window
        self._waiting = waiting
        self._on_preempt = on_preempt

    def _release(self, command: ScsiCommand) -> None:
        if not command.immediate:
            self._window.release()

    def _finish(
        self, command: ScsiCommand, cdb: bytes, data_out: bytes, connection: Allegiance, moved: int = 0
    ) -> None:
        """Execute and answer, now or when nothing holds the command any more.

        ``moved`` is how many bytes the CDB itself takes from the initiator.
        """
        gate = None if self.holds is None else self.holds.before(cdb)
        if gate is None:
            self._execute(command, cdb, data_out, connection, moved)
            return
        self._queue(
            gate,
            command,
            len(data_out),
            connection,
            lambda through: self._execute(command, cdb, data_out, through, moved),
        )

    def _queue(self, gate: Flush, command: ScsiCommand, size_bytes: int, connection: Allegiance, run: Run) -> None:
        """The command waits for its turn. One that finds no room for its data ends TASK SET FULL (SAM-5 5.3.1)."""

        def done(error: OSError | None) -> None:
            if self._waiting.get(command.itt) is not task:
                return  # another that was let go before it has ended it
            self._waiting.forget(command.itt)
            run(task.connection)
            task.connection.wake()

        task = WaitingTurn(command, connection, size_bytes, lambda: gate.forget(done))
        if self._waiting.put_turn(task):
            gate.on_done(done)
        else:
            self._release(command)
            respond(connection, command, _QUEUE_FULL, 0, 0)

    def _execute(self, command: ScsiCommand, cdb: bytes, data_out: bytes, connection: Allegiance, moved: int) -> None:
        """Execute and answer. The command's place in the window opens before its response tells MaxCmdSN."""
        lun = decode_lun(command.lun)
        result = self.luns.execute(lun, cdb, data_out, connection.nexus)
        if result.pending is not None:
            connection.reads += command.read
            connection.writes += command.write

            def answer(end: ScsiResult, through: Allegiance) -> None:
                if command.read:
                    answer_read(
                        through, command, end._replace(data=result.data) if end.status == ScsiStatus.GOOD else end
                    )
                else:
                    respond(through, command, end, 0, moved)

            self._answer_after(result.pending, WaitingAnswer(command, connection, answer))
            return
        if not command.immediate:
            self._window.release()
        if result.aborted:
            self._on_preempt(result.aborted, lun)
        if command.read:
            connection.reads += 1
            answer_read(connection, command, result)
        elif command.write:
            connection.writes += 1
            respond(connection, command, result, 0, moved)
        else:
            respond(connection, command, result, 0, len(result.data))

    def _answer_after(self, flush: Flush, task: WaitingAnswer) -> None:
        """Answer when the flush has ended; the command keeps its tag and its place in the window until then.

        Whatever ends the task meanwhile (an abort, a reset, the loss of the nexus) has taken it out of the waiting.
        """
        command = task.command
        self._waiting.put_answer(task)

        def done(error: OSError | None) -> None:
            if self._waiting.get(command.itt) is not task:
                return
            self._waiting.forget(command.itt)
            self._release(command)
            lun = decode_lun(command.lun)
            sense = SANITIZE_FAILED if isinstance(error, SanitizeFailed) else MEDIUM_WRITE_ERROR
            end = GOOD if error is None else self.luns.check_condition(lun, sense)
            task.answer(end, task.connection)
            task.connection.wake()

        flush.on_done(done)

    def _finish_bidirectional(self, write: WaitingWrite) -> None:
        """As `_finish`, for a command that moves data both ways (RFC 7143 11.2.2.3)."""
        gate = None if self.holds is None else self.holds.before(write.cdb)
        if gate is None:
            self._execute_bidirectional(write, write.connection)
            return
        size_bytes = len(write.buffer.content())
        self._queue(
            gate,
            write.command,
            size_bytes,
            write.connection,
            lambda through: self._execute_bidirectional(write, through),
        )

    def _execute_bidirectional(self, write: WaitingWrite, connection: Allegiance) -> None:
        command = write.command
        result = self.luns.execute(decode_lun(command.lun), write.cdb, write.buffer.content(), connection.nexus)
        connection.reads += 1
        connection.writes += 1
        moved = self._data_out_length(command, write.cdb)

        def answer(end: ScsiResult, through: Allegiance) -> None:
            whole = end._replace(data=result.data) if end.status == ScsiStatus.GOOD else end
            answer_bidirectional(through, command, whole, write.read_length, moved, write.buffer.r2t_sn)

        if result.pending is not None:
            self._answer_after(result.pending, WaitingAnswer(command, connection, answer))
            return
        self._release(command)
        answer(result, connection)

    def _refuse(self, command: ScsiCommand, condition: Sense, connection: Allegiance) -> None:
        """End a task by a condition of iSCSI's own (11.4.7.2): nothing of it is executed."""
        self._release(command)
        result = self.luns.check_condition(decode_lun(command.lun), condition)
        respond(connection, command, result, 0, 0)

    def _data_out_length(self, command: ScsiCommand, cdb: bytes) -> int:
        """Bytes the CDB itself says it takes from the initiator."""
        transfer = self.luns.transfer_length(decode_lun(command.lun), cdb)
        return transfer[1] if transfer is not None and transfer[0] in _TAKES_DATA else 0
