"""The initiator's end of a connection in full feature phase, without I/O (RFC 7143 sections 4.2, 7 and 11).

Bytes from TCP go into `receive`, bytes for TCP come out of `take_output`. The owner takes the output once per wake-up,
so that whatever many arriving PDUs lead to leaves in one write. Completions come by the callback a command was
submitted with, everything else as a `ConnectionEvent`. Nothing here knows the time: `oldest` gives the owner what it
needs for timeouts.

This end works at ErrorRecoveryLevel 0: whatever goes wrong with the protocol ends the connection, and the session
recovers. A peer's fault becomes a `ConnectionEnded` event here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from initiator_model.commands import Commands
from initiator_model.connection_events import (
    ConnectionEnded,
    ConnectionState,
    LoggedOut,
    LogoutRequested,
    Noticed,
    OnEvent,
)
from initiator_model.requests import CompletionKind
from initiator_model.task_management import TaskManagement, TmfDone
from initiator_model.tasks import Task
from initiator_model.wire import Wire
from iscsi.constants import BHS_LENGTH, RESERVED_TAG, AsyncEvent, LogoutReason, LogoutResult, RejectReason
from iscsi.errors import RemoteProtocolError
from iscsi.framer import BrokenStream, DamagedPdu, Framer, LostPdu, Received, RefusedPdu
from iscsi.login_initiator import LoginDone
from iscsi.pdu import (
    R2T,
    AsyncMessage,
    DataIn,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Reject,
    ScsiCommand,
    ScsiResponse,
    TmfResponse,
    decode,
)

__all__ = ["InitiatorConnection"]

_LOGGED_IN = ConnectionState.LOGGED_IN  # an enum's attribute is slow to look up
_VENDOR_EVENTS = range(248, 256)


class InitiatorConnection:
    """One connection, from the end of login to its own end.

    ``login`` is what the login phase settled, ``cmd_sn`` the number it used. ``framer`` is the one that framed the
    login: what it holds of the next PDU is not lost. At most ``max_pending`` commands are outstanding at the target;
    more wait here in the order they came.
    """

    def __init__(
        self, login: LoginDone, *, cmd_sn: int, max_pending: int, on_event: OnEvent, framer: Framer | None = None
    ) -> None:
        self.params = params = login.params
        self.state = ConnectionState.LOGGED_IN
        self._on_event = on_event
        self._framer = framer or Framer(params.max_recv_data_segment_length)
        self._framer.max_data_segment_length = params.max_recv_data_segment_length
        self._framer.header_digest = params.header_digest
        self._framer.data_digest = params.data_digest
        self._plain = not (params.header_digest or params.data_digest)
        self._wire = wire = Wire(login, cmd_sn)
        self._commands = commands = Commands(wire, max_pending)
        self._task_management = TaskManagement(wire, commands)
        self._ping_itt = RESERVED_TAG
        self._logout_itt = RESERVED_TAG
        self._handlers: dict[type[Received], Callable[[Any], None]] = {
            DataIn: commands.on_data_in,
            ScsiResponse: commands.on_scsi_response,
            R2T: commands.on_r2t,
            TmfResponse: self._task_management.on_response,
            NopIn: self._on_nop_in,
            AsyncMessage: self._on_async_message,
            LogoutResponse: self._on_logout_response,
            Reject: self._on_reject,
        }
        self.start = commands.start
        self.oldest = commands.oldest
        self.take_output = wire.take_output

    @property
    def ended(self) -> bool:
        """True once TCP is of no more use to this connection."""
        return self.state is ConnectionState.CLEANUP_WAIT or self.state is ConnectionState.FREE

    @property
    def clean(self) -> bool:
        """True when it ended by a logout the target answered."""
        return self.state is ConnectionState.FREE

    @property
    def outstanding(self) -> int:
        """Commands sent and not completed."""
        return self._commands.outstanding

    @property
    def waiting(self) -> int:
        """Commands not sent yet."""
        return self._commands.waiting

    def receive(self, data: bytes) -> None:
        """Take bytes from TCP. Completions and events come by callback before this returns."""
        if self.state is not _LOGGED_IN and self.ended:
            return
        if self._plain and not self._framer.buffered:
            position = self._commands.take_plain_answers(data)
            if position == len(data):
                self._commands.start_waiting()
                return
            if self.ended:
                return
            data = data[position:]
        handlers = self._handlers
        try:
            for pdu in self._framer.receive(data):
                handler = handlers.get(type(pdu))
                if handler is None:
                    raise _unexpected(pdu)
                handler(pdu)
                if self.state is not _LOGGED_IN and self.ended:
                    return
        except RemoteProtocolError as error:
            self.end(str(error))
        else:
            self._commands.start_waiting()

    def receive_eof(self) -> None:
        """The target has sent its FIN."""
        try:
            self._framer.receive_eof()
        except RemoteProtocolError as error:
            self.end(str(error))
        else:
            self.end("the target closed the connection")

    def end(self, reason: str, wait_s: int = 0) -> None:
        """Give the connection up; what was under way is fetched with `abandon`. A second end changes nothing."""
        if not self.ended:
            self.state = ConnectionState.CLEANUP_WAIT
            self._commands.open = False
            self._on_event(ConnectionEnded(reason, wait_s))

    def abandon(self) -> list[Task]:
        """Hand over every task that has not completed, in the order of submission, ready to be started elsewhere."""
        return self._commands.abandon()

    def ping(self) -> None:
        """Send a NOP-Out that asks for an answer (11.18), unless one is on its way or a Logout is.

        After its Logout Request a host asks for nothing more on the connection (11.14).
        """
        if self._ping_itt == RESERVED_TAG and self.state is not ConnectionState.IN_LOGOUT:
            self._ping_itt = self._wire.next_tag()
            self._wire.send(NopOut(itt=self._ping_itt, cmd_sn=self._wire.cmd_sn, exp_stat_sn=self._wire.exp_stat_sn))

    def abort(self, task: Task, kind: CompletionKind, done: TmfDone) -> None:
        """ABORT TASK; see `TaskManagement.abort`."""
        self._task_management.abort(task, kind, done)

    def reset_lun(self, lun: int, done: TmfDone) -> None:
        """LOGICAL UNIT RESET; see `TaskManagement.reset_lun`."""
        self._task_management.reset_lun(lun, done)

    def log_out(self) -> None:
        """Ask for the session to be closed (11.14). No command is sent from now on; `LoggedOut` follows."""
        if self.ended or self.state is ConnectionState.IN_LOGOUT:
            return
        self.state = ConnectionState.IN_LOGOUT
        self._commands.open = False
        self._logout_itt = self._wire.next_tag()
        self._wire.send(
            LogoutRequest(
                reason=LogoutReason.CLOSE_SESSION,
                itt=self._logout_itt,
                cmd_sn=self._wire.cmd_sn,
                exp_stat_sn=self._wire.exp_stat_sn,
            )
        )

    def _on_nop_in(self, pdu: NopIn) -> None:
        self._wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
        if pdu.itt == RESERVED_TAG:  # the target's own: its StatSN is shown, not used up
            if pdu.ttt != RESERVED_TAG:
                sn = self._wire.exp_stat_sn
                self._wire.send(NopOut(lun=pdu.lun, ttt=pdu.ttt, cmd_sn=self._wire.cmd_sn, exp_stat_sn=sn))
            return
        self._wire.status.advance(pdu.stat_sn)
        if pdu.itt != self._ping_itt:
            raise RemoteProtocolError(f"NOP_IN answers tag 0x{pdu.itt:08x}, under which no ping is out")
        self._ping_itt = RESERVED_TAG

    def _on_async_message(self, pdu: AsyncMessage) -> None:
        self._wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
        self._wire.status.advance(pdu.stat_sn)
        if pdu.event == AsyncEvent.LOGOUT_REQUEST:
            if self.state is ConnectionState.LOGGED_IN:
                self.state = ConnectionState.LOGOUT_REQUESTED
                self._commands.open = False
                self._on_event(LogoutRequested(pdu.param3))
        elif pdu.event == AsyncEvent.CONNECTION_DROP:
            self.end("the target announced that it drops this connection", pdu.param2)
        elif pdu.event == AsyncEvent.SESSION_DROP:
            self.end("the target announced that it drops the session", pdu.param2)
        elif pdu.event == AsyncEvent.NEGOTIATION_REQUEST:
            self.end("the target asked to negotiate again, which a fresh login does")
        elif pdu.event in (AsyncEvent.SCSI, AsyncEvent.TASK_TERMINATION) or pdu.event in _VENDOR_EVENTS:
            self._on_event(Noticed(f"async message, event {pdu.event}, {len(pdu.data)} bytes of data"))
        else:
            raise RemoteProtocolError(f"async message with the reserved event {pdu.event}")

    def _on_logout_response(self, pdu: LogoutResponse) -> None:
        self._wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
        self._wire.status.advance(pdu.stat_sn)
        if self._logout_itt == RESERVED_TAG or pdu.itt != self._logout_itt:
            raise RemoteProtocolError("a logout response that no logout asked for")
        try:
            result = LogoutResult(pdu.response)
        except ValueError:
            raise RemoteProtocolError(f"logout response with the reserved response {pdu.response}") from None
        self.state = ConnectionState.FREE
        self._on_event(LoggedOut(result, pdu.time2wait))

    def _on_reject(self, pdu: Reject) -> None:
        """A PDU of ours was refused (11.17). At ErrorRecoveryLevel 0 most of them mean a fresh start (7.7)."""
        self._wire.numbering.update(pdu.exp_cmd_sn, pdu.max_cmd_sn)
        self._wire.status.advance(pdu.stat_sn)
        if len(pdu.data) < BHS_LENGTH:
            raise RemoteProtocolError(
                f"REJECT with {len(pdu.data)} bytes of the refused header; there are {BHS_LENGTH}"
            )
        refused: Any = decode(pdu.data[:BHS_LENGTH])
        reason = _reason(pdu.reason)
        if pdu.reason == RejectReason.WAITING_FOR_LOGOUT and isinstance(refused, ScsiCommand):
            if self._commands.open:
                raise RemoteProtocolError("the target waits for a logout it has not asked for")
            self._commands.send_again(refused.itt)
            self._on_event(Noticed("the target takes no command before the logout it asked for"))
        elif self._task_management.on_reject(refused.itt):
            self._on_event(Noticed(f"the target rejected a task management function: {reason}"))
        else:
            self.end(f"the target rejected a {refused.OPCODE.name} of this initiator: {reason}")


def _reason(code: int) -> str:
    try:
        return RejectReason(code).name.lower().replace("_", " ")
    except ValueError:
        return f"reason 0x{code:02x}"


def _unexpected(pdu: Received) -> RemoteProtocolError:
    if isinstance(pdu, BrokenStream | RefusedPdu):
        return pdu.error
    if isinstance(pdu, DamagedPdu):
        return RemoteProtocolError(f"data digest error in a {pdu.pdu.OPCODE.name}")
    if isinstance(pdu, LostPdu):
        return RemoteProtocolError("header digest error")
    return RemoteProtocolError(f"a {pdu.OPCODE.name} has no place in an initiator's full feature phase")
