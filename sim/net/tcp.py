"""TCP as a machine without I/O: `now` and segments go in, segments and deliveries come out, with one deadline.

RFC 9293 for the states, RFC 6298 for the time-out, RFC 2018 and 6675 for selective retransmission, RFC 7323 for window
scale and timestamps, RFC 5961 for what a stray SYN gets. The endpoint knows neither loop nor network: whoever drives it
puts `outgoing` on the wire in order, hands `received.ready` to the application, looks at `state` and `error`, and calls
`on_deadline` when `deadline_ns` has come.

Left out, on purpose: Nagle (asyncio switches it off), congestion control (see `tcp_profiles`), urgent data, keep-alive.
"""

from __future__ import annotations

import enum
import errno

from sim.net.segment import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    TIMESTAMP_OPTION_BYTES,
    Address,
    Segment,
    SynOptions,
)
from sim.net.tcp_profiles import TcpProfile
from sim.net.tcp_receive import ReceiveStream
from sim.net.tcp_rto import RtoEstimator
from sim.net.tcp_send import LONGEST_BURST_BYTES, SendStream

NEVER_NS = 1 << 62
IP_AND_TCP_BYTES = 40
# RFC 9293 3.7.1: what to assume of a peer that names no MSS.
DEFAULT_MSS = 536


class TcpState(enum.Enum):
    """The states of RFC 9293 3.3.2, spelled as Windows netstat spells them."""

    CLOSED = "CLOSED"
    SYN_SENT = "SYN_SENT"
    SYN_RECEIVED = "SYN_RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN_WAIT_1"
    FIN_WAIT_2 = "FIN_WAIT_2"
    CLOSE_WAIT = "CLOSE_WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST_ACK"
    TIME_WAIT = "TIME_WAIT"


# Reaching a member through its enum costs a function call on Python 3.11, and these are read for every segment.
_CLOSED = TcpState.CLOSED
_SYN_SENT = TcpState.SYN_SENT
_SYN_RECEIVED = TcpState.SYN_RECEIVED
_ESTABLISHED = TcpState.ESTABLISHED
_FIN_WAIT_1 = TcpState.FIN_WAIT_1
_FIN_WAIT_2 = TcpState.FIN_WAIT_2
_CLOSE_WAIT = TcpState.CLOSE_WAIT
_CLOSING = TcpState.CLOSING
_LAST_ACK = TcpState.LAST_ACK
_TIME_WAIT = TcpState.TIME_WAIT

# Where our FIN goes when the application is done, and where the peer's FIN and the ACK of ours take us.
_AFTER_OUR_FIN = {
    _ESTABLISHED: _FIN_WAIT_1,
    _CLOSE_WAIT: _LAST_ACK,
}
_AFTER_PEERS_FIN = {
    _ESTABLISHED: _CLOSE_WAIT,
    _FIN_WAIT_1: _CLOSING,
    _FIN_WAIT_2: _TIME_WAIT,
}
_AFTER_FIN_ACKNOWLEDGED = {
    _FIN_WAIT_1: _FIN_WAIT_2,
    _CLOSING: _TIME_WAIT,
    _LAST_ACK: _CLOSED,
}
# Where queued data may still go out: also after the application asked for the FIN that waits behind it.
_SENDING = (_ESTABLISHED, _CLOSE_WAIT)
_RECEIVING = (_ESTABLISHED, _FIN_WAIT_1, _FIN_WAIT_2)


def timed_out() -> OSError:
    """The error of a peer that does not answer."""
    return TimeoutError(errno.ETIMEDOUT, "Connection timed out")


def refused() -> OSError:
    """The error of a SYN answered by RST."""
    return ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def reset_by_peer() -> OSError:
    """The error of a connection ended by RST."""
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


