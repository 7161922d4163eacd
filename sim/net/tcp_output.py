"""What a TCP endpoint sends: bursts, acknowledgements, repetitions, and how its timers are set.

RFC 9293 3.8.6.3 (delayed acknowledgements). What it concludes from the peer's answers stands in `tcp_recovery`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sim.net.congestion import CongestionControl
from sim.net.segment import ACK, FIN, PSH, SYN, Address, Segment, SynOptions
from sim.net.tcp_profiles import TcpProfile
from sim.net.tcp_receive import ReceiveStream
from sim.net.tcp_rto import RtoEstimator
from sim.net.tcp_send import LONGEST_BURST_BYTES, SendStream
from sim.net.tcp_states import (
    AFTER_OUR_FIN,
    CLOSED,
    FIN_WAIT_2,
    RECEIVING,
    TIME_WAIT,
    TcpState,
)

NEVER_NS = 1 << 62
IP_AND_TCP_BYTES = 40


class Phase(enum.Enum):
    """Where loss recovery stands: nothing under repair, a fast recovery, or what a time-out leaves to do."""

    OPEN = "open"
    RECOVERY = "recovery"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class TailProbe:
    """A tail-loss probe on its way: what it asks for is answered when `end` is acknowledged."""

    end: int
    sent_ns: int
    resent: bool


class TcpOutput:
    """The part of an endpoint that sends; `TcpEndpoint` is the whole, and says what the attributes mean.

    There is one alarm for the retransmission timer and the tail-loss probe: it was set at `_armed_ns` and comes at
    `_alarm_at_ns`.
    """

    __slots__ = (
        "_ack_at_ns",
        "_alarm_at_ns",
        "_armed_ns",
        "_burst_bytes",
        "_clock_offset_ms",
        "_congestion",
        "_dup_acks",
        "_fin_sent",
        "_fin_wanted",
        "_flow",
        "_linger_at_ns",
        "_offer",
        "_option_bytes",
        "_peer_shift",
        "_phase",
        "_probe",
        "_recover_seq",
        "_retries",
        "_rto",
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
        self._burst_bytes = burst_bytes
        self._clock_offset_ms = iss >> 8  # RFC 7323 5.4: the timestamp clock starts anywhere
        self.state = CLOSED
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
        self._congestion: CongestionControl | None = None  # until the connection stands
        self._phase = Phase.OPEN
        self._dup_acks = 0
        self._recover_seq = 0
        self._probe: TailProbe | None = None
        self._fin_wanted = False
        self._fin_sent = False
        self.owes = 0  # bytes received that no segment of ours has acknowledged
        self._armed_ns = 0
        self._alarm_at_ns = NEVER_NS
        self._ack_at_ns = NEVER_NS
        self._linger_at_ns = NEVER_NS
        self.deadline_ns = NEVER_NS

    # -- the peer's acknowledgements -----------------------------------------------------------------------------------

    def acknowledge(self, now_ns: int) -> None:
        """Send an acknowledgement if one is owed at once: for two full segments' worth (RFC 9293 3.8.6.3), or because
        the application has taken data and the window opens.

        Called after the application had its chance to answer, so that an answer given at once carries it.
        """
        wanted = self.owes >= 2 * self.send.mss or self.received.wants_update()
        if wanted and self.state in RECEIVING:
            self._emit(now_ns, ACK, self.send.next)

    def _owe(self, now_ns: int, length: int) -> None:
        """Data has arrived in order: it is to be acknowledged, with what is sent next or when the delay is over."""
        if not self.owes:
            self._ack_at_ns = ack_at_ns = now_ns + self.profile.delayed_ack_ns
            if ack_at_ns < self.deadline_ns:
                self.deadline_ns = ack_at_ns
        self.owes += length

    # -- segments ------------------------------------------------------------------------------------------------------

    def _push(self, now_ns: int) -> None:
        send = self.send
        sent_before_ns = now_ns - (self._rto.srtt_ns >> 1)
        while send.queued_bytes:
            length = send.allowed(sent_before_ns)
            if not length:
                break
            payload = send.cut(length)
            self._send_burst(now_ns, ACK if send.queued_bytes else ACK | PSH, payload)
        if self._fin_wanted and not self._fin_sent and not send.queued_bytes:
            self._fin_sent = True
            self._send_burst(now_ns, FIN | ACK, b"")
            self._enter(now_ns, AFTER_OUR_FIN[self.state])
        if send.queued_bytes and not send.flight and self._alarm_at_ns == NEVER_NS:
            self._start_rto(now_ns)  # the window is closed: when it is time to probe it

    def _send_burst(self, now_ns: int, flags: int, payload: bytes) -> None:
        """Send what has a place in the sequence space, and time it."""
        send, received = self.send, self.received
        if self._timestamps or received.runs:
            segment = self._build(now_ns, flags, send.next, payload)
        else:  # what `_build` comes to without options
            self.owes = 0
            self._ack_at_ns = NEVER_NS
            window = received.window_field()
            segment = Segment(self._flow, flags, send.next, received.next, window, payload, send.mss)
        segment.sent_ns = now_ns
        send.next = segment.end
        flight = send.flight
        if not flight:
            self._armed_ns = now_ns
            self._alarm_at_ns = alarm_at_ns = now_ns + self._rto.alarm_ns
            if alarm_at_ns < self.deadline_ns:
                self.deadline_ns = alarm_at_ns
        flight.append(segment)
        self.outgoing.append(segment)

    def _start_rto(self, now_ns: int) -> None:
        self._armed_ns = now_ns
        self._alarm_at_ns = alarm_at_ns = now_ns + self._rto.alarm_ns
        if alarm_at_ns < self.deadline_ns:
            self.deadline_ns = alarm_at_ns

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
        if state is TIME_WAIT:
            self._alarm_at_ns = NEVER_NS
            self._linger(now_ns + self.profile.time_wait_ns)
        elif state is FIN_WAIT_2 and self.orphaned:
            self._linger(now_ns + self.profile.fin_wait_2_ns)
        elif state is CLOSED:
            self._end(None)

    def _end(self, error: OSError | None) -> None:
        self.state = CLOSED
        self.error = error
        self._alarm_at_ns = self._ack_at_ns = self._linger_at_ns = self.deadline_ns = NEVER_NS
        self.send.flight.clear()
        self.send.queue.clear()
        self.send.queued_bytes = 0
