"""One connection to the array, without I/O: bytes in, bytes out, one deadline (RFC 7143 sections 6, 7, 8, 11).

The driver hands in what arrived and the time, takes `take_output` for one vectored write, closes when `closing` says
so, and calls `tick` when `deadline_ns` has passed. What a connection shares with others is its `Session`; here is what
each has for itself: framing, StatSN, output, texts, and the waits for its peer. What the PDUs mean is in
`target.full_feature`, the login before them in `target.login_entry`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypedDict

from iscsi.constants import RESERVED_TAG, AsyncEvent, RejectReason
from iscsi.errors import RemoteProtocolError
from iscsi.framer import Framer, Received
from iscsi.negotiation import SessionParameters
from iscsi.pdu import AsyncMessage, NopIn, Pdu, Reject, encode_buffers, encode_header
from iscsi.pieces import Bytes
from iscsi.plain_command import WRITE_BIT
from target.full_feature import DISCOVERY, NORMAL, Handlers, deliver, has_no_place, recovering
from target.group import Group
from target.liveness import Due, Liveness
from target.login_entry import LoginEntry
from target.nexus import Nexus
from target.plain_reads import answer_plain_reads
from target.plain_writes import answer_plain_writes
from target.retained import Retained
from target.session import Session, SessionWindow
from target.states import CLOSED_ELSEWHERE, CONNECTION, TRANSPORT_LOST, ConnectionState, T, after
from target.tasks import TaskSet
from target.texts import TextExchange

MAX_FENCES = 8
"""Answers to NOP-Ins that a connection may owe at once."""


class Numbers(TypedDict):
    """The three sequence numbers of a PDU from the target."""

    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int


class TargetConnection:
    """See the module's text. ``local`` and ``source`` are the two IPv4 addresses of the TCP connection, ``number`` is
    its server's for it.

    What is declared and not set in the constructor is there from the full-feature phase on, as `enter` sets it.
    """

    session: Session
    window: SessionWindow
    tasks: TaskSet
    texts: TextExchange
    params: SessionParameters
    nexus: Nexus
    one_pdu_bytes: int

    def __init__(
        self,
        group: Group,
        local: str,
        source: str,
        *,
        now_ns: int,
        random_bytes: Callable[[int], bytes],
        number: int = 0,
    ) -> None:
        limits = group.config.limits
        self.group = group
        self.number = number
        self.portal = local
        self.cid = 0
        self.state = after(CONNECTION, ConnectionState.FREE, T.T3)
        self.closing = False
        self.why_closed = ""
        self.on_abandon: Callable[[], None] | None = None
        self.on_output: Callable[[], None] | None = None
        self.stat_sn = 0
        self.reads = 0
        self.writes = 0
        self.retained: Retained | None = None
        self.output_bytes = 0
        self.output_high_bytes = limits.output_high_bytes
        self._output: list[bytes] = []
        self.answers_plainly = False
        self._unread: Bytes = b""
        self._arrived: deque[Received] = deque()
        self._handlers: Handlers = {}
        self.framer = Framer(limits.max_recv_data_segment_length)
        self.login: LoginEntry | None = LoginEntry(self, source, now_ns, random_bytes)
        self._liveness = Liveness(limits, now_ns)
        self._ping_tag = 0
        self._fences: dict[int, Callable[[], None]] = {}

    # -- what the driver calls -------------------------------------------------------------------------------------

    def receive(self, data: Bytes, now_ns: int) -> None:
        """Take bytes from the wire. Never raises: a peer that breaks a rule finds `closing` set."""
        liveness = self._liveness
        liveness.last_heard_ns = now_ns
        liveness.pinged_ns = None
        try:
            if self.login is not None:
                self.login.receive(data, now_ns)
                data = b""
                if self.login is None and not self.closing:
                    self._arrived += self.framer.receive(b"")  # what came behind the login
            if self.login is None and not self.closing:
                self.session.now_ns = now_ns
                self._unread = b"".join((self._unread, data)) if self._unread else data
                self._work()
                self._unread = bytes(self._unread)
        except RemoteProtocolError as error:
            self.fail(error)

    def resume(self) -> None:
        """The output has gone out: take up the PDUs that had to wait for that."""
        if self.session.window.held:
            self.session.deliver_held()
        self._work()

    @property
    def choked(self) -> bool:
        """True while PDUs wait here because the output must go out first; the driver then stops reading."""
        waits = bool(self._arrived) or bool(self._unread)
        return waits or (self.login is None and self.session.blocked is self)

    def take_output(self) -> list[bytes]:
        """The buffers to write now, in order."""
        output, self._output = self._output, []
        self.output_bytes = 0
        return output

    def eof(self) -> None:
        """The peer has sent FIN."""
        try:
            self.framer.receive_eof()
            self.close("the initiator closed the connection")
        except RemoteProtocolError as error:
            self.close(str(error))

    def lost(self, now_ns: int) -> None:
        """TCP is gone, whichever way."""
        self.closing = True
        for tag in list(self._fences):
            self.answered(tag)
        if self.state is ConnectionState.FREE:
            return
        if self.state is ConnectionState.IN_LOGOUT:
            self.state = after(CONNECTION, self.state, T.T13)
        elif self.login is None and self.session.over:
            self.state = after(CONNECTION, self.state, CLOSED_ELSEWHERE[self.state])
        else:
            self.state = after(CONNECTION, self.state, TRANSPORT_LOST[self.state])
            if self.login is None:
                self.group.lose(self.session, self, now_ns)

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
                self.close(self._liveness.why)
            case Due.DISMISS if self.session.shared and self.session.asked_to_leave:
                self.session.drop(self._liveness.why)
            case Due.DISMISS:
                self.drop(self._liveness.why)
            case Due.ABANDON:
                self._break(self._liveness.why)
            case Due.PING if not self.session.discovery:  # discovery has texts only (4.3)
                self._ping()
            case Due.DATA if self.session.tasks is not None:
                self._liveness.wait_for_data(self.tasks.end_stalled(now_ns))
                self.session.wake(but=self)

    # -- what the session and the server call ----------------------------------------------------------------------

    def enter(self, session: Session, params: SessionParameters, nexus: Nexus, cid: int, stat_sn: int) -> None:
        """The login has ended well: from now on this is a connection of ``session``."""
        self.login = None
        self.state = after(CONNECTION, self.state, T.T5)
        self.session, self.window, self.params, self.nexus = session, session.window, params, nexus
        self.cid, self.stat_sn = cid, stat_sn
        self.one_pdu_bytes = min(params.peer_max_recv_data_segment_length, params.max_burst_length)
        self.framer.header_digest = params.header_digest
        self.framer.data_digest = params.data_digest
        self.framer.resynchronise = params.error_recovery_level > 0
        self.texts = TextExchange(self.group, session, params.peer_max_recv_data_segment_length, self._on_lengths)
        self._handlers = DISCOVERY
        if session.tasks is not None:
            self.tasks, self._handlers = session.tasks, NORMAL
        self.answers_plainly = session.tasks is not None and not params.error_recovery_level
        if params.error_recovery_level:
            self._retain()
        self._liveness.logged_in()
        session.join(self)

    @property
    def full(self) -> bool:
        """True while no more may be added to the output."""
        return self.output_bytes >= self.output_high_bytes

    def deliver(self, pdu: Pdu) -> None:
        """Act on a PDU that had to wait in the session's window, and whose turn it is."""
        try:
            deliver(self, pdu)
        except RemoteProtocolError as error:
            self.fail(error, pdu)

    def wake(self) -> None:
        """Have the driver look here though nothing arrived: there is output, or the connection has to be closed."""
        if self.state is ConnectionState.CLEANUP_WAIT:
            self._forget_output()
        elif (self._output or self.closing) and self.on_output is not None:
            self.on_output()

    def abandon(self, why: str) -> None:
        """Drop the connection at once, without a word on the wire: it was closed from elsewhere."""
        if self.state in CLOSED_ELSEWHERE:
            self.state = after(CONNECTION, self.state, CLOSED_ELSEWHERE[self.state])
        self._break(why)

    def fence(self, reached: Callable[[], None]) -> None:
        """Call ``reached`` when the initiator has all that was sent here so far, or the connection is gone.

        One that leaves `MAX_FENCES` of them unanswered is not waited for.
        """
        if len(self._fences) >= MAX_FENCES:
            reached()
            return
        self._fences[self._ping()] = reached
        self.wake()

    def answered(self, tag: int) -> None:
        """The NOP-In with this transfer tag has been answered: what was sent before it has arrived."""
        reached = self._fences.pop(tag, None)
        if reached is not None:
            reached()

    def data_deadline(self) -> int:
        """When data that ought to come now is given up, in nanoseconds."""
        return self._liveness.data_deadline()

    def drop(self, why: str, event: AsyncEvent = AsyncEvent.CONNECTION_DROP) -> None:
        """End the connection because the array wants it so, and announce it (async event 2, or 3 for all; 11.9.1)."""
        if self.login is None and not self.session.discovery and not self.closing:
            params = self.session.params
            self.send(
                AsyncMessage(
                    event=event,
                    param1=self.cid if event is AsyncEvent.CONNECTION_DROP else 0,
                    param2=params.default_time2wait,
                    param3=params.default_time2retain,
                    **self.numbers(self.take_stat_sn()),
                )
            )
        self.close(why)

    def tell_window(self) -> None:
        """Say the window by a NOP-In that wants no answer, unless something else is about to (4.2.2.1, 11.19)."""
        if not self._output:
            self.send(NopIn(**self.numbers()))
            self.wake()

    def request_logout(self, within_s: int, now_ns: int) -> None:
        """Ask the initiator to log out within so many seconds (async event 1, RFC 7143 11.9.1).

        If it does not, it is told that the connection is dropped (event 2), and it is. A discovery session is told
        nothing, its connection just ends (7.4.3).
        """
        if self.login is None and self.session.discovery:
            self.close("the array ends discovery")
        elif self.state is ConnectionState.LOGGED_IN:
            self.state = after(CONNECTION, self.state, T.T11)
            self._liveness.logout_requested(within_s, now_ns)
            self.group.logout_requested(self.session)
            self.send(
                AsyncMessage(event=AsyncEvent.LOGOUT_REQUEST, param3=within_s, **self.numbers(self.take_stat_sn()))
            )

    # -- what acts on PDUs -----------------------------------------------------------------------------------------

    def send(self, pdu: Pdu) -> None:
        """Queue a PDU for the wire."""
        buffers = encode_buffers(pdu, self.framer.header_digest, self.framer.data_digest)
        self._output += buffers
        self.output_bytes += sum(map(len, buffers))

    def send_numbered(self, pdu: AsyncMessage) -> None:
        """Queue an Asynchronous Message, which the connection numbers."""
        self.send(replace(pdu, **self.numbers(self.take_stat_sn())))

    resend = send
    """Queue a PDU once more: at every ErrorRecoveryLevel `send` itself keeps nothing."""

    def take_stat_sn(self) -> int:
        """The StatSN for a PDU that uses one up."""
        stat_sn = self.stat_sn
        self.stat_sn = (stat_sn + 1) & 0xFFFFFFFF
        return stat_sn

    def numbers(self, stat_sn: int | None = None) -> Numbers:
        """StatSN (the next one, not used up, unless given), ExpCmdSN and MaxCmdSN."""
        return {
            "stat_sn": self.stat_sn if stat_sn is None else stat_sn,
            "exp_cmd_sn": self.window.exp_cmd_sn,
            "max_cmd_sn": self.window.max_cmd_sn,
        }

    def reject(self, reason: RejectReason, bad: Pdu) -> None:
        """Answer a PDU with a Reject that carries its header (RFC 7143 11.17)."""
        self.reject_header(reason, encode_header(bad))

    def reject_header(self, reason: RejectReason, header: bytes) -> None:
        """Answer a PDU of which the header is all that is left."""
        self.send(Reject(reason=reason, data=header, **self.numbers(self.take_stat_sn())))

    def fail(self, error: RemoteProtocolError, bad: Received | None = None) -> None:
        """A rule was broken: say so by a Reject where the RFC has a reason for it, and close the session (7.6).

        A Reject has to carry the header of the bad PDU, so there is none where the header itself is damaged.
        """
        if error.reject_reason is not None and self.login is None:
            if isinstance(bad, Pdu):
                self.reject(error.reject_reason, bad)
            elif error.header:
                self.reject_header(error.reject_reason, error.header)
        self.close(str(error))
        if self.login is None and self.session.shared:
            self.session.close(str(error))

    def close(self, why: str) -> None:
        """End the connection once the output is out."""
        if not self.closing:
            self.closing = True
            self.why_closed = why

    def _on_lengths(self, theirs: int | None, ours: int | None) -> None:
        """A text negotiation has declared MaxRecvDataSegmentLength anew, on one side or both (13.12)."""
        if theirs is not None:
            self.params = replace(self.params, peer_max_recv_data_segment_length=theirs)
            self.one_pdu_bytes = min(theirs, self.params.max_burst_length)
            self.texts.max_segment = theirs
        if ours is not None:
            self.params = replace(self.params, max_recv_data_segment_length=ours)
            # What is on its way was cut to the old length, so a smaller one is not enforced.
            self.framer.max_data_segment_length = max(ours, self.framer.max_data_segment_length)

    def _ping(self) -> int:
        """Send a NOP-In that wants an answer; return its transfer tag."""
        self._ping_tag = (self._ping_tag + 1) % RESERVED_TAG
        self.send(NopIn(ttt=self._ping_tag, **self.numbers()))
        return self._ping_tag

    def _retain(self) -> None:
        """Above ErrorRecoveryLevel 0: keep what is sent until it is acknowledged, and hear each acknowledgment."""
        retained = self.retained = Retained(self.group.config.limits.retained_bytes)

        def send_and_keep(pdu: Pdu) -> None:
            retained.keep(pdu)
            self.resend(pdu)

        self.send = send_and_keep  # type: ignore[method-assign]  # so that level 0 does not pay for it
        self._handlers = recovering(self._handlers)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Act on what has arrived until the output held reaches its bound; the rest waits for `resume`."""
        arrived, handlers = self._arrived, self._handlers
        while not self.closing and self.output_bytes < self.output_high_bytes:
            if not arrived:
                if not self._read_on():
                    break
                continue
            pdu = arrived.popleft()
            try:
                handlers.get(type(pdu), has_no_place)(self, pdu)
            except RemoteProtocolError as error:
                self.fail(error, pdu)
        if self.session.shared:
            self.session.wake(but=self)

    def _read_on(self) -> bool:
        """Read what has come in, as far as there is room for the answers; False when there is no more of it."""
        unread, framer = self._unread, self.framer
        if not unread:
            return False
        taken = len(unread)
        if self.answers_plainly and not self.session.shared:
            if framer.buffered:
                taken = framer.missing  # no more, what follows may be plain
            else:
                answer = answer_plain_writes if taken > 1 and unread[1] & WRITE_BIT else answer_plain_reads
                position = answer(self, unread, self._output)
                if position:
                    self._unread = unread[position:]
                    return True
        self._unread = unread[taken:]
        try:
            self._arrived += framer.receive(unread[:taken])
        except RemoteProtocolError as error:
            self.fail(error)
        return True

    def _break(self, why: str) -> None:
        """Drop the connection without a word."""
        self.close(why)
        self._forget_output()
        if self.on_abandon is not None:
            self.on_abandon()

    def _forget_output(self) -> None:
        """Nobody will read it."""
        self._output = []
        self.output_bytes = 0
