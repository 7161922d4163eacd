"""One connection to the array, without I/O: bytes in, bytes out, one deadline (RFC 7143 sections 6, 7, 8, 11).

The driver hands in what arrived and the time, takes `take_output` for one vectored write, closes when `closing` says
so, and calls `tick` when `deadline_ns` has passed. ErrorRecoveryLevel is 0 throughout: a broken rule ends the
connection, and with it the session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TypedDict

from iscsi.constants import (
    RESERVED_TAG,
    AsyncEvent,
    LogoutReason,
    LogoutResult,
    RejectReason,
    TmfFunction,
    TmfResult,
)
from iscsi.errors import RemoteProtocolError
from iscsi.framer import BrokenStream, DamagedPdu, Framer, Received
from iscsi.login_target import TargetLogin, TargetLoginDone, TargetLoginEnded
from iscsi.pdu import (
    AsyncMessage,
    DataOut,
    LoginRequest,
    LogoutRequest,
    LogoutResponse,
    NopIn,
    NopOut,
    Pdu,
    Reject,
    ScsiCommand,
    SnackRequest,
    TextRequest,
    TmfRequest,
    TmfResponse,
    encode_buffers,
    encode_header,
)
from iscsi.window import CommandWindow
from target.group import Arrival, Group
from target.liveness import Due, Liveness
from target.management import manage
from target.nexus import Nexus
from target.sessions import Session
from target.tasks import TaskSet
from target.texts import TextExchange
from target.wishes import array_wishes


class State(Enum):
    """The target's connection states that ErrorRecoveryLevel 0 can reach (RFC 7143 8.1, target side)."""

    IN_LOGIN = "S4"
    LOGGED_IN = "S5"
    LOGOUT_REQUESTED = "S7"
    FREE = "S1"


class _Numbers(TypedDict):
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int


