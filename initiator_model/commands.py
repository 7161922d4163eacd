"""SCSI commands on one connection: sent when the window lets them, fed with data, completed (RFC 7143 11.3 to 11.8).

Commands wait here in the order they came while the target's window is closed or MaxPendingRequests are outstanding.
A write sends as much as the session allows unasked and the rest as R2Ts ask for it. A read collects its Data-In; the
status may come in the last of them.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from initiator_model.requests import Completion, CompletionKind
from initiator_model.tasks import Task, completion_of_data_in, completion_of_response
from initiator_model.wire import Wire
from iscsi.constants import BHS_LENGTH, RESERVED_TAG
from iscsi.errors import LocalProtocolError, RemoteProtocolError
from iscsi.lun import encode_lun
from iscsi.pdu import R2T, DataIn, ScsiCommand, ScsiResponse, SnackRequest
from iscsi.plain_command import DATA_IN_GOOD, RESPONSE_GOOD, SIMPLE_READ, pack_command, unpack_answer
from iscsi.transfer import DataOutPlan, ReadBuffer, data_out_run

__all__ = ["WAITING_MAX", "Commands"]

WAITING_MAX: Final = 16_384
"""Commands that may wait on one connection; far above what a disk lets through."""

_COMPLETED: Final = CompletionKind.COMPLETED  # an enum's attribute is slow to look up
_CDB_LENGTH: Final = 16
_U32: Final = 0xFFFF_FFFF
_DATA_ACK: Final = 2  # SNACK type (11.16.1)


class Commands:
    """The tasks of one connection. ``open`` is cleared when no further command may be sent (logout)."""

    __slots__ = ("_max_pending", "_returned", "_tasks", "_waiting", "_wire", "open")

    def __init__(self, wire: Wire, max_pending: int) -> None:
        self._wire = wire
        self._max_pending = max_pending
        self._tasks: dict[int, Task] = {}  # at the target, oldest first
        self._waiting: deque[Task] = deque()
        self._returned = 0  # of those waiting, the first so many were sent once and refused
        self.open = True

    @property
    def outstanding(self) -> int:
        """Commands sent and not completed."""
        return len(self._tasks)

    @property
    def waiting(self) -> int:
        """Commands not sent yet."""
        return len(self._waiting)

    def start(self, task: Task) -> None:
        """Send a command now, or as soon as those before it, the window and MaxPendingRequests allow.

        When `WAITING_MAX` wait already it completes at once with BUSY.

        Raises:
            LocalProtocolError: a command no PDU of this initiator can carry.
        """
        request = task.request
        if len(request.cdb) > _CDB_LENGTH or (request.data_out and request.read_length):
            raise LocalProtocolError(f"{request!r}: a CDB above 16 bytes and data both ways need an AHS, not sent here")
        if not self._waiting and self._may_send():
            self._send(task)
        elif len(self._waiting) < WAITING_MAX:
            self._waiting.append(task)
        else:
            task.done(Completion(CompletionKind.BUSY))

    def start_waiting(self) -> None:
        """Send what has been waiting, as far as it is allowed now."""
        while self._waiting and self._may_send():
            self._send(self._waiting.popleft())

    def send_again(self, itt: int) -> bool:
        """The target refused to take up this command: put it back among those that wait, before all unsent ones.

        False if no such command is under way. Commands must have been stopped (`open` is False): the CmdSN that is
        left unused makes a hole which only a new session closes (RFC 7143 7.3).
        """
        task = self._tasks.pop(itt, None)
        if task is None:
            return False
        task.reset()
        self._waiting.insert(self._returned, task)
        self._returned += 1
        return True

    def oldest(self) -> Task | None:
        """The task that has been under way longest and is not being aborted."""
        for task in self._tasks.values():
            if not task.aborting:
                return task
        return self._waiting[0] if self._waiting else None

    def at_target(self) -> list[Task]:
        """The tasks that were sent and have not completed, oldest first."""
        return list(self._tasks.values())

    def finish(self, task: Task, completion: Completion) -> None:
        """Complete a task without a word of its own from the target; one that has completed stays as it is."""
        if not task.sent and task in self._waiting:
            self._waiting.remove(task)
        elif self._tasks.pop(task.itt, None) is None:
            return
        task.done(completion)

    def abandon(self) -> list[Task]:
        """Hand over every task, in the order of submission, ready to be started on another connection."""
        left = [*self._tasks.values(), *self._waiting]
        self._tasks.clear()
        self._waiting.clear()
        for task in left:
            task.reset()
        return left

    def _may_send(self) -> bool:
        numbering = self._wire.numbering
        window_open = (numbering.max_cmd_sn - numbering.cmd_sn) & 0xFFFFFFFF < 0x80000000  # in place: once per command
        return window_open and len(self._tasks) < self._max_pending and self.open

    def _send(self, task: Task) -> None:
        wire, tasks = self._wire, self._tasks
        request = task.request
        tag = wire.next_tag()
        while tag in tasks:
            tag = wire.next_tag()
        task.itt = tag
        task.cmd_sn = cmd_sn = wire.numbering.take()
        task.sent = True
        tasks[tag] = task
        data_out = request.data_out
        if not data_out:
            lun, length, cdb, exp_stat_sn = encode_lun(request.lun), request.read_length, request.cdb, wire.exp_stat_sn
            if 0 < length <= _U32 and len(cdb) == _CDB_LENGTH:
                wire.send_header(pack_command(SIMPLE_READ, 0, lun, tag, length, cmd_sn, exp_stat_sn, cdb))
            else:
                wire.send(
                    ScsiCommand(
                        lun=lun, itt=tag, edtl=length, cmd_sn=cmd_sn, exp_stat_sn=exp_stat_sn, cdb=cdb, read=length > 0
                    )
                )
            return
        plan = DataOutPlan.of(len(data_out), wire.params)
        wire.send(
            ScsiCommand(
                lun=encode_lun(request.lun),
                itt=tag,
                edtl=len(data_out),
                cmd_sn=cmd_sn,
                exp_stat_sn=wire.status.exp_stat_sn,
                cdb=request.cdb,
                final=plan.final,
                write=True,
                data=data_out[: plan.immediate],
            )
        )
        if plan.unsolicited:
            self._send_data(task, plan.immediate, plan.unsolicited, RESERVED_TAG)

    def _send_data(self, task: Task, offset: int, length: int, ttt: int) -> None:
        wire = self._wire
        for pdu in data_out_run(
            task.request.data_out,
            offset,
            length,
            params=wire.params,
            lun=encode_lun(task.request.lun),
            itt=task.itt,
            ttt=ttt,
            exp_stat_sn=wire.status.exp_stat_sn,
        ):
            wire.send(pdu)

    def take_plain_answers(self, data: bytes) -> int:
        """Complete what the answers that ``data`` begins with are about, without a PDU object; no digests are in use.

        A plain answer has all of a read in one Data-In, or says GOOD of a command that reads nothing. Returns
        where the first other thing stands; `on_data_in` and `on_scsi_response` would have done the same.
        """
        wire, tasks = self._wire, self._tasks
        numbering, status = wire.numbering, wire.status
        longest = wire.params.max_recv_data_segment_length
        position, end = 0, len(data)
        while (first := position + BHS_LENGTH) <= end:
            word, length, tag, stat_sn, exp_cmd_sn, max_cmd_sn, data_sn, offset = unpack_answer(data, position)
            task = tasks.get(tag)
            if task is None or stat_sn != status.exp_stat_sn:
                break
            expected = task.request.read_length
            after = first + length
            if word == DATA_IN_GOOD:
                if length != expected or not length or length & 3 or length > longest or after > end:
                    break
                if data_sn or offset or task.reader is not None:
                    break
            elif word != RESPONSE_GOOD or length or expected:
                break
            numbering.update(exp_cmd_sn, max_cmd_sn)
            status.exp_stat_sn = (stat_sn + 1) & _U32
            del tasks[tag]
            position = after
            done = task.done
            done(Completion(_COMPLETED, 0, b"", data[first:after]))
            if not self.open:
                break  # the connection may have ended
        return position

    def on_data_in(self, pdu: DataIn) -> None:
        """Data of a read, with its status in the last PDU if the target likes."""
        tag = pdu.itt
        task = self._tasks.get(tag)
        if task is None:
            raise _nothing_under_way(pdu)
        wire = self._wire
        wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
        reader = task.reader
        expected = task.request.read_length
        if not expected:
            raise RemoteProtocolError(f"DATA_IN for task tag 0x{pdu.itt:08x}, whose command reads nothing")
        whole = pdu.has_status and len(pdu.data) == expected and reader is None
        if whole and not (pdu.data_sn or pdu.buffer_offset or pdu.overflow or pdu.underflow):
            wire.status.advance(pdu.stat_sn)
            del self._tasks[tag]
            done = task.done
            done(Completion(_COMPLETED, pdu.status, b"", pdu.data))  # as most reads come
            return
        if reader is None:
            reader = task.reader = ReadBuffer(expected)
        reader.take(pdu)
        if pdu.has_status:
            wire.status.advance(pdu.stat_sn)
            completion = completion_of_data_in(task, pdu)
            del self._tasks[pdu.itt]
            task.done(completion)
        elif pdu.acknowledge and wire.params.error_recovery_level:
            begin, sn = reader.data_sn, wire.exp_stat_sn
            ack = SnackRequest(type=_DATA_ACK, lun=pdu.lun, itt=pdu.itt, ttt=pdu.ttt, exp_stat_sn=sn, beg_run=begin)
            wire.send(ack)

    def on_scsi_response(self, pdu: ScsiResponse) -> None:
        """The end of a command."""
        task = self._task_of(pdu)
        self._wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
        self._wire.status.advance(pdu.stat_sn)
        completion = completion_of_response(task, pdu)
        del self._tasks[pdu.itt]
        task.done(completion)

    def on_r2t(self, pdu: R2T) -> None:
        """The target asks for a stretch of a write's data (11.8); all of it goes out at once."""
        task = self._task_of(pdu)
        self._wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
        length = len(task.request.data_out)
        end = pdu.buffer_offset + pdu.desired_length
        if pdu.ttt == RESERVED_TAG:
            raise RemoteProtocolError("R2T with the reserved target transfer tag")
        if pdu.r2t_sn != task.r2t_sn:
            raise RemoteProtocolError(f"R2T with R2TSN {pdu.r2t_sn} where {task.r2t_sn} was due")
        if not 0 < pdu.desired_length <= self._wire.params.max_burst_length or end > length:
            raise RemoteProtocolError(
                f"R2T asks for bytes {pdu.buffer_offset} to {end} of a write of {length} bytes; "
                f"MaxBurstLength is {self._wire.params.max_burst_length}"
            )
        task.r2t_sn += 1
        self._send_data(task, pdu.buffer_offset, pdu.desired_length, pdu.ttt)

    def _task_of(self, pdu: ScsiResponse | R2T) -> Task:
        task = self._tasks.get(pdu.itt)
        if task is None:
            raise _nothing_under_way(pdu)
        return task


def _nothing_under_way(pdu: DataIn | ScsiResponse | R2T) -> RemoteProtocolError:
    return RemoteProtocolError(f"{pdu.OPCODE.name} for task tag 0x{pdu.itt:08x}, under which nothing is under way")
