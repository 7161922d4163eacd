"""One connection of a host to the array, PDU by PDU, held to the rules of RFC 7143.

This host has one connection per session, so a connection is a session here. What is held:

    CmdSN counts up by one and stays inside the window; the window is never larger than what the array takes
    ExpCmdSN, StatSN count up, and neither side acknowledges what it cannot have seen
    a task tag is used once at a time, and each answer belongs to a request
    Data-In, R2T and Data-Out are numbered and placed without gaps, inside what was agreed and asked for (`transfers`)
    a command that ends well has moved what it asked for, less its residual
    CHECK CONDITION carries sense data
    what task management has ended is not answered any more
    a nexus that a reset has swept over finds a unit attention at its next command; so does a new one (`attentions`)
    nothing but answers follows a logout

Sources: RFC 7143 4.2.2 (numbers), 11.4 (responses), 11.5, 11.6 (task management), 11.14 (logout), 11.18, 11.19 (NOP).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from harness.check.marks import Mark
from harness.check.wire import transfers
from harness.check.wire.attentions import Attentions, sense_key
from harness.check.wire.copies import Copy, Task
from harness.check.wire.management import Management
from harness.check.wire.requests import Requests
from harness.check.wire.scan import NO_TAG, Fields, Header, Op, Scanner, before
from harness.check.wire.terms import Terms
from harness.sectors import tagged_by

if TYPE_CHECKING:
    from harness.check.wire.watch import WireWatch

__all__ = ["Conversation"]


_HALF: Final = 1 << 31
_IMMEDIATE: Final = 0x40
_LENGTH_MASK: Final = 0xFFFFFF
_FINAL: Final = 0x80
_WRITE: Final = 0x20
_OVERFLOW: Final = 0x04
_UNDERFLOW: Final = 0x02
_STATUS_WITH_DATA: Final = 0x01
_LAST_DATA: Final = _FINAL | _STATUS_WITH_DATA
_TRANSIT: Final = 0x80
_FULL_FEATURE: Final = 3
_CHECK_CONDITION: Final = 2
_UNIT_ATTENTION: Final = 6


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
        self.attentions: Attentions | None = Attentions()
        """None in a discovery session."""
        self.management = Management(watch, self)
        self._aborted = self.management.aborted
        self._watch = watch
        self._ticks = watch.ticks
        self._depth = watch.depth
        sent, received = {Op.COMMAND: self._command}, {Op.DATA_IN: self._data_in, Op.RESPONSE: self._response}
        self._scanners = Scanner(sent, self._on_sent), Scanner(received, self._on_received)
        self.sent, self.received = (scanner.feed for scanner in self._scanners)
        """See `Listener`."""
        self._logged_out = False
        self._next_cmd_sn = 0
        self._max_cmd_sn = 0
        self._exp_cmd_sn = 0
        self._next_stat_sn: int | None = None
        self._requests = Requests()
        self._open_requests = self._requests.open
        self._plain_write = self._plain_read = 0  # bytes up to which a single PDU with all the data breaks no rule

    @property
    def where(self) -> str:
        """The connection, for people."""
        return f"{self.local} → {self.remote}"

    def closed(self) -> None:
        """See `Listener.closed`."""
        if self.open:
            self.open = False
            if any(task.r2ts for task in self.tasks.values()):
                self._watch.marks.hit(Mark.LOST_WITH_R2T_OUTSTANDING)
            self._watch.closed(self)

    def turn_away(self) -> None:
        """Listen no more."""
        self.sent = self.received = lambda data: None

    # -- what the host sends ---------------------------------------------------------------------------------------

    def _command(self, fields: Fields, data: bytes) -> None:
        byte0, flags, _, _, lengths, lun, itt, edtl, cmd_sn, exp_stat_sn, cdb, _, _, _ = fields
        if (
            0 < cmd_sn < self._max_cmd_sn < cmd_sn + _HALF
            and cmd_sn == self._next_cmd_sn
            and not byte0 & _IMMEDIATE
            and not self._logged_out
        ):
            self._next_cmd_sn = cmd_sn + 1
        else:
            self._asked_after_logout()
            self._number(byte0, cmd_sn)
        if exp_stat_sn != self._next_stat_sn:
            self._acknowledged(exp_stat_sn)
        tasks = self.tasks
        if itt in tasks or itt in self._open_requests:
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
            if flags & _FINAL and length <= self._plain_write and length <= edtl:
                task.asked = length
            else:
                self._judge(transfers.began(task, length, bool(flags & _FINAL), self.terms))

    def _on_sent(self, opcode: int, fields: Fields, data: bytes) -> None:
        header = Header._make(fields)
        if opcode == Op.DATA_OUT:
            self._data_out(header, data)
        elif opcode == Op.LOGIN:
            self.isid = header.lun[:6]
            self._next_cmd_sn = header.w24
            self.terms.hear(data, of_target=False)
        elif opcode in (Op.TMF, Op.LOGOUT, Op.TEXT, Op.NOP_OUT):
            self._request(opcode, header)

    def _asked_after_logout(self) -> None:
        if self._logged_out:
            self._wrong("logout", "the host asks for something after its Logout Request")

    def _request(self, opcode: int, header: Header) -> None:
        if opcode != Op.NOP_OUT or header.w16 != NO_TAG:  # else it answers the array's ping
            self._asked_after_logout()
        self._number(header.byte0, header.w24)
        self._acknowledged(header.w28)
        if header.w16 in self.tasks:
            self._wrong("task tag", f"the host uses tag {header.w16:#x} for a request while a command has it")
        self._judge(self._requests.sent(opcode, header))
        if opcode == Op.TMF:
            self.management.asked(header)
        elif opcode == Op.LOGOUT:
            self._logged_out = True

    def _number(self, byte0: int, cmd_sn: int) -> None:
        if cmd_sn != self._next_cmd_sn:
            self._wrong("CmdSN", f"the host numbers {cmd_sn} what comes after {self._next_cmd_sn - 1 & NO_TAG}")
            self._next_cmd_sn = cmd_sn
        if byte0 & _IMMEDIATE:
            return  # it carries the next number and does not use it up
        if not cmd_sn:
            self._watch.marks.hit(Mark.CMD_SN_WRAPPED)
        if (self._max_cmd_sn - cmd_sn) & NO_TAG >= _HALF:
            self._wrong("command window", f"the host sends CmdSN {cmd_sn}, and MaxCmdSN is {self._max_cmd_sn}")
        elif cmd_sn == self._max_cmd_sn:
            self._watch.marks.hit(Mark.WINDOW_CLOSED)
        self._next_cmd_sn = (cmd_sn + 1) & NO_TAG

    def _acknowledged(self, exp_stat_sn: int) -> None:
        """ExpStatSN: what was read last may not have been looked at yet, and what was not read cannot have been."""
        due = self._next_stat_sn
        if due is not None and (due - exp_stat_sn) & NO_TAG >= _HALF:
            self._wrong("ExpStatSN", f"the host acknowledges up to {exp_stat_sn - 1 & NO_TAG}, and {due} is to come")

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
        if task.copy is None and not header.w40:
            task.copy = self._copy(data, self._ticks.next())
        self._judge(transfers.data_out(task, header, self.terms))

    # -- what the array sends --------------------------------------------------------------------------------------

    def _data_in(self, fields: Fields, data: bytes) -> None:
        _, flags, _, status, lengths, _, itt, _, stat_sn, exp, most, data_sn, offset, residual = fields
        if self._exp_cmd_sn <= exp <= self._next_cmd_sn and self._max_cmd_sn <= most < exp + self._depth:
            self._exp_cmd_sn, self._max_cmd_sn = exp, most
        else:
            self._window(exp, most)
        task = self.tasks.get(itt)
        if (
            flags == _LAST_DATA
            and task is not None
            and lengths == task.edtl <= self._plain_read
            and stat_sn == self._next_stat_sn
            and not (data_sn or offset or task.data_sn or task.moved or task.burst or status or task.r2ts)
        ):  # what the rest comes to for a read that is answered by one PDU, as most are
            self._next_stat_sn = (stat_sn + 1) & NO_TAG
            self._ended_good(itt, task)
            return
        with_status = flags & _STATUS_WITH_DATA
        if with_status:
            self._status(stat_sn, True)
        if task is None:
            self._stray(itt, "Data-In")
            return
        length = lengths & _LENGTH_MASK
        if data_sn != task.data_sn:
            self._wrong("DataSN", f"Data-In {data_sn} came for {task.data_sn}")
        if offset != task.moved:
            self._wrong("data offset", f"Data-In at {offset} came for {task.moved}")
        task.data_sn = data_sn + 1
        task.moved = moved = offset + length
        if moved >= task.edtl:
            if moved > task.edtl:
                self._wrong("data offset", f"{moved} bytes came of a read of {task.edtl}")
            if not flags & _FINAL:
                self._wrong("final bit", "the Data-In that ends a read has no F bit")
        if flags & _LAST_DATA != _LAST_DATA or task.burst or length > self._plain_read:
            final = bool(flags & _FINAL)
            self._judge(transfers.data_in_length(task, length, final, with_status, self.terms))
        if with_status:
            self._answered(itt, task, flags, residual, status, b"")

    def _response(self, fields: Fields, data: bytes) -> None:
        _, flags, response, status, _, _, itt, _, stat_sn, exp, most, data_sn, _, residual = fields
        if self._exp_cmd_sn <= exp <= self._next_cmd_sn and self._max_cmd_sn <= most < exp + self._depth:
            self._exp_cmd_sn, self._max_cmd_sn = exp, most
        else:
            self._window(exp, most)
        self._status(stat_sn, True)
        task = self.tasks.get(itt)
        if task is None:
            self._stray(itt, "a response")
        elif response:
            self._end(itt, task, False)  # the command did not complete at the target
        else:
            if data_sn != task.data_sn:
                self._wrong("DataSN", f"a response says that {data_sn} Data-In were sent; {task.data_sn} came")
            self._answered(itt, task, flags, residual, status, data)

    def _on_received(self, opcode: int, fields: Fields, data: bytes) -> None:
        header = Header._make(fields)
        if opcode == Op.LOGIN_RESPONSE:
            self._login_response(header, data)
            return
        itt = header.w16
        self._window(header.w28, header.w32)
        self._status(header.w24, opcode != Op.R2T and not (opcode == Op.NOP_IN and itt == NO_TAG))
        if opcode == Op.R2T:
            self._r2t(header)
            return
        stray = self._requests.received(opcode, header)
        if stray is not None:
            self._broken("stray answer", stray)
        if opcode == Op.TMF_RESPONSE:
            self.management.answered(header)
        elif opcode == Op.LOGOUT_RESPONSE:
            if not header.byte2:
                self.end_copies("its session was logged out")
                self._watch.logged_out(self)
        elif opcode == Op.REJECT:
            self._rejected(data)
        elif opcode == Op.ASYNC and header.w36 >> 24 == 1:
            self._watch.marks.hit(Mark.ASYNC_LOGOUT)

    def _window(self, exp_cmd_sn: int, max_cmd_sn: int) -> None:
        """ExpCmdSN and MaxCmdSN, which every PDU of the array's carries."""
        room = (max_cmd_sn - exp_cmd_sn + 1) & NO_TAG
        if room >= _HALF:
            self._wrong("command window", f"MaxCmdSN {max_cmd_sn} is below ExpCmdSN {exp_cmd_sn} - 1")
        elif room > self._depth:
            what = f"MaxCmdSN {max_cmd_sn} offers room for {room} commands, and the array takes {self._depth}"
            self._wrong("command window", what)
        if (self._next_cmd_sn - exp_cmd_sn) & NO_TAG >= _HALF:
            last = self._next_cmd_sn - 1 & NO_TAG
            self._wrong("CmdSN", f"ExpCmdSN {exp_cmd_sn} is beyond what the host has sent, {last}")
        elif before(exp_cmd_sn, self._exp_cmd_sn):
            self._wrong("CmdSN", f"ExpCmdSN goes back from {self._exp_cmd_sn} to {exp_cmd_sn}")
        self._exp_cmd_sn = exp_cmd_sn
        if (max_cmd_sn - self._max_cmd_sn) & NO_TAG < _HALF:
            self._max_cmd_sn = max_cmd_sn

    def _status(self, stat_sn: int, counts: bool) -> None:
        """StatSN; ``counts``: the PDU uses it up, and does not merely show the next one."""
        if stat_sn != self._next_stat_sn:
            self._wrong("StatSN", f"{stat_sn} came for {self._next_stat_sn}")
        self._next_stat_sn = (stat_sn + 1) & NO_TAG if counts else stat_sn

    def _login_response(self, header: Header, data: bytes) -> None:
        status_class = header.w36 >> 24
        if not status_class:  # else the numbers mean nothing (RFC 7143 11.13.4)
            if self._next_stat_sn is not None and header.w24 != self._next_stat_sn:
                self._wrong("StatSN", f"{header.w24} came for {self._next_stat_sn} during the login")
            self._next_stat_sn = (header.w24 + 1) & NO_TAG
            self._max_cmd_sn, self._exp_cmd_sn = header.w32, header.w28
        terms = self.terms
        terms.hear(data, of_target=True)
        if status_class == 1:
            self._watch.logins.redirected(self, terms.names.get("TargetAddress", ""), header.w36 >> 16 & 0xFF)
        elif status_class:
            self._watch.logins.refused(self)
        elif header.flags & _TRANSIT and header.flags & 3 == _FULL_FEATURE:
            terms.settle()
            for scanner in self._scanners:
                scanner.agree(terms.header_digest, terms.data_digest, self._wrong)
            self._plain_write = min(terms.first_burst, terms.target_segment) if terms.immediate_data else 0
            self._plain_read = min(terms.max_burst, terms.initiator_segment)
            self.full_feature = True
            self._watch.logged_in(self)

    def _r2t(self, header: Header) -> None:
        task = self.tasks.get(header.w16)
        if task is None:
            self._stray(header.w16, "R2T")
        else:
            self._judge(transfers.r2t(task, header, self.terms))

    def _answered(self, itt: int, task: Task, flags: int, residual: int, status: int, sense: bytes) -> None:
        if not status:
            if task.moved != task.edtl or flags & (_UNDERFLOW | _OVERFLOW) or task.r2ts:
                self._count_data(task, flags, residual)
            self._ended_good(itt, task)
            return
        if status == _CHECK_CONDITION:
            key = sense_key(sense)
            if key is None:
                self._broken("sense data", "a command ended CHECK CONDITION and carries no sense data")
            elif key == _UNIT_ATTENTION:
                self._watch.marks.hit(Mark.UNIT_ATTENTION)
                if self.attentions is not None:
                    self.attentions.given(task.lun, self._ticks.next())
        self._end(itt, task, False)

    def _ended_good(self, itt: int, task: Task) -> None:
        attentions = self.attentions
        if attentions is not None and attentions.settled != task.lun:
            missed = attentions.forgotten(task.lun, task.opcode, task.sent)
            if missed is not None:
                what = f"{self.where}: {missed} ended GOOD without a unit attention"
                self._watch.attentions.add("forgotten", what)
        self._end(itt, task, True)

    def _count_data(self, task: Task, flags: int, residual: int) -> None:
        short = residual if flags & _UNDERFLOW else 0
        what = f"{task.moved} bytes were moved of {task.edtl}, residual {short}"
        if task.moved + short != task.edtl:
            self._broken("data and residual", f"a command ended GOOD: {what}")
        if flags & _UNDERFLOW and flags & _OVERFLOW:
            self._broken("data and residual", f"a command ended both short and over: {what}")
        if task.r2ts:
            self._broken("data and residual", f"a write ended GOOD and had {len(task.r2ts)} R2Ts open")

    def _end(self, itt: int, task: Task, good: bool) -> None:
        del self.tasks[itt]
        if self._exp_cmd_sn <= task.cmd_sn and not task.immediate and not self.has_arrived(task):
            self._broken("early answer", f"CmdSN {task.cmd_sn} was answered, and ExpCmdSN is {self._exp_cmd_sn}")
        if task.copy is not None:
            self._watch.answered(task.copy, good)

    def _stray(self, itt: int, what: str) -> None:
        if itt in self._aborted:
            self._broken("aborted task", f"{what} came for a task after its abort was answered function complete")
        else:
            self._broken("stray answer", f"{what} came for tag {itt:#x}, which no command has")

    def _rejected(self, bad: bytes) -> None:
        """The array has rejected a PDU that begins with these bytes: a request that is no command has its answer."""
        itt = int.from_bytes(bad[16:20])
        self._open_requests.pop(itt, None)
        self.management.rejected(itt)

    def has_arrived(self, task: Task) -> bool:
        """Whether the array has said that it took the command in."""
        return not task.immediate and before(task.cmd_sn, self._exp_cmd_sn)

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

    def _judge(self, complaints: Iterable[transfers.Complaint]) -> None:
        for rule, what in complaints:
            self._wrong(rule, what)

    def _wrong(self, rule: str, what: str) -> None:
        self._watch.sequence.add(rule, f"{self.where}: {what}")

    def _broken(self, rule: str, what: str) -> None:
        self._watch.answers.add(rule, f"{self.where}: {what}")
