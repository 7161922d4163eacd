"""What a TCP endpoint concludes from acknowledgements and from silence, and what it sends again.

RFC 6298 (the retransmission timer), RFC 5681 (fast retransmit, what a loss does to the window), RFC 6582 (fast recovery
from duplicate acknowledgements), RFC 6675 (from SACK: its pipe and IsLost), RFC 3042 (new data while duplicates are
counted: the pipe gives that by itself), RFC 8985 (tail-loss probes, and its time rule for lost retransmissions),
RFC 9293 3.8.6.1 (probing a closed window).

Of RFC 8985 a stack with RACK gets the probe, and the rule that a segment is lost when one that was sent later has
arrived and a quarter of a round trip has passed since; that quarter does not adapt, and a probe that would not come
before the time-out is not sent. Spurious repetitions are not found out and undone (DSACK, Eifel, F-RTO), and a
reduction is not spread over a round trip (RFC 6937): the pipe falls below the reduced window first, as RFC 6675 has it.
"""

from __future__ import annotations

from sim.net.segment import ACK, PSH, Segment
from sim.net.tcp_output import NEVER_NS, Phase, TailProbe, TcpOutput
from sim.net.tcp_states import SENDING, SYN_RECEIVED, SYN_SENT, timed_out


class TcpRecovery(TcpOutput):
    """The part of an endpoint that repairs; `TcpEndpoint` is the whole."""

    __slots__ = ()

    # -- acknowledgements ----------------------------------------------------------------------------------------------

    def _note_acknowledged(self, now_ns: int, ack: int) -> None:
        send = self.send
        flight_bytes = send.next - send.una
        acked_bytes = ack - send.una
        sent_ns = send.acknowledge(ack)
        self._retries = 0
        if sent_ns >= 0:
            self._rto.measured(now_ns - sent_ns)
        else:
            self._rto.progress()
        if not send.clean:
            self._go_on(now_ns, acked_bytes, flight_bytes)
        elif flight_bytes + flight_bytes >= send.cwnd:
            self._grow(now_ns, acked_bytes)
        if send.flight:
            self._start_rto(now_ns)
        else:
            self._alarm_at_ns = NEVER_NS

    def _grow(self, now_ns: int, acked_bytes: int) -> None:
        # RFC 7661: only a window of which at least half was used has shown what the path can take.
        assert self._congestion is not None
        self.send.cwnd = self._congestion.acknowledged(now_ns, acked_bytes, self._rto.srtt_ns)

    def _note_probe_answered(self, opened: bool) -> None:
        """Nothing is in flight, and here is a segment: if it answers a window probe, the peer lives."""
        self._retries = 0
        if opened:
            self._rto.progress()

    def _go_on(self, now_ns: int, acked_bytes: int, flight_bytes: int) -> None:
        """New data was acknowledged while something was lost or doubtful."""
        send = self.send
        send.idle_since_ns = now_ns
        send.split_acknowledged()
        in_use = 2 * flight_bytes >= send.cwnd
        if self._phase is not Phase.OPEN and send.una >= self._recover_seq:
            self._phase = Phase.OPEN
            in_use = False  # a recovery ends with the window it began with
        at_once = False
        if self._phase is Phase.OPEN:
            self._dup_acks = send.inflation = 0
            if self._probe is not None and send.una >= self._probe.end:
                self._probe_acknowledged(now_ns, self._probe)
            elif in_use:
                self._grow(now_ns, acked_bytes)
        elif self._phase is Phase.LOSS:
            self._grow(now_ns, acked_bytes)
        elif not self._sack:
            # RFC 6582 3.2 step 3, a partial acknowledgement: the next segment is lost as well.
            send.inflation = max(send.inflation - acked_bytes, 0) + (send.mss if acked_bytes >= send.mss else 0)
            send.mark_first_lost()
            at_once = True
        send.tally()
        self._repair(now_ns, at_once=at_once)
        self._settle()

    def _note_disorder(self, now_ns: int, segment: Segment) -> None:
        """An acknowledgement says that something arrived which is not the next: by SACK blocks, or as a duplicate."""
        send, profile = self.send, self.profile
        send.clean = False
        if segment.sack:
            send.split_acknowledged()
            send.sack(segment.sack)
            send.note_delivery(now_ns)
            lost = send.mark_lost(profile.dup_threshold, self._overdue_ns(now_ns))
        else:
            self._dup_acks += 1
            lost = False
            if not self._sack and self._phase is not Phase.LOSS:
                send.inflation += send.mss
                if self._phase is Phase.OPEN and self._dup_acks >= profile.dup_threshold:
                    send.mark_first_lost()
                    lost = True
        send.tally()
        self._take_losses(now_ns, lost=lost)
        if segment.sack and profile.probe_slack_ns is not None:
            # RFC 8985 6.2: what is missing may still be under way, for a quarter of a round trip.
            self._alarm_at_ns = min(self._alarm_at_ns, now_ns + send.delivered_rtt_ns // 4)
            self.deadline_ns = min(self.deadline_ns, self._alarm_at_ns)

    def _overdue_ns(self, now_ns: int) -> int:
        """What was sent then or before is lost if something later has arrived; -1 for a stack without RACK."""
        send = self.send
        if self.profile.probe_slack_ns is None:
            return -1
        return min(send.delivered_ns, now_ns - send.delivered_rtt_ns * 5 // 4)

    def _take_losses(self, now_ns: int, *, lost: bool) -> None:
        """After the scoreboard was marked; `lost`: with something new."""
        begins = lost and self._phase is Phase.OPEN
        if begins:
            self._reduce(now_ns)
            self._phase = Phase.RECOVERY
            self._start_rto(now_ns)
        self._repair(now_ns, at_once=begins)
        self._settle()

    def _reduce(self, now_ns: int) -> None:
        """The first loss of a window."""
        send = self.send
        assert self._congestion is not None
        self._recover_seq = send.next
        self._probe = None
        send.cwnd = self._congestion.lost(now_ns, self._flight_bytes())

    def _flight_bytes(self) -> int:
        """FlightSize of RFC 5681: how much was under way when a loss showed.

        That is the window where it was in use: a burst that waits for its turn (`SendStream.allowed`) leaves less for a
        moment, and what went beyond the window while duplicates were counted is not to be included (RFC 5681 3.2).
        """
        flight_bytes = self.send.next - self.send.una
        return self.send.cwnd if 2 * flight_bytes >= self.send.cwnd else flight_bytes

    def _repair(self, now_ns: int, *, at_once: bool) -> None:
        """Send again what waits for it, as far as the window goes; `at_once` the first segment in any case."""
        send = self.send
        while send.waiting:
            room = send.cwnd + send.left_bytes - (send.next - send.una)
            if room < send.mss and not at_once:
                return
            segment = send.first_waiting()
            if segment is None:
                send.waiting = False
                return
            fits = max(room - room % send.mss, send.mss)
            if len(segment.payload) > fits:
                send.split_at(segment.seq + fits)
                segment = send.first_waiting()
                assert segment is not None
            send.left_bytes -= segment.end - segment.seq
            self._resend(now_ns, segment)
            at_once = False

    def _settle(self) -> None:
        send = self.send
        send.clean = self._phase is Phase.OPEN and not (self._dup_acks or send.left_bytes or self._probe)

    # -- time ----------------------------------------------------------------------------------------------------------

    def on_deadline(self, now_ns: int) -> None:
        """Do what the deadline asks; harmless when none has come."""
        if now_ns >= self._linger_at_ns:
            self._end(None)
            return
        if now_ns >= self._ack_at_ns:
            self._emit(now_ns, ACK, self.send.next)
        if now_ns >= self._alarm_at_ns:
            time_out_ns = self._armed_ns + self._rto.rto_ns
            if now_ns >= time_out_ns:
                self._retransmit(now_ns)
            else:
                self._alarm_at_ns = time_out_ns
                if self.send.clean:
                    self._look_after_tail(now_ns, time_out_ns)
                else:
                    self._look_after_holes(now_ns)
        self.deadline_ns = min(self._alarm_at_ns, self._ack_at_ns, self._linger_at_ns)

    def _retransmit(self, now_ns: int) -> None:
        send = self.send
        if self._retries >= self._allowed_retries():
            self._end(timed_out())
            return
        self._retries += 1
        self._rto.back_off()
        self._start_rto(now_ns)
        if not send.flight:
            # RFC 9293 3.8.6.1, with an old number and no data as BSD and Linux probe: the answer carries the window.
            self._emit(now_ns, ACK, send.una - 1)
        elif self._congestion is None:
            self._resend(now_ns, send.flight[0])  # a SYN
        else:
            if self._retries == 1:  # RFC 5681 3.1: later ones of the same segment do not lower the threshold again
                send.cwnd = self._congestion.timed_out(now_ns, self._flight_bytes())
            self._phase = Phase.LOSS
            self._recover_seq = send.next
            self._probe = None
            self._dup_acks = send.inflation = 0
            send.clean = False
            # Only the oldest goes out blind; the rest follows as acknowledgements show that the path is back.
            send.split_acknowledged()
            send.mark_all_lost()
            send.tally()
            self._repair(now_ns, at_once=True)

    def _allowed_retries(self) -> int:
        if self.state is SYN_SENT:
            return self.profile.syn_retries
        if self.state is SYN_RECEIVED:
            return self.profile.syn_ack_retries
        return self.profile.data_retries

    def _rest(self, now_ns: int) -> None:
        """Something is to be sent, and the last time was long ago: what the pause did to the window."""
        send = self.send
        idle_ns = now_ns - send.idle_since_ns
        if not send.flight and self._congestion is not None and self.profile.idle_decay:
            send.cwnd = self._congestion.rested(idle_ns, self._rto.rto_ns)
        send.idle_since_ns = now_ns

    # -- RACK and its tail-loss probe, RFC 8985 6 and 7 ----------------------------------------------------------------

    def _look_after_holes(self, now_ns: int) -> None:
        """What is missing has had a quarter of a round trip to come."""
        send = self.send
        if send.mark_lost(self.profile.dup_threshold, self._overdue_ns(now_ns)):
            send.tally()
            self._take_losses(now_ns, lost=True)
            if send.queued_bytes or self._fin_wanted:
                self._push(now_ns)

    def _look_after_tail(self, now_ns: int, time_out_ns: int) -> None:
        """Two round trips have passed without an answer, and the time-out has not come."""
        send = self.send
        newest = send.flight[-1] if send.flight else None
        if newest is None or self.state not in SENDING or newest.end - send.una < 2 * send.mss:
            return  # less than two full segments may be acknowledged late; by then the time-out has come
        probe_at_ns = newest.sent_ns + self._rto.alarm_ns
        if now_ns < probe_at_ns:  # more was sent since the alarm was set
            self._alarm_at_ns = min(probe_at_ns, time_out_ns)
            return
        length = min(send.queued_bytes, send.edge - send.next, send.mss)
        if length > 0:
            self._send_burst(now_ns, ACK if length < send.queued_bytes else ACK | PSH, send.cut(length))
        else:
            send.split_at(send.next - send.mss)
            self._resend(now_ns, send.flight[-1])
        self._probe = TailProbe(send.next, now_ns, resent=length <= 0)
        send.clean = False
        self._armed_ns = now_ns
        self._alarm_at_ns = now_ns + self._rto.rto_ns

    def _probe_acknowledged(self, now_ns: int, probe: TailProbe) -> None:
        # 7.4: a repetition that closed the gap tells of a loss that nothing else shows. An answer that comes too early
        # to be the probe's own says that nothing was lost.
        self._probe = None
        if probe.resent and now_ns - probe.sent_ns >= self._rto.srtt_ns // 2:
            self._reduce(now_ns)