class TcpEndpoint:
    """One end of one connection.

    `local` and `remote` are (IPv4, port); `iss` the initial send sequence number; `mtu` that of the NIC in bytes;
    `burst_bytes` the longest burst the NIC takes. Read after every call: `outgoing` (segments to send; take the list
    and leave an empty one), `received.ready`, `peer_finished`, `state`, `error`, `deadline_ns`.

    `deadline_ns` is when `on_deadline` wants to be called, NEVER_NS for never. It may be early, never late: while a
    connection is busy its time-outs only move back, and following them would cost more than one idle call.
    """

    __slots__ = (
        "_ack_at_ns",
        "_burst_bytes",
        "_clock_offset_ms",
        "_fin_sent",
        "_fin_wanted",
        "_flow",
        "_linger_at_ns",
        "_mtu",
        "_offer",
        "_option_bytes",
        "_peer_shift",
        "_retries",
        "_rto",
        "_rto_at_ns",
        "_sack",
        "_timestamp_echo",
        "_timestamps",
        "deadline_ns",
        "error",
        "local",
        "orphaned",
        "outgoing",
        "owes",
        "peer_finished",
        "profile",
        "received",
        "remote",
        "send",
        "state",
    )

    def __init__(
        self,
        profile: TcpProfile,
        local: Address,
        remote: Address,
        iss: int,
        *,
        mtu: int = 1500,
        burst_bytes: int = LONGEST_BURST_BYTES,
    ) -> None:
        self.profile = profile
        self.local = local
        self.remote = remote
        self._flow = (remote, local)
        self._mtu = mtu
        self._burst_bytes = burst_bytes
        self._clock_offset_ms = iss >> 8  # RFC 7323 5.4: the timestamp clock starts anywhere
        self.state = _CLOSED
        self.error: OSError | None = None
        self.outgoing: list[Segment] = []
        self.peer_finished = False
        self.orphaned = False
        self.send = SendStream(iss)
        self.received = ReceiveStream(profile.receive_window_bytes)
        self._offer = SynOptions(mtu - IP_AND_TCP_BYTES, profile.window_scale, profile.sack, profile.timestamps)
        self._peer_shift = 0
        self._sack = False
        self._timestamps = profile.timestamps
        self._timestamp_echo = 0
        self._option_bytes = 0
        self._rto = RtoEstimator(profile)
        self._retries = 0
        self._fin_wanted = False
        self._fin_sent = False
        self.owes = 0  # bytes received that no segment of ours has acknowledged
        self._rto_at_ns = NEVER_NS
        self._ack_at_ns = NEVER_NS
        self._linger_at_ns = NEVER_NS
        self.deadline_ns = NEVER_NS

    # -- what the application asks -------------------------------------------------------------------------------------

    def connect(self, now_ns: int) -> None:
        """Open actively: send a SYN."""
        self.state = _SYN_SENT
        self._emit_syn(now_ns, SYN)

    def accept(self, now_ns: int, syn: Segment) -> None:
        """Open passively: answer the peer's SYN."""
        self.state = _SYN_RECEIVED
        self._take_syn(syn)
        self._emit_syn(now_ns, SYN | ACK)

    def write(self, now_ns: int, data: bytes) -> None:
        """Send `data` (not empty) after what is queued. Ignored once the connection ended or a FIN was asked for."""
        send = self.send
        length = len(data)
        if (
            self.state is _ESTABLISHED
            and not send.queued_bytes
            and length <= send.burst
            and length <= send.edge - send.next
            and not self._fin_wanted
        ):
            self._send_burst(now_ns, ACK | PSH, data)  # the common case: what was written is the burst
            return
        if self._fin_wanted or self.state is _CLOSED:
            return
        self.send.put(data)
        if self.state in _SENDING:
            self._push(now_ns)

    def queue(self, data: bytes) -> None:
        """Queue `data` without sending: for several writes that shall share their frames. `push` sends."""
        if not self._fin_wanted and self.state is not _CLOSED:
            self.send.put(data)

    def push(self, now_ns: int) -> None:
        """Send what is queued, as far as the window allows."""
        if self.state in _SENDING:
            self._push(now_ns)

    def finish(self, now_ns: int) -> None:
        """Send a FIN after what is queued; the other direction stays open (half close)."""
        if self._fin_wanted or self.state is _CLOSED:
            return
        self._fin_wanted = True
        if self.state in _SENDING:
            self._push(now_ns)

    def close(self, now_ns: int) -> None:
        """The application is gone: finish, and reset when data comes (or came) that no one will read."""
        if self.state is _SYN_SENT:
            self._end(None)
            return
        self.orphaned = True
        if self.received.ready:
            self.abort(now_ns)
            return
        self.finish(now_ns)
        if self.state is _FIN_WAIT_2:
            self._linger(now_ns + self.profile.fin_wait_2_ns)

    def abort(self, now_ns: int) -> None:
        """End at once, with an RST where the peer knows of the connection (RFC 9293 3.10.5)."""
        if self.state not in (_CLOSED, _SYN_SENT, _TIME_WAIT):
            self._emit(now_ns, RST | ACK, self.send.next)
        self._end(None)

    def vanish(self, error: OSError | None) -> None:
        """End at once and tell no one: the machine, or its address, is gone."""
        self.outgoing = []
        self._end(error)

    # -- what the network brings ---------------------------------------------------------------------------------------

    def receive(self, now_ns: int, segment: Segment) -> None:
        """Take a segment of this connection."""
        state = self.state
        if state is _SYN_SENT:
            self._receive_in_syn_sent(now_ns, segment)
            return
        if state is _CLOSED:
            return
        received = self.received
        flags, seq = segment.flags, segment.seq
        if seq != received.next and not self._acceptable(segment):
            self._receive_unacceptable(now_ns, segment)
            return
        if flags & (RST | SYN):
            if flags & RST:
                self._end(refused() if state is _SYN_RECEIVED else reset_by_peer())
            else:
                self._emit(now_ns, ACK, self.send.next)  # RFC 5961 4.2: a challenge; a peer that restarted answers RST
            return
        if not flags & ACK:
            return
        if segment.timestamps is not None:
            self._timestamp_echo = segment.timestamps[0]
        if not self._receive_ack(now_ns, segment):
            return
        if segment.payload:
            self._receive_payload(now_ns, seq, segment.payload)
        if flags & FIN and received.fin_seq is None:
            received.fin_seq = segment.end - 1
        if received.fin_seq is not None and received.next == received.fin_seq and not self.peer_finished:
            self._receive_fin(now_ns)

    def _acceptable(self, segment: Segment) -> bool:
        # RFC 9293 3.10.7.4 first check; a zero window takes nothing but what the caller let through (seq == next).
        received = self.received
        if segment.end == segment.seq:
            return received.next <= segment.seq <= received.edge
        return segment.end > received.next and segment.seq < received.edge

    def _receive_unacceptable(self, now_ns: int, segment: Segment) -> None:
        flags = segment.flags
        if flags & RST:
            return
        if self.state is _SYN_RECEIVED and flags & SYN:
            if flags & ACK and segment.ack == self.send.next:  # both opened: this acknowledges our SYN
                self._receive_ack(now_ns, segment)
            else:
                self._resend(now_ns, self.send.flight[0])  # our answer was lost
            return
        if self.state is _TIME_WAIT and flags & FIN:
            self._linger(now_ns + self.profile.time_wait_ns)  # the last ACK was lost
        self._emit(now_ns, ACK, self.send.next)

    def _receive_in_syn_sent(self, now_ns: int, segment: Segment) -> None:
        flags = segment.flags
        acknowledged = flags & ACK and segment.ack == self.send.next
        if flags & ACK and not acknowledged:
            if not flags & RST:  # RFC 9293 figure 9: this is an old connection's ACK; clear it away
                self.outgoing.append(Segment(self._flow, RST, segment.ack, 0, 0))
            return
        if flags & RST:
            if acknowledged:
                self._end(refused())
            return
        if not flags & SYN:
            return
        self._take_syn(segment)
        if not acknowledged:  # simultaneous open
            self.state = _SYN_RECEIVED
            self.send.flight.clear()
            self.send.next = self.send.una
            self._emit_syn(now_ns, SYN | ACK)
            return
        self._note_acknowledged(now_ns, segment.ack)
        self._establish(segment.window)  # not scaled: it stands in a SYN
        self._emit(now_ns, ACK, self.send.next)
        self._push(now_ns)

    def _receive_ack(self, now_ns: int, segment: Segment) -> bool:
        """Take the acknowledgement and the window; False when the segment is to be dropped."""
        send, ack = self.send, segment.ack
        if ack > send.next:
            self._emit(now_ns, ACK, send.next)
            return False
        if self.state is _SYN_RECEIVED:
            if ack < send.next:
                return False
            self._note_acknowledged(now_ns, ack)
            self._establish(segment.window if segment.flags & SYN else segment.window << self._peer_shift)
            self._push(now_ns)
            return True
        if ack < send.una:
            return True
        edge = ack + (segment.window << self._peer_shift)
        opened = edge > send.edge
        if opened:
            send.edge = edge
        advanced = ack > send.una
        if advanced:
            self._note_acknowledged(now_ns, ack)
        elif not send.flight:
            self._retries = 0  # an answer to a window probe: the peer lives
            if opened:
                self._rto.progress()
        if segment.sack:
            send.split_acknowledged()
            send.sack(segment.sack)
            for lost in send.lost(now_ns - max(self._rto.srtt_ns, 100_000) * 5 // 4):
                self._resend(now_ns, lost)
        if (advanced or opened) and (send.queued_bytes or self._fin_wanted):
            self._push(now_ns)
        if advanced and self._fin_sent and send.una == send.next:
            self._enter(now_ns, _AFTER_FIN_ACKNOWLEDGED.get(self.state, self.state))
        return True

    def _receive_payload(self, now_ns: int, seq: int, payload: bytes) -> None:
        received = self.received
        if self.state not in _RECEIVING:
            return
        if self.orphaned:
            # RFC 9293 3.6.1: data for an application that is gone gets a reset, so that its sender learns of the loss.
            self._emit(now_ns, RST | ACK, self.send.next)
            self._end(None)
            return
        if seq >= received.edge:
            self._emit(now_ns, ACK, self.send.next)  # a probe of a closed window
            return
        if received.take(seq, payload):
            self.owes += len(payload)
            if self._ack_at_ns == NEVER_NS:
                self._ack_at_ns = now_ns + self.profile.delayed_ack_ns
                if self._ack_at_ns < self.deadline_ns:
                    self.deadline_ns = self._ack_at_ns
        else:
            self._emit(now_ns, ACK, self.send.next)  # RFC 5681 4.2: at once, when there is or was a hole

    def _receive_fin(self, now_ns: int) -> None:
        self.peer_finished = True
        self.received.next += 1
        self._enter(now_ns, _AFTER_PEERS_FIN.get(self.state, self.state))
        self._emit(now_ns, ACK, self.send.next)

    def acknowledge(self, now_ns: int) -> None:
        """Send an acknowledgement if one is owed at once: for two full segments' worth (RFC 9293 3.8.6.3), or because
        the application has taken data and the window opens.

        Called after the application had its chance to answer, so that an answer given at once carries it.
        """
        wanted = self.owes >= 2 * self.send.mss or self.received.wants_update()
        if wanted and self.state in _RECEIVING:
            self._emit(now_ns, ACK, self.send.next)

    # -- time ----------------------------------------------------------------------------------------------------------

    def on_deadline(self, now_ns: int) -> None:
        """Do what the deadline asks; harmless when none has come."""
        if now_ns >= self._linger_at_ns:
            self._end(None)
            return
        if now_ns >= self._ack_at_ns:
            self._emit(now_ns, ACK, self.send.next)
        if now_ns >= self._rto_at_ns:
            self._retransmit(now_ns)
        self.deadline_ns = min(self._rto_at_ns, self._ack_at_ns, self._linger_at_ns)

    def _retransmit(self, now_ns: int) -> None:
        send = self.send
        if self._retries >= self._allowed_retries():
            self._end(timed_out())
            return
        self._retries += 1
        self._rto.back_off()
        self._rto_at_ns = now_ns + self._rto.rto_ns
        if send.flight:
            # Only the oldest goes out blind; the rest follows when its acknowledgement shows that the path is back.
            send.split_acknowledged()
            send.give_up_waiting()
            self._resend(now_ns, send.flight[0])
        else:
            # RFC 9293 3.8.6.1, with an old number and no data as BSD and Linux probe: the answer carries the window.
            self._emit(now_ns, ACK, send.una - 1)

    def _allowed_retries(self) -> int:
        if self.state is _SYN_SENT:
            return self.profile.syn_retries
        if self.state is _SYN_RECEIVED:
            return self.profile.syn_ack_retries
        return self.profile.data_retries

    # -- inner workings ------------------------------------------------------------------------------------------------

    def _take_syn(self, syn: Segment) -> None:
        theirs = syn.options or SynOptions(DEFAULT_MSS, None, False, False)
        ours = self._offer
        self._timestamps = ours.timestamps and theirs.timestamps
        self._option_bytes = TIMESTAMP_OPTION_BYTES if self._timestamps else 0
        self._sack = ours.sack_permitted and theirs.sack_permitted
        scaled = ours.window_scale is not None and theirs.window_scale is not None
        self._peer_shift = (theirs.window_scale or 0) if scaled else 0
        self.send.mss = min(ours.mss, theirs.mss) - self._option_bytes
        self.received.start(syn.seq + 1, self.send.mss, ours.window_scale if scaled else None)
        if syn.timestamps is not None:
            self._timestamp_echo = syn.timestamps[0]
        # Until now the offer was one; from here on it says what is in use.
        self._offer = SynOptions(ours.mss, ours.window_scale if scaled else None, self._sack, self._timestamps)
        self.send.edge = self.send.next + syn.window  # the window of a SYN is never scaled

    def _establish(self, window_bytes: int) -> None:
        send = self.send
        self.state = _ESTABLISHED
        send.edge = max(send.edge, send.una + window_bytes)
        send.max_window = send.edge - send.una
        send.set_limits(send.mss, self._burst_bytes)

    def _note_acknowledged(self, now_ns: int, ack: int) -> None:
        send, rto = self.send, self._rto
        sent_ns = send.acknowledge(ack)
        self._retries = 0
        if sent_ns >= 0:
            rto.measured(now_ns - sent_ns)
        else:
            rto.progress()
        flight = send.flight
        if flight:
            self._start_rto(now_ns)
            if flight[0].sent_ns < 0 or flight[-1].sent_ns < 0:
                send.split_acknowledged()
                for segment in send.waiting():
                    self._resend(now_ns, segment)
        else:
            self._rto_at_ns = NEVER_NS

    def _push(self, now_ns: int) -> None:
        send = self.send
        while send.queued_bytes:
            length = send.allowed()
            if not length:
                break
            payload = send.cut(length)
            self._send_burst(now_ns, ACK if send.queued_bytes else ACK | PSH, payload)
        if self._fin_wanted and not self._fin_sent and not send.queued_bytes:
            self._fin_sent = True
            self._send_burst(now_ns, FIN | ACK, b"")
            self._enter(now_ns, _AFTER_OUR_FIN[self.state])
        if send.queued_bytes and not send.flight and self._rto_at_ns == NEVER_NS:
            self._start_rto(now_ns)  # the window is closed: when it is time to probe it

    def _send_burst(self, now_ns: int, flags: int, payload: bytes) -> None:
        """Send what has a place in the sequence space, and time it."""
        send = self.send
        segment = self._build(now_ns, flags, send.next, payload)
        segment.sent_ns = now_ns
        send.next = segment.end
        if not send.flight:
            self._start_rto(now_ns)
        send.flight.append(segment)
        self.outgoing.append(segment)

    def _start_rto(self, now_ns: int) -> None:
        self._rto_at_ns = now_ns + self._rto.rto_ns
        if self._rto_at_ns < self.deadline_ns:
            self.deadline_ns = self._rto_at_ns

    def _linger(self, until_ns: int) -> None:
        self._linger_at_ns = until_ns
        if until_ns < self.deadline_ns:
            self.deadline_ns = until_ns

    def _resend(self, now_ns: int, old: Segment) -> None:
        if old.flags & SYN:
            new = self._build(now_ns, old.flags, old.seq, b"", self._offer)
        else:
            new = self._build(now_ns, old.flags, old.seq, old.payload)
        new.sent_ns = now_ns
        new.resent = True
        self.send.replace(old, new)
        self.outgoing.append(new)

    def _emit_syn(self, now_ns: int, flags: int) -> None:
        send = self.send
        segment = self._build(now_ns, flags, send.next, b"", self._offer)
        segment.sent_ns = now_ns
        send.flight.append(segment)
        send.next += 1
        self._start_rto(now_ns)
        self.outgoing.append(segment)

    def _emit(self, now_ns: int, flags: int, seq: int, payload: bytes = b"") -> Segment:
        segment = self._build(now_ns, flags, seq, payload)
        self.outgoing.append(segment)
        return segment

    def _build(self, now_ns: int, flags: int, seq: int, payload: bytes, options: SynOptions | None = None) -> Segment:
        received = self.received
        option_bytes = self._option_bytes
        sack: tuple[tuple[int, int], ...] = ()
        timestamps = None
        if self._timestamps:
            timestamps = (self._clock_offset_ms + now_ns // 1_000_000, self._timestamp_echo)
        if received.runs and self._sack:
            sack = received.sack_blocks()
            option_bytes += 4 + 8 * len(sack)
        if options is None:
            window = received.window_field()
        else:
            window = min(received.buffer_bytes, 0xFFFF)  # not scaled in a SYN
            option_bytes = options.length
        # Every segment with ACK acknowledges all there is, so none is owed any longer.
        self.owes = 0
        self._ack_at_ns = NEVER_NS
        ack = received.next if flags & ACK else 0
        return Segment(
            self._flow, flags, seq, ack, window, payload, self.send.mss, option_bytes, options, sack, timestamps
        )

    def _enter(self, now_ns: int, state: TcpState) -> None:
        self.state = state
        if state is _TIME_WAIT:
            self._rto_at_ns = NEVER_NS
            self._linger(now_ns + self.profile.time_wait_ns)
        elif state is _FIN_WAIT_2 and self.orphaned:
            self._linger(now_ns + self.profile.fin_wait_2_ns)
        elif state is _CLOSED:
            self._end(None)

    def _end(self, error: OSError | None) -> None:
        self.state = _CLOSED
        self.error = error
        self._rto_at_ns = self._ack_at_ns = self._linger_at_ns = self.deadline_ns = NEVER_NS
        self.send.flight.clear()
        self.send.queue.clear()
        self.send.queued_bytes = 0
