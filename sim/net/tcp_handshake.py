"""How a TCP connection comes to stand, and what its two SYNs agree on.

RFC 9293 3.5 (the handshake), 3.7.1 (MSS), RFC 7323 2 and 3 (window scale and timestamps), RFC 2018 2 (SACK permitted).
"""

from __future__ import annotations

from sim.net.segment import ACK, RST, SYN, TIMESTAMP_OPTION_BYTES, Segment, SynOptions
from sim.net.tcp_recovery import TcpRecovery
from sim.net.tcp_states import ESTABLISHED, SYN_RECEIVED, SYN_SENT, refused

# RFC 9293 3.7.1: what to assume of a peer that names no MSS.
DEFAULT_MSS = 536


class TcpHandshake(TcpRecovery):
    """The part of an endpoint that opens; `TcpEndpoint` is the whole."""

    __slots__ = ()

    def connect(self, now_ns: int) -> None:
        """Open actively: send a SYN."""
        self.state = SYN_SENT
        self._emit_syn(now_ns, SYN)

    def accept(self, now_ns: int, syn: Segment) -> None:
        """Open passively: answer the peer's SYN."""
        self.state = SYN_RECEIVED
        self._take_syn(syn)
        self._emit_syn(now_ns, SYN | ACK)

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
        self._congestion = self.profile.congestion(send.mss, self.profile.initial_segments)
        send.cwnd = self._congestion.window
