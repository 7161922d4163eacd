"""One connection of a host to the array, PDU by PDU, held to the rules of RFC 7143.

This host has one connection per session, so a connection is a session here. What is held:

    CmdSN counts up by one and stays inside the window; the window is never larger than what the array takes at a time
    StatSN counts up by one
    a task tag is used once at a time, and each answer belongs to a command
    Data-In, R2T and Data-Out are numbered and placed without gaps, inside what was agreed and asked for
    a command that ends well has moved what it asked for, less its residual
    CHECK CONDITION carries sense data
    what task management has ended is not answered any more
    a nexus that a reset has swept over finds a unit attention at its next command; so does a new one at its first

Sources: RFC 7143 4.2.2 (numbers), 4.2.5.2 and 11.7, 11.8 (data), 11.4 (responses), 11.5, 11.6 (task management), 13.10
to 13.14 (bursts); SAM-5 5.14 (unit attentions).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from harness.check.marks import Mark
from harness.check.wire.copies import Copy, OpenR2t, Task
from harness.check.wire.scan import Fields, Header, Op, Scanner
from harness.check.wire.terms import Terms
from harness.sectors import tagged_by

if TYPE_CHECKING:
    from harness.check.wire.watch import WireWatch

__all__ = ["Conversation"]

_NO_TAG: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31
_COMMAND: Final = Op.COMMAND
_DATA_IN: Final = Op.DATA_IN
_RESPONSE: Final = Op.RESPONSE
_IMMEDIATE: Final = 0x40
_LENGTH_MASK: Final = 0xFFFFFF
_FINAL: Final = 0x80
_WRITE: Final = 0x20
_UNDERFLOW: Final = 0x02
_OVERFLOW: Final = 0x04
_STATUS_WITH_DATA: Final = 0x01
_TRANSIT: Final = 0x80
_FULL_FEATURE: Final = 3
_GOOD: Final = 0
_CHECK_CONDITION: Final = 2
_UNIT_ATTENTION: Final = 6
_ABORT_TASK: Final = 1
_LOGICAL_UNIT_RESET: Final = 5
_RESETS_TARGET: Final = (6, 7)
_FUNCTION_COMPLETE: Final = 0
_EXEMPT: Final = (0x12, 0xA0, 0x03)
"""INQUIRY, REPORT LUNS and REQUEST SENSE are served whatever attention is due (SAM-5 5.14)."""


def _before(one: int, other: int) -> bool:
    """Serial number arithmetic: ``one`` comes before ``other`` (RFC 1982)."""
    return one != other and (other - one) & _NO_TAG < _HALF


class Conversation:
    """One connection: a `tap.Listener`.

    ``open`` until the host has closed it or heard of its end; ``full_feature`` once its login has succeeded.
    """

    def __init__(self, watch: WireWatch, host: str, local: str, remote: str) -> None:
        self.host = host
        self.local = local
        self.remote = remote
        self.terms = Terms()
        self.isid = b""
        self.open = True
        self.full_feature = False
        self.tasks: dict[int, Task] = {}
        self.owes_attention: int | None = 0
        """The tick since which a unit attention is due; None: none is."""
        self._watch = watch
        self._ticks = watch.ticks
        self._depth = watch.depth
        self._sent = Scanner(self._on_sent)
        self._received = Scanner(self._on_received)
        self._next_cmd_sn = 0
        self._max_cmd_sn = 0
        self._exp_cmd_sn = 0
        self._next_stat_sn: int | None = None
        self.attended = -1
        """The tick of the last unit attention that came."""
        self._functions: dict[int, tuple[int, int, bytes, int, int]] = {}  # tag: function, task, LUN, CmdSN, tick
        self._aborted: dict[int, None] = {}
        self._immediate_data = True
        self._first_burst = 0

    @property
    def where(self) -> str:
        """The connection, for people."""
        return f"{self.local} → {self.remote}"

    # -- Listener --------------------------------------------------------------------------------------------------

    def sent(self, data: bytes) -> None:
        """See `Listener.sent`."""
        self._sent.feed(data)

    def received(self, data: bytes) -> None:
        """See `Listener.received`."""
        self._received.feed(data)

    def closed(self) -> None:
        """See `Listener.closed`."""
        if self.open:
            self.open = False
            if any(task.r2ts for task in self.tasks.values()):
                self._watch.marks.hit(Mark.LOST_WITH_R2T_OUTSTANDING)
            self._watch.closed(self)

    # -- what the host sends ---------------------------------------------------------------------------------------

    def _on_sent(self, opcode: int, fields: Fields, data: bytes) -> None:
        if opcode == _COMMAND:
            self._command(fields, data)
            return
        header = Header._make(fields)
        if opcode == Op.DATA_OUT:
            self._data_out(header, data)
        elif opcode == Op.LOGIN:
            self.isid = header.lun[:6]
            self._next_cmd_sn = header.w24
            self.terms.hear(data)
        elif opcode in _NUMBERED:
            self._number(header.byte0, header.w24)
            if opcode == Op.TMF:
                sent = self._ticks.next()
                self._functions[header.w16] = (header.flags & 0x7F, header.w20, header.lun, header.w24, sent)

    def _number(self, byte0: int, cmd_sn: int) -> None:
        if cmd_sn != self._next_cmd_sn:
            self._wrong("CmdSN", f"the host numbers {cmd_sn} what comes after {self._next_cmd_sn - 1 & _NO_TAG}")
            self._next_cmd_sn = cmd_sn
        if byte0 & _IMMEDIATE:
            return  # it carries the next number and does not use it up
        if not cmd_sn:
            self._watch.marks.hit(Mark.CMD_SN_WRAPPED)
        if (self._max_cmd_sn - cmd_sn) & _NO_TAG >= _HALF:
            self._wrong("command window", f"the host sends CmdSN {cmd_sn}, and MaxCmdSN is {self._max_cmd_sn}")
        elif cmd_sn == self._max_cmd_sn:
            self._watch.marks.hit(Mark.WINDOW_CLOSED)
        self._next_cmd_sn = (cmd_sn + 1) & _NO_TAG

    def _command(self, fields: Fields, data: bytes) -> None:
        byte0, flags, _, _, lengths, lun, itt, edtl, cmd_sn, _, cdb, _, _, _ = fields
        tasks = self.tasks
        self._number(byte0, cmd_sn)
        if itt in tasks:
            self._wrong("task tag", f"the host uses tag {itt:#x} for a second command at a time")
        if self._aborted:
            self._aborted.pop(itt, None)
        ticks = self._ticks
        ticks.now = now = ticks.now + 1
        tasks[itt] = task = Task(now, cmd_sn, edtl, lun, byte0 & _IMMEDIATE, cdb >> 24)
        if flags & _WRITE:
            length = lengths & _LENGTH_MASK
            task.moved = length
            if length:
                task.copy = self._copy(data, now)
                if not self._immediate_data:
                    self._wrong("immediate data", f"{length} bytes came with a command, and ImmediateData is No")
                elif length > self._first_burst:
                    self._wrong("burst length", f"{length} bytes of immediate data are more than FirstBurstLength")
            task.asked = length if flags & _FINAL else min(self._first_burst, edtl)

    def _copy(self, data: bytes, now: int) -> Copy | None:
        writer = tagged_by(data)
        if writer is None:
            return None
        copy = Copy(writer, self, now, self._ticks.now_ns())
        self._watch.copied(copy)
        return copy

    def _data_out(self, header: Header, data: bytes) -> None:
        task = self.tasks.get(header.w16)
        if task is None:
            return  # of a task that was aborted while its data was on the way
        ttt, offset, length = header.w20, header.w40, header.data_length
        if task.copy is None and not offset:
            task.copy = self._copy(data, self._ticks.next())
        if ttt == _NO_TAG:
            if offset != task.moved or offset + length > min(self._first_burst, task.edtl):
                self._wrong("data offset", f"{length} unsolicited bytes at {offset} after {task.moved}")
            if header.w36 != task.unsolicited:
                self._wrong("DataSN", f"unsolicited Data-Out {header.w36} came for {task.unsolicited}")
            task.unsolicited += 1
            task.moved += length
            return
        r2t = None if task.r2ts is None else task.r2ts.get(ttt)
        if r2t is None:
            self._wrong("R2T", f"Data-Out with tag {ttt:#x}, which no open R2T has")
            return
        if header.w36 != r2t.data_sn:
            self._wrong("DataSN", f"Data-Out {header.w36} came for {r2t.data_sn}")
        if offset != r2t.at or offset + length > r2t.end:
            self._wrong("data offset", f"{length} bytes at {offset}, and {r2t.at} to {r2t.end} are asked for")
        r2t.data_sn = header.w36 + 1
        r2t.at = offset + length
        task.moved += length
        if header.flags & _FINAL:
            if r2t.at != r2t.end:
                self._wrong("data offset", f"the last Data-Out of a burst ends at {r2t.at}, not at {r2t.end}")
            assert task.r2ts is not None
            del task.r2ts[ttt]

    # -- what the array sends --------------------------------------------------------------------------------------

    def _on_received(self, opcode: int, fields: Fields, data: bytes) -> None:
        if opcode == _DATA_IN:
            self._data_in(fields)
            return
        if opcode == _RESPONSE:
            self._response(fields, data)
            return
        header = Header._make(fields)
        if opcode == Op.LOGIN_RESPONSE:
            self._login_response(header, data)
            return
        self._window(header.w28, header.w32)
        counts = opcode != Op.R2T and not (opcode == Op.NOP_IN and header.w16 == _NO_TAG)
        self._status(header.w24, counts)
        if opcode == Op.R2T:
            self._r2t(header)
        elif opcode == Op.TMF_RESPONSE:
            self._function_response(header)
        elif opcode == Op.LOGOUT_RESPONSE:
            if header.byte2 == 0:
                self.end_copies("its session was logged out")
                self._watch.logged_out(self)
        elif opcode == Op.ASYNC and header.w36 >> 24 == 1:
            self._watch.marks.hit(Mark.ASYNC_LOGOUT)

    def _window(self, exp_cmd_sn: int, max_cmd_sn: int) -> None:
        """ExpCmdSN and MaxCmdSN, which every PDU of the array's carries."""
        room = (max_cmd_sn - exp_cmd_sn + 1) & _NO_TAG
        if room > self._depth:
            if room < _HALF:
                what = f"MaxCmdSN {max_cmd_sn} offers room for {room} commands, and the array takes {self._depth}"
            else:
                what = f"MaxCmdSN {max_cmd_sn} is below ExpCmdSN {exp_cmd_sn} - 1"
            self._wrong("command window", what)
        if (self._next_cmd_sn - exp_cmd_sn) & _NO_TAG >= _HALF:
            last = self._next_cmd_sn - 1 & _NO_TAG
            self._wrong("CmdSN", f"ExpCmdSN {exp_cmd_sn} is beyond what the host has sent, {last}")
        self._exp_cmd_sn = exp_cmd_sn
        if (max_cmd_sn - self._max_cmd_sn) & _NO_TAG < _HALF:
            self._max_cmd_sn = max_cmd_sn

    def _status(self, stat_sn: int, counts: bool) -> None:
        """StatSN; ``counts``: the PDU uses it up, and does not merely show the next one."""
        if stat_sn != self._next_stat_sn:
            self._wrong("StatSN", f"{stat_sn} came for {self._next_stat_sn}")
        self._next_stat_sn = (stat_sn + 1) & _NO_TAG if counts else stat_sn

    def _login_response(self, header: Header, data: bytes) -> None:
        status_class = header.w36 >> 24
        if not status_class:  # else the numbers mean nothing (RFC 7143 11.13.4)
            if self._next_stat_sn is not None and header.w24 != self._next_stat_sn:
                self._wrong("StatSN", f"{header.w24} came for {self._next_stat_sn} during the login")
            self._next_stat_sn = (header.w24 + 1) & _NO_TAG
            self._max_cmd_sn, self._exp_cmd_sn = header.w32, header.w28
        self.terms.hear(data)
        if status_class == 1:
            self._watch.logins.redirected(self, self.terms.names.get("TargetAddress", ""), header.w36 >> 16 & 0xFF)
        elif status_class:
            self._watch.logins.refused(self)
        elif header.flags & _TRANSIT and header.flags & 3 == _FULL_FEATURE:
            for scanner in (self._sent, self._received):
                scanner.header_digest, scanner.data_digest = self.terms.header_digest, self.terms.data_digest
            self._immediate_data = self.terms.immediate_data
            self._first_burst = self.terms.numbers["FirstBurstLength"]
            self.full_feature = True
            self._watch.logged_in(self)

    def _data_in(self, fields: Fields) -> None:
        _, flags, _, status, lengths, _, itt, _, stat_sn, exp_cmd_sn, max_cmd_sn, data_sn, offset, residual = fields
        self._window(exp_cmd_sn, max_cmd_sn)
        with_status = flags & _STATUS_WITH_DATA
        if with_status:
            self._status(stat_sn, True)
        task = self.tasks.get(itt)
        if task is None:
            self._stray(itt, "Data-In")
            return
        if data_sn != task.data_sn:
            self._wrong("DataSN", f"Data-In {data_sn} came for {task.data_sn}")
        if offset != task.moved:
            self._wrong("data offset", f"Data-In at {offset} came for {task.moved}")
        task.data_sn = data_sn + 1
        task.moved = offset + (lengths & _LENGTH_MASK)
        if task.moved > task.edtl:
            self._wrong("data offset", f"{task.moved} bytes came of a read of {task.edtl}")
        if with_status:
            self._answered(itt, task, flags, residual, status, b"")

    def _r2t(self, header: Header) -> None:
        task = self.tasks.get(header.w16)
        if task is None:
            self._stray(header.w16, "R2T")
            return
        offset, length = header.w40, header.w44
        if header.w36 != task.r2t_sn:
            self._wrong("R2T", f"R2TSN {header.w36} came for {task.r2t_sn}")
        if offset != task.asked or offset + length > task.edtl or not length:
            whole = f"of a write of {task.edtl} bytes, {task.asked} of them asked for"
            self._wrong("R2T", f"the array asks for {length} bytes at {offset} {whole}")
        if length > self.terms.numbers["MaxBurstLength"]:
            self._wrong("burst length", f"an R2T for {length} bytes is more than MaxBurstLength")
        if task.r2ts is None:
            task.r2ts = {}
        task.r2ts[header.w20] = OpenR2t(offset, length)
        if len(task.r2ts) > self.terms.numbers["MaxOutstandingR2T"]:
            self._wrong("R2T", f"{len(task.r2ts)} R2Ts are open at once, more than MaxOutstandingR2T")
        task.r2t_sn = header.w36 + 1
        task.asked = offset + length

    def _response(self, fields: Fields, data: bytes) -> None:
        _, flags, response, status, _, _, itt, _, stat_sn, exp_cmd_sn, max_cmd_sn, _, _, residual = fields
        self._window(exp_cmd_sn, max_cmd_sn)
        self._status(stat_sn, True)
        task = self.tasks.get(itt)
        if task is None:
            self._stray(itt, "a response")
        elif response:
            self._end(itt, task, False)  # the command did not complete at the target
        else:
            self._answered(itt, task, flags, residual, status, data)

    def _answered(self, itt: int, task: Task, flags: int, residual: int, status: int, data: bytes) -> None:
        if status == _GOOD:
            short = residual if flags & _UNDERFLOW else 0
            if task.moved + short != task.edtl and not flags & _OVERFLOW:
                what = f"{task.moved} bytes were moved of {task.edtl}, residual {short}"
                self._broken("data and residual", f"a command ended GOOD: {what}")
            if self.owes_attention is not None:
                self._attention_due(task)
        elif status == _CHECK_CONDITION:
            key = _sense_key(data)
            if key is None:
                self._broken("sense data", "a command ended CHECK CONDITION and carries no sense data")
            elif key == _UNIT_ATTENTION:
                self._watch.marks.hit(Mark.UNIT_ATTENTION)
                self.owes_attention = None
                self.attended = self._ticks.next()
        self._end(itt, task, status == _GOOD)

    def _attention_due(self, task: Task) -> None:
        due = self.owes_attention
        if due is not None and task.sent > due and task.opcode not in _EXEMPT:
            self.owes_attention = None
            what = "a new nexus' first command" if not due else "the first command after a reset"
            self._watch.attentions.add("forgotten", f"{self.where}: {what} ended GOOD without a unit attention")

    def _end(self, itt: int, task: Task, good: bool) -> None:
        del self.tasks[itt]
        if task.copy is not None:
            self._watch.answered(task.copy, good)

    def _stray(self, itt: int, what: str) -> None:
        if itt in self._aborted:
            self._broken("aborted task", f"{what} came for a task after its abort was answered function complete")
        else:
            self._broken("stray answer", f"{what} came for tag {itt:#x}, which no command has")

    def _function_response(self, header: Header) -> None:
        function, task_tag, lun, cmd_sn, sent = self._functions.pop(header.w16, (0, _NO_TAG, b"", 0, 0))
        if header.byte2 != _FUNCTION_COMPLETE:
            return
        self._watch.marks.hit(Mark.TASK_ABORTED)
        if function == _ABORT_TASK:
            task = self.tasks.pop(task_tag, None)
            self._aborted[task_tag] = None
            if task is not None and task.copy is not None:
                self._watch.ended(task.copy, "its abort was answered function complete")
        elif function == _LOGICAL_UNIT_RESET or function in _RESETS_TARGET:
            self._forget(lambda task: not task.flags and _before(task.cmd_sn, cmd_sn) and task.lun == lun)
            self._watch.reset(self, lun, sent)

    def _forget(self, swept: Callable[[Task], bool]) -> None:
        for itt, task in [(itt, task) for itt, task in self.tasks.items() if swept(task)]:
            del self.tasks[itt]
            self._aborted[itt] = None
            if task.copy is not None:
                self._watch.ended(task.copy, "the logical unit was reset")

    def has_arrived(self, task: Task) -> bool:
        """Whether the array has said that it took the command in."""
        return not task.flags and _before(task.cmd_sn, self._exp_cmd_sn)

    @property
    def has_open_copies(self) -> bool:
        """Whether a write it has sent may still reach the medium."""
        return any(task.copy is not None and task.copy.open for task in self.tasks.values())

    def end_copies(self, why: str) -> None:
        """Nothing that this session had under way may reach the medium any more."""
        for task in self.tasks.values():
            if task.copy is not None:
                self._watch.ended(task.copy, why)

    # -- findings --------------------------------------------------------------------------------------------------

    def _wrong(self, rule: str, what: str) -> None:
        self._watch.sequence.add(rule, f"{self.where}: {what}")

    def _broken(self, rule: str, what: str) -> None:
        self._watch.answers.add(rule, f"{self.where}: {what}")


_NUMBERED: Final = (Op.TMF, Op.LOGOUT, Op.TEXT, Op.NOP_OUT)


def _sense_key(data: bytes) -> int | None:
    """The sense key in the data segment of a response: two bytes of length, then fixed or descriptor format."""
    length = int.from_bytes(data[:2])
    if length < 4 or len(data) < 5:
        return None
    descriptor = data[2] & 0x7F in (0x72, 0x73)
    return (data[3] if descriptor else data[4]) & 0x0F
