"""SCSI tasks of one session: from a command to its status, by way of the data it moves.

A read is answered on the spot: Data-In PDUs cut to what the initiator takes, the status inside the last of them when
it is good (phase collapse, RFC 7143 11.7.2). A write waits here while its data comes in, asked for by R2T or not.
A command that wants stable data on a slow medium waits for a flush, while those behind it go on; it has run by then.
A task is allegiant to the connection its command came in on: its data comes and its response leaves there (4.2.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from iscsi.constants import RESERVED_TAG, RejectReason, ScsiStatus
from iscsi.errors import RemoteProtocolError
from iscsi.lun import decode_lun
from iscsi.negotiation import SessionParameters
from iscsi.pdu import R2T, DataIn, DataOut, Pdu, ScsiCommand, ScsiResponse, maker
from iscsi.sense import MEDIUM_WRITE_ERROR
from iscsi.transfer import WriteBuffer, residual, segments
from iscsi.window import CommandWindow
from target.command import GOOD, DataDirection, ScsiResult
from target.disk import MAX_TRANSFER_BYTES
from target.flush import Flush
from target.lun_map import LunMap
from target.nexus import Nexus

MAX_IMMEDIATE_TASKS = 8
"""Immediate commands a session may have waiting at once; RFC 7143 4.2.2.1 asks for at least two."""


_data_in = maker(DataIn)
_GOOD = ScsiStatus.GOOD  # an enum's attribute is slow to look up


class Allegiance(Protocol):
    """What tasks need of the connection they are allegiant to: it numbers and sends, in order.

    ``params`` are the session's with this connection's own lengths; ``one_pdu_bytes`` is the most that one Data-In PDU
    may carry and still end its burst.
    """

    stat_sn: int
    nexus: Nexus
    params: SessionParameters
    one_pdu_bytes: int

    def send(self, pdu: Pdu) -> None:
        """Queue a PDU for the wire."""

    def reject(self, reason: RejectReason, bad: Pdu) -> None:
        """Answer a PDU with a Reject that carries its header."""

    def wake(self) -> None:
        """Let out what was sent though nothing had arrived."""


@dataclass(slots=True)
class WaitingWrite:
    """A write whose data is not all here yet."""

    command: ScsiCommand
    buffer: WriteBuffer
    connection: Allegiance


@dataclass(slots=True)
class WaitingAnswer:
    """A command that has run; its answer waits for a flush."""

    command: ScsiCommand
    connection: Allegiance


class TaskSet:
    """The tasks of one session in full-feature phase.

    ``on_preempt`` drops the tasks of some nexuses on a LUN, wherever they are (PREEMPT AND ABORT).
    """

    __slots__ = (
        "_admitted",
        "_admitted_bytes",
        "_buffer_bytes",
        "_luns",
        "_next_ttt",
        "_on_preempt",
        "_queued",
        "_waiting",
        "_window",
    )

    def __init__(
        self,
        luns: LunMap,
        window: CommandWindow[Any],
        buffer_bytes: int,
        on_preempt: Callable[[tuple[Nexus, ...], int], None],
    ) -> None:
        self._luns = luns
        self._window = window
        self._on_preempt = on_preempt
        self._waiting: dict[int, WaitingWrite | WaitingAnswer] = {}
        self._buffer_bytes = buffer_bytes
        self._queued: dict[int, None] = {}  # task tags of writes that may not ask by R2T yet, oldest first
        self._admitted: dict[int, int] = {}  # those that may, and the bytes each will hold
        self._admitted_bytes = 0
        self._next_ttt = 0

    @property
    def waiting(self) -> int:
        """How many commands wait for data or for a flush."""
        return len(self._waiting)

    def start(self, command: ScsiCommand, connection: Allegiance) -> None:
        """A command is due (in CmdSN order, or immediate), and came in on ``connection``."""
        if self._waiting and self._refuse(command, connection):
            return
        if not command.write:
            if command.data or not command.final:
                raise RemoteProtocolError("a command without the W bit carries or announces data")
            self._finish(command, b"", connection)
            return
        wanted = self._data_out_length(command)
        buffer = WriteBuffer(
            command.edtl,
            command.data,
            not command.final,
            connection.params,
            wanted if wanted <= MAX_TRANSFER_BYTES else 0,  # the device server will refuse it: ask for nothing
        )
        if buffer.complete:
            self._finish(command, buffer.content(), connection)
            return
        self._waiting[command.itt] = WaitingWrite(command, buffer, connection)
        self._queued[command.itt] = None
        self._admit()

    def _refuse(self, command: ScsiCommand, connection: Allegiance) -> bool:
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
        write.buffer.take(pdu)
        if write.buffer.complete:
            self._forget(pdu.itt)
            self._finish(write.command, write.buffer.content(), connection)
            self._admit()
        elif pdu.final and pdu.itt in self._admitted:
            self._ask(write)

    def abort(self, itt: int, connection: Allegiance) -> bool:
        """Forget one waiting task of this connection; no response will be sent for it. False when there is none."""
        task = self._waiting.get(itt)
        if task is None or task.connection is not connection:
            return False
        self._forget(itt)
        self._release(task.command)
        self._admit()
        return True

    def abort_all(self, lun: int | None = None) -> int:
        """Forget the waiting tasks of one LUN, or of all; return how many there were."""
        return len(self._drop(lambda task: lun is None or decode_lun(task.command.lun) == lun))

    def abort_connection(self, connection: Allegiance) -> list[int]:
        """Forget the waiting tasks that are allegiant to a connection; return the LUN of each."""
        return [decode_lun(command.lun) for command in self._drop(lambda task: task.connection is connection)]

    def _drop(self, unwanted: Callable[[WaitingWrite | WaitingAnswer], bool]) -> list[ScsiCommand]:
        dropped = [task.command for task in self._waiting.values() if unwanted(task)]
        for command in dropped:
            self._forget(command.itt)
            self._release(command)
        self._admit()
        return dropped

    def _admit(self) -> None:
        """Let writes ask for their data, oldest first, as long as they find room for all of it; one always may."""
        while self._queued:
            itt = next(iter(self._queued))
            write = self._waiting[itt]
            assert isinstance(write, WaitingWrite), "only writes are queued"
            needed = write.buffer.wanted
            if self._admitted and self._admitted_bytes + needed > self._buffer_bytes:
                return
            del self._queued[itt]
            self._admitted[itt] = needed
            self._admitted_bytes += needed
            self._ask(write)

    def _forget(self, itt: int) -> None:
        del self._waiting[itt]
        self._queued.pop(itt, None)
        self._admitted_bytes -= self._admitted.pop(itt, 0)

    def _ask(self, write: WaitingWrite) -> None:
        connection, window = write.connection, self._window
        while (burst := write.buffer.next_burst(self._next_ttt, connection.params)) is not None:
            self._next_ttt = (self._next_ttt + 1) % RESERVED_TAG
            connection.send(
                R2T(
                    lun=write.command.lun,
                    itt=write.command.itt,
                    ttt=burst.ttt,
                    stat_sn=connection.stat_sn,
                    exp_cmd_sn=window.exp_cmd_sn,
                    max_cmd_sn=window.max_cmd_sn,
                    r2t_sn=burst.r2t_sn,
                    buffer_offset=burst.offset,
                    desired_length=burst.length,
                )
            )

    def _release(self, command: ScsiCommand) -> None:
        if not command.immediate:
            self._window.release()

    def _finish(self, command: ScsiCommand, data_out: bytes, connection: Allegiance) -> None:
        """Execute and answer. The command's place in the window opens before its response tells MaxCmdSN."""
        lun = decode_lun(command.lun)
        result = self._luns.execute(lun, command.cdb, data_out, connection.nexus)
        if result.pending is not None:
            self._answer_after(result.pending, command, connection)
            return
        if not command.immediate:
            self._window.release()
        if result.aborted:
            self._on_preempt(result.aborted, lun)
        if command.read:
            self._answer_read(command, result, connection)
        else:
            actual = self._data_out_length(command) if command.write else len(result.data)
            self._answer(command, result, 0, actual, connection)

    def _answer_after(self, flush: Flush, command: ScsiCommand, connection: Allegiance) -> None:
        """Answer when the flush has ended; the command keeps its tag and its place in the window until then.

        Whatever ends the task meanwhile (an abort, a reset, the loss of the nexus) has taken it out of the waiting.
        """
        task = self._waiting[command.itt] = WaitingAnswer(command, connection)

        def done(error: OSError | None) -> None:
            if self._waiting.get(command.itt) is not task:
                return
            del self._waiting[command.itt]
            self._release(command)
            unit = self._luns.get(decode_lun(command.lun))
            result = GOOD if error is None or unit is None else unit.check_condition(MEDIUM_WRITE_ERROR)
            self._answer(command, result, 0, self._data_out_length(command) if command.write else 0, connection)
            connection.wake()

        flush.on_done(done)

    def _data_out_length(self, command: ScsiCommand) -> int:
        """Bytes the CDB itself says it takes from the initiator."""
        transfer = self._luns.transfer_length(decode_lun(command.lun), command.cdb)
        return transfer[1] if transfer is not None and transfer[0] is DataDirection.OUT else 0

    def _answer_read(self, command: ScsiCommand, result: ScsiResult, connection: Allegiance) -> None:
        data = result.data
        actual = len(data)
        if actual > command.edtl:
            data = data[: command.edtl]
        if not data:
            self._answer(command, result, 0, actual, connection)
            return
        window = self._window
        collapse = result.status == _GOOD
        if collapse and actual == command.edtl and actual <= connection.one_pdu_bytes:  # as most reads go
            stat_sn = connection.stat_sn
            connection.stat_sn = (stat_sn + 1) & 0xFFFFFFFF
            connection.send(
                _data_in(
                    has_status=True,
                    itt=command.itt,
                    stat_sn=stat_sn,
                    exp_cmd_sn=window.exp_cmd_sn,
                    max_cmd_sn=window.max_cmd_sn,
                    data=data,
                )
            )
            return
        left = residual(command.edtl, actual)
        length, params = len(data), connection.params
        # A piece of a view is no copy, and all that is done with it is to measure and send it; CRC32C wants bytes.
        view = data if params.data_digest else memoryview(data)
        data_sn = 0
        for part in segments(0, length, params.peer_max_recv_data_segment_length, params.max_burst_length):
            last = part.offset + part.length == length
            with_status = last and collapse
            connection.send(
                DataIn(
                    final=part.final,
                    has_status=with_status,
                    overflow=with_status and left.overflow,
                    underflow=with_status and left.underflow,
                    itt=command.itt,
                    stat_sn=connection.stat_sn if with_status else 0,
                    exp_cmd_sn=window.exp_cmd_sn,
                    max_cmd_sn=window.max_cmd_sn,
                    data_sn=data_sn,
                    buffer_offset=part.offset,
                    residual=left.count if with_status else 0,
                    data=cast(bytes, view[part.offset : part.offset + part.length]),
                )
            )
            data_sn += 1
        if collapse:
            connection.stat_sn = (connection.stat_sn + 1) & 0xFFFFFFFF
        else:
            self._answer(command, result, data_sn, actual, connection)

    def _answer(
        self, command: ScsiCommand, result: ScsiResult, data_sn: int, actual: int, connection: Allegiance
    ) -> None:
        """A SCSI Response PDU; ``actual`` is what the SCSI layer moved or would have moved, in bytes."""
        window = self._window
        left = residual(command.edtl, actual)
        stat_sn = connection.stat_sn
        connection.stat_sn = (stat_sn + 1) & 0xFFFFFFFF
        sense = result.sense
        connection.send(
            ScsiResponse(
                status=result.status,
                itt=command.itt,
                stat_sn=stat_sn,
                exp_cmd_sn=window.exp_cmd_sn,
                max_cmd_sn=window.max_cmd_sn,
                exp_data_sn=data_sn,
                overflow=left.overflow,
                underflow=left.underflow,
                residual=left.count,
                data=len(sense).to_bytes(2, "big") + sense if sense else b"",
            )
        )