class TargetConnection:
    """See the module's text. ``local`` and ``source`` are the two IPv4 addresses of the TCP connection."""

    def __init__(
        self, group: Group, local: str, source: str, *, now_ns: int, random_bytes: Callable[[int], bytes]
    ) -> None:
        limits = group.config.limits
        self.group = group
        self.state = State.IN_LOGIN
        self.closing = False
        self.why_closed = ""
        self.on_abandon: Callable[[], None] | None = None
        self.on_output: Callable[[], None] | None = None
        self.session: Session | None = None
        self.window: CommandWindow[Pdu] = CommandWindow(0, 1)
        self.stat_sn = 0
        self.output_bytes = 0
        self._output_high_bytes = limits.output_high_bytes
        self._output: list[bytes] = []
        self._arrived: deque[Received] = deque()
        self._due: deque[Pdu] = deque()
        self._framer = Framer(limits.max_recv_data_segment_length)
        self._arrival = Arrival(group, local, source, now_ns, self)
        self._login: TargetLogin | None = TargetLogin(
            gate=self._arrival,
            wishes=array_wishes(limits),
            stat_sn=0,
            random_bytes=random_bytes,
            command_window=limits.command_window,
        )
        self._tasks: TaskSet | None = None
        self._texts: TextExchange | None = None
        self._liveness = Liveness(limits, now_ns)
        self._ping_tag = 0

    # -- what the driver calls -------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: int) -> None:
        """Take bytes from the wire. Never raises: a peer that breaks a rule finds `closing` set."""
        liveness = self._liveness
        liveness.last_heard_ns = now_ns
        liveness.pinged_ns = None
        try:
            if self._login is not None:
                self._arrival.now_ns = now_ns
                self._receive_login(data)
                data = b""
            if self._login is None and not self.closing:
                self._arrived += self._framer.receive(data)
                self._work()
        except RemoteProtocolError as error:
            self._fail(error)

    def resume(self) -> None:
        """The output has gone out: take up the PDUs that had to wait for that."""
        self._work()

    @property
    def choked(self) -> bool:
        """True while PDUs wait here because the output must go out first; the driver then stops reading."""
        return bool(self._due or self._arrived)

    def take_output(self) -> list[bytes]:
        """The buffers to write now, in order."""
        output, self._output = self._output, []
        self.output_bytes = 0
        return output

    def eof(self) -> None:
        """The peer has sent FIN."""
        try:
            self._framer.receive_eof()
            self._close("the initiator closed the connection")
        except RemoteProtocolError as error:
            self._close(str(error))

    def lost(self) -> None:
        """TCP is gone, whichever way: the session ends here (ErrorRecoveryLevel 0)."""
        self.state = State.FREE
        self.closing = True
        if self._tasks is not None:
            self._tasks.abort_all()
        if self.session is not None:
            self.group.end(self.session)

    @property
    def deadline_ns(self) -> int | None:
        """When `tick` wants to be called; None when nothing is waited for."""
        return None if self.closing else self._liveness.deadline_ns

    def tick(self, now_ns: int) -> None:
        """Time has passed: end a login that takes too long, ping a silent peer, give up one that does not answer."""
        if self.closing:
            return
        match self._liveness.tick(now_ns):
            case Due.CLOSE:
                self._close(self._liveness.why)
            case Due.ABANDON:
                self.abandon(self._liveness.why)
            case Due.PING if self.session is not None and not self.session.discovery:  # discovery has texts only (4.3)
                self._ping_tag = (self._ping_tag + 1) % RESERVED_TAG
                self.send(NopIn(ttt=self._ping_tag, **self._numbers()))

    # -- what sessions, tasks and the server call ------------------------------------------------------------------

    def abandon(self, why: str) -> None:
        """Drop the connection at once, without a word on the wire (reinstatement, a silent peer)."""
        self._close(why)
        self._output = []
        self.output_bytes = 0
        if self.on_abandon is not None:
            self.on_abandon()

    def request_logout(self, within_s: int) -> None:
        """Ask the initiator to log out within so many seconds (async event 1, RFC 7143 11.9.1).

        A discovery session is told nothing, its connection just ends (7.4.3).
        """
        if self.session is not None and self.session.discovery:
            self._close("the array ends discovery")
        elif self.state is State.LOGGED_IN:
            self.state = State.LOGOUT_REQUESTED
            self._liveness.logout_requested(within_s)
            self.send(
                AsyncMessage(
                    stat_sn=self.take_stat_sn(),
                    exp_cmd_sn=self.window.exp_cmd_sn,
                    max_cmd_sn=self.window.max_cmd_sn,
                    event=AsyncEvent.LOGOUT_REQUEST,
                    param3=within_s,
                )
            )

    def abort_tasks(self, lun: int | None) -> int:
        """Drop the tasks of this connection on one LUN, or on all."""
        if self._tasks is None:
            return 0
        aborted = self._tasks.abort_all(lun)
        if self._output and self.on_output is not None:
            self.on_output()  # others may ask for their data now, and it need not be this connection that runs
        return aborted

    def abort_task(self, itt: int) -> bool:
        """Drop the task with this tag, if it is still here."""
        return self._tasks is not None and self._tasks.abort(itt)

    def abort_nexuses(self, nexuses: tuple[Nexus, ...], lun: int) -> None:
        """Drop the tasks of these nexuses on a LUN, on whichever connections they are (PREEMPT AND ABORT)."""
        for session in self.group.sessions.all():
            if session.nexus in nexuses:
                session.carrier.abort_tasks(lun)

    def send(self, pdu: Pdu) -> None:
        """Queue a PDU for the wire."""
        buffers = encode_buffers(pdu, self._framer.header_digest, self._framer.data_digest)
        self._output += buffers
        self.output_bytes += sum(map(len, buffers))

    def skip(self, cmd_sn: int) -> None:
        """Count a CmdSN as received; what waited behind it is delivered when the present PDU has been dealt with."""
        self._due += self.window.skip(cmd_sn)

    def take_stat_sn(self) -> int:
        """The StatSN for a PDU that uses one up."""
        stat_sn = self.stat_sn
        self.stat_sn = (stat_sn + 1) & 0xFFFFFFFF
        return stat_sn

    def reject(self, reason: RejectReason, bad: Pdu) -> None:
        """Answer a PDU with a Reject that carries its header (RFC 7143 11.17)."""
        self._reject_header(reason, encode_header(bad))

    # -- login -----------------------------------------------------------------------------------------------------

    def _receive_login(self, data: bytes) -> None:
        """One PDU at a time: what follows the login's last PDU is framed by what the login negotiated."""
        while self._login is not None and not self.closing:
            pdus = self._framer.receive(data, limit=1)
            data = b""
            if not pdus:
                return
            request = pdus[0]
            if not isinstance(request, LoginRequest):
                for refusal in self._login.receive_other():
                    self.send(refusal)
                self._close("a PDU that is no Login Request during login")
                return
            for response in self._login.receive(request):
                self.send(response)
            outcome = self._login.outcome
            if isinstance(outcome, TargetLoginDone):
                self._enter_full_feature(outcome)
            elif isinstance(outcome, TargetLoginEnded):
                self._close(f"login ended with {outcome.status.words}")

    def _enter_full_feature(self, done: TargetLoginDone) -> None:
        limits = self.group.config.limits
        self._login = None
        self.state = State.LOGGED_IN
        session = self._arrival.session
        assert session is not None, "a login ends well only through Arrival.complete"
        self.session = session
        self.stat_sn = done.stat_sn
        self.window = CommandWindow(done.cmd_sn, limits.command_window)
        self._framer.header_digest = done.params.header_digest
        self._framer.data_digest = done.params.data_digest
        self._texts = TextExchange(self.group, session)
        volume = self.group.volume(session.identity.target_name or "")
        if volume is not None and not session.discovery:
            self._tasks = TaskSet(self, volume.luns, session.nexus, session.params, limits.write_buffer_bytes)
        self._liveness.logged_in()

    # -- full-feature phase ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Act on what has arrived until the output held reaches its bound; the rest waits for `resume`."""
        due, arrived = self._due, self._arrived
        while (arrived or due) and not self.closing and self.output_bytes < self._output_high_bytes:
            pdu: Received
            try:
                if due:
                    self._deliver(pdu := due.popleft())
                else:
                    self._dispatch(pdu := arrived.popleft())
            except RemoteProtocolError as error:
                self._fail(error, pdu)

    def _dispatch(self, pdu: Received) -> None:
        """Act on a PDU in the order of arrival; nothing is due before it."""
        if isinstance(pdu, _NUMBERED):
            if pdu.immediate:
                self._deliver(pdu)
            elif ready := self.window.accept(pdu.cmd_sn, pdu):
                if len(ready) > 1:
                    self._due.extend(ready[1:])  # what had waited for this one
                self._deliver(pdu)
        elif isinstance(pdu, DataOut):
            if self._tasks is not None:
                self._tasks.data_out(pdu)
        elif isinstance(pdu, DamagedPdu):
            self._reject_header(RejectReason.DATA_DIGEST_ERROR, pdu.header)
            self._close("data digest error")
        elif isinstance(pdu, BrokenStream):
            raise pdu.error
        elif isinstance(pdu, SnackRequest):
            self.reject(RejectReason.SNACK_REJECT, pdu)
        else:
            raise RemoteProtocolError(
                f"{type(pdu).__name__} has no place in the full-feature phase of a target",
                reject_reason=RejectReason.PROTOCOL_ERROR,
            )

    def _deliver(self, pdu: Pdu) -> None:
        """A numbered PDU is due: in CmdSN order, or at once because it is immediate."""
        if isinstance(pdu, ScsiCommand):
            if pdu.itt == RESERVED_TAG:
                raise _reserved_tag(pdu)
            if self._tasks is None:
                raise RemoteProtocolError(
                    "a SCSI command in a discovery session", reject_reason=RejectReason.PROTOCOL_ERROR
                )
            self._tasks.start(pdu)
            return
        if not pdu.immediate:  # type: ignore[attr-defined]
            self.window.release()
        if isinstance(pdu, NopOut):
            self._nop_out(pdu)
        elif pdu.itt == RESERVED_TAG:  # type: ignore[attr-defined]
            raise _reserved_tag(pdu)
        elif isinstance(pdu, TextRequest):
            self._text(pdu)
        elif isinstance(pdu, LogoutRequest):
            self._logout(pdu)
        elif isinstance(pdu, TmfRequest):
            if self.session is None or self.session.discovery:
                raise RemoteProtocolError(
                    "task management in a discovery session", reject_reason=RejectReason.PROTOCOL_ERROR
                )
            result = manage(self.group, self.session, self, pdu)
            self.send(TmfResponse(response=result, itt=pdu.itt, **self._numbers(self.take_stat_sn())))
            if pdu.function == TmfFunction.TARGET_COLD_RESET and result is TmfResult.FUNCTION_COMPLETE:
                self._close("target cold reset")

    def _nop_out(self, pdu: NopOut) -> None:
        if pdu.itt == RESERVED_TAG:
            return  # the answer to our ping; hearing it was all
        assert self.session is not None
        room = self.session.params.peer_max_recv_data_segment_length
        self.send(NopIn(itt=pdu.itt, lun=pdu.lun, data=pdu.data[:room], **self._numbers(self.take_stat_sn())))

    def _text(self, pdu: TextRequest) -> None:
        assert self._texts is not None
        answer = self._texts.receive(pdu, self.stat_sn, self.window.exp_cmd_sn, self.window.max_cmd_sn)
        self.take_stat_sn()  # not before: a request that is rejected leaves it to the Reject
        self.send(answer)

    def _logout(self, pdu: LogoutRequest) -> None:
        """Close the session or its one connection (RFC 7143 11.14); recovery is not offered at level 0."""
        assert self.session is not None
        result = LogoutResult.CLOSED
        if pdu.reason == LogoutReason.REMOVE_FOR_RECOVERY:
            result = LogoutResult.RECOVERY_NOT_SUPPORTED
        elif pdu.reason == LogoutReason.CLOSE_CONNECTION and pdu.cid != self.session.identity.cid:
            result = LogoutResult.CID_NOT_FOUND
        elif pdu.reason not in (LogoutReason.CLOSE_SESSION, LogoutReason.CLOSE_CONNECTION):
            self.reject(RejectReason.INVALID_PDU_FIELD, pdu)
            return
        self.send(
            LogoutResponse(
                response=result,
                itt=pdu.itt,
                time2wait=self.session.params.default_time2wait,
                time2retain=0,
                **self._numbers(self.take_stat_sn()),
            )
        )
        if result is LogoutResult.CLOSED:
            self.group.end(self.session)
            self._close("logout")

    # -- small change ----------------------------------------------------------------------------------------------

    def _numbers(self, stat_sn: int | None = None) -> _Numbers:
        """StatSN (the next one, not used up, unless given), ExpCmdSN and MaxCmdSN."""
        return {
            "stat_sn": self.stat_sn if stat_sn is None else stat_sn,
            "exp_cmd_sn": self.window.exp_cmd_sn,
            "max_cmd_sn": self.window.max_cmd_sn,
        }

    def _reject_header(self, reason: RejectReason, header: bytes) -> None:
        self.send(Reject(reason=reason, data=header, **self._numbers(self.take_stat_sn())))

    def _fail(self, error: RemoteProtocolError, bad: Received | None = None) -> None:
        """A rule was broken: say so by a Reject where the RFC has a reason for it, and close.

        A Reject has to carry the header of the bad PDU. What the framer could not make a PDU of has none to give.
        """
        if isinstance(bad, Pdu) and error.reject_reason is not None:
            self.reject(error.reject_reason, bad)
        self._close(str(error))

    def _close(self, why: str) -> None:
        if not self.closing:
            self.closing = True
            self.why_closed = why


def _reserved_tag(pdu: Pdu) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"{type(pdu).__name__} with the reserved task tag", reject_reason=RejectReason.INVALID_PDU_FIELD
    )


_NUMBERED = (ScsiCommand, NopOut, TextRequest, LogoutRequest, TmfRequest)
"""The PDUs that carry CmdSN and may be immediate (RFC 7143 4.2.2.1)."""
