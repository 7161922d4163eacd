"""TCP as a machine without I/O: `now` and segments go in, segments and deliveries come out, with one deadline.

RFC 9293 for the states, RFC 6298 for the time-out, RFC 5681, 6582 and 6675 for congestion control and loss recovery,
RFC 9438 for CUBIC, RFC 2018 for SACK, RFC 7323 for window scale and timestamps, RFC 5961 for what a stray SYN gets. The
endpoint knows neither loop nor network: whoever drives it puts `outgoing` on the wire in order, hands `received.ready`
to the application, looks at `state` and `error`, and calls `on_deadline` when `deadline_ns` has come.

Left out, on purpose: Nagle (asyncio switches it off), ECN, pacing, urgent data, keep-alive; `tcp_recovery` says what of
loss recovery is not there.
"""

from __future__ import annotations

from sim.net.segment import ACK, FIN, PSH, RST, SYN, Segment
from sim.net.tcp_handshake import TcpHandshake
from sim.net.tcp_output import NEVER_NS
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

_ACK_PSH = ACK | PSH
_RST_SYN_ACK = RST | SYN | ACK


class TcpEndpoint(TcpHandshake):
    """One end of one connection.

    `local` and `remote` are (IPv4, port); `iss` the initial send sequence number; `mtu` that of the NIC in bytes;
    `burst_bytes` the longest burst the NIC takes. Read after every call: `outgoing` (segments to send; take the list
    and leave an empty one), `received.ready`, `peer_finished`, `state`, `error`, `deadline_ns`.

    `deadline_ns` is when `on_deadline` wants to be called, NEVER_NS for never. It may be early, never late: while a
    connection is busy its time-outs only move back, and following them would cost more than one idle call.
    """

    __slots__ = ()

    # -- what the application asks -------------------------------------------------------------------------------------

    def write(self, now_ns: int, data: bytes) -> None:
        """Send `data` after what is queued. Ignored once the connection ended or a FIN was asked for."""
        self.write_all(now_ns, [data])

    def write_all(self, now_ns: int, buffers: list[bytes]) -> None:
        """As `write`, for several buffers in a row that share their frames."""
        send = self.send
        length = sum(map(len, buffers))
        if self._fin_wanted or not length:
            return
        if (
            self.state is ESTABLISHED
            and not send.queued_bytes
            and length <= send.burst
            and length <= send.edge - send.next
            and length <= send.una + send.cwnd - send.next
            and now_ns - send.idle_since_ns < self._rto.rto_ns
        ):  # the common case: what was written is the burst
            self._send_burst(now_ns, _ACK_PSH, buffers[0] if len(buffers) == 1 else b"".join(buffers))
        elif self.state is not CLOSED:
            if now_ns - send.idle_since_ns >= self._rto.rto_ns:
                self._rest(now_ns)
            send.put(buffers, length)
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
        # Van Jacobson's header prediction: nearly every segment is the next data of an established connection, with
        # nothing out of order anywhere. For that one, this is what `_receive_any` comes to.
        send, received = self.send, self.received
        seq, ack, payload = segment.seq, segment.ack, segment.payload
        if (
            seq != received.next
            or self.state is not ESTABLISHED
            or segment.flags & ~PSH != ACK
            or not payload
            or ack > send.next
            or ack < send.una
            or seq >= received.edge
            or received.runs
            or segment.sack
            or self._fin_wanted
        ):
            self._receive_any(now_ns, segment)
            return
        if segment.timestamps is not None:
            self._timestamp_echo = segment.timestamps[0]
        edge = ack + (segment.window << self._peer_shift)
        opened = edge > send.edge
        if opened:
            send.edge = edge
        advanced = ack > send.una
        if advanced:
            self._note_acknowledged(now_ns, ack)
        elif not send.flight:
            self._note_probe_answered(opened)
        if send.queued_bytes and (advanced or opened):
            self._push(now_ns)
        length = len(payload)
        received.ready.append(payload)
        received.ready_bytes += length
        received.next = seq + length
        self._owe(now_ns, length)

    def _receive_any(self, now_ns: int, segment: Segment) -> None:
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
        if flags & _RST_SYN_ACK != ACK:
            if flags & RST:
                self._end(refused() if state is SYN_RECEIVED else reset_by_peer())
            elif flags & SYN:
                self._emit(now_ns, ACK, self.send.next)  # RFC 5961 4.2: a challenge; a peer that restarted answers RST
            return
        if segment.timestamps is not None:
            self._timestamp_echo = segment.timestamps[0]
        if not self._receive_ack(now_ns, segment):
            return
        if segment.payload:
            self._receive_payload(now_ns, segment)
        if flags & FIN and received.fin_seq is None:
            received.fin_seq = segment.end - 1
        if received.fin_seq == received.next and not self.peer_finished:
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
            self._note_probe_answered(opened)
        if segment.sack or (
            # RFC 5681 2: a duplicate acknowledgement
            not advanced
            and ack == send.una
            and edge == send.edge
            and not opened
            and send.flight
            and not segment.payload
            and not segment.flags & FIN
        ):
            self._note_disorder(now_ns, segment)
        if (advanced or opened or not send.clean) and (send.queued_bytes or self._fin_wanted):
            self._push(now_ns)
        if advanced and self._fin_sent and send.una == send.next:
            self._enter(now_ns, AFTER_FIN_ACKNOWLEDGED.get(self.state, self.state))
        return True

    def _receive_payload(self, now_ns: int, segment: Segment) -> None:
        received, seq, payload = self.received, segment.seq, segment.payload
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
            self._owe(now_ns, len(payload))
        else:
            # RFC 5681 4.2: at once, when there is or was a hole. Beyond one each frame of a burst gets its own; with
            # SACK the first of them says all there is to say.
            count = segment.frames if seq > received.next and not self._sack else 1
            for _ in range(count):
                self._emit(now_ns, ACK, self.send.next)

    def _receive_fin(self, now_ns: int) -> None:
        self.peer_finished = True
        self.received.next += 1
        self._enter(now_ns, AFTER_PEERS_FIN.get(self.state, self.state))
        self._emit(now_ns, ACK, self.send.next)
