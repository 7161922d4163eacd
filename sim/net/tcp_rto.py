"""When to give up waiting for an acknowledgement, in whole nanoseconds: RFC 6298, and RFC 8985 7.2 for the probe."""

from __future__ import annotations

from sim.net.tcp_profiles import TcpProfile


class RtoEstimator:
    """Smoothed round-trip time and the retransmission time-out that follows from it.

    `rto_ns` includes the back-off: it doubles with every `back_off()` up to the profile's maximum and falls back with
    the next measurement or `progress()`. `alarm_ns` is when to look after what was sent: after two round trips where
    the profile has tail-loss probes and they come before the time-out, and otherwise at the time-out.
    """

    __slots__ = ("_base_ns", "_max_ns", "_min_ns", "_probe_slack_ns", "alarm_ns", "rto_ns", "srtt_ns", "variation_ns")

    def __init__(self, profile: TcpProfile) -> None:
        self._min_ns = profile.min_rto_ns
        self._max_ns = profile.max_rto_ns
        self._base_ns = profile.initial_rto_ns
        self._probe_slack_ns = profile.probe_slack_ns
        self.rto_ns = self.alarm_ns = profile.initial_rto_ns
        self.srtt_ns = 0
        self.variation_ns = 0

    def measured(self, round_trip_ns: int) -> None:
        """Take a measurement of a segment that was sent once only (Karn's rule is the caller's)."""
        smoothed, variation = self.srtt_ns, self.variation_ns
        if smoothed:
            error = round_trip_ns - smoothed
            variation += (abs(error) - variation) // 4
            smoothed += error // 8
        else:
            smoothed, variation = round_trip_ns, round_trip_ns // 2
        self.srtt_ns, self.variation_ns = smoothed, variation
        base = smoothed + 4 * variation
        if base < self._min_ns:
            base = self._min_ns
        elif base > self._max_ns:
            base = self._max_ns
        self._base_ns = self.rto_ns = alarm = base
        slack = self._probe_slack_ns
        if slack is not None:
            alarm = smoothed + smoothed + slack
            if alarm > base:
                alarm = base
        self.alarm_ns = alarm

    def back_off(self) -> None:
        """Double the time-out (RFC 6298 5.5)."""
        self.rto_ns = self.alarm_ns = min(self.rto_ns * 2, self._max_ns)

    def progress(self) -> None:
        """The peer acknowledged something new: the back-off ends."""
        self.rto_ns = self.alarm_ns = self._base_ns
        if self._probe_slack_ns is not None and self.srtt_ns:
            self.alarm_ns = min(2 * self.srtt_ns + self._probe_slack_ns, self._base_ns)
