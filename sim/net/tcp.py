"""TCP as a machine without I/O: `now` and segments go in, segments and deliveries come out, with one deadline.

RFC 9293 for the states, RFC 6298 for the time-out, RFC 2018 and 6675 for selective retransmission, RFC 7323 for window
scale and timestamps, RFC 5961 for what a stray SYN gets. The endpoint knows neither loop nor network: whoever drives it
puts `outgoing` on the wire in order, hands `received.ready` to the application, looks at `state` and `error`, and calls
`on_deadline` when `deadline_ns` has come.

Left out, on purpose: Nagle (asyncio switches it off), congestion control (see `tcp_profiles`), urgent data, keep-alive.
"""

from __future__ import annotations

from sim.net.segment import ACK, FIN, PSH, RST, SYN, TIMESTAMP_OPTION_BYTES, Segment, SynOptions
from sim.net.tcp_output import NEVER_NS, TcpOutput
from sim.net.tcp_states import (
    AFTER_FIN_ACKNOWLEDGED,
    AFTER_PEERS_FIN,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_2,
    RECEIVING,
    SENDING,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    TcpState,
    refused,
    reset_by_peer,
)

__all__ = ["NEVER_NS", "TcpEndpoint", "TcpState"]

# RFC 9293 3.7.1: what to assume of a peer that names no MSS.
DEFAULT_MSS = 536


class TcpEndpoint(TcpOutput):
    """One end of one connection.

    `local` and `remote` are (IPv4, port); `iss` the initial send sequence number; `mtu` that of the NIC in bytes;
    `burst_bytes` the longest burst the NIC takes. Read after every call: `outgoing` (segments to send; take the list
    and leave an empty one), `received.ready`, `peer_finished`, `state`, `error`, `deadline_ns`.

    `deadline_ns` is when `on_deadline` wants to be called, NEVER_NS for never. It may be early, never late: while a
    connection is busy its time-outs only move back, and following them would cost more than one idle call.
    """

    __slots__ = ()

    # -- what the application asks -------------------------------------------------------------------------------------

    def connect(self, now_ns: int) -> None:
        """Open actively: send a SYN."""
        self.state = SYN_SENT
        self._emit_syn(now_ns, SYN)

    def accept(self, now_ns: int, syn: Segment) -> None:
        """Open passively: answer the peer's SYN."""
        self.state = SYN_RECEIVED
        self._take_syn(syn)
        self._emit_syn(now_ns, SYN | ACK)

    def write(self, now_ns: int, data: bytes) -> None:
        """Send `data` (not empty) after what is queued. Ignored once the connection ended or a FIN was asked for."""
        send = self.send
        length = len(data)
        if (
            self.state is ESTABLISHED
            and not send.queued_bytes
            and length <= send.burst
            and length <= send.edge - send.next
            and not self._fin_wanted
        ):
            self._send_burst(now_ns, ACK | PSH, data)  # the common case: what was written is the burst
            return
        if self._fin_wanted or self.state is CLOSED:
            return
        self.send.put(data)
        if self.state in SENDING:
            self._push(now_ns)

    def queue(self, data: bytes) -> None:
        """Queue `data` without sending: for several writes that shall share their frames. `push` sends."""
        if not self._fin_wanted and self.state is not CLOSED:
            self.send.put(data)

    def push(self, now_ns: int) -> None:
        """Send what is queued, as far as the window allows."""
        if self.state in SENDING:
            self._push(now_ns)

    def finish(self, now_ns: int) -> None:
        """Send a FIN after what is queued; the other direction stays open (half close)."""
        if self._fin_wanted or self.state is CLOSED:
            return
        self._fin_wanted = True
        if self.state in SENDING:
            self._push(now_ns)

    def close(self, now_ns: int) -> None:
        """The application is gone: finish, and reset when data comes (or came) that no one will read."""
        if self.state is SYN_SENT:
            self._end(None)
            return
        self.orphaned = True
        if self.received.ready:
            self.abort(now_ns)
            return
        self.finish(now_ns)
        if self.state is FIN_WAIT_2:
            self._linger(now_ns + self.profile.fin_wait_2_ns)

    def abort(self, now_ns: int) -> None:
        """End at once, with an RST where the peer knows of the connection (RFC 9293 3.10.5)."""
        if self.state not in (CLOSED, SYN_SENT, TIME_WAIT):
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
        if state is SYN_SENT:
            self._receive_in_syn_sent(now_ns, segment)
            return
        if state is CLOSED:
            return
        received = self.received
        flags, seq = segment.flags, segment.seq
        if seq != received.next and not self._acceptable(segment):
            self._receive_unacceptable(now_ns, segment)
            return
        if flags & (RST | SYN):
            if flags & RST:
                self._end(refused() if state is SYN_RECEIVED else reset_by_peer())
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
        if self.state is SYN_RECEIVED and flags & SYN:
            if flags & ACK and segment.ack == self.send.next:  # both opened: this acknowledges our SYN
                self._receive_ack(now_ns, segment)
            else:
                self._resend(now_ns, self.send.flight[0])  # our answer was lost
            return
        if self.state is TIME_WAIT and flags & FIN:
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
            self.state = SYN_RECEIVED
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
        if self.state is SYN_RECEIVED:
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
            self._enter(now_ns, AFTER_FIN_ACKNOWLEDGED.get(self.state, self.state))
        return True

    def _receive_payload(self, now_ns: int, seq: int, payload: bytes) -> None:
        received = self.received
        if self.state not in RECEIVING:
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
        self._enter(now_ns, AFTER_PEERS_FIN.get(self.state, self.state))
        self._emit(now_ns, ACK, self.send.next)

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
        self.state = ESTABLISHED
        send.edge = max(send.edge, send.una + window_bytes)
        send.max_window = send.edge - send.una
        send.set_limits(send.mss, self._burst_bytes)
